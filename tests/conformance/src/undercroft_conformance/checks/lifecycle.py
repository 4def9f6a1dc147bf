"""Starts, kills and waits, as a supervisor makes them, at every moment."""

from __future__ import annotations

import asyncio
import inspect
import threading
import time

from undercroft import caused_by, outcome
from undercroft.dependency import Missing
from undercroft.worker.lifecycle import is_worker
from undercroft_conformance.checks.manifolds import Manifolds, per_manifold
from undercroft_conformance.drive import deadline, turns
from undercroft_conformance.leaks import lines
from undercroft_conformance.life import Attempt, Case, LeakWatch, Stage, alive, dies, kill, stage
from undercroft_conformance.rules import worker as rules
from undercroft_conformance.stalls import StallMeter, limit
from undercroft_conformance.verdict import Broken, Check, NotApplicable, Unjudged, describe, expect
from undercroft_hookspecs.worker import Worker

ALIVE_SECONDS = 0.05
MOMENTS = (0, 1, 2, 3, 5, 8, 13, 21)
"""After how many turns of the loop things are killed or called off; then once more a little later."""

WAITERS = 10


async def start_worker(case: Case, name: str, manifolds: Manifolds) -> None:
    """With all inputs there, start gives a worker, and the worker does not fail at once."""
    async with stage(case, name, manifolds) as made:
        attempt = Attempt(made.manifold(name), made.context(name))
        await attempt.ended()
        worker = attempt.worker
        expect(worker is not None, f"the start of {name!r} fails with all its inputs there: {describe(attempt.error)}")
        assert worker is not None
        try:
            _look_at(worker, name)
            if (error := await _ended_early(worker)) is not None:
                raise Broken(f"{name!r} dies at once, of {describe(error)}")
        finally:
            if not inspect.iscoroutinefunction(worker.kill):
                worker.kill()
                await asyncio.wait([asyncio.ensure_future(outcome(worker))], timeout=deadline())


def _look_at(worker: Worker, name: str) -> None:
    expect(not inspect.iscoroutinefunction(worker.kill), f"kill() of {name!r} is a coroutine function")
    waits = worker.wait()
    is_awaitable = inspect.isawaitable(waits)
    if inspect.iscoroutine(waits):
        waits.close()
    expect(is_awaitable, f"wait() of {name!r} gives {type(waits).__name__}, which cannot be awaited")


async def _ended_early(worker: Worker) -> BaseException | None:
    ending = asyncio.ensure_future(outcome(worker))
    await asyncio.wait([ending], timeout=ALIVE_SECONDS)
    if ending.done():
        return ending.result()
    ending.cancel()
    return None


async def start_declared(case: Case, name: str, manifolds: Manifolds) -> None:
    """Start asks for its inputs only, and only while it runs."""
    async with stage(case, name, manifolds) as made:
        context = made.context(name)
        attempt = Attempt(made.manifold(name), context)
        await attempt.ended()
        await _discard(attempt, name)
    asked = ", ".join(map(repr, dict.fromkeys(context.undeclared)))
    expect(not context.undeclared, f"the start of {name!r} asks for {asked}, and not among its inputs")


async def start_nothing(case: Case) -> None:
    """With no input running, every start raises Missing; needs no fakes."""
    manifolds = case.manifolds()
    judged = False
    for name, manifold in manifolds.items():
        if manifold.inputs and not set(manifold.inputs) <= set(case.subject.optional):
            judged = True
            await _lets_missing_pass(case, Stage(case, manifolds), name, set(manifold.inputs))
    if not judged:
        raise NotApplicable("none of its manifolds needs an input")


async def start_missing(case: Case, name: str, manifolds: Manifolds) -> None:
    """With one input missing, start raises Missing; each in turn."""
    needed = [each for each in manifolds[name].inputs if each not in set(case.subject.optional)]
    if not needed:
        raise NotApplicable(f"{name!r} needs no input")
    async with stage(case, name, manifolds) as made:
        for each in needed:
            await _lets_missing_pass(case, made, name, {each})


