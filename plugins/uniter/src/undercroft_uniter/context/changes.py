"""What charm code has written and nobody else sees yet: committed at once when it has succeeded, else dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from undercroft_hookspecs.hook_facades import HookChanges

if TYPE_CHECKING:
    from undercroft_hookspecs.hook_facades import HookFacade


class PendingChanges:
    """The changes of one hook, action, or run of commands."""

    def __init__(self, hooks: HookFacade) -> None:
        self._hooks = hooks
        self.current = HookChanges()
        """All that was written so far."""

    @property
    def is_empty(self) -> bool:
        """There is nothing to commit."""
        return self.current == HookChanges()

    def propose(self, changes: HookChanges) -> None:
        """Have these instead of the current ones.

        Raises:
            TooLarge, NotValidError: they could not be committed; the current ones stay.
        """
        self._hooks.check(changes)
        self.current = changes

    async def commit(self) -> None:
        """Write all of them, or nothing; see `HookFacade`."""
        if not self.is_empty:
            await self._hooks.commit(self.current)
