"""How an engine behaves: its delays, its judgement, and whom it tells."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from undercroft.worker.validation import require_callable, require_number
from undercroft_hookspecs.errors import NotValidError

if TYPE_CHECKING:
    import logging
    import random
    from collections.abc import Callable

    from undercroft.worker.reporting import Metrics
    from undercroft_hookspecs.manifold import FilterFunc
    from undercroft_hookspecs.worker import Clock, Event


def nothing_is_fatal(_: Exception) -> bool:
    """Take no error as fatal: every failure is followed by another attempt."""
    return False


def first_error(new: Exception, current: Exception | None) -> Exception:
    """Keep the first of several fatal errors."""
    return new if current is None else current


@dataclass(frozen=True, slots=True)
class EngineConfig:
    """The settings of an engine, which validates them.

    `is_fatal` says which errors end the engine, `worst_error` which of several (new, current) is its result, and
    `filter` what `wait` makes of that. A failed manifold is tried again after `error_delay`, one that asks for it or
    whose inputs have changed after `bounce_delay`; the delays after failures grow by `backoff_factor` (1: they do not)
    up to `max_delay`, and start anew after a worker that was up for `backoff_reset_time`. All delays vary by `jitter`.

    With `shutdown="reverse"` a dying engine asks a manifold to stop only when all its dependents are down. With
    `strict_bounce` a manifold whose worker has ended is not started again before its dependents of that time have
    ended too. A start that takes longer than `start_timeout` fails; a worker that is alive `kill_timeout` after its
    kill is reported as hung.
    """

    is_fatal: Callable[[Exception], bool] = nothing_is_fatal
    worst_error: Callable[[Exception, Exception | None], Exception] = first_error
    filter: FilterFunc | None = None
    error_delay: float = 3.0
    bounce_delay: float = 0.01
    backoff_factor: float = 1.2
    backoff_reset_time: float = 60.0
    max_delay: float | None = 120.0
    jitter: float = 0.1
    clock: Clock | None = None
    rng: random.Random | None = None
    logger: logging.Logger | None = None
    metrics: Metrics | None = None
    events: Callable[[Event], None] | None = None
    start_timeout: float | None = None
    kill_timeout: float | None = None
    shutdown: Literal["parallel", "reverse"] = "parallel"
    strict_bounce: bool = False

    def validate(self) -> None:
        """Refuse settings that make no sense.

        Raises:
            NotValidError: `field` names the first that is out of its range.
        """
        require_callable("is_fatal", self.is_fatal)
        require_callable("worst_error", self.worst_error)
        require_callable("filter", self.filter, optional=True)
        require_number("error_delay", self.error_delay)
        require_number("bounce_delay", self.bounce_delay)
        require_number("backoff_factor", self.backoff_factor, least=1.0)
        require_number("backoff_reset_time", self.backoff_reset_time)
        require_number("max_delay", self.max_delay, optional=True)
        require_number("jitter", self.jitter, below=1.0)
        require_callable("events", self.events, optional=True)
        require_number("start_timeout", self.start_timeout, optional=True)
        require_number("kill_timeout", self.kill_timeout, optional=True)
        if self.shutdown not in {"parallel", "reverse"}:
            raise NotValidError(f'shutdown must be "parallel" or "reverse", not {self.shutdown!r}', field="shutdown")
