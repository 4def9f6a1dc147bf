"""The seams of the unit agent, by hand: each does the least that its Protocol promises, and keeps what it was asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from plugins.uniter.tests.fakemodel import (
    OLD,
    THEN,
    FakeActions,
    FakeApplication,
    FakeGuard,
    FakeLeadership,
    FakeLog,
    FakeModel,
    FakeStatus,
    FakeUnit,
)

from undercroft_hookspecs import NotFoundError, UnitName
from undercroft_hookspecs.hook_tools import RelationContext
from undercroft_hookspecs.state import Action, Life
from undercroft_uniter.errors import ActionNotValid, DeployConflict
from undercroft_uniter.hook.info import HookInfo, HookKind
from undercroft_uniter.operation.rooms import Facades, Rooms
from undercroft_uniter.operation.state import CharmReference
from undercroft_uniter.remotestate.snapshot import Snapshot
from undercroft_uniter.seams import Commands, CommandsEnding, Ending


def kind(name: str) -> HookInfo:
    """A hook that needs nothing but its kind."""
    return HookInfo(kind=HookKind(name))


def action(number: int, name: str = "backup", **fields: Any) -> Action:  # as Action's own
    """A pending action."""
    return Action(id=number, operation=number, unit="shop/0", name=name, enqueued=THEN, **fields)


@dataclass(slots=True)
class FakeExecution:
    """`CommandsExecution`: notes that it ran, waits for `gate` if there is one, and ends as told."""

    script: str
    journal: list[str]
    ending: Ending | Exception = field(default_factory=Ending)
    gate: asyncio.Event | None = None
    answer: CommandsEnding | None = None
    is_aborted: bool = False
    is_ended: bool = False

    async def run(self) -> Ending:
        self.journal.append(self.script)
        if self.gate is not None:
            await self.gate.wait()
        if isinstance(self.ending, Exception):
            raise self.ending
        return self.ending

    def abort(self) -> None:
        self.is_aborted = True
        if self.gate is not None:
            self.gate.set()

    def end(self) -> None:
        self.is_ended = True
        self.ending = Ending(failure="aborted")
        if self.gate is not None:
            self.gate.set()


class FakeExecutions:
    """`Executions`: `endings` says how a script ends, all others succeed; `gates` what it waits for before it does.

    The charm has all scripts but those in `absent`.
    """

    def __init__(self, journal: list[str]) -> None:
        self.journal = journal
        self.endings: dict[str, Ending | Exception] = {}
        self.gates: dict[str, asyncio.Event] = {}
        self.refusal: Exception | None = None
        self.answer = CommandsEnding(returncode=0, stdout=b"said")
        self.last: FakeExecution | None = None
        self.hooks: list[HookInfo] = []
        self.absent: set[str] = set()
        self.passed: list[HookInfo] = []

    async def lacking(self, scripts: Collection[str]) -> frozenset[str]:
        return frozenset(self.absent.intersection(scripts))

    def pass_over(self, hook: HookInfo) -> None:
        self.passed.append(hook)

    async def hook(self, info: HookInfo, script: str) -> FakeExecution:
        self.hooks.append(info)
        return self._made(script)

    async def action(self, action: Action) -> FakeExecution:
        return self._made(action.name)

    async def commands(self, commands: Commands) -> FakeExecution:
        execution = self._made(f"$ {commands.text}")
        execution.answer = self.answer
        return execution

    def _made(self, script: str) -> FakeExecution:
        if self.refusal is not None:
            raise self.refusal
        ending = self.endings.get(script, Ending())
        self.last = FakeExecution(script, self.journal, ending, self.gates.get(script))
        return self.last


class FakeDeployer:
    """`CharmDeployer`: `holds` is what the folder holds, `failure` what the next deploys end with.

    What is in `missing` has no archive; who asks for it is told so once the function there has been called.
    """

    def __init__(self, journal: list[str]) -> None:
        self.holds: CharmReference | None = None
        self.staged: CharmReference | None = None
        self.stage_failure: Exception | None = None
        self.missing: dict[str, Callable[[], None]] = {}
        self.failure: Exception | None = None
        self.journal = journal

    async def stage(self, charm: CharmReference) -> None:
        if self.stage_failure is not None:
            raise self.stage_failure
        if charm.sha256 in self.missing:
            self.missing[charm.sha256]()
            raise NotFoundError(charm.sha256)
        self.staged = charm

    async def deploy(self, charm: CharmReference) -> None:
        assert self.staged == charm
        if self.failure is not None:
            raise self.failure
        self.holds = charm
        self.journal.append(f"deploy {charm.url}")

    async def deployed(self) -> CharmReference | None:
        return self.holds

    def conflict(self) -> None:
        """Let all deploys end in a conflict."""
        self.failure = DeployConflict("cannot write")


class FakeRelations:
    """`RelationTracker`: hands out the hooks it was given, each until it is committed."""

    def __init__(self) -> None:
        self.created: list[HookInfo] = []
        self.hooks: list[HookInfo] = []
        self.committed: list[HookInfo] = []
        self.endpoints: dict[int, str] = {3: "db"}
        self.synchronized = 0
        self.refusal: Exception | None = None

    async def synchronize(self, snapshot: Snapshot) -> None:
        self.synchronized += 1

    def created_hook(self, snapshot: Snapshot) -> HookInfo | None:
        return self.created[0] if self.created else None

    def next_hook(self, snapshot: Snapshot) -> HookInfo | None:
        return self.hooks[0] if self.hooks else None

    def prepare(self, hook: HookInfo) -> str:
        if self.refusal is not None:
            raise self.refusal
        if hook.relation not in self.endpoints:
            raise NotFoundError(str(hook.relation), f"the unit is in no relation {hook.relation}")
        return f"{self.endpoints[hook.relation]}-{hook.kind}"

    def following(self, hook: HookInfo, snapshot: Snapshot) -> Iterable[HookInfo]:
        return self.hooks[self.hooks.index(hook) + 1 :] if hook in self.hooks else ()

    async def commit(self, hook: HookInfo, *further: HookInfo) -> None:
        done = (hook, *further)
        self.committed += done
        self.created = [other for other in self.created if other not in done]
        self.hooks = [other for other in self.hooks if other not in done]

    def contexts(self, hook: HookInfo | None = None) -> Mapping[int, RelationContext]:
        return {
            number: RelationContext(id=number, endpoint=endpoint, remote_application="mysql", members=())
            for number, endpoint in self.endpoints.items()
        }


class FakeStorage:
    """`StorageTracker`: hands out the hooks it was given, each until it is committed."""

    def __init__(self) -> None:
        self.hooks: list[HookInfo] = []
        self.committed: list[HookInfo] = []
        self.is_waited_for = False
        self.synchronized = 0
        self.refusal: Exception | None = None

    async def synchronize(self, snapshot: Snapshot) -> None:
        self.synchronized += 1

    def next_hook(self, snapshot: Snapshot) -> HookInfo | None:
        return self.hooks[0] if self.hooks else None

    def is_awaited(self, snapshot: Snapshot) -> bool:
        return self.is_waited_for

    def prepare(self, hook: HookInfo) -> str:
        if self.refusal is not None:
            raise self.refusal
        return f"{hook.storage.partition('/')[0]}-{hook.kind}"

    async def commit(self, hook: HookInfo) -> None:
        self.committed.append(hook)
        self.hooks = [other for other in self.hooks if other != hook]

    def announced(self) -> frozenset[str]:
        return frozenset(hook.storage for hook in self.committed)


class FakeLock:
    """`UnitLock`: one real lock; `reasons` has what it was held for."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.reasons: list[str] = []
        self.failure: Exception | None = None

    @asynccontextmanager
    async def held(self, unit: str, script: str) -> AsyncIterator[None]:
        if self.failure is not None:
            raise self.failure
        async with self.lock:
            self.reasons.append(script)
            yield

    def alone(self) -> AbstractAsyncContextManager[None]:
        return self.held("", "")


