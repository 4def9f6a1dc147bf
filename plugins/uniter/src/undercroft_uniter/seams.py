"""Where the rooms of the unit agent meet: what each asks of another, and nothing else."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from undercroft_hookspecs import Worker

if TYPE_CHECKING:
    from undercroft_hookspecs.hook_tools import RelationContext
    from undercroft_hookspecs.state import Action
    from undercroft_uniter.hook.info import HookInfo
    from undercroft_uniter.operation.state import CharmReference
    from undercroft_uniter.remotestate.snapshot import Snapshot


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How charm code ended, its changes written or dropped."""

    is_missing: bool = False
    """The charm has no such script: a success for hooks."""
    failure: str = ""
    """`exit status 1` and the like; empty if it succeeded."""
    reboot: Literal["", "after", "now"] = ""
    is_status_set: bool = False
    """The charm has said how its workload is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Commands:
    """Commands for bash, from this machine (`juju-exec`) or from an operator's `exec`.

    With a relation, its variables are set; `remote_unit` empty: its only member, `force_remote_unit`: whether or not it
    is a member.
    """

    text: str
    relation: int | None = None
    remote_unit: str = ""
    force_remote_unit: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandsEnding:
    """How commands ended, for who waits for them."""

    returncode: int
    stdout: bytes = b""
    stderr: bytes = b""
    failure: str = ""
    """Why they could not be run, or their changes not be written."""


class Execution(Protocol):
    """One run of charm code."""

    @property
    def script(self) -> str:
        """The hook's script, or the action's name, or `juju-exec`."""
        ...

    async def run(self) -> Ending:
        """Run it to its end, write or drop its changes, and tell how it ended.

        An action's results are written, and its task finished, here. A cancellation kills it, and drops its changes.
        """
        ...

    def abort(self) -> None:
        """Kill it: whoever asked for the action has changed their mind."""

    def end(self) -> None:
        """Ask it to end, and kill it in a few seconds if it has not: the unit has been removed."""


class CommandsExecution(Execution, Protocol):
    """One run of commands."""

    @property
    def answer(self) -> CommandsEnding | None:
        """How they ended, once `run` has returned."""
        ...


class Executions(Protocol):
    """Makes executions."""

    async def lacking(self, scripts: Collection[str]) -> frozenset[str]:
        """Those of the hooks' scripts that the charm has not, as it is now, and that nobody wants to debug.

        A charm in which nothing can be run lacks none: running one says what is wrong.
        """
        ...

    def pass_over(self, hook: HookInfo) -> None:
        """A hook counts as run: what its unit has said is seen from now on."""

    async def hook(self, info: HookInfo, script: str) -> Execution:
        """For a hook, of which `script` is the name."""
        ...

    async def action(self, action: Action) -> Execution:
        """For an action of the charm, or `juju-exec` with its parameters `command` and `timeout`.

        Its task is marked as running by the operation, after this and before `run`.

        Raises:
            ActionNotValid: the charm does not define it, or not with such parameters.
        """
        ...

    async def commands(self, commands: Commands) -> CommandsExecution:
        """For commands.

        Raises:
            NotValidError: there is no such relation, or it cannot be told which remote unit is meant.
        """
        ...


class CharmDeployer(Protocol):
    """The charm's folder."""

    async def stage(self, charm: CharmReference) -> None:
        """Fetch the charm and verify it; nothing of the charm's folder is touched."""

    async def deploy(self, charm: CharmReference) -> None:
        """Make the charm's folder hold this charm, and of the one before only what is no charm's.

        Raises:
            DeployConflict: the folder holds another charm, and cannot be changed.
        """

    async def deployed(self) -> CharmReference | None:
        """The charm that the folder holds whole; None where there is none, or the folder is damaged."""
        ...


class RelationTracker(Protocol):
    """What the unit has seen in its relations, written down, and its scopes."""

    async def synchronize(self, snapshot: Snapshot) -> None:
        """Enter the scopes of new relations, and let go of those that are over and run no hooks."""

    def created_hook(self, snapshot: Snapshot) -> HookInfo | None:
        """The next relation-created that is due."""
        ...

    def next_hook(self, snapshot: Snapshot) -> HookInfo | None:
        """The next of the other relation hooks that is due."""
        ...

    def following(self, hook: HookInfo, snapshot: Snapshot) -> Iterable[HookInfo]:
        """The hooks of the same relation that will be due once `hook` has been run, up to relation-broken."""
        ...

    def prepare(self, hook: HookInfo) -> str:
        """The name of the hook's script.

        Raises:
            NotFoundError: the unit is in no such relation any more.
            NotValidError: the hook does not follow from what the unit has seen.
        """
        ...

    async def commit(self, hook: HookInfo, *further: HookInfo) -> None:
        """Write down that the hook was run (or skipped), with `further` ones that follow at once; again is nothing."""

    def contexts(self, hook: HookInfo | None = None) -> Mapping[int, RelationContext]:
        """The relations as a hook sees them, by id: in relation-departed without the unit that departs."""
        ...


