"""How the end of a worker or a start is judged, and what follows."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from undercroft import Context, FinishedWorker, NoOpWorker, Worker, WorkerCancelled
from undercroft.dependency import Bounce, Missing, Uninstall

if TYPE_CHECKING:
    from collections.abc import Callable

    from core.tests.dependency.conftest import Bench, Part


def wrapped(error: Exception) -> Exception:
    wrapper = RuntimeError("while doing something")
    wrapper.__cause__ = error
    return wrapper


def refuse(*_: object) -> Exception:
    raise AssertionError("nobody should ask")


async def test_an_error_restarts_the_worker_and_its_dependents(bench: Bench, new_part: type[Part]) -> None:
    """juju: TestErrorRestartsDependents."""
    engine = bench.engine()
    a, b = new_part("a"), new_part("b", "a")
    await bench.install(engine, a, b)

    a.probe.end(ValueError("a fails"))
    await bench.settle()

    assert (len(a.probes), len(b.probes)) == (2, 2)
    assert b.probes[0].kills == 1
    assert bench.states(engine) == {"a": "started", "b": "started"}


async def test_an_error_leaves_the_inputs_alone(bench: Bench, new_part: type[Part]) -> None:
    """juju: TestErrorPreservesDependencies."""
    engine = bench.engine()
    a, b = new_part("a"), new_part("b", "a")
    await bench.install(engine, a, b)

    b.probe.end(ValueError("b fails"))
    await bench.settle()

    assert (a.starts, b.starts) == (1, 2)


async def test_a_clean_end_is_completion(bench: Bench, new_part: type[Part]) -> None:
    """juju: TestCompletedWorkerNotRestartedOnExit. And nobody is asked about it."""
    engine = bench.engine(is_fatal=refuse, filter=refuse, worst_error=refuse)
    a = new_part("a", filter=refuse)
    await bench.install(engine, a)

    a.probe.end()
    await bench.settle()

    assert a.starts == 1
    assert bench.states(engine) == {"a": "stopped"}


async def test_a_completed_worker_is_started_again_when_an_input_changes(bench: Bench, new_part: type[Part]) -> None:
    """juju: TestCompletedWorkerRestartedByDependencyChange."""
    engine = bench.engine()
    a, b = new_part("a"), new_part("b", "a")
    await bench.install(engine, a, b)
    b.probe.end()
    await bench.settle()
    assert b.starts == 1

    a.probe.end(ValueError("a fails"))
    await bench.settle()

    assert (len(a.probes), len(b.probes)) == (2, 2)


async def test_a_restart_goes_all_the_way_up(bench: Bench, new_part: type[Part]) -> None:
    """juju: TestRestartRestartsDependents."""
    engine = bench.engine()
    parts = [new_part("a"), new_part("b", "a"), new_part("c", "b")]
    await bench.install(engine, *parts)

    parts[0].probe.end(ValueError("a fails"))
    await bench.settle()

    assert [len(part.probes) for part in parts] == [2, 2, 2]


async def test_only_what_is_fatal_ends_the_engine(bench: Bench, new_part: type[Part]) -> None:
    """juju: TestIsFatal."""
    fatal = ValueError("fatal")
    engine = bench.engine(is_fatal=lambda error: error is fatal)
    a, b = new_part("a"), new_part("b")
    await bench.install(engine, a, b)

    a.probe.end(ValueError("harmless"))
    await bench.settle()
    assert (a.starts, b.starts) == (2, 1)
    b.probe.end(fatal)

    assert await bench.died(engine) is fatal
    assert (a.starts, b.starts) == (2, 1)
    assert a.probe.kills == 1


@pytest.mark.parametrize("error", [Missing(), Bounce(), Uninstall()])
async def test_fatality_is_asked_before_signals_count(bench: Bench, new_part: type[Part], error: Exception) -> None:
    engine = bench.engine(is_fatal=lambda _: True)
    a = new_part("a")
    await bench.install(engine, a)

    a.probe.end(error)

    assert await bench.died(engine) is error
    assert engine.manifold_names() == ["a"]


@pytest.mark.parametrize("make", [lambda: Missing("x"), lambda: wrapped(Missing("x"))])
async def test_missing_waits_for_a_change_of_an_input(
    bench: Bench, new_part: type[Part], make: Callable[[], Exception]
) -> None:
    """juju: TestErrMissing."""
    engine = bench.engine()

    def start(_: Context) -> Worker:
        raise make()

    a, b = new_part("a"), new_part("b", "a", start=start)
    await bench.install(engine, a, b)
    assert b.starts == 1
    await bench.clock.advance(1000)
    assert b.starts == 1

    a.probe.end(ValueError("and starts again"))
    await bench.settle()
    assert b.starts in {2, 3}
    before = b.starts
    a.probe.end()
    await bench.settle()

    assert b.starts == before + 1


async def test_a_worker_may_say_missing_too(bench: Bench, new_part: type[Part]) -> None:
    engine = bench.engine()
    a, b = new_part("a"), new_part("b", "a")
    await bench.install(engine, a, b)

    a.probe.end(Missing("something that went away"))
    await bench.settle()

    assert a.starts == 1
    assert bench.states(engine) == {"a": "stopped", "b": "stopped"}


@pytest.mark.parametrize("error", [Bounce("again"), wrapped(Bounce("again"))])
async def test_bounce_restarts_the_worker_and_its_dependents(
    bench: Bench, new_part: type[Part], error: Exception
) -> None:
    """juju: TestErrBounce."""
    engine = bench.engine(error_delay=1000)
    a, b = new_part("a"), new_part("b", "a")
    await bench.install(engine, a, b)

    a.probe.end(error)
    await bench.settle()

    assert (a.starts, len(b.probes)) == (2, 2)


@pytest.mark.parametrize("error", [Uninstall(), wrapped(Uninstall())])
async def test_uninstall_forgets_the_manifold_and_bounces_its_dependents(
    bench: Bench, new_part: type[Part], error: Exception
) -> None:
    """juju: TestErrUninstall."""
    engine = bench.engine()
    a, b = new_part("a"), new_part("b", "a", start=lambda _: NoOpWorker())
    await bench.install(engine, a, b)
    assert b.starts == 1

    a.probe.end(error)
    await bench.settle()
    assert engine.manifold_names() == ["b"]
    assert (a.starts, b.starts) == (1, 2)
    again = new_part("a")
    await bench.install(engine, again)

    assert (again.starts, b.starts) == (1, 3)


async def test_a_start_may_uninstall_itself_without_disturbing_anybody(bench: Bench, new_part: type[Part]) -> None:
    engine = bench.engine()

    def start(_: Context) -> Worker:
        raise Uninstall

    b = new_part("b", "a", start=lambda _: NoOpWorker())
    await bench.install(engine, b, new_part("a", start=start))

    assert engine.manifold_names() == ["b"]
    assert b.starts == 1


@pytest.mark.parametrize("fails_at", ["start", "worker"])
async def test_a_filter_sees_the_error_and_its_answer_counts(bench: Bench, new_part: type[Part], fails_at: str) -> None:
    """juju: TestFilterStartError, TestFilterWorkerError."""
    error, other = ValueError("raised"), ValueError("instead")
    seen: list[Exception] = []

    def filtering(raised: Exception) -> Exception:
        seen.append(raised)
        return other

    def start(_: Context) -> Worker:
        raise error

    engine = bench.engine(is_fatal=lambda _: True)
    part = new_part("a", filter=filtering, start=start if fails_at == "start" else None)
    await bench.install(engine, part)
    if fails_at == "worker":
        part.probe.end(error)

    assert await bench.died(engine) is other
    assert seen == [error]


async def test_a_filter_can_make_an_end_clean(bench: Bench, new_part: type[Part]) -> None:
    engine = bench.engine(is_fatal=refuse)
    a = new_part("a", filter=lambda _: None)
    await bench.install(engine, a)

    a.probe.end(ValueError("never mind"))
    await bench.settle()

    assert a.starts == 1
    assert "error" not in bench.entry(engine, "a")


async def test_a_filter_can_turn_an_error_into_a_signal(bench: Bench, new_part: type[Part]) -> None:
    engine = bench.engine(error_delay=1000)
    a = new_part("a", filter=lambda _: Bounce())
    await bench.install(engine, a)

    a.probe.end(ValueError("so to speak"))
    await bench.settle()

    assert a.starts == 2


async def test_a_worker_that_is_dead_already_was_up_all_the_same(bench: Bench, new_part: type[Part]) -> None:
    engine = bench.engine()
    b = new_part("b", "a", start=lambda _: NoOpWorker())

    await bench.install(engine, b, new_part("a", start=lambda _: FinishedWorker()))

    assert bench.entry(engine, "a")["start-count"] == 1
    assert bench.states(engine) == {"b": "started", "a": "stopped"}
    assert b.starts in {2, 3}


async def test_what_the_engine_asked_for_outranks_the_result(bench: Bench, new_part: type[Part]) -> None:
    """Checklist 11: a bounced worker starts again, even if it says that it is finished, or Missing."""
    engine = bench.engine(error_delay=1000)
    a = new_part("a")
    others = [new_part(name, "a", stubborn=True) for name in ("clean", "missing", "failed")]
    await bench.install(engine, a, *others)
    a.probe.end(Bounce())
    await bench.settle()

    for part, error in zip(others, (None, Missing(), ValueError()), strict=True):
        part.probe.end(error)
    await bench.settle()

    assert [part.starts for part in others] == [2, 2, 2]


async def test_a_cancelled_error_out_of_a_workers_wait_is_a_failure(bench: Bench, new_part: type[Part]) -> None:
    """Checklist 28."""
    seen: list[Exception] = []

    def is_fatal(error: Exception) -> bool:
        seen.append(error)
        return False

    engine = bench.engine(is_fatal=is_fatal)
    a = new_part("a")
    await bench.install(engine, a)

    a.probe.end(asyncio.CancelledError())
    await bench.settle()

    assert [type(error) for error in seen] == [WorkerCancelled]
    assert a.starts == 2


async def test_a_cancelled_error_of_a_worker_that_was_asked_to_stop_is_clean(
    bench: Bench, new_part: type[Part]
) -> None:
    engine = bench.engine(is_fatal=refuse)
    a = new_part("a", stubborn=True)
    await bench.install(engine, a)
    engine.kill()
    await bench.settle()

    a.probe.end(asyncio.CancelledError())

    assert await bench.died(engine) is None


async def test_a_start_that_raises_cancelled_error_by_itself_has_failed(bench: Bench, new_part: type[Part]) -> None:
    seen: list[Exception] = []

    def is_fatal(error: Exception) -> bool:
        seen.append(error)
        return False

    engine = bench.engine(error_delay=1000, is_fatal=is_fatal)

    async def start(_: Context) -> Worker:
        raise asyncio.CancelledError

    await bench.install(engine, new_part("a", start=start))

    assert [type(error) for error in seen] == [WorkerCancelled]


async def test_an_aborted_attempt_is_nobodys_failure(bench: Bench, new_part: type[Part]) -> None:
    engine = bench.engine(is_fatal=refuse)

    async def start(_: Context) -> Worker:
        await asyncio.Event().wait()
        raise AssertionError

    await bench.install(engine, new_part("b", "a", start=start, filter=refuse), new_part("a"))
    engine.kill()

    assert await bench.died(engine) is None


async def test_an_error_in_an_aborted_attempt_is_judged(bench: Bench, new_part: type[Part]) -> None:
    error = ValueError("while cleaning up")
    engine = bench.engine(is_fatal=lambda _: True)

    async def start(_: Context) -> Worker:
        try:
            await asyncio.Event().wait()
        finally:
            raise error

    await bench.install(engine, new_part("b", "a", start=start), new_part("a"))

    assert await bench.died(engine) is error


async def test_an_error_of_a_worker_that_came_too_late_is_judged(bench: Bench, new_part: type[Part]) -> None:
    error = ValueError("too late, and broken")
    engine = bench.engine(is_fatal=lambda _: True)
    b = new_part("b", "a")

    async def start(_: Context) -> Worker:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            probe = b.add_probe()
            probe.error = error
            return probe
        raise AssertionError

    b.do = start
    await bench.install(engine, b, new_part("a"))

    assert await bench.died(engine) is error
    assert b.probe.kills == 1


async def test_signals_in_a_group_count_if_all_agree(bench: Bench, new_part: type[Part]) -> None:
    """G11: every leaf must be one."""
    engine = bench.engine(error_delay=100)
    agreed, mixed = new_part("agreed"), new_part("mixed")
    await bench.install(engine, agreed, mixed)

    agreed.probe.end(ExceptionGroup("two", [Bounce(), wrapped(Bounce())]))
    mixed.probe.end(ExceptionGroup("two", [Bounce(), Missing()]))
    await bench.settle()

    assert bench.states(engine) == {"agreed": "started", "mixed": "starting"}
    assert bench.entry(engine, "mixed")["delay"] == 100


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
async def test_what_is_no_exception_is_fatal_without_question(
    bench: Bench, new_part: type[Part], kind: type[BaseException]
) -> None:
    """G5. A foreign worker's wait hands it over as a value, so that it does not leave this loop."""
    engine = bench.engine(is_fatal=refuse, filter=refuse)
    a = new_part("a", filter=refuse)
    await bench.install(engine, a)
    error = kind("out")

    a.probe.end(error)

    assert await bench.died(engine) is error
