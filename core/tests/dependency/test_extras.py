"""What Juju does not have: events, timeouts, shutdown in reverse, strict bounces."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import pytest

from undercroft import Context, Event, NoOpWorker, Worker
from undercroft.dependency import Bounce

if TYPE_CHECKING:
    from core.tests.dependency.conftest import Bench, Part


class Log:
    """Collects events as "kind name"."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)

    def lines(self) -> list[str]:
        return [f"{event.kind} {event.path.removeprefix('engine/')}" for event in self.events]

    def clear(self) -> None:
        self.events.clear()


async def test_events_tell_a_life(bench: Bench, new_part: type[Part]) -> None:
    log = Log()
    engine = bench.engine(events=log, error_delay=3)
    a = new_part("a")
    await bench.install(engine, a)
    error = ValueError("no")
    a.probe.end(error)
    await bench.settle()
    await bench.clock.advance(3)
    await engine.uninstall("a")

    expected = ["starting", "started", "stopped", "restarting", "starting", "started", "stopping", "stopped", "removed"]
    assert log.lines() == [f"{kind} a" for kind in expected]
    assert (log.events[2].error, log.events[3].error, log.events[3].delay) == (error, error, 3)
    assert log.events[4].at.second == 3


async def test_a_fatal_error_is_an_event(bench: Bench, new_part: type[Part]) -> None:
    log = Log()
    engine = bench.engine(events=log, is_fatal=lambda _: True)
    a = new_part("a")
    await bench.install(engine, a)
    log.clear()

    a.probe.end(ValueError())
    await bench.died(engine)

    assert log.lines() == ["stopped a", "fatal a"]


async def test_an_observer_that_raises_or_kills_disturbs_nothing(
    bench: Bench, new_part: type[Part], caplog: pytest.LogCaptureFixture
) -> None:
    """G9."""

    class Broken:
        def record_start(self, name: str) -> None:
            raise ValueError("metrics are broken")

    def events(event: Event) -> None:
        if event.kind == "started":
            engine.kill()
        raise ValueError("events are broken")

    engine = bench.engine(events=events, metrics=Broken())
    await bench.install(engine, new_part("a"))

    assert await bench.died(engine) is None
    assert {str(record.exc_info[1]) for record in caplog.records if record.exc_info} == {
        "metrics are broken",
        "events are broken",
    }


async def test_metrics_count_every_worker_that_comes_up(bench: Bench, new_part: type[Part]) -> None:
    names: list[str] = []

    class Metrics:
        def record_start(self, name: str) -> None:
            names.append(name)

    engine = bench.engine(metrics=Metrics())
    a = new_part("a")
    await bench.install(engine, a, new_part("b", "a", "c"))
    a.probe.end(Bounce())
    await bench.settle()

    assert names == ["a", "a"]


async def never(_: Context) -> Worker:
    await asyncio.Event().wait()
    raise AssertionError


async def test_a_start_that_takes_too_long_has_failed(bench: Bench, new_part: type[Part]) -> None:
    log = Log()
    engine = bench.engine(start_timeout=5, error_delay=3, events=log)
    a = new_part("a", start=never)
    await bench.install(engine, a)

    await bench.clock.advance(5)

    assert bench.entry(engine, "a")["delay"] == 3
    assert a.contexts[0].abort.is_set()
    assert isinstance(log.events[-1].error, TimeoutError)
    await bench.clock.advance(3)
    assert a.starts == 2


async def test_a_worker_that_comes_after_the_timeout_is_killed(bench: Bench, new_part: type[Part]) -> None:
    engine = bench.engine(start_timeout=5, error_delay=3)
    a = new_part("a", stubborn=True)
    b = new_part("b", "a", start=lambda _: NoOpWorker())

    async def start(_: Context) -> Worker:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return a.add_probe()
        raise AssertionError

    a.do = start
    await bench.install(engine, b, a)
    await bench.clock.advance(5)
    assert a.probe.kills == 1
    assert bench.states(engine)["a"] == "starting"

    a.probe.end()
    await bench.settle()

    assert bench.entry(engine, "a")["delay"] == 3
    assert b.starts == 1