class StorageTracker(Protocol):
    """Which storage the charm has been told of, written down."""

    async def synchronize(self, snapshot: Snapshot) -> None:
        """Let go of dying storage that the charm was never told of; let a dying unit's storage die."""

    def next_hook(self, snapshot: Snapshot) -> HookInfo | None:
        """The next storage hook that is due."""
        ...

    def is_awaited(self, snapshot: Snapshot) -> bool:
        """There is storage yet to be provisioned, which install has to wait for."""
        ...

    def prepare(self, hook: HookInfo) -> str:
        """The name of the hook's script; from now on hooks see the storage. Raises NotFoundError."""
        ...

    async def commit(self, hook: HookInfo) -> None:
        """Write down that the hook was run (or skipped)."""

    def announced(self) -> frozenset[str]:
        """The ids of the storage that hooks see."""
        ...


class RemoteState(Protocol):
    """The watched model."""

    def snapshot(self) -> Snapshot:
        """What is wanted now."""
        ...

    async def changed(self) -> None:
        """Return when something has changed since the last snapshot was taken (the first time: when all is known).

        Raises:
            UnitGone: the unit has been removed.
        """

    async def clear_resolved(self) -> None:
        """The unit has taken note of `resolved`; the snapshot, too, is without it."""

    def retry_hook(self) -> None:
        """It is time to try a failed hook again."""

    def command_done(self, number: int) -> None:
        """Nobody waits for these commands any more."""

    async def secret_done(self, hook: HookInfo) -> None:
        """A secret's hook was run (or skipped)."""


class Leadership(Protocol):
    """The output of the unit manifold `leadership`."""

    def is_leader(self) -> bool:
        """The unit leads, as far as is known without asking."""
        ...

    async def guarantee(self) -> bool:
        """Whether the unit leads for 30 s at least, renewing its lease if need be."""
        ...

    async def changed(self) -> None:
        """Return when `is_leader` has become another than it was when this was called."""


class UnitLock(Protocol):
    """One hook at a time of one unit, always; and one at a time on this machine, as long as there is patience."""

    def held(self, unit: str, script: str) -> AbstractAsyncContextManager[None]:
        """Both, for as long as the block runs; the machine's until patience with it has run out."""
        ...

    def alone(self) -> AbstractAsyncContextManager[None]:
        """The unit's only: beside the hooks of other units, but none of its own."""
        ...


class MachineLock(Protocol):
    """One hook at a time on this machine."""

    def of(self, model: str, unit: str) -> UnitLock:
        """The lock as one unit takes it, which all that runs hooks of that unit shares."""
        ...


class UnitLog(Protocol):
    """The log of one unit: of what its hooks say, and of its agent."""

    def write(self, level: int, module: str, message: str) -> None:
        """Add a line; `level` is one of logging's, `module` the last part of the name, such as `juju-log`."""

    def write_own(self, level: int, room: str, message: str) -> None:
        """Add a line of the agent's; `room` is where in the agent, such as `operation`."""


class CommandsQueue(Protocol):
    """Commands that somebody on this machine (`juju-exec`) waits for."""

    def numbers(self) -> tuple[int, ...]:
        """Those that wait, the oldest first."""
        ...

    def get(self, number: int) -> Commands:
        """One of them. Raises NotFoundError: nobody waits for it any more."""
        ...

    def answer(self, number: int, ending: CommandsEnding) -> None:
        """Tell who waits; nothing if nobody does any more."""

    def on_change(self, notify: Callable[[], None]) -> None:
        """Call `notify` whenever there are new ones."""


class AgentStatus(Protocol):
    """What the unit's agent says of itself; the same twice is written once."""

    async def set(self, current: str, message: str = "", *, data: Mapping[str, object] | None = None) -> None:
        """Say it."""


class RemoteWatch(RemoteState, Worker, Protocol):
    """A watch of the model, with all counters at their beginning: when it has died, `changed` raises its error."""


Watch: TypeAlias = "Callable[[], RemoteWatch]"
"""Begins to watch the model."""
