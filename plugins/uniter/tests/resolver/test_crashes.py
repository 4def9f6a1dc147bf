"""A unit's whole life, with crashes anywhere: no hook is lost, and none counts as done that did not end."""

from __future__ import annotations

import asyncio
import random
from typing import Any, Literal

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from plugins.uniter.tests.fakemodel import NEW, FakeActions, FakeStatus
from plugins.uniter.tests.fakes import (
    FakeDeployer,
    FakeExecution,
    FakeExecutions,
    FakeLock,
    FakeRelations,
    FakeRooms,
    FakeStorage,
    action,
)

from undercroft import Stop
from undercroft.testing import FakeClock
from undercroft_hookspecs.state import Action, Life
from undercroft_hookspecs.unit_facades import ConfigHashes
from undercroft_uniter.errors import DeployConflict, HookFailed, RestartResolving, Terminate
from undercroft_uniter.hook.info import HookInfo, HookKind
from undercroft_uniter.operation.executor import Executor
from undercroft_uniter.operation.state import CharmReference, OperationKind, OperationState, Step
from undercroft_uniter.operation.statefile import StateFile
from undercroft_uniter.resolver.chain import Chain
from undercroft_uniter.resolver.local import LocalState
from undercroft_uniter.resolver.retry import HookRetry
from undercroft_uniter.seams import Ending

How = Literal["raise", "cancel"]


class Crash(BaseException):
    """The agent is gone."""


class Fate:
    """Says at which of the places that are passed the agent crashes."""

    def __init__(self, plan: list[tuple[int, How]]) -> None:
        self._plan = plan
        self._passed = 0
        self.crashes = 0

    async def place(self) -> None:
        """A place at which a crash is possible."""
        self._passed += 1
        if self._plan and self._passed >= self._plan[0][0]:
            _, how = self._plan.pop(0)
            self._passed = 0
            self.crashes += 1
            if how == "raise":
                raise Crash
            task = asyncio.current_task()
            assert task is not None
            task.cancel()
            await asyncio.sleep(0)


class Disk:
    """What survives: bytes, as files are."""

    def __init__(self) -> None:
        self.content: bytes | None = None
        self.history: list[OperationState] = []


class CrashingFile(StateFile):
    """A state file on that disk: a crash comes before the write, or after it."""

    def __init__(self, disk: Disk, fate: Fate) -> None:
        self._disk, self._fate = disk, fate

    async def read(self) -> OperationState | None:
        if self._disk.content is None:
            return None
        return msgspec.json.decode(self._disk.content, type=OperationState)

    async def write(self, state: OperationState) -> None:
        state.validate()
        await self._fate.place()
        self._disk.content = msgspec.json.encode(state)
        self._disk.history.append(state)
        await self._fate.place()


class CrashingExecution(FakeExecution):
    """Crashes before the script, in it, or after it; the journal has its end, too."""

    __slots__ = ("actions", "fate", "number")

    fate: Fate
    actions: FakeActions
    number: int

    async def run(self) -> Ending:
        await self.fate.place()
        self.journal.append(f"begin {self.script}")
        await self.fate.place()
        self.journal.append(f"end {self.script}")
        await self.fate.place()
        if self.number:
            await self.actions.finish(self.number, "completed")
        return Ending()


class CrashingExecutions(FakeExecutions):
    """Makes executions that crash."""

    def __init__(self, world: World) -> None:
        super().__init__(world.journal)
        self.world = world

    async def action(self, action: Action) -> FakeExecution:
        execution = self._made(action.name)
        execution.number = action.id
        return execution

    def _made(self, script: str) -> CrashingExecution:
        execution = CrashingExecution(script, self.journal)
        execution.fate, execution.actions, execution.number = self.world.fate, self.world.actions, 0
        return execution


class CrashingRelations(FakeRelations):
    """Crashes about commits."""

    def __init__(self, fate: Fate) -> None:
        super().__init__()
        self.fate = fate

    async def commit(self, hook: HookInfo, *further: HookInfo) -> None:
        await self.fate.place()
        await super().commit(hook, *further)
        await self.fate.place()


