"""What workers do to the process around them: what they leave behind, how they treat the loop, where they write."""

from __future__ import annotations

import asyncio
import gc

from undercroft_conformance.checks.manifolds import Manifolds, per_manifold
from undercroft_conformance.drive import turns
from undercroft_conformance.leaks import lines
from undercroft_conformance.life import RESTARTS, Case, LeakWatch, alive, dies, kill
from undercroft_conformance.rules import worker as rules
from undercroft_conformance.verdict import Check, expect
from undercroft_conformance.writes import outside, writes
from undercroft_hookspecs.worker import Reporter

LIFE_SECONDS = 0.15
LIVES = 3


async def leak_free(case: Case, name: str, manifolds: Manifolds) -> None:
    """Start and stop it again and again, at different turns of its life."""
    for moment in (0, 5):
        await _live(case, name, manifolds, moment)  # The first time, things are made that stay: caches, executors.
    watch = LeakWatch(case)
    for number in range(RESTARTS):
        await _live(case, name, manifolds, number % 10)
    left = await watch.leaks(RESTARTS)
    expect(not left, f"{name!r} was started and stopped {RESTARTS} times and left behind:\n{lines(left[:20])}")


async def _live(case: Case, name: str, manifolds: Manifolds, moment: int) -> None:
    async with alive(case, name, manifolds) as worker:
        await turns(moment)
        kill(worker, name)
        await dies(worker, name)


async def loop_free(case: Case, name: str, manifolds: Manifolds) -> None:
    """Live for a while, report, die; the first life does not count, for imports that come late."""
    await _long_life(case, name, manifolds)
    stalls = case.bench.watch.stalls
    stalls.clear()
    for _ in range(LIVES):
        await _long_life(case, name, manifolds)
    await turns(2)  # The loop complains of a callback once that has ended.
    expect(not stalls, f"{name!r} held up the loop:\n" + "\n".join(f"  {stall}" for stall in stalls[:10]))


async def _long_life(case: Case, name: str, manifolds: Manifolds) -> None:
    async with alive(case, name, manifolds) as worker:
        await asyncio.sleep(LIFE_SECONDS)
        if isinstance(worker, Reporter):
            worker.report()
        await turns(2)
        kill(worker, name)
        await dies(worker, name)


async def no_noise(case: Case, name: str, manifolds: Manifolds) -> None:
    """Neither living nor dying does it leave an exception to nobody."""
    for moment in (0, 1, 3, 8):
        await _live(case, name, manifolds, moment)
    await _long_life(case, name, manifolds)
    gc.collect()
    await turns(3)
    errors = case.bench.watch.errors
    expect(not errors, f"of {name!r} the loop says:\n" + "\n".join(f"  {error}" for error in errors[:10]))


async def writes_inside(case: Case, name: str, manifolds: Manifolds) -> None:
    """Start, live and die while everything that is written is noted."""
    folders = case.subject.folders()
    with writes() as paths:
        await _long_life(case, name, manifolds)
    elsewhere = outside(paths, folders)
    allowed = ", ".join(map(str, folders))
    expect(not elsewhere, f"{name!r} writes to {', '.join(elsewhere[:10])}, which is not in {allowed}")


CHECKS: tuple[Check[Case], ...] = (
    Check(rules.LEAK_FREE, per_manifold(leak_free)),
    Check(rules.LOOP_FREE, per_manifold(loop_free)),
    Check(rules.NO_NOISE, per_manifold(no_noise)),
    Check(rules.WRITES_INSIDE, per_manifold(writes_inside)),
)