async def test_a_start_in_time_is_left_alone(bench: Bench, new_part: type[Part]) -> None:
    engine = bench.engine(start_timeout=5)
    await bench.install(engine, new_part("a"))

    await bench.clock.advance(100)

    assert bench.states(engine) == {"a": "started"}
    assert bench.clock.pending == 0


async def test_an_input_that_comes_after_the_timeout_still_bounces(bench: Bench, new_part: type[Part]) -> None:
    engine = bench.engine(start_timeout=5, error_delay=100)
    clean = asyncio.Event()

    async def start(context: Context) -> Worker:
        if b.starts > 1:
            return NoOpWorker()
        try:
            await asyncio.Event().wait()
        finally:
            await clean.wait()
        raise AssertionError

    b = new_part("b", "a", start=start)
    await bench.install(engine, b)
    await bench.clock.advance(5)
    await bench.install(engine, new_part("a"))

    clean.set()
    await bench.settle()

    assert bench.states(engine)["b"] == "started"


async def test_a_worker_that_outlives_its_kill_is_hung(
    bench: Bench, new_part: type[Part], caplog: pytest.LogCaptureFixture
) -> None:
    log = Log()
    engine = bench.engine(kill_timeout=5, events=log)
    a = new_part("a", stubborn=True)
    await bench.install(engine, a)
    engine.kill()

    await bench.clock.advance(4.9)
    assert "hung" not in bench.entry(engine, "a")
    await bench.clock.advance(0.2)

    assert bench.entry(engine, "a")["hung"] is True
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert log.lines()[-1] == "hung a"
    a.probe.end()
    assert await bench.died(engine) is None
    assert "hung" not in bench.entry(engine, "a")


async def test_a_worker_that_dies_in_time_is_not_hung(bench: Bench, new_part: type[Part]) -> None:
    log = Log()
    engine = bench.engine(kill_timeout=5, events=log)
    a, b = new_part("a"), new_part("b", "a")
    await bench.install(engine, a, b)
    a.probe.end(Bounce())

    await bench.clock.advance(50)

    assert not any(line.startswith("hung") for line in log.lines())
    assert bench.clock.pending == 0


async def test_shutdown_in_reverse_stops_dependents_first(bench: Bench, new_part: type[Part]) -> None:
    engine = bench.engine(shutdown="reverse")
    a, b = new_part("a", stubborn=True), new_part("b", "a", stubborn=True)
    c, d = new_part("c", "a", "b", stubborn=True), new_part("d", stubborn=True)
    await bench.install(engine, a, b, c, d)

    engine.kill()
    await bench.settle()
    assert [part.probe.kills for part in (a, b, c, d)] == [0, 0, 1, 1]
    c.probe.end()
    await bench.settle()
    assert [part.probe.kills for part in (a, b, c, d)] == [0, 1, 1, 1]
    b.probe.end()
    await bench.settle()
    assert a.probe.kills == 1
    a.probe.end()
    d.probe.end()

    assert await bench.died(engine) is None


async def test_shutdown_in_reverse_holds_on_every_way_to_death(bench: Bench, new_part: type[Part]) -> None:
    engine = bench.engine(shutdown="reverse", is_fatal=lambda _: True)
    a, b = new_part("a"), new_part("b", "a", stubborn=True)
    await bench.install(engine, a, b, new_part("d"))
    error = ValueError("fatal")

    b.probe.end(error)
    await bench.settle()

    assert await bench.died(engine) is error
    assert a.probe.kills == 1


async def test_shutdown_in_reverse_waits_for_a_start_that_is_running(bench: Bench, new_part: type[Part]) -> None:
    engine = bench.engine(shutdown="reverse")
    a = new_part("a")
    clean = asyncio.Event()

    async def start(_: Context) -> Worker:
        try:
            await asyncio.Event().wait()
        finally:
            await clean.wait()
        raise AssertionError

    await bench.install(engine, a, new_part("b", "a", start=start))

    engine.kill()
    await bench.settle()
    assert a.probe.kills == 0
    clean.set()

    assert await bench.died(engine) is None