async def _lets_missing_pass(case: Case, made: Stage, name: str, missing: set[str]) -> None:
    context = made.context(name, missing=missing)
    attempt = Attempt(made.manifold(name), context)
    await attempt.ended()
    came_up, error = attempt.worker is not None, attempt.error
    await _discard(attempt, name)
    without = " and ".join(map(repr, sorted(missing)))
    if came_up:
        asked = "asked for it and took Missing for an answer" if missing & set(context.asked) else "never asked for it"
        raise Broken(f"{name!r} comes up without {without}: its start {asked}")
    expect(
        caused_by(error, Missing) is not None,
        f"without {without} the start of {name!r} raises {describe(error)}, not Missing",
    )


async def _discard(attempt: Attempt, name: str) -> None:
    if attempt.worker is not None:
        kill(attempt.worker, name)
        await dies(attempt.worker, name)


async def start_cancelled(case: Case, name: str, manifolds: Manifolds) -> None:
    """A start that is called off ends in time, at whatever turn that comes, and leaves nothing."""
    async with stage(case, name, manifolds) as made:
        await _call_off(made, name, 1000)  # The first time it may import what it needs.
        watch = LeakWatch(case)
        for moment in MOMENTS:
            if await _call_off(made, name, moment):
                break
        if left := await watch.leaks():
            raise Broken(f"the start of {name!r} was called off and left behind:\n{lines(left)}")


async def _call_off(made: Stage, name: str, moment: int) -> bool:
    """Call a start off after some turns; say whether it had ended by then."""
    attempt = Attempt(made.manifold(name), made.context(name))
    for _ in range(moment):
        if attempt.is_over:
            break
        await asyncio.sleep(0)
    was_over = attempt.is_over
    attempt.call_off()
    await attempt.ended()
    if attempt.worker is None and not was_over and attempt.error is not None:
        raise Broken(f"the start of {name!r} was called off and raised {describe(attempt.error)}")
    await _discard(attempt, name)
    return was_over


async def start_killed(case: Case, name: str, manifolds: Manifolds) -> None:
    """A worker that is killed before the loop has turned once dies cleanly."""
    async with stage(case, name, manifolds) as made:
        try:
            result = made.manifold(name).start(made.context(name))
            worker = result if is_worker(result) else await result  # type: ignore[misc]  # Then it is an awaitable.
        except Exception as error:  # The plugin's code may raise anything.
            raise Unjudged(f"{name!r} does not come up (see start-worker): {describe(error)}") from error
        if not is_worker(worker):
            raise Unjudged(f"{name!r} does not come up (see start-worker)")
        kill(worker, name)
        await dies(worker, name)


async def kill_at_once(case: Case, name: str, manifolds: Manifolds) -> None:
    """Kill takes no time to speak of, and is no coroutine function."""
    async with alive(case, name, manifolds) as worker:
        await turns(3)
        meter = StallMeter()
        began = time.perf_counter()
        kill(worker, name)
        took = meter.stall(time.perf_counter() - began)
        expect(took <= limit(), f"kill() of {name!r} took {took * 1000:.0f} ms")


async def kill_silent(case: Case, name: str, manifolds: Manifolds) -> None:
    """Kill never raises, neither at once nor later."""
    for moment in (0, 3):
        async with alive(case, name, manifolds) as worker:
            await turns(moment)
            kill(worker, name)
            await asyncio.wait([asyncio.ensure_future(outcome(worker))], timeout=deadline())


async def kill_twice(case: Case, name: str, manifolds: Manifolds) -> None:
    """A second and a third kill, at once and while it is dying, change nothing."""
    async with alive(case, name, manifolds) as worker:
        await turns(3)
        kill(worker, name)
        kill(worker, name)
        await turns(1)
        kill(worker, name)
        await dies(worker, name)


async def kill_thread(case: Case, name: str, manifolds: Manifolds) -> None:
    """A kill from another thread works, and wakes the loop."""
    async with alive(case, name, manifolds) as worker:
        errors: list[Exception] = []
        thread = threading.Thread(target=_kill_later, args=(worker, name, errors), name="killer")
        thread.start()  # Not in the loop's executor: its end would wake the loop in the worker's place.
        try:
            await asyncio.wait([asyncio.ensure_future(outcome(worker))], timeout=deadline())
        finally:
            thread.join()
        if errors:
            raise errors[0]
        await dies(worker, name)


def _kill_later(worker: Worker, name: str, errors: list[Exception]) -> None:
    time.sleep(ALIVE_SECONDS)  # By then the loop waits for something to happen.
    try:
        kill(worker, f"{name} (from another thread)")
    except Broken as error:
        errors.append(error)


