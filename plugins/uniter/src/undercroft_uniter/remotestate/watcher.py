"""The model as one unit needs it, watched: any change of it wakes the unit's agent up, which then looks at it whole."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, NoReturn

import msgspec

from undercroft import DeadError, SimpleWorker, dead
from undercroft.clock import alarm
from undercroft_hookspecs import NotFoundError, StoreUnavailable, UndercroftError
from undercroft_uniter.errors import SourceFailed, UnitGone
from undercroft_uniter.operation.state import CharmReference
from undercroft_uniter.remotestate.following import REOPEN_SECONDS, follow
from undercroft_uniter.remotestate.relations import RelationsSource
from undercroft_uniter.remotestate.snapshot import Snapshot
from undercroft_uniter.remotestate.updatestatus import UpdateStatusTimer

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from undercroft import Stop
    from undercroft.clock import Alarm
    from undercroft_hookspecs import Clock
    from undercroft_hookspecs.hook_facades import ConsumedSecret, OwnedSecret
    from undercroft_hookspecs.state import Action, Application, Unit
    from undercroft_hookspecs.storage_facades import UnitStorage
    from undercroft_hookspecs.unit_facades import ConfigHashes
    from undercroft_uniter.hook.info import HookInfo
    from undercroft_uniter.remotestate.facades import Facades
    from undercroft_uniter.remotestate.secrets import SecretsDue
    from undercroft_uniter.seams import CommandsQueue, Leadership

LONGEST_SLEEP_SECONDS = 3600.0
"""Secrets go by the time of day, which may be set while one sleeps."""

logger = logging.getLogger(__name__)


class RemoteStateWatcher:
    """The seam `RemoteState`, and a worker: it dies with whatever of the model cannot be followed any more.

    Nothing is told before all of it is known. What happens while nobody asks is told once.
    """

    def __init__(
        self,
        unit: str,
        facades: Facades,
        *,
        leadership: Leadership,
        commands: CommandsQueue,
        secrets: SecretsDue,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self._name, self._facades, self._clock = unit, facades, clock
        self._leadership, self._commands, self._secrets = leadership, commands, secrets
        self._news = asyncio.Event()
        self._failure: BaseException | None = None
        self._is_over = False
        self._unit: Unit | None = None
        self._application: Application | None = None
        self._hashes: ConfigHashes | None = None
        self._actions: tuple[Action, ...] = ()
        self._storage: Mapping[str, UnitStorage] = {}
        self._leader_settings_version = self._retry_hook_version = self._update_status_version = 0
        self._is_resolved_cleared = False
        self._commands_done: frozenset[int] = frozenset()
        self._secret_alarm: Alarm | None = None
        self._timer = UpdateStatusTimer(self._on_tick, clock=clock, rng=rng)
        self._relations = RelationsSource(facades.relations, clock=clock, on_change=lambda: self._tell("relations"))
        self._sources = self._make_sources()
        self._unknown = set(self._sources)
        commands.on_change(self._signal)
        self._worker = SimpleWorker(self._work, name=f"remote state of {unit}", grace=0, clock=clock)
        # Killed at once, it dies without having worked.
        asyncio.ensure_future(dead(self._worker)).add_done_callback(self._on_dead)

    def kill(self) -> None:
        """Ask for a stop, and return at once."""
        self._worker.kill()

    async def wait(self) -> None:
        """Return when the worker is dead.

        Raises:
            UnitGone: the unit has been removed.
            SourceFailed: something of the model cannot be followed.
        """
        await self._worker.wait()

    def report(self) -> dict[str, object]:
        """What is known, and what is waited for."""
        return {"unknown": sorted(self._unknown), "relations": list(self._relations.shown())}

    def snapshot(self) -> Snapshot:
        """What is wanted now. Nothing of it changes later."""
        unit, application, hashes = self._unit, self._application, self._hashes
        if self._unknown or unit is None or application is None or hashes is None:
            raise RuntimeError(f"nothing is known of {self._name} yet: await changed()")
        self._news.clear()
        return Snapshot(
            life=unit.life,
            resolved=unit.resolved,
            charm=CharmReference(url=application.charm_url, sha256=application.charm),
            charm_modified_version=application.charm_modified_version,
            force_charm=application.force_charm,
            has_subordinates=bool(unit.subordinates),
            is_subordinate=bool(unit.principal),
            application_life=application.life,
            hashes=hashes,
            is_leader=self._leadership.is_leader(),
            leader_settings_version=self._leader_settings_version,
            retry_hook_version=self._retry_hook_version,
            update_status_version=self._update_status_version,
            relations=self._relations.shown(),
            storage=dict(self._storage),
            actions=self._actions,
            commands=self._waiting_commands(),
            secrets=self._secrets.hooks(),
        )

    async def changed(self) -> None:
        """Return when something has changed since the last snapshot was taken (the first time: when all is known).

        Raises:
            UnitGone, SourceFailed: nobody will ever know.
            DeadError: the worker has been killed.
        """
        if not self._is_over:
            await self._news.wait()
        if self._failure is not None:
            raise self._failure
        if self._is_over:
            raise DeadError(f"the remote state of {self._name} is watched no longer")

    async def clear_resolved(self) -> None:
        """The unit has taken note of `resolved`; the snapshot, too, is without it."""
        await self._facades.units.clear_resolved()
        resolved = await self._resolved_now()
        self._is_resolved_cleared = not resolved
        if self._unit is not None:
            self._unit = msgspec.structs.replace(self._unit, resolved=resolved)

    def retry_hook(self) -> None:
        """It is time to try a failed hook again."""
        self._retry_hook_version += 1
        self._signal()

    def command_done(self, number: int) -> None:
        """Nobody waits for these commands any more."""
        self._commands_done |= {number}

    async def secret_done(self, hook: HookInfo) -> None:
        """A secret's hook was run (or skipped)."""
        await self._secrets.done(hook)
        self._arm_secrets()

    def _make_sources(self) -> dict[str, Callable[[], Awaitable[NoReturn]]]:
        facades, clock = self._facades, self._clock
        return {
            "record": lambda: follow(facades.units.watch_unit, self._take_unit, clock=clock),
            "application": lambda: follow(facades.applications.watch_application, self._take_application, clock=clock),
            "config": lambda: follow(facades.config.watch_hashes, self._take_hashes, clock=clock),
            "relations": self._relations.run,
            "storage": lambda: follow(facades.storage.watch_attachments, self._take_storage, clock=clock),
            "leader settings": lambda: follow(
                facades.leadership.watch_leader_settings, self._take_leader_settings, clock=clock
            ),
            "leadership": self._follow_leadership,
            "actions": lambda: follow(facades.actions.watch_pending, self._take_actions, clock=clock),
            "own secrets": lambda: follow(facades.secrets.watch_owned_secrets, self._take_owned, clock=clock),
            "secrets": lambda: follow(facades.secrets.watch_consumed_secrets, self._take_consumed, clock=clock),
            "update-status interval": lambda: follow(
                facades.model.watch_update_status_seconds, self._take_interval, clock=clock
            ),
        }

    async def _work(self, _: Stop) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for name, source in self._sources.items():
                    group.create_task(self._run(name, source), name=f"{self._name}: {name}")
        except BaseExceptionGroup as failures:
            self._failure = _first(failures)
            raise self._failure from self._failure.__cause__
        finally:
            self._is_over = True
            self._timer.stop()
            self._stop_secrets()

    def _on_dead(self, _: asyncio.Future[None]) -> None:
        self._is_over = True
        self._news.set()

    async def _run(self, name: str, source: Callable[[], Awaitable[NoReturn]]) -> None:
        try:
            await source()
        except BaseExceptionGroup as failures:
            await self._fail(name, _first(failures))
        except UndercroftError as error:
            await self._fail(name, error)

    async def _fail(self, name: str, error: BaseException) -> NoReturn:
        # What belongs to a unit goes with its record, and may be missed before the record is.
        if isinstance(error, NotFoundError) and (name == "record" or await self._is_gone()):
            raise UnitGone(f"unit {self._name!r} has been removed") from error
        raise SourceFailed(self._name, name, str(error) or type(error).__name__) from error

    async def _is_gone(self) -> bool:
        try:
            await self._facades.units.unit()
        except NotFoundError:
            return True
        except StoreUnavailable:
            pass
        return False

    def _tell(self, name: str) -> None:
        """A source has something new; the last of them to say something for the first time makes all known."""
        self._unknown.discard(name)
        self._signal()

    def _signal(self) -> None:
        if not self._unknown:
            self._news.set()

    def _on_tick(self) -> None:
        self._update_status_version += 1
        self._signal()

    async def _take_unit(self, unit: Unit) -> None:
        if self._is_resolved_cleared and unit.resolved:
            # Is it from before it was cleared, or has it been set again? Only the store knows.
            unit = msgspec.structs.replace(unit, resolved=await self._resolved_now())
            self._is_resolved_cleared = not unit.resolved
        else:
            self._is_resolved_cleared = False
        self._unit = unit
        self._tell("record")

    async def _resolved_now(self) -> str:
        while True:
            try:
                return (await self._facades.units.unit()).resolved
            except StoreUnavailable:
                await self._clock.sleep(REOPEN_SECONDS)

    async def _take_application(self, application: Application) -> None:
        self._application = application
        self._tell("application")

    async def _take_hashes(self, hashes: ConfigHashes) -> None:
        self._hashes = hashes
        self._tell("config")

    async def _take_storage(self, attachments: Sequence[UnitStorage]) -> None:
        self._storage = {storage.id: storage for storage in attachments}
        self._tell("storage")

    async def _take_leader_settings(self, _: Mapping[str, str]) -> None:
        self._leader_settings_version += 1
        self._tell("leader settings")

    async def _take_actions(self, actions: Sequence[Action]) -> None:
        self._actions = tuple(actions)
        self._tell("actions")

    async def _take_owned(self, owned: Sequence[OwnedSecret]) -> None:
        self._secrets.owned = owned
        self._arm_secrets()
        self._tell("own secrets")

    async def _take_consumed(self, consumed: Mapping[str, ConsumedSecret]) -> None:
        self._secrets.consumed = consumed
        self._tell("secrets")

    async def _take_interval(self, seconds: float) -> None:
        self._timer.set(seconds)
        if "update-status interval" in self._unknown:
            self._tell("update-status interval")

    async def _follow_leadership(self) -> NoReturn:
        while True:
            self._tell("leadership")
            await self._leadership.changed()

    def _waiting_commands(self) -> tuple[int, ...]:
        waiting = self._commands.numbers()
        self._commands_done &= frozenset(waiting)
        return tuple(number for number in waiting if number not in self._commands_done)

    def _arm_secrets(self) -> None:
        self._stop_secrets()
        seconds = self._secrets.seconds()
        if seconds is not None and not self._is_over:
            self._secret_alarm = alarm(self._clock, min(seconds, LONGEST_SLEEP_SECONDS), self._on_secret_alarm)

    def _stop_secrets(self) -> None:
        if self._secret_alarm is not None:
            self._secret_alarm.cancel()
            self._secret_alarm = None

    def _on_secret_alarm(self) -> None:
        self._arm_secrets()
        if self._secrets.hooks():
            self._signal()


def _first(failures: BaseExceptionGroup[BaseException]) -> BaseException:
    """The error that made the others be cancelled."""
    error: BaseException = failures
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
