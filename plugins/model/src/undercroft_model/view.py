"""A model as it is, read at once: what documents are made of.

One list a kind, decoded off the loop: a model of 10,000 units is tens of thousands of records.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import msgspec

from undercroft_model.hosts import read_hosts
from undercroft_model.models import model_id
from undercroft_model.storage.document import StorageView, read_storage
from undercroft_model.tables import APPLICATIONS, CHARMS, LEADERS, MACHINES, PORTS, RELATIONS, STATUS, UNITS, parts_of
from undercroft_model.transaction import Transaction

if TYPE_CHECKING:
    from undercroft_hookspecs.charm import Charm
    from undercroft_hookspecs.state import Application, Host, Machine, Model, Relation, Status, Unit
    from undercroft_hookspecs.store import Entry, Store
    from undercroft_model.hosts import HostSeen
    from undercroft_model.rows import OpenedPorts
    from undercroft_model.table import ModelTable

R = TypeVar("R", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """All that a model's status is made of. Statuses are by kind and id, units by application."""

    model: Model
    hosts: Mapping[str, HostSeen]
    machines: Mapping[str, Machine]
    applications: Mapping[str, Application]
    units: Mapping[str, Unit]
    units_of: Mapping[str, Sequence[Unit]]
    statuses: Mapping[tuple[str, ...], Status]
    relations: Sequence[Relation]
    ports: Mapping[str, OpenedPorts]
    leaders: Mapping[str, str]
    charms: Mapping[str, Charm]
    storage: StorageView

    def host_of(self, machine: str) -> Host | None:
        """The host that a machine is."""
        record = self.machines.get(machine)
        seen = self.hosts.get(record.host) if record is not None else None
        return seen.host if seen is not None else None

    def is_present(self, machine: str) -> bool:
        """Whether a machine's agent is running."""
        record = self.machines.get(machine)
        seen = self.hosts.get(record.host) if record is not None else None
        return seen is not None and seen.present

    def address_of(self, machine: str) -> str:
        """The address of a machine, or nothing."""
        host = self.host_of(machine)
        return host.addresses[0] if host is not None and host.addresses else ""


async def read_view(store: Store, model: Model) -> View:
    """Read a model as it is now."""
    hosts = await read_hosts(store)
    lists: dict[str, Sequence[Entry]] = {}
    for name in (table.name for table in (MACHINES, APPLICATIONS, UNITS, STATUS, RELATIONS, PORTS, LEADERS, CHARMS)):
        lists[name] = (await store.list(f"/models/{model.uuid}/{name}/")).entries
    storage = await read_storage(Transaction(store), model_id(model))
    return await asyncio.to_thread(_decode, model, hosts, lists, storage)


def _decode(
    model: Model, hosts: Mapping[str, HostSeen], lists: Mapping[str, Sequence[Entry]], storage: StorageView
) -> View:
    uuid = model_id(model)

    def records(table: ModelTable[R]) -> dict[tuple[str, ...], R]:
        rows = table.of(uuid)
        return {rows.parts(entry.key): rows.decode(entry) for entry in lists[table.name]}

    units = {unit.name: unit for unit in records(UNITS).values()}
    units_of = defaultdict(list)
    for unit in sorted(units.values(), key=lambda unit: int(parts_of(unit.name)[1])):
        units_of[parts_of(unit.name)[0]].append(unit)
    return View(
        model=model,
        hosts=hosts,
        machines={machine.id: machine for machine in records(MACHINES).values()},
        applications={application.name: application for application in records(APPLICATIONS).values()},
        units=units,
        units_of=units_of,
        statuses=records(STATUS),
        relations=sorted(records(RELATIONS).values(), key=lambda relation: relation.id),
        ports={"/".join(parts): ports for parts, ports in records(PORTS).items()},
        leaders={parts[0]: leader.unit for parts, leader in records(LEADERS).items()},
        charms={charm.sha256: charm for charm in records(CHARMS).values()},
        storage=storage,
    )
