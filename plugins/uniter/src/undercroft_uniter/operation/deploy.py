"""Putting a charm in place: the first, or another one over it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from undercroft_hookspecs import NotFoundError, UndercroftError
from undercroft_uniter.errors import CharmMissing, DeployConflict
from undercroft_uniter.hook.info import HookInfo, HookKind
from undercroft_uniter.operation.state import OperationKind, Step
from undercroft_uniter.operation.step import Operation, Outcome

if TYPE_CHECKING:
    from undercroft_uniter.operation.rooms import Rooms
    from undercroft_uniter.operation.state import CharmReference, OperationState


class CannotInstall(UndercroftError):
    """The first charm of a unit could not be put in place."""


class Deploy(Operation):
    """Put a charm in place, and queue the hook that follows, or go back to one that was interrupted.

    `modified_version` is the application's charm_modified_version as it was when the operation was made.
    """

    __slots__ = ("_rooms", "_verb", "charm", "kind", "modified_version")

    def __init__(
        self, kind: OperationKind, charm: CharmReference, rooms: Rooms, *, modified_version: int, verb: str
    ) -> None:
        self.kind = kind
        self.charm = charm
        self.modified_version = modified_version
        self._rooms = rooms
        self._verb = verb

    def __str__(self) -> str:
        return f"{self._verb} {self.charm.url}"

    @property
    def changes_charm(self) -> bool:
        """It does."""
        return True

    async def prepare(self, state: OperationState) -> Outcome:
        """Fetch the charm, and tell the model that the unit runs it.

        In this order: what the model knows to be in use cannot be garbage-collected, and what the state names must not.

        Raises:
            CharmMissing: it has been garbage-collected, for the application has another one by now.
        """
        if (state.kind, state.charm, state.step) == (self.kind, self.charm, Step.DONE):
            return Outcome(is_all=True)
        try:
            await self._rooms.deployer.stage(self.charm)
            await self._rooms.model.unit.take_up_charm(url=self.charm.url, sha256=self.charm.sha256)
        except NotFoundError as error:
            raise CharmMissing(self.charm.sha256, str(error)) from error
        return Outcome(state=self._at(state, Step.PENDING))

    async def execute(self, state: OperationState) -> Outcome:
        """Replace what is in the charm's folder."""
        try:
            await self._rooms.deployer.deploy(self.charm)
        except DeployConflict as error:
            if self.kind is OperationKind.INSTALL:
                raise CannotInstall(f"cannot install {self.charm.url}: {error}") from error
            raise
        return Outcome(state=self._at(state, Step.DONE))

    async def commit(self, state: OperationState) -> Outcome:
        """Queue the hook for the new charm; an interrupted hook is gone back to as one that failed."""
        state = msgspec.structs.replace(state, charm_modified_version=self.modified_version)
        if (interrupted := _interrupted(state)) is not None:
            return Outcome(state=state.to(OperationKind.RUN_HOOK, Step.PENDING, hook=interrupted))
        kind = HookKind.INSTALL if self.kind is OperationKind.INSTALL else HookKind.UPGRADE_CHARM
        return Outcome(state=state.to(OperationKind.RUN_HOOK, Step.QUEUED, hook=HookInfo(kind=kind)))

    def _at(self, state: OperationState, step: Step) -> OperationState:
        return state.to(self.kind, step, hook=_interrupted(state), charm=self.charm)


def _interrupted(state: OperationState) -> HookInfo | None:
    is_kept = state.kind in (OperationKind.RUN_HOOK, OperationKind.UPGRADE)
    return state.hook if is_kept else None
