"""What an error means: the manifold's filter, then the fatal ones, then the signals.

Asked of errors alone, never of a clean end or of an attempt that gave in to its cancellation. What a callback raises
here is not caught: it is the engine's internal error.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, TypeVar

from undercroft.dependency.errors import Bounce, EngineSignal, Missing, Uninstall
from undercroft.errors import caused_by

if TYPE_CHECKING:
    from undercroft.dependency.config import EngineConfig
    from undercroft_hookspecs.manifold import FilterFunc

E = TypeVar("E", bound=BaseException | None)


class Meaning(Enum):
    """What an end says, before the engine's own wishes count."""

    CLEAN = auto()
    FATAL = auto()
    UNINSTALL = auto()
    MISSING = auto()
    BOUNCE = auto()
    FAILURE = auto()


class Judge:
    """Knows what is fatal, and remembers the worst of it."""

    __slots__ = ("_config", "worst")

    def __init__(self, config: EngineConfig) -> None:
        self._config = config
        self.worst: BaseException | None = None

    def meaning(self, error: BaseException, manifold_filter: FilterFunc | None) -> tuple[Meaning, BaseException | None]:
        """Say what an error means, and what the filter has made of it."""
        judged = error if manifold_filter is None else filtered(error, manifold_filter)
        if judged is None:
            return Meaning.CLEAN, None
        if not isinstance(judged, Exception):
            return Meaning.FATAL, judged  # SystemExit and its like: nobody is asked.
        if self._config.is_fatal(judged):
            return Meaning.FATAL, judged
        return _signal(judged), judged

    def remember(self, error: BaseException) -> None:
        """Let a fatal error compete for the engine's result."""
        # What is no Exception competes like the rest, though the callback's type does not speak of it.
        worst: object = self._config.worst_error(error, self.worst)  # type: ignore[arg-type]
        if not isinstance(worst, BaseException):
            raise TypeError(f"worst_error returned {worst!r}, which is not an error")
        self.worst = worst

    def result(self) -> BaseException | None:
        """Give what `wait` raises: the worst error, through the engine's filter."""
        return None if self.worst is None else filtered(self.worst, self._config.filter)


def filtered(error: BaseException, through: FilterFunc | None) -> BaseException | None:
    """Pass an error through a filter, if there is one, and if it is an Exception."""
    if through is None or not isinstance(error, Exception):
        return error
    answer: object = through(error)
    if answer is not None and not isinstance(answer, BaseException):
        raise TypeError(f"the filter returned {answer!r}, which is neither an error nor None")
    return answer


def _signal(error: Exception) -> Meaning:
    if error.__cause__ is None and not isinstance(error, (EngineSignal, BaseExceptionGroup)):
        return Meaning.FAILURE  # Nearly all of them: three walks along the chain of causes are spared.
    if caused_by(error, Uninstall) is not None:
        return Meaning.UNINSTALL
    if caused_by(error, Missing) is not None:
        return Meaning.MISSING
    if caused_by(error, Bounce) is not None:
        return Meaning.BOUNCE
    return Meaning.FAILURE
