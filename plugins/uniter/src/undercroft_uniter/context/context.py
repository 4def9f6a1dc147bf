"""One run of charm code, as hook tools see it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from undercroft_hookspecs.hook_tools import NotInContextError
from undercroft_uniter.context.relations import RelationView

if TYPE_CHECKING:
    from collections.abc import Mapping

    from undercroft_uniter.context.action import RunningAction
    from undercroft_uniter.context.changes import PendingChanges
    from undercroft_uniter.context.reboot import HookReboot
    from undercroft_uniter.context.status import HookStatus

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class CharmContext:
    """A `HookContext`: its parts, by kind."""

    id: str
    unit: str
    hook: str
    parts: Mapping[type, object] = field(repr=False)

    def get(self, kind: type[T]) -> T:
        """A part. Raises NotInContextError."""
        part = self.parts.get(kind)
        if part is None:
            what = kind.__name__.removesuffix("Context").lower()
            raise NotInContextError(f"{what} is not available in {self.hook}")
        return part  # type: ignore[return-value] # Each part is kept by its own kind.


@dataclass(frozen=True, slots=True, kw_only=True)
class UnitContext:
    """The context of a hook, an action or commands, with what those who run it need of it."""

    tools: CharmContext
    changes: PendingChanges
    status: HookStatus
    reboot: HookReboot
    action: RunningAction | None = None
    view: RelationView = field(default_factory=RelationView)
    storage: str = ""
    """The id of the storage that it is run for."""