class CrashingStorage(FakeStorage):
    """Crashes about commits."""

    def __init__(self, fate: Fate) -> None:
        super().__init__()
        self.fate = fate

    async def commit(self, hook: HookInfo) -> None:
        await self.fate.place()
        await super().commit(hook)
        await self.fate.place()


class CrashingDeployer(FakeDeployer):
    """Crashes with the charm half in place."""

    def __init__(self, world: World) -> None:
        super().__init__(world.journal)
        self.fate = world.fate

    async def stage(self, charm: CharmReference) -> None:
        await self.fate.place()
        await super().stage(charm)
        await self.fate.place()

    async def deploy(self, charm: CharmReference) -> None:
        self.holds = None
        await self.fate.place()
        await super().deploy(charm)
        await self.fate.place()


class CrashingActions(FakeActions):
    """Crashes about what is said of actions."""

    def __init__(self, world: World) -> None:
        super().__init__(world.journal)
        self.world = world

    async def begin(self, action: int) -> Action:
        await self.world.fate.place()
        begun = await super().begin(action)
        self.world.be_action(action, "running")
        await self.world.fate.place()
        return begun

    async def finish(self, action: int, status: str, **fields: Any) -> None:  # as ActionFacade's
        await self.world.fate.place()
        await super().finish(action, status, **fields)
        self.world.be_action(action, None)
        await self.world.fate.place()


class CrashingStatus(FakeStatus):
    """Crashes before statuses."""

    def __init__(self, fate: Fate) -> None:
        super().__init__()
        self.fate = fate

    async def set_workload_status(self, current: str, message: str = "", *, data: object = None) -> None:
        await self.fate.place()
        await super().set_workload_status(current, message)

    async def set_agent_status(self, current: str, message: str = "", *, data: object = None) -> None:
        await self.fate.place()
        await super().set_agent_status(current, message)


class World(FakeRooms):
    """What outlives the agent, and where it can crash."""

    def __init__(self, plan: list[tuple[int, How]]) -> None:
        super().__init__()
        self.fate, self.disk, self.lock = Fate(plan), Disk(), FakeLock()
        self.actions = CrashingActions(self)
        self.executions = CrashingExecutions(self)
        self.relations, self.storage = CrashingRelations(self.fate), CrashingStorage(self.fate)
        self.deployer, self.status = CrashingDeployer(self), CrashingStatus(self.fate)

    def be_action(self, number: int, status: str | None) -> None:
        """Change an action, or let it have ended."""
        others = tuple(other for other in self.remote.now.actions if other.id != number)
        changed = () if status is None else (action(number, status=status),)
        self.remote.be(actions=changed + others)

    async def live(self) -> bool:
        """One life of the agent, until it has nothing to do, or crashes, or has come to the unit's end (True)."""
        beginning = OperationState(kind=OperationKind.INSTALL, step=Step.QUEUED, charm=self.remote.now.charm)
        file = CrashingFile(self.disk, self.fate)
        executor = await Executor.open(file, initial=beginning, unit="shop/0", lock=self.lock, stop=Stop(None))
        local = LocalState(state=executor.state, charm=await self.deployer.deployed())
        self.remote.watch().kill()
        is_new = True
        while True:
            retry = HookRetry(self.remote.retry_hook, clock=FakeClock(), rng=random.Random(0))
            chain = Chain(self.rooms, remote=self.remote, retry=retry, is_new=is_new)
            try:
                await self._resolve(executor, chain, local)
            except RestartResolving:
                local = LocalState(state=executor.state, charm=local.charm)
                is_new = False
                self.remote.watch().kill()
            except Terminate:
                return True
            else:
                return False
            finally:
                retry.reset()

    async def _resolve(self, executor: Executor, chain: Chain, local: LocalState) -> None:
        while True:
            operation = await chain.next(local, self.remote.snapshot())
            if operation is None:
                if not local.is_in_error:
                    return
                self.remote.retry_hook()  # Its time has come.
                continue
            try:
                await executor.run(operation)
            except (HookFailed, DeployConflict):
                raise AssertionError("nothing fails here") from None
            finally:
                local.state = executor.state

    async def settle(self) -> bool:
        """As many lives as it takes."""
        while True:
            try:
                return await self.live()
            except Crash:
                continue
            except asyncio.CancelledError:
                task = asyncio.current_task()
                assert task is not None
                task.uncancel()


