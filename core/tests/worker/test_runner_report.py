"""What a runner says of itself: reports, metrics, the log."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest

from undercroft.testing import FakeClock
from undercroft.worker.runner import Runner
from undercroft.worker.small import NoOpWorker
from undercroft_hookspecs import Worker

if TYPE_CHECKING:
    from core.tests.worker.conftest import Bench

Settle = Callable[[], Awaitable[None]]
NOON = "2020-01-01 00:00:00"


class Reporting(NoOpWorker):
    """A worker that reports what it is told to."""

    def __init__(self, report: Callable[[], dict[str, object]]) -> None:
        super().__init__()
        self.report = report


async def test_report_of_several_workers() -> None:
    """v4: TestRunnerReport."""
    runner = Runner("runner", clock=FakeClock())
    for number in range(5):
        report: dict[str, object] = {"index": number} if number % 2 == 0 else {}
        await runner.start_worker(str(number), lambda report=report: Reporting(lambda: report))  # type: ignore[misc]
    for number in range(5):
        await runner.worker(str(number))

    found = runner.report()

    up: dict[str, object] = {"state": "started", "start-count": 1, "started": NOON}
    assert found == {
        "name": "runner",
        "state": "started",
        "workers": {str(n): {**up, "report": {"index": n}} if n % 2 == 0 else up for n in range(5)},
    }
    runner.kill()
    await runner.wait()


async def test_report_while_starting(bench: Bench, settle: Settle) -> None:
    runner, job = bench.runner(), bench.job()
    job.block()
    await runner.start_worker("one", job)
    assert bench.entry(runner) == {"state": "starting"}

    await settle()

    assert bench.entry(runner) == {"state": "starting"}


async def test_report_while_delayed(bench: Bench, settle: Settle) -> None:
    runner = bench.runner(restart_delay=10)
    job = await bench.up(runner, fails=ValueError("no"))
    assert bench.entry(runner) == {"state": "starting", "error": "no", "delay": 10.0}
    await bench.clock.advance(4.0)
    assert bench.entry(runner)["delay"] == 10.0

    job.fails = None
    await bench.clock.advance(6.0)
    assert bench.entry(runner) == {"state": "started", "start-count": 1, "started": "2020-01-01 00:00:10"}

    job.worker.end(KeyError())
    await settle()
    assert bench.entry(runner) == {"state": "starting", "start-count": 1, "error": "KeyError", "delay": 10.0}


async def test_the_last_error_is_shown_until_the_next_successful_start(bench: Bench, settle: Settle) -> None:
    runner = bench.runner(restart_delay=1.0)
    job = await bench.up(runner, fails=ValueError("no"))
    gate = job.block()

    await bench.clock.advance(1.0)
    assert bench.entry(runner) == {"state": "starting", "error": "no"}

    job.fails = None
    gate.set()
    await settle()
    assert "error" not in bench.entry(runner)


async def test_report_while_stopping(bench: Bench, settle: Settle) -> None:
    runner = bench.runner()
    await bench.up(runner, stubborn=True)

    await runner.stop_worker("one")

    assert bench.entry(runner) == {"state": "stopping", "start-count": 1, "started": NOON}


async def test_report_of_a_dying_and_a_dead_runner(bench: Bench, settle: Settle) -> None:
    runner = bench.runner(is_fatal=None)
    stubborn = await bench.up(runner, "stubborn", stubborn=True)
    bad = await bench.up(runner, "bad")

    bad.worker.end(ValueError())
    await settle()
    assert runner.report() == {
        "name": "runner",
        "state": "stopping",
        "error": "ValueError",
        "workers": {"stubborn": {"state": "stopping", "start-count": 1, "started": NOON}},
    }

    stubborn.worker.end()
    await settle()
    assert runner.report() == {"name": "runner", "state": "stopped", "error": "ValueError", "workers": {}}


async def test_a_report_is_a_fresh_copy(bench: Bench) -> None:
    runner = bench.runner()
    await bench.up(runner)

    runner.report()["workers"].clear()  # type: ignore[attr-defined]

    assert bench.entry(runner)["state"] == "started"


async def test_a_workers_report_may_call_its_runner(bench: Bench, settle: Settle) -> None:
    """Upstream this deadlocks."""
    runner = bench.runner()

    def report() -> dict[str, object]:
        with pytest.raises(StopIteration):
            runner.stop_worker("two").send(None)
        return {"others": runner.worker_names()}

    await runner.start_worker("one", lambda: Reporting(report))
    await bench.up(runner, "two")

    assert bench.entry(runner)["report"] == {"others": ["one", "two"]}
    await settle()
    assert runner.worker_names() == ["one"]


async def test_a_workers_report_that_raises_is_left_out(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    runner = bench.runner()

    def report() -> dict[str, object]:
        raise ValueError("no report")

    await runner.start_worker("one", lambda: Reporting(report))
    await runner.worker("one")

    assert "report" not in bench.entry(runner)
    assert "no report" in caplog.text


# Metrics.


class Counts:
    """Metrics that remember."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def record_start(self, name: str) -> None:
        self.names.append(name)
        if name == "bad":
            raise ValueError("bad metrics")


