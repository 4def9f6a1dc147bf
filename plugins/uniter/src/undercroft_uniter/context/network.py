"""Addresses as a hook sees them."""

from __future__ import annotations

import dataclasses
import logging
from typing import TYPE_CHECKING

from undercroft.files import in_thread
from undercroft.linux.interfaces import read_interfaces
from undercroft_hookspecs.unit_facades import InterfaceAddress, NetworkInterface
from undercroft_uniter.context.firstread import FirstRead

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from undercroft.linux.interfaces import Interface
    from undercroft_hookspecs.unit_facades import NetworkFacade, NetworkInfo

DEFAULT_BINDING = "juju-info"

_log = logging.getLogger(__name__)


class HookNetwork:
    """The part `NetworkContext`. The model knows the addresses, and this machine on which interfaces they are."""

    def __init__(
        self, network: NetworkFacade, *, interfaces: Callable[[], Sequence[Interface]] = read_interfaces
    ) -> None:
        self._network, self._read = network, interfaces
        self._default = FirstRead(self._read_default)
        self._interfaces = FirstRead(self._read_interfaces)

    async def network_info(self, binding: str) -> NetworkInfo:
        """How the unit is reached by a binding. Raises NotFoundError."""
        info = await self._network.network_info(binding)
        if info.interfaces:
            return info
        return dataclasses.replace(info, interfaces=_holding(info.bind_addresses, await self._interfaces.get()))

    async def addresses(self) -> tuple[str, str]:
        """The unit's private and its public address, as they were when this hook first asked."""
        info = await self._default.get()
        return next(iter(info.bind_addresses), ""), next(iter(info.ingress_addresses), "")

    async def _read_default(self) -> NetworkInfo:
        return await self._network.network_info(DEFAULT_BINDING)

    async def _read_interfaces(self) -> Sequence[Interface]:
        try:
            return await in_thread(self._read)
        except OSError as error:
            # The addresses alone are what nearly all charms need.
            _log.warning("hooks are not told of the interfaces of this machine: %s", error)
            return ()


def _holding(addresses: Sequence[str], interfaces: Sequence[Interface]) -> Sequence[NetworkInterface]:
    """The interfaces that have these addresses, in their order, each with those alone."""
    found: dict[str, NetworkInterface] = {}
    places = {str(own.ip): (each, own) for each in interfaces for own in each.addresses}
    for value in addresses:
        if value in places:
            interface, own = places[value]
            known = found.get(interface.name) or NetworkInterface(name=interface.name, mac_address=interface.mac)
            address = InterfaceAddress(value=value, cidr=str(own.network))
            found[interface.name] = dataclasses.replace(known, addresses=(*known.addresses, address))
    return tuple(found.values())
