"""Addresses as a hook sees them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from undercroft_uniter.context.firstread import FirstRead

if TYPE_CHECKING:
    from undercroft_hookspecs.unit_facades import NetworkFacade, NetworkInfo

DEFAULT_BINDING = "juju-info"


class HookNetwork:
    """The part `NetworkContext`."""

    def __init__(self, network: NetworkFacade) -> None:
        self._network = network
        self._default = FirstRead(self._read_default)

    async def network_info(self, binding: str) -> NetworkInfo:
        """How the unit is reached by a binding. Raises NotFoundError."""
        return await self._network.network_info(binding)

    async def addresses(self) -> tuple[str, str]:
        """The unit's private and its public address, as they were when this hook first asked."""
        info = await self._default.get()
        return next(iter(info.bind_addresses), ""), next(iter(info.ingress_addresses), "")

    async def _read_default(self) -> NetworkInfo:
        return await self._network.network_info(DEFAULT_BINDING)