class FakeCommands:
    """`CommandsQueue`."""

    def __init__(self) -> None:
        self.waiting: dict[int, Commands] = {}
        self.answers: dict[int, CommandsEnding] = {}

    def numbers(self) -> tuple[int, ...]:
        return tuple(sorted(self.waiting))

    def get(self, number: int) -> Commands:
        if number not in self.waiting:
            raise NotFoundError(str(number))
        return self.waiting[number]

    def answer(self, number: int, ending: CommandsEnding) -> None:
        self.waiting.pop(number, None)
        self.answers[number] = ending

    def on_change(self, notify: Callable[[], None]) -> None:
        raise NotImplementedError


class FakeRemote:
    """`RemoteState` that survives restarts of the watch: `watch` gives it as `Watch` does; `be` changes the snapshot.

    Counters begin anew with each watch, as the real ones do.
    """

    def __init__(self, snapshot: Snapshot | None = None) -> None:
        self.now = snapshot or Snapshot(life=Life.ALIVE, charm=OLD)
        self.secrets_done: list[HookInfo] = []
        self.commands_done: list[int] = []
        self.watches = self.kills = 0
        self.failure: Exception | None = None
        self.clears = 0
        self._changed = asyncio.Event()
        self._changed.set()

    def be(self, **fields: Any) -> None:  # as Snapshot's own
        """Change what is wanted."""
        self.now = replace(self.now, **fields)
        self._changed.set()

    def fail(self, error: Exception) -> None:
        """Let the watch have failed."""
        self.failure = error
        self._changed.set()

    def watch(self) -> FakeRemote:
        """A new watch."""
        assert self.watches == self.kills, "the last watch has not ended"
        self.watches += 1
        self.be(retry_hook_version=0, update_status_version=0)
        return self

    def kill(self) -> None:
        self.kills += 1

    async def wait(self) -> None:
        return

    def snapshot(self) -> Snapshot:
        self._changed.clear()
        return self.now

    async def changed(self) -> None:
        await self._changed.wait()
        if self.failure is not None:
            raise self.failure

    async def clear_resolved(self) -> None:
        self.clears += 1
        self.now = replace(self.now, resolved="")

    def retry_hook(self) -> None:
        self.be(retry_hook_version=self.now.retry_hook_version + 1)

    def command_done(self, number: int) -> None:
        self.commands_done.append(number)
        self.be(commands=tuple(other for other in self.now.commands if other != number))

    async def secret_done(self, hook: HookInfo) -> None:
        self.secrets_done.append(hook)
        self.now = replace(self.now, secrets=tuple(other for other in self.now.secrets if other != hook))