async def test_metrics_count_what_comes_up(bench: Bench, settle: Settle) -> None:
    counts = Counts()
    runner = bench.runner(metrics=counts, restart_delay=0)
    one = await bench.up(runner)
    await bench.up(runner, "two", fails=ValueError())
    one.worker.end(ValueError())
    await runner.stop_worker("two")
    await settle()

    assert counts.names == ["one", "one"]


async def test_metrics_that_raise_are_logged_and_swallowed(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    runner = bench.runner(metrics=Counts())

    job = await bench.up(runner, "bad")

    assert await runner.worker("bad") is job.worker
    assert "bad metrics" in caplog.text


async def test_a_worker_that_is_shown_to_nobody_is_not_counted(bench: Bench, settle: Settle) -> None:
    counts = Counts()
    runner, job = bench.runner(metrics=counts), bench.job(insists=True)
    gate = job.block()
    await runner.start_worker("one", job)
    await settle()
    await runner.stop_worker("one")
    gate.set()
    await settle()

    assert len(job.workers) == 1
    assert counts.names == []


# The log.


async def test_a_fatal_error_is_logged_with_its_traceback(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    runner = bench.runner(is_fatal=None)
    job = await bench.up(runner)

    job.worker.end(ValueError("fatal"))
    with pytest.raises(ValueError, match="fatal"):
        await runner.wait()

    (record,) = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert (record.name, record.levelno) == ("undercroft.runner", logging.ERROR)
    assert "one" in record.getMessage()
    assert record.exc_info is not None


async def test_a_failure_with_restart_is_a_warning(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    runner = bench.runner()

    await bench.up(runner, fails=ValueError("again"))

    (record,) = [record for record in caplog.records if record.name == "undercroft.runner"]
    assert record.levelno == logging.WARNING
    assert "one" in record.getMessage()
    assert "again" in record.getMessage()


async def test_the_rest_is_logged_below(bench: Bench, settle: Settle, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    runner = bench.runner(should_restart=lambda _: False)
    job = await bench.up(runner)
    job.worker.end(ValueError())
    await bench.up(runner, "two", error_at_kill=ValueError())
    await settle()
    runner.kill()
    await runner.wait()

    records = [record for record in caplog.records if record.name == "undercroft.runner"]
    assert records
    assert {record.levelno for record in records} <= {logging.INFO, logging.DEBUG}
    assert all("one" in text or "two" in text or "runner" in text for text in (r.getMessage() for r in records))


async def test_the_given_logger_is_used(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    runner = bench.runner(logger=logging.getLogger("mine"))

    await bench.up(runner, fails=ValueError())

    assert {record.name for record in caplog.records if record.levelno >= logging.WARNING} == {"mine"}


async def test_a_worker_that_cannot_report_has_no_report(bench: Bench) -> None:
    runner = bench.runner()

    class Odd(NoOpWorker):
        report = "no function"

    def start() -> Worker:
        return Odd()

    await runner.start_worker("one", start)
    await runner.worker("one")

    assert "report" not in bench.entry(runner)
