"""Ports as a hook opens, closes and sees them."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import msgspec

from undercroft_hookspecs import NotValidError
from undercroft_uniter.context.firstread import FirstRead

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from undercroft_hookspecs.state import PortRange
    from undercroft_hookspecs.unit_facades import NetworkFacade
    from undercroft_uniter.context.changes import PendingChanges


class HookPorts:
    """The part `PortsContext`. Which ports others have open is what it was when the hook first asked."""

    def __init__(
        self,
        unit: str,
        network: NetworkFacade,
        changes: PendingChanges,
        endpoints: Callable[[], Awaitable[Sequence[str]]],
    ) -> None:
        """`endpoints` gives the names of the charm's."""
        self._unit, self._changes, self._endpoints = unit, changes, endpoints
        self._machine = FirstRead(network.machine_ports)

    async def open_ports(self, ports: Sequence[PortRange]) -> None:
        """Ask for ranges to be opened. Raises NotValidError where one conflicts."""
        before = await self._before()
        after = self._after(before)
        others = await self._machine.get()
        for one in ports:
            _check_free(one, self._unit, {**others, self._unit: sorted(after)})
            after.add(one)
        self._propose(before, after)

    async def close_ports(self, ports: Sequence[PortRange]) -> None:
        """Ask for ranges to be closed: at all endpoints, where none is named."""
        before = await self._before()
        after = self._after(before)
        for one in ports:
            same = {each for each in after if _numbers(each) == _numbers(one)}
            everywhere = {each for each in same if not each.endpoint}
            if not one.endpoint:
                after -= same
            elif everywhere:
                # Open for all endpoints, and to be closed for one: it stays open for each of the others.
                after -= everywhere
                names = await self._endpoints()
                after |= {msgspec.structs.replace(one, endpoint=name) for name in names if name != one.endpoint}
            after.discard(one)
        self._propose(before, after)

    async def opened_ports(self) -> Sequence[PortRange]:
        """What the unit has open, with what this hook has asked for."""
        return sorted(self._after(await self._before()))

    async def _before(self) -> set[PortRange]:
        return set((await self._machine.get()).get(self._unit, ()))

    def _after(self, before: Iterable[PortRange]) -> set[PortRange]:
        current = self._changes.current
        return set(before).difference(current.close_ports).union(current.open_ports)

    def _propose(self, before: set[PortRange], after: set[PortRange]) -> None:
        opening, closing = tuple(sorted(after - before)), tuple(sorted(before - after))
        self._changes.propose(
            dataclasses.replace(self._changes.current, open_ports=opening, close_ports=closing),
        )


def _check_free(ports: PortRange, unit: str, taken: Mapping[str, Sequence[PortRange]]) -> None:
    for holder, ranges in taken.items():
        for other in ranges:
            is_same_of_own = holder == unit and _numbers(other) == _numbers(ports)
            if _collide(ports, other) and not is_same_of_own:
                message = f'cannot open {ports} (unit "{unit}"): conflicts with {other} (unit "{holder}")'
                raise NotValidError(message, field="ports")


def _collide(one: PortRange, other: PortRange) -> bool:
    return one.protocol == other.protocol and one.first <= other.last and other.first <= one.last


def _numbers(ports: PortRange) -> tuple[str, int, int]:
    return ports.protocol, ports.first, ports.last
