"""The unit agent: watches what is wanted of a unit, and runs its charm accordingly, until the unit is dead.

What it is at is in a file (`operation`), so that it can be killed at any moment. Its own failures are the unit's agent
status `failed`; it dies of them, and is started again. A charm's failures are no failures of it.

When the unit is dead, or has been removed, it ends cleanly, and stays ended: the unit's record is what tells whoever
deployed the unit to remove the rest.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from undercroft import DeadError, SimpleWorker, outcome
from undercroft_hookspecs import AgentSignal, NotFoundError, RebootMachine, UndercroftError
from undercroft_hookspecs.state import Life
from undercroft_uniter.beginning import await_reboot, greet, open_executor
from undercroft_uniter.ending import become_dead
from undercroft_uniter.errors import (
    CharmMissing,
    DeployConflict,
    HookFailed,
    RebootNeeded,
    RestartResolving,
    Stopping,
    Terminate,
    UnitGone,
)
from undercroft_uniter.paths import UnitPaths
from undercroft_uniter.resolver.chain import Chain
from undercroft_uniter.resolver.local import LocalState
from undercroft_uniter.resolver.loop import Loop
from undercroft_uniter.resolver.retry import HookRetry
from undercroft_uniter.stopping import unless_stopped

if TYPE_CHECKING:
    from undercroft import Stop
    from undercroft.fortress import Guard
    from undercroft_hookspecs import UnitAgent
    from undercroft_hookspecs.unit_facades import ApplicationFacade
    from undercroft_uniter.operation.executor import Executor
    from undercroft_uniter.operation.rooms import Rooms
    from undercroft_uniter.operation.state import CharmReference
    from undercroft_uniter.seams import RemoteState, UnitLock, Watch

_log = logging.getLogger(__name__)

GRACE_SECONDS = 45.0
"""Less than the agent waits for all of its workers."""


class Uniter:
    """The worker `uniter` of one unit.

    A kill lets the hook that runs now end, for `grace` seconds; then it is killed, and has failed.
    """

    def __init__(
        self,
        agent: UnitAgent,
        rooms: Rooms,
        *,
        application: ApplicationFacade,
        watch: Watch,
        guard: Guard,
        lock: UnitLock,
        grace: float = GRACE_SECONDS,
    ) -> None:
        self._agent = agent
        self._rooms = rooms
        self._application = application
        self._watch = watch
        self._guard = guard
        self._lock = lock
        self._executor: Executor | None = None
        self._worker = SimpleWorker(self._work, grace=grace, name="uniter", clock=agent.clock)

    def kill(self) -> None:
        """Ask for a stop, and return at once."""
        self._worker.kill()

    async def wait(self) -> None:
        """Return when the worker is dead, or raise the error that it died of."""
        await self._worker.wait()

    def report(self) -> dict[str, object]:
        """What the unit is at."""
        if self._executor is None:
            return {"state": "initializing"}
        state = self._executor.state
        flags = ("installed", "started", "stopped", "removed", "leader")
        report: dict[str, object] = {"operation": str(state.kind), "step": str(state.step)}
        report |= {"hook": str(state.hook.kind)} if state.hook is not None else {}
        return report | {"is": [flag for flag in flags if getattr(state, flag)]}

    async def _work(self, stop: Stop) -> None:
        try:
            await self._live(stop)
        except Stopping:
            return
        except UnitGone as error:
            _log.info("%s: %s", self._rooms.unit, error)
        except RebootNeeded as error:
            raise RebootMachine(str(error)) from error
        except (AgentSignal, DeadError):  # A wish, or the charm's folder is closed because everything stops.
            raise
        except Exception:  # Not swallowed: people are told where they look first.
            await self._say_failed()
            raise

    async def _live(self, stop: Stop) -> None:
        rooms = self._rooms
        async with unless_stopped(stop):
            try:
                unit = await rooms.model.unit.unit()
            except NotFoundError as error:
                raise UnitGone(f"unit {str(rooms.unit)!r} has been removed") from error
            if unit.life is Life.DEAD:
                return
            await greet(rooms.model.status)
            path = UnitPaths.of(self._agent).operation
            executor = await open_executor(path, rooms, self._application, lock=self._lock, stop=stop)
            if await await_reboot(executor.state, rooms):
                raise RebootMachine(f"a hook of {rooms.unit} has asked for a reboot")
            charm = await rooms.deployer.deployed()
        self._executor = executor
        try:
            await self._resolve(executor, charm, stop)
        except Terminate:
            await become_dead(rooms.model.unit, stop)

    async def _resolve(self, executor: Executor, charm: CharmReference | None, stop: Stop) -> None:
        """Watch and resolve, and again from the beginning after each upgrade."""
        local = LocalState(state=executor.state, charm=charm)
        is_new = True
        while True:
            remote = self._watch()
            try:
                async with unless_stopped(stop):
                    await remote.changed()
                await self._resolve_once(executor, remote, local, stop, is_new=is_new)
            except RestartResolving:
                local = LocalState(state=executor.state, charm=local.charm)
            except CharmMissing as missing:
                if (await self._application.application()).charm == missing.sha256:
                    raise
                self._rooms.say(logging.INFO, "the application has another charm by now")
                local = LocalState(state=executor.state, charm=local.charm)
            finally:
                remote.kill()
                await outcome(remote)  # If it failed, that has been raised.
            is_new = False

    async def _resolve_once(
        self, executor: Executor, remote: RemoteState, local: LocalState, stop: Stop, *, is_new: bool
    ) -> None:
        rooms = self._rooms

        async def say_idle() -> None:
            if local.is_idle:
                await rooms.agent_status.set("idle")

        retry = HookRetry(remote.retry_hook, clock=self._agent.clock, rng=self._agent.rng)
        chain = Chain(rooms, remote=remote, retry=retry, is_new=is_new)
        loop = Loop(
            chain, executor=executor, remote=remote, local=local, guard=self._guard, stop=stop, on_idle=say_idle
        )
        try:
            while True:
                try:
                    await loop.run()
                except HookFailed:
                    _log.debug("%s: in error", rooms.unit)  # The state says so, too, and the resolver sees it.
                except DeployConflict as error:
                    rooms.say(logging.ERROR, str(error))
                    local.conflicted = True
                    await rooms.agent_status.set("error", "upgrade failed")
        finally:
            retry.reset()

    async def _say_failed(self) -> None:
        try:
            await self._rooms.agent_status.set("failed", "resolver loop error")
        except UndercroftError as error:  # The error that it is about is what counts.
            _log.warning("%s: could not say that the agent has failed: %s", self._rooms.unit, error)