class FakeRooms:
    """All of them, around one journal of what was run, and what they make: `rooms`."""

    def __init__(self, *, boot_id: str = "boot-1") -> None:
        self.journal: list[str] = []
        self.boot_id = boot_id
        self.unit = FakeUnit(self.journal)
        self.status = FakeStatus()
        self.model = FakeModel()
        self.application = FakeApplication()
        self.actions = FakeActions(self.journal)
        self.executions = FakeExecutions(self.journal)
        self.deployer = FakeDeployer(self.journal)
        self.relations = FakeRelations()
        self.storage = FakeStorage()
        self.leadership = FakeLeadership()
        self.lock = FakeLock()
        self.commands = FakeCommands()
        self.remote = FakeRemote()
        self.guard = FakeGuard()
        self.log = FakeLog()

    @property
    def rooms(self) -> Rooms:
        """What operations and resolvers take."""
        return Rooms(
            unit=UnitName.parse("shop/0"),
            boot_id=self.boot_id,
            model=Facades(
                unit=self.unit,
                model=self.model,
                status=self.status,
                actions=self.actions,
            ),
            agent_status=self.status,
            deployer=self.deployer,
            executions=self.executions,
            relations=self.relations,
            storage=self.storage,
            leadership=self.leadership,
            commands=self.commands,
            log=self.log,
        )


def bad_action(message: str = "no such action") -> ActionNotValid:
    """What an action is refused with."""
    return ActionNotValid(message)