async def test_a_start_that_succeeds_while_it_waits_for_its_dependents_is_stopped_in_turn(
    bench: Bench, new_part: type[Part]
) -> None:
    engine = bench.engine(shutdown="reverse")
    go_on = asyncio.Event()
    a = new_part("a")

    async def start(_: Context) -> Worker:
        await go_on.wait()
        return a.add_probe()

    a.do = start
    b = new_part("b", "a", start=lambda _: b.add_probe(), stubborn=True)
    await bench.install(engine, b, a)
    engine.kill()
    await bench.settle()

    go_on.set()
    await bench.settle()
    assert (a.probe.kills, b.probe.kills, b.starts) == (0, 1, 1)
    b.probe.end()

    assert await bench.died(engine) is None
    assert a.probe.kills == 1


async def test_a_strict_bounce_waits_for_the_dependents_of_the_last_worker(bench: Bench, new_part: type[Part]) -> None:
    engine = bench.engine(strict_bounce=True)
    a, b, c = new_part("a"), new_part("b", "a", stubborn=True), new_part("c", "a", stubborn=True)
    await bench.install(engine, a, b, c)

    a.probe.end(Bounce())
    await bench.settle()
    assert (a.starts, b.probe.kills, c.probe.kills) == (1, 1, 1)
    assert bench.entry(engine, "a")["state"] == "starting"
    assert "waits until the dependents" in str(engine.explain("a"))
    b.probe.end()
    await bench.settle()
    assert a.starts == 1
    c.probe.end()
    await bench.settle()

    assert bench.states(engine) == {"a": "started", "b": "started", "c": "started"}


async def test_a_strict_bounce_waits_for_starts_too_and_for_the_delay(bench: Bench, new_part: type[Part]) -> None:
    engine = bench.engine(strict_bounce=True, error_delay=5)
    clean = asyncio.Event()

    async def start(context: Context) -> Worker:
        context.get("a")
        try:
            await asyncio.Event().wait()
        finally:
            await clean.wait()
        raise AssertionError

    a = new_part("a")
    await bench.install(engine, a, new_part("b", "a", start=start))
    a.probe.end(ValueError())
    await bench.settle()

    await bench.clock.advance(6)
    assert a.starts == 1
    clean.set()
    await bench.settle()

    assert a.starts == 2


async def test_a_strict_bounce_still_waits_for_its_delay(bench: Bench, new_part: type[Part]) -> None:
    engine = bench.engine(strict_bounce=True, error_delay=5)
    a, b = new_part("a"), new_part("b", "a")
    await bench.install(engine, a, b)

    a.probe.end(ValueError())
    await bench.settle()
    assert (a.starts, b.probe.ended) == (1, True)
    await bench.clock.advance(5)

    assert a.starts == 2


async def test_what_waits_under_a_strict_bounce_dies_with_the_engine(bench: Bench, new_part: type[Part]) -> None:
    engine = bench.engine(strict_bounce=True)
    a, b = new_part("a"), new_part("b", "a", stubborn=True)
    await bench.install(engine, a, b)
    a.probe.end(Bounce())
    await bench.settle()

    engine.kill()
    b.probe.end()

    assert await bench.died(engine) is None
    assert a.starts == 1


async def test_what_waits_under_a_strict_bounce_can_be_uninstalled(bench: Bench, new_part: type[Part]) -> None:
    engine = bench.engine(strict_bounce=True)
    a, b = new_part("a"), new_part("b", "a", stubborn=True)
    await bench.install(engine, a, b)
    a.probe.end(Bounce())
    await bench.settle()

    await engine.uninstall("a")
    again = new_part("a")
    await bench.install(engine, again)
    b.probe.end()
    await bench.settle()

    assert (a.starts, again.starts) == (1, 1)
    assert bench.states(engine) == {"b": "started", "a": "started"}
