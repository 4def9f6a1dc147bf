"""Ports: what a unit opens, for which of its endpoints, and with whom that collides on its machine.

The units of a machine share its ports. One range may be opened for several endpoints of one unit; apart from that,
ranges of one protocol do not overlap on a machine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from undercroft_hookspecs.errors import NotValidError
from undercroft_model.rows import OpenedPorts
from undercroft_model.tables import MACHINES, PORTS, UNITS, parts_of

if TYPE_CHECKING:
    from undercroft_hookspecs.identity import ModelId
    from undercroft_hookspecs.state import PortRange, Unit
    from undercroft_model.transaction import Transaction

_LAST = 65535


def check_range(ports: PortRange) -> None:
    """Refuse what is no range of ports.

    Raises:
        NotValidError: it begins behind its end, or outside 1 to 65535.
    """
    is_icmp = ports.protocol == "icmp" and ports.first == ports.last == -1
    if not is_icmp and (ports.protocol == "icmp" or not 1 <= ports.first <= ports.last <= _LAST):
        raise NotValidError(f"invalid port range {ports.first}-{ports.last}/{ports.protocol}", field="ports")


async def change_ports(
    tx: Transaction, model: ModelId, unit: Unit, *, opening: Sequence[PortRange], closing: Sequence[PortRange]
) -> None:
    """Close and open ranges of a unit. What is open already, or not open, changes nothing.

    Raises:
        NotValidError: a range is none, or collides with one of a unit on the same machine.
    """
    table, parts = PORTS.of(model), parts_of(unit.name)
    for ports in (*opening, *closing):
        check_range(ports)
    before = (await tx.get(table, *parts) or OpenedPorts()).ranges
    kept = set(before).difference(closing)
    added = sorted(set(opening) - kept)
    if added:
        await _check_free(tx, model, unit, kept, added)
    after = tuple(sorted(kept.union(added)))
    if after == before:
        return
    if after:
        tx.put(table, *parts, record=OpenedPorts(ranges=after))
    else:
        tx.delete(table, *parts)


async def machine_ports(tx: Transaction, model: ModelId, machine: str) -> Mapping[str, Sequence[PortRange]]:
    """What the units on a machine have opened, by unit."""
    found = {}
    for parts, opened in (await tx.look(PORTS.of(model))).items():
        unit = await tx.get(UNITS.of(model), *parts)
        if unit is not None and unit.machine == machine:
            found[unit.name] = opened.ranges
    return found


async def _check_free(
    tx: Transaction, model: ModelId, unit: Unit, kept: set[PortRange], added: Sequence[PortRange]
) -> None:
    own = set(kept)
    for ports in added:
        for other in sorted(own):
            if _collide(ports, other) and (ports.first, ports.last) != (other.first, other.last):
                raise _conflict(ports, unit.name, other, unit.name)
        own.add(ports)
    for parts, opened in (await tx.look(PORTS.of(model))).items():
        name = "/".join(parts)
        pairs = [(ports, other) for ports in added for other in opened.ranges if _collide(ports, other)]
        if name == unit.name or not pairs:
            continue
        holder = await tx.get(UNITS.of(model), *parts)
        if holder is not None and holder.machine == unit.machine:
            raise _conflict(pairs[0][0], unit.name, pairs[0][1], name)
    # Two units of a machine that open ports at the same time have to meet somewhere: here.
    machine = await tx.get(MACHINES.of(model), *parts_of(unit.machine))
    if machine is not None:
        opened_again = msgspec.structs.replace(machine, ports_opened=machine.ports_opened + 1)
        tx.put(MACHINES.of(model), *parts_of(unit.machine), record=opened_again)


def _collide(one: PortRange, other: PortRange) -> bool:
    return one.protocol == other.protocol and one.first <= other.last and other.first <= one.last


def _conflict(ports: PortRange, unit: str, other: PortRange, holder: str) -> NotValidError:
    message = f'cannot open {ports} (unit "{unit}"): conflicts with {other} (unit "{holder}")'
    return NotValidError(message, field="ports")
