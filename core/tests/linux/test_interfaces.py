"""The network interfaces of this machine."""

from __future__ import annotations

import socket
from ipaddress import ip_interface
from pathlib import Path

from undercroft.linux.interfaces import read_interfaces


def test_the_loopback_is_there_with_its_subnet() -> None:
    (loopback,) = [one for one in read_interfaces() if one.name == "lo"]

    assert ip_interface("127.0.0.1/8") in loopback.addresses
    assert loopback.mac == ""


def test_every_interface_is_there_as_the_kernel_names_it() -> None:
    assert sorted(one.name for one in read_interfaces()) == sorted(name for _, name in socket.if_nameindex())


def test_an_interface_has_the_address_of_its_hardware() -> None:
    for one in read_interfaces():
        found = Path("/sys/class/net", one.name, "address")
        if one.mac and found.exists():
            assert one.mac == found.read_text().strip()


def test_addresses_are_of_either_version() -> None:
    try:
        lines = Path("/proc/net/if_inet6").read_text().splitlines()
    except OSError:
        lines = []
    known = {(line.split()[0], line.split()[5]) for line in lines}

    found = {(a.ip.packed.hex(), one.name) for one in read_interfaces() for a in one.addresses if a.version == 6}

    assert found == known