JOINED = HookInfo(kind=HookKind.RELATION_JOINED, relation=3, remote_unit="mysql/0", remote_application="mysql")
CREATED = HookInfo(kind=HookKind.RELATION_CREATED, relation=3, remote_application="mysql")
BROKEN = HookInfo(kind=HookKind.RELATION_BROKEN, relation=3, remote_application="mysql")
ATTACHED = HookInfo(kind=HookKind.STORAGE_ATTACHED, storage="data/0")
DETACHING = HookInfo(kind=HookKind.STORAGE_DETACHING, storage="data/0")
FLAGS = {"installed": "install", "started": "start", "stopped": "stop", "removed": "remove"}
LIFE = [
    "data-storage-attached",
    "install",
    "db-relation-created",
    "leader-elected",
    "config-changed",
    "start",
    "db-relation-joined",
    "config-changed",
    "upgrade-charm",
    "config-changed",
    "data-storage-detaching",
    "db-relation-broken",
    "stop",
    "remove",
]


async def live_through(world: World) -> None:
    """The whole life of a unit."""
    world.leadership.leads = True
    world.storage.hooks = [ATTACHED]
    world.relations.created = [CREATED]
    world.relations.hooks = []
    world.remote.be(is_leader=True, hashes=ConfigHashes(config="1", trust="", addresses=""))
    assert not await world.settle()
    world.relations.hooks = [JOINED]
    assert not await world.settle()
    world.remote.be(hashes=ConfigHashes(config="2", trust="", addresses=""), actions=(action(7), action(8)))
    assert not await world.settle()
    world.remote.be(charm=NEW, charm_modified_version=1)
    assert not await world.settle()
    world.relations.hooks, world.storage.hooks = [BROKEN], [DETACHING]
    world.remote.be(life=Life.DYING)
    assert await world.settle()


def test_an_undisturbed_life() -> None:
    world = World([])

    asyncio.run(live_through(world))

    assert [line.removeprefix("end ") for line in world.journal if line.startswith("end ")] == [
        *LIFE[:7],
        "backup",
        "backup",
        *LIFE[7:],
    ]


def once_each(names: list[str]) -> list[str]:
    """Without what was run again immediately."""
    return [name for number, name in enumerate(names) if number == 0 or names[number - 1] != name]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 60), st.sampled_from(["raise", "cancel"])), max_size=12))
def test_crashes_lose_no_hook_and_none_is_done_that_has_not_ended(plan: list[tuple[int, How]]) -> None:
    world = World(list(plan))

    asyncio.run(live_through(world))

    ended = [line.removeprefix("end ") for line in world.journal if line.startswith("end ")]
    hooks = [name for name in ended if name != "backup"]
    assert once_each(hooks) == once_each(LIFE)
    assert len(hooks) - len(LIFE) <= world.fate.crashes
    check_done(world)


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 400), st.sampled_from(["raise", "cancel"]))
def test_one_crash_at_any_place(place: int, how: How) -> None:
    world = World([(place, how)])

    asyncio.run(live_through(world))

    ended = [line.removeprefix("end ") for line in world.journal if line.startswith("end ")]
    assert once_each([name for name in ended if name != "backup"]) == once_each(LIFE)
    check_done(world)


def check_done(world: World) -> None:
    """What the states of the disk say was done had ended before."""
    ended = {line.removeprefix("end ") for line in world.journal if line.startswith("end ")}
    for state in world.disk.history:
        for flag, name in FLAGS.items():
            assert not getattr(state, flag) or name in ended
    assert world.deployer.holds == NEW
    # An action has ended for whoever asked for it, and was never run twice.
    assert set(world.actions.ended) == {7, 8}
    assert world.journal.count("begin backup") <= 2
