"""Machines: the numbers under which hosts appear in a model, and where new units go.

A host gets its number in a model when the first unit is placed on it, and keeps it: volumes and folders go by it.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import msgspec

from undercroft_hookspecs.errors import NotFoundError, NotValidError
from undercroft_hookspecs.identity import MachineId
from undercroft_hookspecs.state import Life, Machine
from undercroft_model.cleanups import ask_cleanup
from undercroft_model.hosts import HostSeen, read_hosts, register_host
from undercroft_model.models import list_models, model_id
from undercroft_model.table import Table
from undercroft_model.tables import MACHINES, SEQUENCES, UNITS, next_number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime

    from undercroft_hookspecs.identity import ModelId
    from undercroft_hookspecs.state import Host
    from undercroft_hookspecs.store import Store
    from undercroft_model.transaction import Transaction


class Placed(msgspec.Struct, frozen=True):
    """Of a unit, only where it is."""

    name: str
    machine: str


async def machine_for(tx: Transaction, model: ModelId, host: str, *, now: datetime) -> Machine:
    """The machine that a host is in a model; one is made if there is none."""
    await tx.get(SEQUENCES.of(model), "machine")  # Read first: whoever makes a machine meanwhile stands out.
    for machine in (await tx.look(MACHINES.of(model))).values():
        if machine.host == host and machine.life is Life.ALIVE:
            return await tx.need(MACHINES.of(model), machine.id, what="machine")
    number = str(await next_number(tx, model, "machine"))
    made = Machine(id=number, host=host, created=now)
    tx.put(MACHINES.of(model), number, record=made)
    return made


async def place(
    tx: Transaction, model: ModelId, count: int, *, to: Sequence[str] = (), here: Host | None, now: datetime
) -> list[str]:
    """The machines for so many new units: as `to` says for the first of them, the rest on the least loaded hosts.

    `to` names machines (`0`) or hosts (by name or id). `here` is the host of the one who asks: it is registered if it
    is not known yet. Hosts whose agent is running are preferred.

    Raises:
        NotFoundError: no such machine or host, or there is no host at all.
        NotValidError: more directives than units, or one that asks for a container.
    """
    if len(to) > count:
        raise NotValidError(f"{len(to)} placement directives for {count} units: give at most one a unit", field="to")
    hosts = dict(await read_hosts(tx.store))
    if here is not None and here.id not in hosts:
        await register_host(tx, here)
        hosts[here.id] = HostSeen(here, present=False)
    machines = [(await _directed(tx, model, directive.strip(), hosts, now)).id for directive in to]
    if count > len(to):
        machines += await _least_loaded(tx, model, count - len(to), hosts, now)
    return machines


async def remove_machine(tx: Transaction, model: ModelId, machine: str, *, force: bool = False) -> None:
    """Let a machine go from the model; with `force` the units on it, too. The host stays.

    Raises:
        NotFoundError: there is no such machine.
        NotValidError: units are assigned to it.
    """
    record = await tx.need(MACHINES.of(model), machine, what="machine")
    units = await units_on(tx.store, model, machine)
    if units and not force:
        plural = "s" if len(units) > 1 else ""
        names = ", ".join(f'"{name}"' for name in units)
        raise NotValidError(f"machine {machine} has unit{plural} {names} assigned", field="machine")
    tx.put(MACHINES.of(model), machine, record=msgspec.structs.replace(record, life=Life.DYING))
    await ask_cleanup(tx, model, "machine", *machine.split("/"), force=force)


async def units_on(store: Store, model: ModelId, machine: str) -> list[str]:
    """The names of the units on a machine."""
    return [unit.name for unit in await _placed(store, model) if unit.machine == machine]


async def _placed(store: Store, model: ModelId) -> list[Placed]:
    table = Table(UNITS.of(model).prefix, Placed)
    return [table.decode(entry) for entry in (await store.list(table.prefix)).entries]


async def _directed(
    tx: Transaction, model: ModelId, directive: str, hosts: Mapping[str, HostSeen], now: datetime
) -> Machine:
    if ":" in directive:
        message = f'cannot place a unit on "{directive}": name a machine or a host, units do not run in containers'
        raise NotValidError(message, field="to")
    if MachineId.form.fullmatch(directive):
        machine = await tx.need(MACHINES.of(model), directive, what="machine")
        if machine.life is not Life.ALIVE:
            raise NotValidError(f"machine {directive} is being removed", field="to")
        return machine
    wanted = directive.removeprefix("host=")
    found = [name for name, seen in hosts.items() if wanted in (name, seen.host.hostname)]
    if not found:
        raise NotFoundError(wanted, f'host "{wanted}" not found: `undercroft machines` lists those that there are')
    if len(found) > 1:
        raise NotValidError(f'{len(found)} hosts are called "{wanted}": name one by its id', field="to")
    return await machine_for(tx, model, found[0], now=now)


async def _least_loaded(
    tx: Transaction, model: ModelId, count: int, hosts: Mapping[str, HostSeen], now: datetime
) -> list[str]:
    candidates = [name for name, seen in hosts.items() if seen.present] or list(hosts)
    if not candidates:
        raise NotFoundError("host", "there is no host to place units on: start an agent on one")
    load: Counter[str] = Counter(dict.fromkeys(candidates, 0))
    if len(candidates) > 1:
        load += await _loads(tx.store)
    chosen = []
    for _ in range(count):
        chosen.append(min(candidates, key=lambda name: (load[name], name)))
        load[chosen[-1]] += 1
    machines = {host: (await machine_for(tx, model, host, now=now)).id for host in dict.fromkeys(chosen)}
    return [machines[host] for host in chosen]


async def _loads(store: Store) -> Counter[str]:
    """How many units each host has, in all models."""
    load: Counter[str] = Counter()
    for record in await list_models(store):
        model = model_id(record)
        machines = MACHINES.of(model)
        hosts = {m.id: m.host for m in map(machines.decode, (await store.list(machines.prefix)).entries)}
        load.update(hosts[unit.machine] for unit in await _placed(store, model) if unit.machine in hosts)
    return load
