"""How long a pump waits after a failure."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

FIRST_SECONDS = 1.0
LONGEST_SECONDS = 300.0
LONGEST_ASKED_SECONDS = 3600.0


def full_jitter(failures: int, rng: random.Random) -> float:
    """Seconds to wait after so many failures in a row: anything up to a bound that doubles, so that nobody marches in
    step with others.
    """
    # The exponent is bounded, or an outage of some days would overflow it.
    return rng.uniform(0.0, min(FIRST_SECONDS * 2.0 ** min(max(failures, 1) - 1, 30), LONGEST_SECONDS))


def asked(after: float, rng: random.Random) -> float:
    """Seconds to wait where a receiver has asked for `after`: no less, but an hour at most, and a little more, for
    everybody was asked for the same.
    """
    wanted = min(max(after, 0.0), LONGEST_ASKED_SECONDS)
    return min(wanted + rng.uniform(0.0, max(FIRST_SECONDS, wanted / 10)), LONGEST_ASKED_SECONDS)
