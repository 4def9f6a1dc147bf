"""How an engine dies, and of what."""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import TYPE_CHECKING, Any

import pytest

from undercroft import Context, NoOpWorker, Worker, caused_by, outcome
from undercroft.dependency import Engine, EngineConfig, Manifold

if TYPE_CHECKING:
    from core.tests.dependency.conftest import Bench, Part


def is_fatal(_: Exception) -> bool:
    return True


async def test_a_killed_engine_stops_everything_at_once_and_restarts_nothing(
    bench: Bench, new_part: type[Part]
) -> None:
    engine = bench.engine()
    a, b = new_part("a", stubborn=True), new_part("b", "a", stubborn=True)
    await bench.install(engine, a, b)

    engine.kill()
    await bench.settle()
    assert (a.probe.kills, b.probe.kills) == (1, 1)
    b.probe.end(ValueError("while stopping"))
    a.probe.end()

    assert await bench.died(engine) is None
    assert (a.starts, b.starts) == (1, 1)


async def test_an_empty_engine_dies_at_once() -> None:
    engine = Engine()

    engine.kill()
    engine.kill()

    assert await outcome(engine) is None


async def test_delays_end_with_the_engine(bench: Bench, new_part: type[Part]) -> None:
    """Checklist 31."""
    engine = bench.engine(error_delay=100)
    a = new_part("a")
    await bench.install(engine, a)
    a.probe.end(ValueError("and starts again"))
    await bench.settle()
    assert bench.clock.pending == 1

    engine.kill()

    assert await bench.died(engine) is None
    await bench.settle()
    assert bench.clock.pending == 0
    assert a.starts == 1


async def test_a_kill_before_the_first_turn_means_no_start(bench: Bench, new_part: type[Part]) -> None:
    engine = bench.engine()
    a = new_part("a")
    await engine.install("a", a.manifold)

    engine.kill()

    assert await bench.died(engine) is None
    assert a.starts == 0


async def test_the_worst_of_all_fatal_errors_is_the_result(bench: Bench, new_part: type[Part]) -> None:
    """juju: TestWorstError."""
    calls: list[tuple[Exception, Exception | None]] = []
    worst = ValueError("worst")

    def compare(new: Exception, current: Exception | None) -> Exception:
        calls.append((new, current))
        return worst

    engine = bench.engine(is_fatal=is_fatal, worst_error=compare)
    a, b = new_part("a", stubborn=True), new_part("b", stubborn=True)
    await bench.install(engine, a, b)
    first, second = ValueError("first"), ValueError("second")

    a.probe.end(first)
    await bench.settle()
    b.probe.end(second)

    assert await bench.died(engine) is worst
    assert calls == [(first, None), (second, worst)]


async def test_a_fatal_error_after_a_plain_kill_counts(bench: Bench, new_part: type[Part]) -> None:
    """Checklist 5."""
    engine = bench.engine(is_fatal=is_fatal)
    a = new_part("a", stubborn=True)
    await bench.install(engine, a)
    engine.kill()
    await bench.settle()
    error = ValueError("at the last moment")

    a.probe.end(error)

    assert await bench.died(engine) is error


async def test_the_engines_filter_sees_the_final_error_once(bench: Bench, new_part: type[Part]) -> None:
    """juju: TestConfigFilter."""
    seen: list[Exception] = []
    error, other = ValueError("fatal"), ValueError("instead")

    def filtering(final: Exception) -> Exception:
        seen.append(final)
        return other

    engine = bench.engine(is_fatal=is_fatal, filter=filtering)
    a = new_part("a")
    await bench.install(engine, a)

    a.probe.end(error)

    assert await bench.died(engine) is other
    assert await bench.died(engine) is other
    assert seen == [error]


async def test_the_engines_filter_can_make_the_end_clean(bench: Bench, new_part: type[Part]) -> None:
    engine = bench.engine(is_fatal=is_fatal, filter=lambda _: None)
    a = new_part("a")
    await bench.install(engine, a)

    a.probe.end(ValueError("fatal"))

    assert await bench.died(engine) is None
    assert "error" not in engine.report()


