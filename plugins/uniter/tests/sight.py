"""A model in a real store on disk, and the parts of a unit's agent that look at it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from plugins.model.tests.conftest import World
from plugins.model.tests.unitside.conftest import Units

from undercroft.clock import SystemClock
from undercroft_hookspecs.relation_facades import RelationMembers, UnitRelation
from undercroft_hookspecs.state import Endpoint, Life, Relation
from undercroft_hookspecs.unit_facades import ConfigHashes
from undercroft_model.sqlite_store import open_sqlite
from undercroft_uniter.hook.info import HookInfo, HookKind
from undercroft_uniter.operation.state import CharmReference
from undercroft_uniter.remotestate.snapshot import RelationSnapshot, Snapshot

CHARM = CharmReference(url="local:shop-0", sha256="a" * 64)


@asynccontextmanager
async def open_units(folder: Path) -> AsyncIterator[Units]:
    """The units of a new model."""
    async with open_sqlite("sqlite:", data_dir=folder, clock=SystemClock()) as store:
        yield Units(await World(store).begin(), folder)


async def until(condition: Callable[[], bool]) -> None:
    """Wait for it, not for ever."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.005)


def hook(kind: str, relation: int = 1, unit: str = "", **fields: Any) -> HookInfo:  # as HookInfo's own
    """A relation's hook, of mysql."""
    application = unit.partition("/")[0] or "mysql"
    return HookInfo(
        kind=HookKind(f"relation-{kind}"),
        relation=relation,
        remote_unit=unit,
        **{"remote_application": application, **fields},
    )


def members(**versions: int) -> RelationMembers:
    """Who is in a relation, with the version of each: `mysql_0=3`, and `mysql=1` for the application."""
    units = {name.replace("_", "/"): version for name, version in versions.items() if "_" in name}
    applications = {name: version for name, version in versions.items() if "_" not in name}
    return RelationMembers(units=units, applications=applications)


def seen(
    number: int = 1, *, role: str = "requirer", life: Life = Life.ALIVE, suspended: bool = False, **versions: int
) -> RelationSnapshot:
    """A relation of shop with mysql (or with itself), and who is in it."""
    own = Endpoint(application="shop", name="db", interface="mysql", role=role)  # type: ignore[arg-type]
    other = Endpoint(application="mysql", name="server", interface="mysql", role="provider")
    remote = own if role == "peer" else other
    sides = (own,) if role == "peer" else (own, other)
    relation = Relation(id=number, endpoints=sides, life=life, suspended=suspended)
    return RelationSnapshot(
        relation=UnitRelation(relation=relation, endpoint=own, remote=remote), members=members(**versions)
    )


def snapshot(*relations: RelationSnapshot, **fields: Any) -> Snapshot:  # as Snapshot's own
    """What is wanted of shop/0: no more than these relations, and what a test names."""
    present = {each.relation.relation.id: each for each in relations}
    defaults = {"life": Life.ALIVE, "charm": CHARM, "hashes": ConfigHashes(config="", trust="", addresses="")}
    return Snapshot(relations=present, **{**defaults, **fields})
