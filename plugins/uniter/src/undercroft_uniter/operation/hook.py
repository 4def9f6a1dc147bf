"""Running a hook, or passing it over.

What the charm has no script for is passed over as if it had been run: without the machine's lock, for nothing of the
charm's is run, and without a word in the state file before it, for there is nothing that a crash could interrupt. Of a
relation's hooks that is done for as many at once as are due: a unit that meets a hundred others is told 200 things.
"""

from __future__ import annotations

import logging
from itertools import islice, takewhile
from typing import TYPE_CHECKING

import msgspec

from undercroft_hookspecs import NotFoundError, UndercroftError
from undercroft_uniter.errors import HookFailed
from undercroft_uniter.hook.info import HookInfo, HookKind
from undercroft_uniter.operation.reboot import say_rebooting
from undercroft_uniter.operation.state import OperationKind, Step
from undercroft_uniter.operation.step import Operation, Outcome
from undercroft_uniter.operation.workload import say_after, say_before

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from undercroft_hookspecs.unit_facades import ConfigHashes
    from undercroft_uniter.operation.rooms import Rooms
    from undercroft_uniter.operation.state import OperationState
    from undercroft_uniter.seams import Execution, RemoteState

_log = logging.getLogger(__name__)

MOST_PASSED = 200
"""Hooks that are passed over at once, so that whatever else is due does not wait for long."""

_OF_MEMBERS = (HookKind.RELATION_JOINED, HookKind.RELATION_CHANGED, HookKind.RELATION_DEPARTED)
_FOLLOWED_BY = {HookKind.UPGRADE_CHARM: HookKind.CONFIG_CHANGED}


class RunHook(Operation):
    """Run a hook. `hashes` are those of when it was made: what changes later is for another config-changed.

    `following` gives the hooks of the same relation that will be due after it.
    """

    __slots__ = ("_execution", "_following", "_hashes", "_passed", "_remote", "_rooms", "hook")

    def __init__(
        self,
        hook: HookInfo,
        rooms: Rooms,
        *,
        remote: RemoteState,
        hashes: ConfigHashes,
        following: Callable[[HookInfo], Iterable[HookInfo]],
    ) -> None:
        self.hook = hook.validate()
        self._following = following
        self._passed: Sequence[HookInfo] = ()
        self._rooms = rooms
        self._remote = remote
        self._hashes = hashes
        self._execution: Execution | None = None

    def __str__(self) -> str:
        return f"run {describe(self.hook)} hook"

    @property
    def lock_reason(self) -> str:
        """The hook, if there is anything to run."""
        return "" if self._passed else describe(self.hook)

    @property
    def changes_charm(self) -> bool:
        """While a charm takes over from another, nobody else may call it."""
        return self.hook.kind is HookKind.UPGRADE_CHARM

    async def look(self) -> None:
        """See whether the charm has anything to run for it."""
        try:
            script = self._script()
        except UndercroftError:
            return  # What follows from that is for when it is prepared.
        prefix = script.removesuffix(str(self.hook.kind))
        kinds = _OF_MEMBERS if self.hook.kind.is_relation else ()
        lacking = await self._rooms.executions.lacking({script, *(f"{prefix}{kind}" for kind in kinds)})
        if script in lacking:
            following = self._following(self.hook) if kinds else ()
            due = takewhile(lambda hook: f"{prefix}{hook.kind}" in lacking, following)
            self._passed = (self.hook, *islice(due, MOST_PASSED - 1))

    async def prepare(self, state: OperationState) -> Outcome:
        """See whether the hook still makes sense, and say what is about to happen."""
        hook, rooms = self.hook, self._rooms
        if hook.kind is HookKind.LEADER_ELECTED and not await rooms.leadership.guarantee():
            rooms.say(logging.INFO, "no longer the leader: leader-elected is not run")
            return Outcome(is_all=True)
        try:
            script = self._script()
        except NotFoundError as error:
            rooms.say(logging.WARNING, f"{describe(hook)} hook is not run: {error}")
            self._passed = ()
            return Outcome(is_all=True)
        if self._passed:
            await say_before(hook.kind, state, rooms.model.status)
            return Outcome(is_all=True)
        self._execution = await rooms.executions.hook(hook, script)
        # Before it is written down that the hook was begun: if the store is away now, nothing has been.
        await say_before(hook.kind, state, rooms.model.status)
        if hook.kind is not HookKind.UPDATE_STATUS:
            await rooms.agent_status.set("executing", f"running {script} hook{_about(hook)}")
        return Outcome(state=state.to(OperationKind.RUN_HOOK, Step.PENDING, hook=hook))

    async def execute(self, state: OperationState) -> Outcome:
        """Run the script; one that fails leaves the state as it is."""
        assert self._execution is not None
        execution = self._execution
        ending = await execution.run()
        state = msgspec.structs.replace(state, status_set=state.status_set or ending.is_status_set)
        if ending.reboot == "now":
            queued = state.to(OperationKind.RUN_HOOK, Step.QUEUED, hook=self.hook)
            return await say_rebooting(queued, self._rooms, by=execution.script)
        if ending.failure:
            # The unit's own log has it from the script's room.
            _log.error("%s: hook %s failed: %s", self._rooms.unit, execution.script, ending.failure)
            return Outcome(error=HookFailed(execution.script, ending.failure))
        self._log_success(execution.script, is_missing=ending.is_missing)
        done = self._seen(state.to(OperationKind.RUN_HOOK, Step.DONE, hook=self.hook))
        if ending.reboot == "after":
            return await say_rebooting(done, self._rooms, by=execution.script)
        return Outcome(state=done)

    async def commit(self, state: OperationState) -> Outcome:
        """Let the hook's room know, and say what follows."""
        hook, rooms = self.hook, self._rooms
        if self._passed:
            self._pass_over()
        was_run = bool(self._passed) or (state.kind, state.step, state.hook) == (
            OperationKind.RUN_HOOK,
            Step.DONE,
            hook,
        )
        if hook.kind.is_relation:
            await rooms.relations.commit(hook, *self._passed[1:])
        elif hook.kind.is_storage:
            await rooms.storage.commit(hook)
        elif hook.kind.is_secret:
            await self._remote.secret_done(hook)
        if was_run:
            await say_after(hook.kind, state, rooms.model.status)
        if self._passed or not was_run:
            state = self._seen(state)
        return Outcome(state=_next_state(hook.kind, state))

    def end(self) -> None:
        """End it."""
        if self._execution is not None:
            self._execution.end()

    def _script(self) -> str:
        if self.hook.kind.is_relation:
            return self._rooms.relations.prepare(self.hook)
        if self.hook.kind.is_storage:
            return self._rooms.storage.prepare(self.hook)
        return str(self.hook.kind)

    def _seen(self, state: OperationState) -> OperationState:
        """Kept with the fact that the hook was run: written later, it could be what the hook has not seen."""
        if self.hook.kind is HookKind.CONFIG_CHANGED:
            hashes = self._hashes
            return msgspec.structs.replace(
                state, config_hash=hashes.config, trust_hash=hashes.trust, addresses_hash=hashes.addresses
            )
        if self.hook.kind is HookKind.START:
            return msgspec.structs.replace(state, boot_id=self._rooms.boot_id)
        return state

    def _pass_over(self) -> None:
        for hook in self._passed:
            self._rooms.executions.pass_over(hook)
        prefix = self._script().removesuffix(str(self.hook.kind))
        for kind in dict.fromkeys(hook.kind for hook in self._passed):
            times = sum(hook.kind is kind for hook in self._passed)
            self._log_success(f"{prefix}{kind}", is_missing=True, times=times)

    def _log_success(self, script: str, *, is_missing: bool, times: int = 1) -> None:
        if is_missing:
            often = f" ({times} times)" if times > 1 else ""
            self._rooms.say(logging.DEBUG, f"skipped {script} hook{often}: the charm has none")
        else:
            self._rooms.say(logging.INFO, f"ran {script} hook")