async def test_the_engines_filter_is_not_asked_about_a_clean_end(bench: Bench) -> None:
    """Upstream calls it with nil (DEFECT-10)."""

    def filtering(_: Exception) -> Exception:
        raise AssertionError("nobody should ask")

    engine = bench.engine(filter=filtering)

    engine.kill()

    assert await bench.died(engine) is None


@pytest.mark.parametrize("which", ["is_fatal", "worst_error", "manifold filter", "filter"])
async def test_a_deciding_callback_that_raises_is_the_engines_death(
    bench: Bench, new_part: type[Part], which: str
) -> None:
    """G9, checklist 29: that very exception, unfiltered, ahead of any fatal error."""
    internal = LookupError(f"{which} is broken")

    def broken(*_: object) -> Exception:
        raise internal

    settings: dict[str, Any] = {"is_fatal": is_fatal, "filter": lambda _: None}  # Any: as EngineConfig takes them.
    if which != "manifold filter":
        settings[which] = broken
    engine = bench.engine(**settings)
    a = new_part("a", filter=broken if which == "manifold filter" else None)
    b = new_part("b", "a", stubborn=True)
    await bench.install(engine, a, b)

    a.probe.end(ValueError("whatever"))
    await bench.settle()
    assert b.probe.kills == 1
    b.probe.end()

    assert await bench.died(engine) is internal
    assert a.starts == 1


@pytest.mark.parametrize("which", ["worst_error", "manifold filter", "filter"])
async def test_an_answer_that_is_no_error_is_an_internal_error(bench: Bench, new_part: type[Part], which: str) -> None:
    settings: dict[str, Any] = {"is_fatal": is_fatal}  # Any: as EngineConfig takes them.
    if which != "manifold filter":
        settings[which] = lambda *_: "an error"
    engine = bench.engine(**settings)
    a = new_part("a", filter=(lambda _: "an error") if which == "manifold filter" else None)  # type: ignore[arg-type, return-value]
    await bench.install(engine, a)

    a.probe.end(ValueError("whatever"))

    assert isinstance(await bench.died(engine), TypeError)


async def test_what_is_being_judged_is_judged_to_the_end(bench: Bench, new_part: type[Part]) -> None:
    """G9: a callback may kill the engine; the restart that it decides is still made, and then ended."""
    kinds: list[str] = []

    def kill(_: Exception) -> bool:
        engine.kill()
        return False

    engine = bench.engine(is_fatal=kill, events=lambda event: kinds.append(event.kind))
    a = new_part("a")
    await bench.install(engine, a)

    a.probe.end(ValueError("whatever"))

    assert await bench.died(engine) is None
    assert "restarting" in kinds
    assert a.starts == 1


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
@pytest.mark.parametrize("where", ["start", "callback"])
def test_an_interrupt_is_recorded_and_leaves_the_loop(kind: type[BaseException], where: str) -> None:
    """G5."""
    engines: list[Engine] = []

    def interrupt(*_: object) -> bool:
        raise kind("now")

    def start(_: Context) -> Worker:
        if where == "start":
            interrupt()
        raise ValueError

    async def main() -> None:
        engines.append(Engine(EngineConfig(is_fatal=interrupt)))
        await engines[0].install("a", Manifold(start))
        await asyncio.Event().wait()

    with asyncio.Runner() as runner:
        with pytest.raises(kind):
            runner.run(main())
        assert isinstance(runner.run(outcome(engines[0])), kind)


async def test_kill_works_from_any_thread(bench: Bench, new_part: type[Part]) -> None:
    """G2."""
    engine = bench.engine()
    a = new_part("a")
    await bench.install(engine, a)

    thread = threading.Thread(target=engine.kill)
    thread.start()
    thread.join()

    assert await bench.died(engine) is None
    assert a.probe.kills == 1


def test_kill_works_after_the_loop_is_closed_and_is_passed_on(new_part: type[Part]) -> None:
    """G2."""
    part = new_part("a")
    engines: list[Engine] = []

    async def main() -> None:
        engines.append(Engine())
        await engines[0].install("a", part.manifold)
        while not part.probes:
            await asyncio.sleep(0)
        await asyncio.sleep(0)

    asyncio.run(main())

    engines[0].kill()

    assert part.probe.kills == 1
    assert engines[0].report()["state"] == "stopping"


