"""The status of a model of 10,000 units as one document, and what adding and removing units costs beside them."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import uvloop
from tests.benchmarks.measure import Scale, Table, in_turns, milliseconds

from undercroft.clock import SystemClock
from undercroft_hookspecs import ModelId, Put, Store
from undercroft_hookspecs.charm import Charm
from undercroft_hookspecs.state import Host, PortRange, Status, Unit
from undercroft_model.applications import Deployment, deploy, remove_application
from undercroft_model.document import status_document
from undercroft_model.lifecycle import reap
from undercroft_model.models import create_model, model_id
from undercroft_model.rows import OpenedPorts, StatusLog
from undercroft_model.sqlite_store import open_sqlite
from undercroft_model.statuses import KEPT_STATUSES
from undercroft_model.tables import PORTS, STATUS, STATUS_LOG, UNITS
from undercroft_model.transaction import change
from undercroft_model.units import add_units

APPLICATIONS = 100
UNITS_EACH = 100
EXTRA = "extra"
STATUS_LIMIT = 1.0

_HERE = Host(id="0b2ff3a6-5c12-4f0c-8a70-5d4b3b5d1e0f", hostname="here", addresses=("10.0.0.1",))
_NOW = datetime(2026, 1, 1, tzinfo=UTC)
_CLOCK = SystemClock()


def status(scale: Scale, table: Table) -> None:
    """Each unit has a record, two statuses with a full log, and an open port; all on SQLite."""
    uvloop.run(_measure(scale, table))


async def _measure(scale: Scale, table: Table) -> None:
    rng = random.Random(1)
    with tempfile.TemporaryDirectory() as folder:
        async with open_sqlite("sqlite:", data_dir=Path(folder), clock=_CLOCK) as store:
            made = await change(store, lambda tx: create_model(tx, "big", now=_NOW, rng=rng), clock=_CLOCK, rng=rng)
            model, each = model_id(made), scale.size(UNITS_EACH)
            names = [f"app-{chr(97 + n // 26)}{chr(97 + n % 26)}" for n in range(APPLICATIONS)]
            await _fill(store, model, names, each, rng)

            async def document() -> tuple[float]:
                started = time.perf_counter()
                await status_document(store, made, now=_NOW)
                return (time.perf_counter() - started,)

            async def add() -> tuple[float]:
                started = time.perf_counter()
                await change(store, lambda tx: add_units(tx, model, EXTRA, here=_HERE, now=_NOW), clock=_CLOCK, rng=rng)
                return (time.perf_counter() - started,)

            ((whole,), (one,)) = await in_turns(scale.rounds(5), document, add)
            units = f"{APPLICATIONS * each:,} units"
            table.within(f"status of {units}", whole, STATUS_LIMIT, show=milliseconds)
            table.within(f"add a unit beside {units}", one, None, show=milliseconds)
            removal = await _remove(store, model, names[1], rng)
            table.within(f"remove an application of {each} units by force", removal, None, show=milliseconds)


async def _fill(store: Store, model: ModelId, names: list[str], each: int, rng: random.Random) -> None:
    charm = Charm(name="app", sha256="x")
    for name in (*names, EXTRA):
        deployment = Deployment(name=name, charm=charm, units=0)
        await change(
            store,
            lambda tx, deployment=deployment: deploy(tx, model, deployment, here=_HERE, now=_NOW),  # type: ignore[misc]
            clock=_CLOCK,
            rng=rng,
        )
    puts = [put for name in names for number in range(each) for put in _unit(model, name, str(number))]
    for start in range(0, len(puts), 100):
        await store.transact([], puts[start : start + 100])


def _unit(model: ModelId, name: str, number: str) -> Iterator[Put]:
    unit = Unit(name=f"{name}/{number}", machine="0", created=_NOW, charm_url="local:app-0", charm="x")
    workload, agent = Status(current="active", message="ready", since=_NOW), Status(current="idle", since=_NOW)
    ports = OpenedPorts(ranges=(PortRange(protocol="tcp", first=80, last=80),))
    yield Put(UNITS.of(model).key(name, number), msgspec.json.encode(unit))
    yield Put(PORTS.of(model).key(name, number), msgspec.json.encode(ports))
    for kind, said in (("unit", workload), ("agent", agent)):
        log = StatusLog(entries=(said,) * KEPT_STATUSES)
        yield Put(STATUS.of(model).key(kind, name, number), msgspec.json.encode(said))
        yield Put(STATUS_LOG.of(model).key(kind, name, number), msgspec.json.encode(log))


async def _remove(store: Store, model: ModelId, name: str, rng: random.Random) -> float:
    started = time.perf_counter()
    await change(store, lambda tx: remove_application(tx, model, name, force=True), clock=_CLOCK, rng=rng)
    await reap(store, model, clock=_CLOCK, rng=rng)
    return time.perf_counter() - started
