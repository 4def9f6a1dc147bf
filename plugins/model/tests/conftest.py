"""A model in a store, in memory and on SQLite, and charms by hand."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

import pytest

from undercroft.clock import SystemClock
from undercroft.testing.store import MemoryStore
from undercroft_hookspecs import Put, Store
from undercroft_hookspecs.charm import Charm, EndpointSpec, OptionSpec
from undercroft_hookspecs.identity import ModelId
from undercroft_hookspecs.state import Application, Host, Relation, Unit
from undercroft_model.applications import Deployed, Deployment, deploy
from undercroft_model.lifecycle import reap
from undercroft_model.models import create_model, model_id
from undercroft_model.relations import integrate
from undercroft_model.rows import Presence
from undercroft_model.scopes import enter_scope
from undercroft_model.sqlite_store import open_sqlite
from undercroft_model.tables import APPLICATIONS, PRESENCE, RELATIONS, UNITS, parts_of
from undercroft_model.transaction import Transaction, change
from undercroft_model.units import take_up_charm

P = ParamSpec("P")
T = TypeVar("T")

HERE = Host(
    id="0b2ff3a6-5c12-4f0c-8a70-5d4b3b5d1e0f",
    hostname="here",
    base="ubuntu@22.04",
    addresses=("10.0.0.1",),
    cores=2,
    memory_mib=2048,
)
THERE = Host(id="1c2ff3a6-5c12-4f0c-8a70-5d4b3b5d1e0f", hostname="there", base="ubuntu@24.04", addresses=("10.0.0.2",))


def endpoints(role: str, *names: str, scope: str = "global", limit: int = 0) -> dict[str, EndpointSpec]:
    """Endpoints of one role, each `name` or `name:interface`."""
    found = {}
    for name, _, interface in (text.partition(":") for text in names):
        found[name] = EndpointSpec(
            name=name,
            interface=interface or name,
            role=role,  # type: ignore[arg-type]
            scope=scope,  # type: ignore[arg-type]
            limit=limit,
        )
    return found


def charm(name: str, *specs: Mapping[str, EndpointSpec], sha256: str = "", **fields: Any) -> Charm:  # as Charm's own
    """A charm with those endpoints."""
    merged = {key: spec for group in specs for key, spec in group.items()}
    return Charm(name=name, sha256=sha256 or f"sha-of-{name}", endpoints=merged, **fields)


WORDPRESS = charm(
    "wordpress",
    endpoints("requirer", "db:mysql", "cache:memcache"),
    endpoints("provider", "url:http"),
    endpoints("peer", "loadbalancer:reversenginx"),
    options={
        "title": OptionSpec(type="string", default="My Title", description="A title"),
        "workers": OptionSpec(type="int", default=4),
        "ratio": OptionSpec(type="float"),
        "debug": OptionSpec(type="boolean", default=False),
    },
)
MYSQL = charm("mysql", endpoints("provider", "server:mysql", "admin:mysql-root"))
LOGGING = charm(
    "logging",
    endpoints("requirer", "info:juju-info", "logging-directory:logging", scope="container"),
    endpoints("provider", "logging-client:logging"),
    subordinate=True,
)


class World:
    """A model in a store; `run` makes one change of it."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.clock = SystemClock()
        self.rng = random.Random(7)
        self.model: ModelId

    async def begin(self) -> World:
        """Make the model."""
        self.model = await self.new_model("test")
        return self

    async def new_model(self, name: str) -> ModelId:
        """Make one more model."""
        made = await self.change(lambda tx: create_model(tx, name, now=self.clock.now(), rng=self.rng))
        return model_id(made)

    async def change(self, decide: Callable[[Transaction], Awaitable[T]]) -> T:
        """Make one change."""
        return await change(self.store, decide, clock=self.clock, rng=self.rng)

    async def run(
        self, operation: Callable[Concatenate[Transaction, ModelId, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run one operation of the model."""
        return await self.change(lambda tx: operation(tx, self.model, *args, **kwargs))

    async def deploy(self, charm: Charm, name: str = "", **fields: Any) -> Deployed:  # as Deployment's own
        """Deploy a charm on this host."""
        deployment = Deployment(name=name or charm.name, charm=charm, **fields)
        return await self.run(deploy, deployment, here=HERE, now=self.clock.now())

    async def integrate(self, first: str, second: str) -> Relation:
        """Relate two applications."""
        return await self.run(integrate, first, second, now=self.clock.now())

    async def enter(self, relation: Relation, *units: str, **settings: str) -> None:
        """Let units into a relation's scope."""
        for unit in units:
            await self.run(enter_scope, relation.id, unit, settings=settings, now=self.clock.now())

    async def start(self, *units: str) -> None:
        """Let units take up their application's charm, as their agents do."""
        for unit in units:
            application = await self.application(parts_of(unit)[0])
            await self.run(take_up_charm, unit, url=application.charm_url, sha256=application.charm)

    async def reap(self) -> None:
        """Remove what can be removed."""
        await reap(self.store, self.model, clock=self.clock, rng=self.rng)

    async def present(self, *hosts: Host) -> None:
        """Have the agents of hosts running."""
        for host in hosts:
            await self.change(lambda tx, host=host: self._present(tx, host))  # type: ignore[misc]

    async def _present(self, tx: Transaction, host: Host) -> None:
        tx.put(PRESENCE, host.id, "presence", record=Presence(since=self.clock.now()))

    async def unit(self, name: str) -> Unit:
        """A unit that is there."""
        found = await Transaction(self.store).get(UNITS.of(self.model), *parts_of(name))
        assert found is not None, f"there is no unit {name}"
        return found

    async def units(self) -> list[str]:
        """The names of all units."""
        return sorted("/".join(parts) for parts in await Transaction(self.store).look(UNITS.of(self.model)))

    async def application(self, name: str) -> Application:
        """An application that is there."""
        found = await Transaction(self.store).get(APPLICATIONS.of(self.model), name)
        assert found is not None, f"there is no application {name}"
        return found

    async def applications(self) -> list[str]:
        """The names of all applications."""
        return sorted(name for (name,) in await Transaction(self.store).look(APPLICATIONS.of(self.model)))

    async def relation(self, number: int) -> Relation | None:
        """A relation, if it is there."""
        return await Transaction(self.store).get(RELATIONS.of(self.model), str(number))

    async def keys(self) -> set[str]:
        """The keys of the model, but for the counters, which stay."""
        prefix = f"/models/{self.model}/"
        found = {entry.key.removeprefix(prefix) for entry in (await self.store.list(prefix)).entries}
        return {key for key in found if not key.startswith(("sequences/", "charm-revisions/"))}

    async def write(self, *keys: str) -> None:
        """Write keys of the model with nothing in them."""
        await self.store.transact([], [Put(f"/models/{self.model}/{key}", b"{}") for key in keys])


@pytest.fixture(params=["memory", "sqlite"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Store]:
    """An empty store, of each kind."""
    async with AsyncExitStack() as stack:
        if request.param == "memory":
            yield MemoryStore()
        else:
            yield await stack.enter_async_context(open_sqlite("sqlite:", data_dir=tmp_path, clock=SystemClock()))


@pytest.fixture
async def world(store: Store) -> World:
    """A new model."""
    return await World(store).begin()