async def kill_dead(case: Case, name: str, manifolds: Manifolds) -> None:
    """A kill of a dead worker does nothing."""
    async with alive(case, name, manifolds) as worker:
        kill(worker, name)
        await dies(worker, name)
        kill(worker, f"{name} (dead)")
        await dies(worker, name)


async def kill_clean(case: Case, name: str, manifolds: Manifolds) -> None:
    """Killed at any moment of its life a worker dies in time and without an error."""
    for moment in MOMENTS:
        async with alive(case, name, manifolds) as worker:
            await turns(moment)
            kill(worker, name)
            await dies(worker, name)
    async with alive(case, name, manifolds) as worker:
        await asyncio.sleep(ALIVE_SECONDS)
        kill(worker, name)
        await dies(worker, name)


async def wait_many(case: Case, name: str, manifolds: Manifolds) -> None:
    """All of many waiters are told of the death."""
    async with alive(case, name, manifolds) as worker:
        waiters = [asyncio.ensure_future(worker.wait()) for _ in range(WAITERS)]
        await turns(3)
        kill(worker, name)
        await asyncio.wait(waiters, timeout=deadline())
        late = sum(not waiter.done() for waiter in waiters)
        for waiter in waiters:
            waiter.cancel()
        expect(not late, f"{late} of {WAITERS} who wait for {name!r} are not told of its death")
        told = {describe(waiter.exception()) for waiter in waiters if not waiter.cancelled()}
        expect(not any(waiter.cancelled() for waiter in waiters), f"a waiter of {name!r} got CancelledError from it")
        expect(told == {"no error"}, f"those who wait for {name!r}, which was killed, are told {', '.join(told)}")


async def wait_dead(case: Case, name: str, manifolds: Manifolds) -> None:
    """Who comes after the death is told at once, again and again."""
    async with alive(case, name, manifolds) as worker:
        kill(worker, name)
        await dies(worker, name)
        for _ in range(3):
            waiter = asyncio.ensure_future(worker.wait())
            await asyncio.wait([waiter], timeout=deadline())
            is_told = waiter.done()
            waiter.cancel()
            expect(is_told, f"{name!r} is dead, and wait() does not return")
            error = None if waiter.cancelled() else waiter.exception()
            expect(error is None, f"{name!r} died cleanly, and wait() raises {describe(error)} afterwards")


async def wait_cancelled(case: Case, name: str, manifolds: Manifolds) -> None:
    """A waiter that is cancelled takes nobody along."""
    async with alive(case, name, manifolds) as worker:
        other = asyncio.ensure_future(outcome(worker))
        await turns(5)
        if other.done():
            raise Unjudged(f"{name!r} has ended by itself")
        waiter = asyncio.ensure_future(worker.wait())
        await turns(3)
        waiter.cancel()
        await asyncio.wait([other], timeout=ALIVE_SECONDS)
        is_dead = other.done()
        if waiter.done() and not waiter.cancelled():
            waiter.exception()
        expect(not is_dead, f"a waiter of {name!r} was cancelled, and the worker is dead")
        expect(waiter.done(), f"a waiter of {name!r} was cancelled, and does not end")
        kill(worker, name)
        await dies(worker, name)


CHECKS: tuple[Check[Case], ...] = (
    Check(rules.START_WORKER, per_manifold(start_worker)),
    Check(rules.START_DECLARED, per_manifold(start_declared)),
    Check(rules.START_NOTHING, start_nothing),
    Check(rules.START_MISSING, per_manifold(start_missing)),
    Check(rules.START_CANCELLED, per_manifold(start_cancelled)),
    Check(rules.START_KILLED, per_manifold(start_killed)),
    Check(rules.KILL_AT_ONCE, per_manifold(kill_at_once)),
    Check(rules.KILL_SILENT, per_manifold(kill_silent)),
    Check(rules.KILL_TWICE, per_manifold(kill_twice)),
    Check(rules.KILL_THREAD, per_manifold(kill_thread)),
    Check(rules.KILL_DEAD, per_manifold(kill_dead)),
    Check(rules.KILL_CLEAN, per_manifold(kill_clean)),
    Check(rules.WAIT_MANY, per_manifold(wait_many)),
    Check(rules.WAIT_DEAD, per_manifold(wait_dead)),
    Check(rules.WAIT_CANCELLED, per_manifold(wait_cancelled)),
)
