"""On which interfaces the addresses of a unit are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from ipaddress import ip_interface

from undercroft.linux.interfaces import Interface, read_interfaces
from undercroft_hookspecs.state import PortRange
from undercroft_hookspecs.unit_facades import InterfaceAddress, NetworkInfo, NetworkInterface
from undercroft_uniter.context.network import HookNetwork

ETH0 = Interface(
    name="eth0", mac="52:54:00:aa:bb:cc", addresses=(ip_interface("10.0.0.5/24"), ip_interface("fd00::5/64"))
)
ETH1 = Interface(name="eth1", mac="52:54:00:aa:bb:cd", addresses=(ip_interface("10.1.0.5/16"),))


class Network:
    """`NetworkFacade` of a host with these addresses."""

    def __init__(self, *addresses: str, interfaces: Sequence[NetworkInterface] = ()) -> None:
        self._info = NetworkInfo(
            bind_addresses=addresses, ingress_addresses=addresses[:1], egress_subnets=(), interfaces=interfaces
        )

    async def network_info(self, binding: str) -> NetworkInfo:
        return self._info

    async def opened_ports(self) -> Sequence[PortRange]:
        raise NotImplementedError

    async def machine_ports(self) -> Mapping[str, Sequence[PortRange]]:
        raise NotImplementedError


def both() -> Sequence[Interface]:
    return (ETH0, ETH1)


def refused() -> Sequence[Interface]:
    raise PermissionError(1, "no netlink here")


async def test_addresses_are_found_on_their_interfaces_in_their_own_order() -> None:
    network = HookNetwork(Network("10.1.0.5", "10.0.0.5", "fd00::5"), interfaces=both)

    info = await network.network_info("db")

    assert info.interfaces == (
        NetworkInterface(
            name="eth1", mac_address=ETH1.mac, addresses=(InterfaceAddress(value="10.1.0.5", cidr="10.1.0.0/16"),)
        ),
        NetworkInterface(
            name="eth0",
            mac_address=ETH0.mac,
            addresses=(
                InterfaceAddress(value="10.0.0.5", cidr="10.0.0.0/24"),
                InterfaceAddress(value="fd00::5", cidr="fd00::/64"),
            ),
        ),
    )


async def test_an_address_that_is_on_none_is_left_out() -> None:
    info = await HookNetwork(Network("10.9.9.9"), interfaces=both).network_info("db")

    assert info.interfaces == ()


async def test_what_the_model_knows_of_interfaces_stands() -> None:
    known = (NetworkInterface(name="ens3"),)

    info = await HookNetwork(Network("10.0.0.5", interfaces=known), interfaces=refused).network_info("db")

    assert info.interfaces == known


async def test_a_machine_that_does_not_tell_still_has_addresses() -> None:
    info = await HookNetwork(Network("10.0.0.5"), interfaces=refused).network_info("db")

    assert (info.bind_addresses, info.interfaces) == (("10.0.0.5",), ())


async def test_the_interfaces_are_this_machine_s() -> None:
    (loopback,) = (await HookNetwork(Network("127.0.0.1")).network_info("db")).interfaces

    assert loopback == NetworkInterface(
        name="lo",
        mac_address=next(one.mac for one in read_interfaces() if one.name == "lo"),
        addresses=(InterfaceAddress(value="127.0.0.1", cidr="127.0.0.0/8"),),
    )
