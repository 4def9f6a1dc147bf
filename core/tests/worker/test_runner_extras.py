"""A runner's events, restart limit and kill timeout."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest

from undercroft.errors import RestartLimitError, caused_by
from undercroft.worker.small import FinishedWorker
from undercroft_hookspecs import Event, NotFoundError

if TYPE_CHECKING:
    from core.tests.worker.conftest import Bench

Settle = Callable[[], Awaitable[None]]


class Events:
    """Remembers what it is told of, and does something at the kinds that the test chooses."""

    def __init__(self) -> None:
        self.seen: list[Event] = []
        self.reactions: dict[str, Callable[[], object]] = {}

    def __call__(self, event: Event) -> None:
        self.seen.append(event)
        if event.kind in self.reactions:
            self.reactions[event.kind]()

    def kinds(self, path: str = "runner/one") -> list[str]:
        return [event.kind for event in self.seen if event.path == path]


@pytest.fixture
def events() -> Events:
    return Events()


def now(call: Awaitable[object]) -> None:
    """Make a call that does not suspend."""
    with pytest.raises(StopIteration):
        call.__await__().__next__()


# Events.


async def test_events_of_a_life(bench: Bench, settle: Settle, events: Events) -> None:
    runner = bench.runner(events=events)
    await bench.up(runner)
    await bench.clock.advance(5.0)

    await runner.stop_and_remove_worker("one")

    assert events.kinds() == ["starting", "started", "stopping", "stopped", "removed"]
    assert (events.seen[-1].at - events.seen[0].at).total_seconds() == 5.0
    assert all(event.error is None and event.delay is None for event in events.seen)


async def test_events_of_a_failure(bench: Bench, settle: Settle, events: Events) -> None:
    runner = bench.runner(events=events, restart_delay=2.0)
    job = await bench.up(runner)
    error = ValueError()

    job.worker.end(error)
    await settle()
    await bench.clock.advance(2.0)

    assert events.kinds() == ["starting", "started", "stopped", "restarting", "starting", "started"]
    assert events.seen[2].error is error
    assert (events.seen[3].error, events.seen[3].delay) == (error, 2.0)


async def test_events_of_a_failed_start_that_is_restarted_at_once(bench: Bench, settle: Settle, events: Events) -> None:
    runner = bench.runner(events=events, restart_delay=lambda failures, _: 0 if failures == 1 else 9)

    await bench.up(runner, fails=ValueError())

    assert events.kinds() == ["starting", "stopped", "restarting", "starting", "stopped", "restarting"]


async def test_events_of_a_fatal_error(bench: Bench, settle: Settle, events: Events) -> None:
    runner = bench.runner(events=events, is_fatal=None)
    await bench.up(runner, "other")
    job = await bench.up(runner)
    error = ValueError()

    job.worker.end(error)
    await settle()

    assert events.kinds() == ["starting", "started", "stopped", "fatal", "removed"]
    assert next(event for event in events.seen if event.kind == "fatal").error is error
    assert events.kinds("runner/other") == ["starting", "started", "stopping", "stopped", "removed"]


async def test_events_of_a_start_that_is_cancelled(bench: Bench, settle: Settle, events: Events) -> None:
    runner, job = bench.runner(events=events), bench.job()
    job.block()
    await runner.start_worker("one", job)
    await settle()

    await runner.stop_and_remove_worker("one")

    assert events.kinds() == ["starting", "stopping", "stopped", "removed"]


async def test_events_of_an_id_that_has_not_begun(bench: Bench, events: Events) -> None:
    runner = bench.runner(events=events)
    await runner.start_worker("one", bench.job())

    await runner.stop_worker("one")

    assert events.kinds() == ["removed"]


async def test_events_of_a_clean_end(bench: Bench, settle: Settle, events: Events) -> None:
    runner = bench.runner(events=events)

    await runner.start_worker("one", FinishedWorker)
    await settle()

    assert events.kinds() == ["starting", "started", "stopped", "removed"]


async def test_an_events_callback_that_raises_is_logged_and_swallowed(
    bench: Bench, events: Events, caplog: pytest.LogCaptureFixture
) -> None:
    def explode() -> None:
        raise ZeroDivisionError("in events")

    for kind in ("starting", "started", "stopping", "stopped", "removed"):
        events.reactions[kind] = explode
    runner = bench.runner(events=events)
    job = await bench.up(runner)

    assert await runner.worker("one") is job.worker
    await runner.stop_and_remove_worker("one")

    assert "in events" in caplog.text


@pytest.mark.parametrize(
    ("kind", "starts"),
    [("starting", 0), ("started", 1), ("stopped", 1), ("restarting", 1)],
)
@pytest.mark.parametrize("how", ["stop", "kill"])
async def test_an_events_callback_may_stop_the_id_at_any_moment(
    bench: Bench, settle: Settle, events: Events, kind: str, starts: int, how: str
) -> None:
    runner = bench.runner(events=events)
    events.reactions[kind] = (lambda: now(runner.stop_worker("one"))) if how == "stop" else runner.kill
    if how == "stop" and kind == "stopped":
        events.reactions[kind] = lambda: now(runner.stop_worker("one")) if runner.worker_names() else None
    job = await bench.up(runner)
    if kind in {"stopped", "restarting"}:
        job.worker.end(ValueError())
    await settle()
    await bench.clock.advance(10.0)

    assert runner.worker_names() == []
    assert job.starts == starts
    assert all(worker.is_dead for worker in job.workers)
    runner.kill()
    await runner.wait()


async def test_an_events_callback_may_start_what_has_just_been_removed(
    bench: Bench, settle: Settle, events: Events
) -> None:
    runner = bench.runner(events=events)
    again = bench.job()
    await bench.up(runner)
    events.reactions["removed"] = lambda: now(runner.start_worker("one", again))

    await runner.stop_worker("one")
    await settle()

    assert await runner.worker("one") is again.worker
    events.reactions.clear()


async def test_an_events_callback_may_kill_while_everything_is_being_stopped(
    bench: Bench, settle: Settle, events: Events
) -> None:
    runner = bench.runner(events=events)
    jobs = [await bench.up(runner, str(number)) for number in range(3)]
    events.reactions["stopping"] = runner.kill

    await runner.stop_worker("1")
    await runner.wait()

    assert [job.worker.kills for job in jobs] == [1, 1, 1]


# The restart limit.


async def test_the_failure_that_would_cause_too_many_restarts_ends_the_id(bench: Bench, settle: Settle) -> None:
    asked: list[Exception] = []

    def is_fatal(error: Exception) -> bool:
        asked.append(error)
        return False

    runner = bench.runner(is_fatal=is_fatal, restart_delay=0, restart_limit=(2, 60.0))
    error = ValueError("again")

    job = await bench.up(runner, fails=error)

    assert job.starts == 3
    assert runner.worker_names() == []
    limit = caused_by(asked[-1], RestartLimitError)
    assert limit is not None
    assert limit.__cause__ is error
    with pytest.raises(NotFoundError):
        await runner.worker("one")


async def test_a_restart_limit_may_be_fatal(bench: Bench) -> None:
    runner = bench.runner(
        is_fatal=lambda error: isinstance(error, RestartLimitError), restart_delay=0, restart_limit=(1, 60.0)
    )

    job = await bench.up(runner, fails=ValueError("again"))

    with pytest.raises(RestartLimitError, match="one"):
        await runner.wait()
    assert job.starts == 2


async def test_restarts_outside_of_the_window_do_not_count(bench: Bench) -> None:
    runner = bench.runner(restart_delay=10.0, restart_limit=(2, 15.0))
    job = await bench.up(runner, fails=ValueError())

    await bench.clock.advance(100.0)

    assert job.starts == 11
    assert runner.worker_names() == ["one"]


async def test_a_limit_of_none_allows_no_restart(bench: Bench) -> None:
    runner = bench.runner(restart_delay=0, restart_limit=(0, 60.0))

    job = await bench.up(runner, fails=ValueError())

    assert job.starts == 1
    assert runner.worker_names() == []


async def test_the_limit_is_per_id(bench: Bench) -> None:
    runner = bench.runner(restart_delay=5.0, restart_limit=(1, 60.0))
    jobs = [await bench.up(runner, str(number), fails=ValueError()) for number in range(3)]

    await bench.clock.advance(5.0)

    assert [job.starts for job in jobs] == [2, 2, 2]
    assert runner.worker_names() == []


# The kill timeout.


async def test_a_worker_that_outlives_its_kill_is_hung(
    bench: Bench, settle: Settle, events: Events, caplog: pytest.LogCaptureFixture
) -> None:
    runner = bench.runner(events=events, kill_timeout=10.0)
    job = await bench.up(runner, stubborn=True)
    await runner.stop_worker("one")

    await bench.clock.wait_advance(9.9)
    assert "hung" not in bench.entry(runner)
    await bench.clock.advance(0.1)

    assert bench.entry(runner)["hung"] is True
    assert events.kinds()[-1] == "hung"
    (record,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "one" in record.getMessage()

    job.worker.end()  # Waiting has gone on.
    await settle()
    assert runner.worker_names() == []


async def test_a_worker_that_dies_in_time_is_not_hung(bench: Bench, settle: Settle, events: Events) -> None:
    runner = bench.runner(events=events, kill_timeout=10.0)
    job = await bench.up(runner, stubborn=True)
    runner.kill()
    await bench.clock.wait_advance(5.0)

    job.worker.end()
    await runner.wait()
    await settle()

    assert bench.clock.pending == 0
    assert "hung" not in events.kinds()


async def test_a_start_that_outlives_its_cancellation_is_hung(bench: Bench, settle: Settle) -> None:
    runner, job = bench.runner(kill_timeout=10.0), bench.job(insists=True, stubborn=True)
    gate = job.block()
    await runner.start_worker("one", job)
    await settle()
    await runner.stop_worker("one")

    await bench.clock.wait_advance(10.0)
    assert bench.entry(runner) == {"state": "stopping", "hung": True}

    gate.set()  # What it made has its own time.
    await settle()
    assert bench.entry(runner) == {"state": "stopping"}
    await bench.clock.advance(10.0)
    assert bench.entry(runner) == {"state": "stopping", "hung": True}


async def test_without_a_kill_timeout_nothing_waits_for_one(bench: Bench) -> None:
    runner = bench.runner()
    await bench.up(runner, stubborn=True)

    runner.kill()

    assert bench.clock.pending == 0