class SkipHook(RunHook):
    """Do what follows from a hook without running it: an operator wants it so, or it was run before a crash."""

    __slots__ = ()

    def __init__(self, hook: HookInfo, rooms: Rooms, *, remote: RemoteState, hashes: ConfigHashes) -> None:
        super().__init__(hook, rooms, remote=remote, hashes=hashes, following=lambda _: ())

    def __str__(self) -> str:
        return f"skip {describe(self.hook)} hook"

    @property
    def lock_reason(self) -> str:
        """None: no charm code is run."""
        return ""

    async def look(self) -> None:
        """Nothing."""

    async def prepare(self, state: OperationState) -> Outcome:
        """Nothing."""
        del state
        return Outcome(is_all=True)


def describe(hook: HookInfo) -> str:
    """A hook for people: `relation-joined (3; mysql/0)`."""
    if hook.kind.is_relation:
        who = f"; {hook.remote_unit or hook.remote_application}"
        return f"{hook.kind} ({hook.relation}{who})"
    if hook.kind.is_storage:
        return f"{hook.kind} ({hook.storage})"
    if hook.kind.is_secret:
        return f"{hook.kind} ({hook.secret})"
    return str(hook.kind)


def _about(hook: HookInfo) -> str:
    about = hook.remote_unit or (f"secret:{hook.secret}" if hook.secret else "")
    return f" for {about}" if about else ""


def _next_state(kind: HookKind, state: OperationState) -> OperationState:
    following = _FOLLOWED_BY.get(kind)
    if kind is HookKind.CONFIG_CHANGED and not state.started:
        following = HookKind.START
    state = _flagged(kind, state)
    if following is None:
        return state.to(OperationKind.CONTINUE, Step.PENDING)
    return state.to(OperationKind.RUN_HOOK, Step.QUEUED, hook=HookInfo(kind=following))


def _flagged(kind: HookKind, state: OperationState) -> OperationState:
    if kind is HookKind.INSTALL:
        return msgspec.structs.replace(state, installed=True, removed=False)
    if kind is HookKind.START:
        return msgspec.structs.replace(state, started=True, stopped=False)
    if kind is HookKind.STOP:
        return msgspec.structs.replace(state, stopped=True)
    if kind is HookKind.REMOVE:
        return msgspec.structs.replace(state, removed=True)
    return state
