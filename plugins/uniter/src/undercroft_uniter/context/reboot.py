"""A hook's wish for the machine to be rebooted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from undercroft_hookspecs import UndercroftError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


class HookReboot:
    """The part `RebootContext`."""

    def __init__(self) -> None:
        self.wanted: Literal["", "after", "now"] = ""
        """Whether, and when."""
        self._kill: Callable[[], Awaitable[None]] | None = None

    def attach(self, kill: Callable[[], Awaitable[None]] | None) -> None:
        """How the hook's process is killed, for as long as there is one."""
        self._kill = kill

    async def request_reboot(self, *, now: bool) -> None:
        """Reboot after the hook; or `now`: the hook is killed, and is to be run again after the reboot.

        Raises:
            UndercroftError: the hook's process does not die, and so there is no reboot.
        """
        before = self.wanted
        self.wanted = "now" if now else (before or "after")
        if now and self._kill is not None:
            try:
                await self._kill()
            except TimeoutError as error:
                self.wanted = ""
                raise UndercroftError(f"cannot reboot now: {error}") from error
