"""The fleet's hosts: what this one is, and which ones there are.

Hosts belong to no model; `machines` gives them a number in each. All that is known of a host lies in one folder of the
store, so that one list gives the hosts, and which of them have an agent running.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import socket
import struct
from dataclasses import dataclass
from ipaddress import IPv6Address
from pathlib import Path
from typing import TYPE_CHECKING

from undercroft_hookspecs.state import Host
from undercroft_model.tables import HOSTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from undercroft_hookspecs.identity import HostId
    from undercroft_hookspecs.store import Store
    from undercroft_model.transaction import Transaction

LOOPBACK = "127.0.0.1"
_SIOCGIFADDR = 0x8915
_NOWHERE = ("192.0.2.1", 9)  # Kept for documentation: nothing is sent, but the kernel says which address would send.


@dataclass(frozen=True, slots=True)
class HostSeen:
    """A host, and whether its agent is running."""

    host: Host
    present: bool


async def describe_host(host: HostId) -> Host:
    """What this machine is, for its record."""
    return await asyncio.to_thread(_describe, host)


async def register_host(tx: Transaction, host: Host) -> None:
    """Keep a host's record; nothing is written if it is as it was."""
    await tx.get(HOSTS, host.id, "host")
    tx.put(HOSTS, host.id, "host", record=host)


async def read_hosts(store: Store) -> Mapping[str, HostSeen]:
    """All hosts by id."""
    snapshot = await store.list(HOSTS.prefix)
    hosts: dict[str, Host] = {}
    present: set[str] = set()
    for entry in snapshot.entries:
        match HOSTS.parts(entry.key):
            case (name, "host"):
                hosts[name] = HOSTS.decode(entry)
            case (name, "presence"):
                present.add(name)
    return {name: HostSeen(host, name in present) for name, host in hosts.items()}


def _describe(host: HostId) -> Host:
    return Host(
        id=str(host),
        hostname=socket.gethostname(),
        base=read_base(Path("/etc/os-release")),
        addresses=_addresses(),
        cores=len(os.sched_getaffinity(0)),
        memory_mib=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
    )


def read_base(os_release: Path) -> str:
    """The distribution that an os-release file names, as `ubuntu@22.04`; empty if it names none."""
    try:
        lines = os_release.read_text().splitlines()
    except OSError:
        return ""
    fields = {key: value.strip("\"'") for key, equals, value in (line.partition("=") for line in lines) if equals}
    name, version = fields.get("ID", ""), fields.get("VERSION_ID", "")
    return f"{name}@{version}" if name and version else name


def _addresses() -> tuple[str, ...]:
    """The addresses at which others reach this host, the one that the default route uses first."""
    found = [_routed_address(), *_interface_addresses(), *_ipv6_addresses(Path("/proc/net/if_inet6"))]
    outward = tuple(dict.fromkeys(address for address in found if address and not address.startswith("127.")))
    return outward or (LOOPBACK,)


def _routed_address() -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(_NOWHERE)
        except OSError:
            return ""  # No default route.
        name: tuple[str, int] = probe.getsockname()
        return name[0]


def _interface_addresses() -> list[str]:
    addresses = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        for _, interface in socket.if_nameindex():
            request = struct.pack("256s", interface.encode()[:15])
            try:
                answer = fcntl.ioctl(probe.fileno(), _SIOCGIFADDR, request)
            except OSError:
                continue  # It has none.
            addresses.append(socket.inet_ntoa(answer[20:24]))
    return addresses


def _ipv6_addresses(if_inet6: Path) -> list[str]:
    try:
        lines = if_inet6.read_text().splitlines()
    except OSError:
        return []
    addresses = [IPv6Address(bytes.fromhex(line.split()[0])) for line in lines]
    return [str(address) for address in addresses if not (address.is_loopback or address.is_link_local)]