async def test_a_waiter_that_gives_up_disturbs_nothing(bench: Bench, new_part: type[Part]) -> None:
    """G3."""
    engine = bench.engine()
    a = new_part("a")
    await bench.install(engine, a)
    waiters = [asyncio.create_task(engine.wait()) for _ in range(3)]
    await bench.settle()

    waiters[0].cancel()
    await bench.settle()

    assert bench.states(engine) == {"a": "started"}
    engine.kill()
    await asyncio.gather(*waiters[1:])


async def test_wait_raises_the_same_object_whose_traceback_does_not_grow(bench: Bench, new_part: type[Part]) -> None:
    """G3."""
    engine = bench.engine(is_fatal=is_fatal)
    a = new_part("a")
    await bench.install(engine, a)
    error = ValueError("fatal")
    a.probe.end(error)

    lengths = set()
    for _ in range(3):
        with pytest.raises(ValueError, match="fatal") as raised:
            await engine.wait()
        assert raised.value is error
        lengths.add(len(raised.traceback))

    assert len(lengths) == 1


async def test_an_engine_is_an_async_context(bench: Bench, new_part: type[Part]) -> None:
    """G12."""
    a = new_part("a")

    async with bench.engine() as engine:
        await bench.install(engine, a)

    assert a.probe.ended
    assert engine.report()["state"] == "stopped"


async def test_an_engine_may_run_an_engine(bench: Bench, new_part: type[Part]) -> None:
    inner: list[Engine] = []

    def start(_: Context) -> Worker:
        inner.append(Engine(EngineConfig(is_fatal=is_fatal), name="inner"))
        return inner[-1]

    engine = bench.engine()
    part = new_part("inner", start=start)
    await bench.install(engine, part)
    leaf = new_part("leaf")
    await bench.install(inner[0], leaf)
    assert bench.entry(engine, "inner")["report"]["manifolds"]["leaf"]["state"] == "started"

    leaf.probe.end(ValueError("fatal to the inner one"))
    await bench.settle()

    assert part.starts == 2
    assert leaf.starts == 1


async def test_the_dead_leave_nothing_behind(bench: Bench, new_part: type[Part]) -> None:
    """G6, checklist 35: the strict plugin finds any task that is left."""
    engine = bench.engine(error_delay=50, kill_timeout=5, start_timeout=5)

    async def never(_: Context) -> Worker:
        await asyncio.Event().wait()
        raise AssertionError

    failed = new_part("failed", start=lambda _: 1 / 0)  # type: ignore[arg-type, return-value]
    await bench.install(engine, new_part("a"), new_part("b", "a"), new_part("c", start=never), failed)
    engine.kill()

    assert await bench.died(engine) is None
    await bench.settle()
    assert bench.clock.pending == 0


async def test_fatal_and_internal_errors_are_logged_with_their_traceback(
    bench: Bench, new_part: type[Part], caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> Exception:
        raise LookupError("broken")

    engine = bench.engine(is_fatal=is_fatal, worst_error=broken, name="top")
    a = new_part("a")
    await bench.install(engine, a)

    a.probe.end(ValueError("the end"))
    await bench.died(engine)

    found = [(record.levelno, record.getMessage(), bool(record.exc_info)) for record in caplog.records]
    assert [entry[0] for entry in found] == [logging.ERROR, logging.ERROR]
    assert "top/a" in found[0][1]
    assert "broken" in found[1][1]
    assert all(entry[2] for entry in found)


async def test_an_error_wrapped_in_another_is_still_fatal(bench: Bench, new_part: type[Part]) -> None:
    engine = bench.engine(is_fatal=lambda error: caused_by(error, LookupError) is not None)

    async def start(_: Context) -> Worker:
        raise RuntimeError("no luck") from LookupError("no such thing")

    await bench.install(engine, new_part("a", start=start))

    assert isinstance(await bench.died(engine), RuntimeError)


async def test_a_start_may_ask_its_own_engine(bench: Bench, new_part: type[Part]) -> None:
    engine = bench.engine()
    late = new_part("late")

    async def start(_: Context) -> Worker:
        await engine.install("late", late.manifold)
        assert engine.report()["state"] == "started"
        return NoOpWorker()

    await bench.install(engine, new_part("a", start=start))

    assert late.starts == 1
