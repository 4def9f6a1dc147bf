"""Ports: open-port, close-port and opened-ports. What is asked for is done when the hook has succeeded."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal

from undercroft_hookspecs.hook_tools import Flag, PortsContext, ToolUsageError
from undercroft_hookspecs.state import PortRange
from undercroft_uniter.jujuc.quoting import quoted
from undercroft_uniter.jujuc.tools.tool import ANSWER, DEPRECATED_FORMAT, Tool, part_or_none, warn_of_format

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from undercroft_hookspecs.hook_tools import HookContext, ToolCall

_LAST = 65535
_RANGE = re.compile(r"(\d{1,9})(?:-(\d{1,9}))?(?:/([a-z]+))?", re.ASCII)
_PROTOCOLS: Mapping[str, Literal["tcp", "udp"]] = {"tcp": "tcp", "udp": "udp"}


def parse_range(text: str) -> PortRange:
    """A range as charms write it: `80`, `80/tcp`, `8000-8999/UDP`, `icmp`.

    Raises:
        ToolUsageError: it is none.
    """
    lowered = text.strip().lower()
    if lowered == "icmp":
        return PortRange(protocol="icmp", first=-1, last=-1)
    found = _RANGE.fullmatch(lowered)
    if found is None:
        raise ToolUsageError(
            f"invalid port range {quoted(text)}: expected <port>[/<protocol>], <from>-<to>[/<protocol>] or icmp"
        )
    first = int(found[1])
    last = int(found[2] or first)
    name = found[3] or "tcp"
    if name not in _PROTOCOLS:
        raise ToolUsageError(f"invalid protocol {quoted(name)}, expected tcp, udp or icmp")
    if not 1 <= first <= last <= _LAST:
        raise ToolUsageError(f"invalid port range {first}-{last}/{name}: ports are between 1 and {_LAST}")
    return PortRange(protocol=_PROTOCOLS[name], first=first, last=last)


async def _open(context: HookContext, call: ToolCall) -> None:
    warn_of_format(call, "open-port")
    await context.get(PortsContext).open_ports(_ranges(call))


async def _close(context: HookContext, call: ToolCall) -> None:
    warn_of_format(call, "close-port")
    ports = context.get(PortsContext)
    asked = _ranges(call)
    if _endpoints(call):
        await ports.close_ports(asked)
        return
    # For all endpoints is what was opened for some of them, too.
    of_some = [one for one in await ports.opened_ports() if one.endpoint and _is_same(one, asked[0])]
    await ports.close_ports([*asked, *of_some])


async def _opened(context: HookContext, call: ToolCall) -> list[str]:
    ports = part_or_none(context, PortsContext)
    found = sorted(await ports.opened_ports()) if ports is not None else []
    endpoints: dict[str, list[str]] = {}
    for one in found:
        endpoints.setdefault(str(one), []).append(one.endpoint)
    if "endpoints" not in call.switches:
        return list(endpoints)
    return [f"{ports} ({'*' if '' in names else ', '.join(names)})" for ports, names in endpoints.items()]


def _ranges(call: ToolCall) -> Sequence[PortRange]:
    ports = parse_range(call.arguments[0])
    return [
        PortRange(protocol=ports.protocol, first=ports.first, last=ports.last, endpoint=endpoint)
        for endpoint in _endpoints(call) or [""]
    ]


def _endpoints(call: ToolCall) -> Sequence[str]:
    names = (name.strip() for name in call.values.get("endpoints", "").split(","))
    return sorted({name for name in names if name})


def _is_same(one: PortRange, other: PortRange) -> bool:
    return (one.protocol, one.first, one.last) == (other.protocol, other.first, other.last)


_ARGUMENT = "<port>[/<protocol>] | <from>-<to>[/<protocol>] | icmp"
_ENDPOINTS = Flag(
    names=("endpoints",), value="ENDPOINTS", summary="for which endpoints, with commas; the default is all"
)
_DEFERRED = "The protocol is tcp or udp; the default is tcp. It is done when the hook has succeeded."

OPEN = Tool(
    name="open-port",
    summary="Ask for a port, or a range of ports, to be opened",
    usage=_ARGUMENT,
    details=_DEFERRED,
    arity=(1, 1),
    missing="no port or range specified",
    options=(_ENDPOINTS, DEPRECATED_FORMAT),
    work=_open,
)
CLOSE = Tool(
    name="close-port",
    summary="Ask for a port, or a range of ports, to be closed",
    usage=_ARGUMENT,
    details=_DEFERRED,
    arity=(1, 1),
    missing="no port or range specified",
    options=(_ENDPOINTS, DEPRECATED_FORMAT),
    work=_close,
)
OPENED = Tool(
    name="opened-ports",
    summary="List the ports that the unit has opened",
    details="What this hook has opened and closed is taken into account.",
    formats=ANSWER,
    options=(Flag(names=("endpoints",), summary="print for which endpoints, * for all"),),
    work=_opened,
)
TOOLS = (OPEN, CLOSE, OPENED)
