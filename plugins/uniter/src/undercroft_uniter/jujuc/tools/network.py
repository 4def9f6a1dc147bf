"""Addresses: network-get and unit-get."""

from __future__ import annotations

from typing import TYPE_CHECKING

from undercroft_hookspecs.errors import NotFoundError, UndercroftError
from undercroft_hookspecs.hook_tools import Flag, NetworkContext, ToolUsageError
from undercroft_hookspecs.unit_facades import InterfaceAddress, NetworkInterface
from undercroft_uniter.jujuc.formats import Ordered
from undercroft_uniter.jujuc.quoting import quoted
from undercroft_uniter.jujuc.tools.relationflag import relation_flag, relation_in
from undercroft_uniter.jujuc.tools.tool import ANSWER, Tool

if TYPE_CHECKING:
    from undercroft_hookspecs.hook_tools import HookContext, ToolCall
    from undercroft_hookspecs.unit_facades import NetworkInfo

_BIND, _INGRESS, _EGRESS, _PRIMARY = "bind-address", "ingress-address", "egress-subnets", "primary-address"


async def _get(context: HookContext, call: ToolCall) -> object:
    binding = call.arguments[0]
    if not binding:
        raise ToolUsageError("no binding name specified")
    if "r" in call.values:
        relation_in(context, call)  # All relations of a binding are reached alike: it has to exist, no more.
    network = context.get(NetworkContext)
    missing = f"no network config found for binding {quoted(binding)}"
    try:
        info = await network.network_info(binding)
    except NotFoundError:
        raise NotFoundError(binding, missing) from None
    if not info.bind_addresses:
        raise NotFoundError(binding, missing)
    asked = call.switches & {_BIND, _INGRESS, _EGRESS}
    if _PRIMARY in call.switches:
        if asked:
            raise UndercroftError("--primary-address must be the only flag specified")
        return info.bind_addresses[0]
    if not asked:
        return _document(info, is_json=call.format == "json")
    values: dict[str, object] = {
        _BIND: info.bind_addresses[0],
        _EGRESS: list(info.egress_subnets),
        _INGRESS: (info.ingress_addresses or info.bind_addresses)[0],
    }
    return values[next(iter(asked))] if len(asked) == 1 else {key: values[key] for key in asked}


def _document(info: NetworkInfo, *, is_json: bool) -> Ordered:
    unknown = NetworkInterface(name="", addresses=[InterfaceAddress(value=one) for one in info.bind_addresses])
    bind = [_interface(one, is_json=is_json) for one in info.interfaces or [unknown]]
    document = Ordered({"bind-addresses": bind})
    if info.egress_subnets:
        document["egress-subnets"] = list(info.egress_subnets)
    if info.ingress_addresses:
        document["ingress-addresses"] = list(info.ingress_addresses)
    return document


def _interface(interface: NetworkInterface, *, is_json: bool) -> Ordered:
    addresses = [_address(one, is_json=is_json) for one in interface.addresses]
    document = Ordered({"mac-address": interface.mac_address, "interface-name": interface.name, "addresses": addresses})
    if not is_json:  # As it was called before Juju 2.8.
        document |= {"macaddress": interface.mac_address, "interfacename": interface.name}
    return document


def _address(address: InterfaceAddress, *, is_json: bool) -> Ordered:
    document = Ordered({"hostname": address.hostname, "value": address.value, "cidr": address.cidr})
    if not is_json:
        document["address"] = address.value
    return document


async def _unit(context: HookContext, call: ToolCall) -> str:
    wanted = call.arguments[0]
    if wanted not in ("private-address", "public-address"):
        raise ToolUsageError(f"unknown setting {quoted(wanted)}, expected private-address or public-address")
    private, public = await context.get(NetworkContext).addresses()
    address = private if wanted == "private-address" else public
    if not address:
        raise UndercroftError(f"{wanted} not set")
    return address


GET = Tool(
    name="network-get",
    summary="Print how the unit is reached by a binding",
    usage="<binding>",
    details=(
        "With one of the flags that ask for something, prints that alone; with several, a map of them.\n"
        "A binding is an endpoint of the charm, or one of its extra bindings."
    ),
    formats=ANSWER,
    arity=(1, 1),
    missing="no arguments specified",
    options=(
        Flag(names=(_PRIMARY,), summary="the first address (deprecated: use --bind-address)"),
        Flag(names=(_BIND,), summary="the address to listen on"),
        Flag(names=(_INGRESS,), summary="the address that others connect to"),
        Flag(names=(_EGRESS,), summary="the subnets that the unit's connections come from"),
    ),
    options_of=relation_flag,
    work=_get,
)
UNIT = Tool(
    name="unit-get",
    summary="Print an address of the unit",
    usage="<private-address|public-address>",
    formats=ANSWER,
    arity=(1, 1),
    missing="no setting specified",
    work=_unit,
)
TOOLS = (GET, UNIT)
