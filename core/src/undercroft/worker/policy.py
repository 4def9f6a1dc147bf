"""What a runner decides about an error: whether it is fatal, which one is kept, and whether and when to try again."""

from __future__ import annotations

import math
import random
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeAlias

from undercroft.worker.backoff import Backoff
from undercroft.worker.validation import require_callable, require_number
from undercroft_hookspecs.errors import NotValidError

if TYPE_CHECKING:
    from undercroft.worker.entry import Entry

RestartDelay: TypeAlias = "float | Backoff | Callable[[int, Exception], float]"

_RESET_AFTER = Backoff().reset_after


class Policy:
    """The deciding callbacks, checked when they are given, and called as they are: what they raise is not caught here.

    Raises:
        NotValidError: one of them is of no use; its field says which.
    """

    __slots__ = (
        "_backoff", "_constant", "_delay", "_is_fatal", "_limit", "_more_important", "_reset_after", "_rng",
        "_should_restart",
    )  # fmt: skip

    def __init__(
        self,
        *,
        is_fatal: Callable[[Exception], bool] | None,
        should_restart: Callable[[Exception], bool] | None,
        more_important: Callable[[Exception, Exception], bool] | None,
        restart_delay: RestartDelay,
        restart_limit: tuple[int, float] | None,
        rng: random.Random | None,
    ) -> None:
        require_callable("is_fatal", is_fatal, optional=True)
        require_callable("should_restart", should_restart, optional=True)
        require_callable("more_important", more_important, optional=True)
        self._is_fatal = is_fatal
        self._should_restart = should_restart
        self._more_important = more_important
        self._limit = _checked_limit(restart_limit)
        self._rng = rng
        self._backoff: Backoff | None = None
        self._delay: Callable[[int, Exception], float] | None = None
        if isinstance(restart_delay, Backoff):
            self._backoff = restart_delay
        elif callable(restart_delay):
            self._delay = restart_delay
        else:
            require_number("restart_delay", restart_delay)
            self._backoff = Backoff(delay=restart_delay)
        self._reset_after = _RESET_AFTER if self._backoff is None else self._backoff.reset_after
        self._constant = _constant(self._backoff)

    @property
    def has_limit(self) -> bool:
        """Whether restarts are to be counted."""
        return self._limit is not None

    def is_fatal(self, error: BaseException) -> bool:
        """Whether the runner dies of it; what is not an Exception always is, without asking."""
        if self._is_fatal is None or not isinstance(error, Exception):
            return True
        return bool(self._is_fatal(error))

    def replaces(self, error: BaseException, kept: BaseException | None) -> bool:
        """Whether a fatal error becomes the result, in place of the one that is kept so far."""
        if kept is None:
            return True
        if self._more_important is None or not isinstance(error, Exception) or not isinstance(kept, Exception):
            return False
        return bool(self._more_important(error, kept))

    def should_restart(self, error: Exception) -> bool:
        """Whether there is another attempt after this error."""
        return self._should_restart is None or bool(self._should_restart(error))

    def delay(self, entry: Entry, error: Exception, lived: float | None) -> float:
        """Count a failure of an incarnation that lived so long (None: its start failed), and give the delay."""
        entry.failures = 1 if lived is not None and lived >= self._reset_after else entry.failures + 1
        if self._constant is not None:
            return self._constant
        if self._delay is not None:
            return _checked_delay(self._delay(entry.failures, error))
        assert self._backoff is not None
        if self._rng is None:
            self._rng = random.Random()  # noqa: S311 - jitter, not secrets.
        return self._backoff.next(entry.failures, self._rng)

    def exceeds_limit(self, entry: Entry, now: float) -> bool:
        """Count a restart, or say that it would be one too many within the window. For a policy with a limit only."""
        assert self._limit is not None
        most, window = self._limit
        if entry.restarts is None:
            entry.restarts = deque()
        while entry.restarts and now - entry.restarts[0] > window:
            entry.restarts.popleft()
        if len(entry.restarts) >= most:
            return True
        entry.restarts.append(now)
        return False


def _constant(backoff: Backoff | None) -> float | None:
    """The delay, if it is the same each time."""
    if backoff is None or backoff.factor != 1.0 or backoff.jitter:
        return None
    return backoff.next(1, random.Random())  # noqa: S311 - without jitter nothing is drawn.


def _checked_limit(limit: tuple[int, float] | None) -> tuple[int, float] | None:
    if limit is None:
        return None
    try:
        most, window = limit
    except (TypeError, ValueError):
        raise NotValidError(f"restart_limit must be (n, window), not {limit!r}", field="restart_limit") from None
    require_number("restart_limit", most)
    require_number("restart_limit", window)
    return most, window


def _checked_delay(answer: float) -> float:
    delay = float(answer)
    if math.isnan(delay):
        raise NotValidError("restart_delay returned NaN, which is not a delay", field="restart_delay")
    return max(delay, 0.0)
