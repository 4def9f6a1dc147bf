"""How long it takes until what a hook has written reaches the watcher of a unit on another host."""

from __future__ import annotations

import asyncio
import random
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import TypeVar

import uvloop
from plugins.etcd.tests.cluster import INSTALL, running
from tests.benchmarks.measure import Scale, Table, milliseconds

from undercroft.clock import SystemClock
from undercroft_etcd.opening import open_etcd
from undercroft_hookspecs import HostId, ModelId, Store
from undercroft_hookspecs.charm import Charm, EndpointSpec
from undercroft_hookspecs.hook_facades import HookChanges, HookFacade
from undercroft_hookspecs.relation_facades import RelationFacade
from undercroft_hookspecs.state import Host, Relation
from undercroft_model.applications import Deployment, deploy
from undercroft_model.encryption import Keyring
from undercroft_model.models import create_model, model_id
from undercroft_model.relations import integrate
from undercroft_model.sqlite_store import open_sqlite
from undercroft_model.transaction import Transaction, change
from undercroft_model.unitside.facades import UnitFacades
from undercroft_model.unitside.standpoint import Standpoint

T = TypeVar("T")

SQLITE_LIMIT, ETCD_LIMIT = 0.010, 0.030
WRITES = 500

_HERE = Host(id="0b2ff3a6-5c12-4f0c-8a70-5d4b3b5d1e0f", hostname="here", addresses=("10.0.0.1",))
_CLOCK = SystemClock()


def relation(scale: Scale, table: Table) -> None:
    """The commit of one setting, and the other side's watcher, each through a store of its own."""
    latency = uvloop.run(_on_sqlite(scale))
    table.within("a setting reaches the other unit, SQLite", latency, SQLITE_LIMIT, show=milliseconds)
    if shutil.which("etcd") is None:
        table.add("a setting reaches the other unit, etcd", INSTALL)
        return
    with running(3) as cluster:
        latency = uvloop.run(_on_etcd(cluster.url(), scale))
    table.within("a setting reaches the other unit, etcd of 3 members", latency, ETCD_LIMIT, show=milliseconds)


async def _on_sqlite(scale: Scale) -> float:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        async with (
            open_sqlite("sqlite:", data_dir=folder, clock=_CLOCK) as here,
            open_sqlite("sqlite:", data_dir=folder, clock=_CLOCK) as there,
        ):
            return await _measure(here, there, scale)


async def _on_etcd(url: str, scale: Scale) -> float:
    async with (
        open_etcd(url, data_dir=Path(), clock=_CLOCK) as here,
        open_etcd(url, data_dir=Path(), clock=_CLOCK) as there,
    ):
        return await _measure(here, there, scale)


async def _measure(here: Store, there: Store, scale: Scale) -> float:
    model, joined = await _prepare(here)
    writer, reader = _facades(here, model, "mysql/0"), _facades(there, model, "shop/0")
    await _of(writer, RelationFacade).enter_scope(joined.id)
    hooks, taken = _of(writer, HookFacade), []
    async with _of(reader, RelationFacade).watch_members(joined.id) as members:
        while not (await anext(members)).units:
            pass
        for number in range(scale.size(WRITES)):
            seeing = asyncio.ensure_future(anext(members))
            began = time.perf_counter()
            await hooks.commit(HookChanges(unit_settings={joined.id: {"number": str(number)}}))
            await seeing
            taken.append(time.perf_counter() - began)
    return statistics.median(taken)


async def _prepare(store: Store) -> tuple[ModelId, Relation]:
    rng, now = random.Random(1), _CLOCK.now()
    db = {"db": EndpointSpec(name="db", interface="mysql", role="requirer")}
    server = {"server": EndpointSpec(name="server", interface="mysql", role="provider")}
    charms = (Charm(name="shop", sha256="s", endpoints=db), Charm(name="mysql", sha256="m", endpoints=server))

    async def make(tx: Transaction) -> tuple[ModelId, Relation]:
        model = model_id(await create_model(tx, "small", now=now, rng=rng))
        for charm in charms:
            await deploy(tx, model, Deployment(name=charm.name, charm=charm), here=_HERE, now=now)
        return model, await integrate(tx, model, "shop", "mysql", now=now)

    return await change(store, make, clock=_CLOCK, rng=rng)


def _facades(store: Store, model: ModelId, unit: str) -> UnitFacades:
    place = Standpoint(
        store=store, model=model, unit=unit, host=HostId.parse(_HERE.id), clock=_CLOCK, rng=random.Random(1)
    )
    return UnitFacades(place, Keyring(store, default=Path("absent")), dict)


def _of(facades: UnitFacades, kind: type[T]) -> T:
    found = facades.get(kind)
    if not isinstance(found, kind):
        raise TypeError(kind)
    return found
