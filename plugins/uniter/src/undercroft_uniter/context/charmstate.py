"""What a charm keeps with `state-set`, as a hook changes and sees it."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from undercroft_uniter.context.firstread import FirstRead

if TYPE_CHECKING:
    from collections.abc import Mapping

    from undercroft_hookspecs.hook_facades import HookFacade
    from undercroft_uniter.context.changes import PendingChanges


class HookCharmState:
    """The part `CharmStateContext`."""

    def __init__(self, hooks: HookFacade, changes: PendingChanges) -> None:
        self._stored = FirstRead(hooks.charm_state)
        self._changes = changes

    async def charm_state(self) -> Mapping[str, str]:
        """All of it, with what this hook has changed."""
        stored, pending = await self._stored.get(), self._changes.current.charm_state
        return dict(stored if pending is None else pending)

    async def change_charm_state(self, changes: Mapping[str, str | None]) -> None:
        """Set some keys, and delete those whose value is None. Raises TooLarge."""
        wanted = {**await self.charm_state(), **changes}
        state = {key: value for key, value in wanted.items() if value is not None}
        pending = None if state == await self._stored.get() else state
        self._changes.propose(dataclasses.replace(self._changes.current, charm_state=pending))
