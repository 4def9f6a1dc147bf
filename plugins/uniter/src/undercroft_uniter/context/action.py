"""An action, as its script sees it and speaks of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from undercroft_hookspecs.unit_facades import ActionFacade

_DEFAULT_FAILURE = "action failed without reason given, check action for errors"


class RunningAction:
    """The part `ActionContext`."""

    def __init__(self, number: int, parameters: Mapping[str, object], facade: ActionFacade) -> None:
        self._number, self._parameters, self._facade = number, parameters, facade
        self.results: dict[str, object] = {}
        """What the script has said came of it, nested."""
        self.has_failed = False
        self.message = ""

    @property
    def parameters(self) -> Mapping[str, object]:
        """The parameters, with the defaults of the schema."""
        return self._parameters

    def set_result(self, path: Sequence[str], value: str) -> None:
        """Add to the results, nested by `path`; a later value takes the place of an earlier."""
        *above, last = path
        place = self.results
        for key in above:
            inner = place.get(key)
            if not isinstance(inner, dict):
                inner = place[key] = {}
            place = inner
        place[last] = value

    def fail(self, message: str) -> None:
        """The action has failed, whatever its exit status."""
        self.has_failed = True
        self.message = message or _DEFAULT_FAILURE

    async def log(self, message: str) -> None:
        """Report progress, at once."""
        await self._facade.log(self._number, message)
