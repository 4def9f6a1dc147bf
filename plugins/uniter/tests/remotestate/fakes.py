"""The model by hand, source by source: each tells what the test has it tell, and when."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Generic, TypeVar

from undercroft.testing import FakeClock
from undercroft_hookspecs import Clock, NotFoundError
from undercroft_hookspecs.hook_facades import OwnedSecret
from undercroft_hookspecs.state import Application, Secret, Unit
from undercroft_hookspecs.storage_facades import UnitStorage
from undercroft_hookspecs.unit_facades import ConfigHashes
from undercroft_uniter.remotestate.facades import Facades
from undercroft_uniter.remotestate.secrets import SecretsDue
from undercroft_uniter.remotestate.watcher import RemoteStateWatcher
from undercroft_uniter.seams import Commands, CommandsEnding

T = TypeVar("T")

START = datetime(2024, 1, 1, tzinfo=UTC)

UNIT = Unit(name="shop/0", machine="0", charm="a", charm_url="local:shop-0")
APPLICATION = Application(name="shop", charm="a", charm_url="local:shop-0", charm_name="shop")
HASHES = ConfigHashes(config="c", trust="t", addresses="a")


def secret(number: str, **fields: Any) -> OwnedSecret:  # as Secret's own
    """A secret of the unit."""
    obsolete = fields.pop("obsolete", ())
    return OwnedSecret(
        secret=Secret(id=number, owner="shop/0", created=START, updated=START, **fields), obsolete=obsolete
    )


def attachment(number: str, **fields: Any) -> UnitStorage:  # as UnitStorage's own
    """A filesystem of the unit."""
    return UnitStorage(id=number, kind="filesystem", **fields)


class Source(Generic[T]):
    """A watch: nothing at first, then what it is told; an error ends it, and None does without one."""

    def __init__(self) -> None:
        self.watchers = 0
        self._states: asyncio.Queue[T | Exception | None] = asyncio.Queue()

    def tell(self, state: T | Exception | None) -> None:
        """Have it deliver that."""
        self._states.put_nowait(state)

    @asynccontextmanager
    async def watch(self) -> AsyncIterator[AsyncIterator[T]]:
        self.watchers += 1
        try:
            yield self._deliver()
        finally:
            self.watchers -= 1

    async def _deliver(self) -> AsyncIterator[T]:
        while (state := await self._states.get()) is not None:
            if isinstance(state, Exception):
                raise state
            yield state


class FakeUnits:
    """`UnitFacade`, as far as the watcher needs it; `record` is what the store has."""

    def __init__(self) -> None:
        self.source: Source[Unit] = Source()
        self.watch_unit = self.source.watch
        self.record = UNIT
        self.is_gone = False
        self.cleared = 0

    async def unit(self) -> Unit:
        if self.is_gone:
            raise NotFoundError(self.record.name)
        return self.record

    async def clear_resolved(self) -> None:
        self.cleared += 1


class FakeRelations:
    """`RelationFacade`, as far as the watcher needs it."""

    def __init__(self) -> None:
        self.source: Source[Any] = Source()  # of tuples of UnitRelation
        self.watch_relations = self.source.watch
        self.members: dict[int, Source[Any]] = {}  # of RelationMembers

    def of(self, relation: int) -> Source[Any]:
        """Who is in a relation."""
        return self.members.setdefault(relation, Source())

    def watch_members(self, relation: int) -> Any:  # a context manager of members
        return self.of(relation).watch()


class Watched:
    """A facade with watches only."""

    def __init__(self, **watches: Any) -> None:
        self.__dict__.update(watches)


class FakeSecrets:
    """`SecretFacade`, as far as the watcher needs it."""

    def __init__(self) -> None:
        self.owned: Source[Any] = Source()
        self.consumed: Source[Any] = Source()
        self.watch_owned_secrets, self.watch_consumed_secrets = self.owned.watch, self.consumed.watch
        self.rotated: list[str] = []
        self.gone: set[str] = set()

    async def secret_rotated(self, name: str) -> None:
        if name in self.gone:
            raise NotFoundError(name)
        self.rotated.append(name)


class FakeLeadership:
    """The seam `Leadership`."""

    def __init__(self) -> None:
        self._leads = False
        self._change = asyncio.Event()

    def become(self, leads: bool) -> None:
        """Lead, or not."""
        self._leads = leads
        self._change.set()
        self._change = asyncio.Event()

    def is_leader(self) -> bool:
        return self._leads

    async def guarantee(self) -> bool:
        return self._leads

    async def changed(self) -> None:
        before = self._leads
        while self._leads == before:
            await self._change.wait()


class FakeCommands:
    """The seam `CommandsQueue`."""

    def __init__(self) -> None:
        self._waiting: tuple[int, ...] = ()
        self._notify: list[Callable[[], None]] = []

    def wait_for(self, *numbers: int) -> None:
        """Have these wait."""
        self._waiting = numbers
        for notify in self._notify:
            notify()

    def numbers(self) -> tuple[int, ...]:
        return self._waiting

    def get(self, number: int) -> Commands:
        raise NotImplementedError

    def answer(self, number: int, ending: CommandsEnding) -> None:
        raise NotImplementedError

    def on_change(self, notify: Callable[[], None]) -> None:
        self._notify.append(notify)


class Scene:
    """Everything that the watcher of shop/0 looks at."""

    def __init__(self, folder: Path, clock: Clock | None = None) -> None:
        self.clock = clock or FakeClock(START)
        self.path = folder / "secrets.json"
        self.units, self.relations, self.secrets = FakeUnits(), FakeRelations(), FakeSecrets()
        self.leadership, self.commands = FakeLeadership(), FakeCommands()
        self.application: Source[Any] = Source()
        self.config: Source[Any] = Source()
        self.interval: Source[float] = Source()
        self.leader_settings: Source[Any] = Source()
        self.actions: Source[Any] = Source()
        self.storage: Source[Any] = Source()

    @property
    def first(self) -> list[tuple[Source[Any], object]]:
        """What each source says first."""
        return [
            (self.units.source, UNIT),
            (self.application, APPLICATION),
            (self.config, HASHES),
            (self.relations.source, ()),
            (self.storage, ()),
            (self.leader_settings, {}),
            (self.actions, ()),
            (self.secrets.owned, ()),
            (self.secrets.consumed, {}),
            (self.interval, 300.0),
        ]

    def tell_all(self) -> None:
        """Have all of them say it."""
        for source, state in self.first:
            source.tell(state)

    async def watcher(self) -> RemoteStateWatcher:
        """A watcher, which knows nothing yet."""
        facades = Facades(
            units=self.units,  # type: ignore[arg-type]
            applications=Watched(watch_application=self.application.watch),  # type: ignore[arg-type]
            config=Watched(watch_hashes=self.config.watch),  # type: ignore[arg-type]
            model=Watched(watch_update_status_seconds=self.interval.watch),  # type: ignore[arg-type]
            relations=self.relations,  # type: ignore[arg-type]
            leadership=Watched(watch_leader_settings=self.leader_settings.watch),  # type: ignore[arg-type]
            actions=Watched(watch_pending=self.actions.watch),  # type: ignore[arg-type]
            secrets=self.secrets,  # type: ignore[arg-type]
            storage=Watched(watch_attachments=self.storage.watch),  # type: ignore[arg-type]
        )
        secrets = await SecretsDue.open(self.path, facade=facades.secrets, clock=self.clock)
        return RemoteStateWatcher(
            "shop/0",
            facades,
            leadership=self.leadership,
            commands=self.commands,
            secrets=secrets,
            clock=self.clock,
            rng=random.Random(7),
        )
