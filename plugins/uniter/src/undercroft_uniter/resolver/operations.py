"""Makes operations, and keeps what of the wanted each has seen.

That is caught when an operation is made: what changes later makes for another one.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from undercroft_uniter.hook.info import HookInfo, HookKind
from undercroft_uniter.operation.action import EndAction, LeaveAction, RunAction
from undercroft_uniter.operation.commands import RunCommands
from undercroft_uniter.operation.deploy import Deploy
from undercroft_uniter.operation.hook import RunHook, SkipHook
from undercroft_uniter.operation.state import OperationKind
from undercroft_uniter.resolver.recorded import Recorded

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Literal

    from undercroft_hookspecs.state import Action
    from undercroft_uniter.operation.rooms import Rooms
    from undercroft_uniter.operation.state import CharmReference
    from undercroft_uniter.operation.step import Operation
    from undercroft_uniter.remotestate.snapshot import Snapshot
    from undercroft_uniter.resolver.local import LocalState
    from undercroft_uniter.seams import RemoteState


class Operations:
    """Makes operations for what a snapshot asks for; once done, they are noted in the local state."""

    def __init__(self, rooms: Rooms, *, remote: RemoteState, local: LocalState, snapshot: Snapshot) -> None:
        self._rooms = rooms
        self._remote = remote
        self._local = local
        self._snapshot = snapshot

    def run(self, kind: HookKind) -> Operation:
        """Run a hook that needs nothing but its kind."""
        return self.run_hook(HookInfo(kind=kind))

    def run_hook(self, hook: HookInfo) -> Operation:
        """Run a hook. Raises NotValidError: it lacks what its kind needs."""
        following = partial(self._rooms.relations.following, snapshot=self._snapshot)
        hashes = self._snapshot.hashes
        operation = RunHook(hook, self._rooms, remote=self._remote, hashes=hashes, following=following)
        local, retry = self._local, self._snapshot.retry_hook_version

        def note_try() -> None:
            local.retry_hook_version = retry

        return Recorded(operation, on_prepared=note_try, on_committed=self._noting_hook(hook.kind))

    def skip_hook(self, hook: HookInfo) -> Operation:
        """Pass a hook over, or commit one that was run."""
        operation = SkipHook(hook, self._rooms, remote=self._remote, hashes=self._snapshot.hashes)
        return Recorded(operation, on_committed=self._noting_hook(hook.kind))

    def install(self, charm: CharmReference) -> Operation:
        """Put the unit's first charm in place."""
        return self._deploy(OperationKind.INSTALL, charm, "install")

    def upgrade(self, charm: CharmReference, *, verb: str = "upgrade to") -> Operation:
        """Put another charm in place; then everything is watched and resolved anew."""
        return self._deploy(OperationKind.UPGRADE, charm, verb)

    def run_action(self, action: Action) -> Operation:
        """Run an action."""
        return Recorded(RunAction(action, self._rooms), on_committed=self._noting_action(action.id))

    def end_action(self, action: int, status: Literal["failed", "aborted"]) -> Operation:
        """End an action that cannot be run."""
        return Recorded(EndAction(action, self._rooms, status=status), on_committed=self._noting_action(action))

    def leave_action(self, action: int) -> Operation:
        """Go back from an action that was executed."""
        return Recorded(LeaveAction(action), on_committed=self._noting_action(action))

    def run_commands(self, number: int) -> Operation:
        """Run the commands that somebody waits for."""
        operation = RunCommands(number, self._rooms)
        return Recorded(operation, on_committed=lambda: self._remote.command_done(number))

    def _deploy(self, kind: OperationKind, charm: CharmReference, verb: str) -> Operation:
        modified = self._snapshot.charm_modified_version
        operation = Deploy(kind, charm, self._rooms, modified_version=modified, verb=verb)
        local = self._local

        def note() -> None:
            local.charm = charm
            local.conflicted = False
            local.restart = kind is OperationKind.UPGRADE

        return Recorded(operation, on_committed=note)

    def _noting_hook(self, kind: HookKind) -> Callable[[], None]:
        local, tick = self._local, self._snapshot.update_status_version
        settings = self._snapshot.leader_settings_version

        def note() -> None:
            local.update_status_version = tick
            if kind is HookKind.LEADER_SETTINGS_CHANGED:
                local.leader_settings_version = settings

        return note

    def _noting_action(self, action: int) -> Callable[[], None]:
        local, asked = self._local, {action.id for action in self._snapshot.actions}

        def note() -> None:
            local.completed_actions = (local.completed_actions | {action}) & asked

        return note
