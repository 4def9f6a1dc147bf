"""What a unit is at, and what of the wanted it has seen to."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from undercroft_uniter.operation.state import OperationKind, Step

if TYPE_CHECKING:
    from undercroft_uniter.operation.state import CharmReference, OperationState
    from undercroft_uniter.remotestate.snapshot import Snapshot


@dataclass(slots=True, kw_only=True)
class LocalState:
    """The executor's state, and what is remembered for as long as one watch of the model lasts.

    Versions are those that the last operation of their kind has seen; only their equality counts.
    """

    state: OperationState
    charm: CharmReference | None
    """What the charm's folder holds; None where that is damaged, or nothing."""
    conflicted: bool = False
    """The charm could not be upgraded in place; a new agent tries once more."""
    restart: bool = False
    update_status_version: int = 0
    retry_hook_version: int = 0
    leader_settings_version: int = 0
    completed_actions: set[int] = field(default_factory=set)

    @property
    def is_idle(self) -> bool:
        """The unit is between two operations, with nothing queued."""
        return self.state.kind is OperationKind.CONTINUE

    @property
    def is_in_error(self) -> bool:
        """A hook failed, or the agent crashed while it ran, which nobody can tell apart."""
        return self.state.kind is OperationKind.RUN_HOOK and self.state.step is Step.PENDING

    def is_outdated(self, snapshot: Snapshot) -> bool:
        """The application has another charm, or other resources."""
        wanted = snapshot.charm_modified_version
        return snapshot.charm != self.charm or wanted != self.state.charm_modified_version
