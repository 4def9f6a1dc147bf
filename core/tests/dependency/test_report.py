"""What an engine says of itself: report, explain, transitions, logs."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

import pytest

from undercroft import Context, NoOpWorker, Reporter, Worker
from undercroft.dependency import Bounce, Explanation
from undercroft_hookspecs import NotFoundError

if TYPE_CHECKING:
    from core.tests.dependency.conftest import Bench, Part

    from undercroft.dependency import Engine

START = "2020-01-01 00:00:00"


class Talker(NoOpWorker):
    """A worker that describes itself."""

    __slots__ = ("said",)

    def __init__(self, said: dict[str, object]) -> None:
        super().__init__()
        self.said = said

    def report(self) -> dict[str, object]:
        return self.said


async def test_a_fresh_engine(bench: Bench) -> None:
    """juju: TestReportStarted."""
    engine = bench.engine()

    assert engine.report() == {"state": "started", "manifolds": {}}
    assert isinstance(engine, Reporter)


async def test_a_killed_engine(bench: Bench) -> None:
    """juju: TestReportStopped."""
    engine = bench.engine()
    engine.kill()
    await bench.died(engine)

    assert engine.report() == {"state": "stopped", "manifolds": {}}


async def test_an_engine_that_is_stopping(bench: Bench, new_part: type[Part]) -> None:
    """juju: TestReportStopping."""
    engine = bench.engine()
    a = new_part("a", stubborn=True)
    await bench.install(engine, a)

    engine.kill()
    await bench.settle()

    entry = {"state": "stopping", "inputs": [], "start-count": 1, "started": START}
    assert engine.report() == {"state": "stopping", "manifolds": {"a": entry}}
    a.probe.end()
    assert await bench.died(engine) is None


async def test_inputs_and_the_workers_own_reports(bench: Bench, new_part: type[Part]) -> None:
    """juju: TestReportInputs."""
    engine = bench.engine()
    a = new_part("a", start=lambda _: Talker({"is": "talking"}))
    b = new_part("b", "a", start=lambda _: Talker({}))

    await bench.install(engine, a, b)

    common = {"state": "started", "start-count": 1, "started": START}
    assert bench.entry(engine, "a") == common | {"inputs": [], "report": {"is": "talking"}}
    assert bench.entry(engine, "b") == common | {"inputs": ["a"]}


async def test_the_error_of_the_last_attempt(bench: Bench, new_part: type[Part]) -> None:
    """juju: TestReportError."""
    engine = bench.engine()
    await bench.install(engine, new_part("b", "a"))
    expected = {"state": "stopped", "inputs": ["a"], "missing": ["a"], "error": "'a' is not running"}
    assert bench.entry(engine, "b") == expected

    engine.kill()
    await bench.died(engine)

    assert engine.report() == {"state": "stopped", "manifolds": {"b": expected}}


async def test_a_delayed_attempt_shows_its_delay_and_no_error(bench: Bench, new_part: type[Part]) -> None:
    engine = bench.engine(error_delay=5)
    a = new_part("a")
    await bench.install(engine, a)

    a.probe.end(ValueError("cleared when the next attempt is asked for"))
    await bench.settle()

    assert bench.entry(engine, "a") == {"state": "starting", "inputs": [], "start-count": 1, "delay": 5}
    await bench.clock.advance(5)
    entry = {"state": "started", "inputs": [], "start-count": 2, "started": "2020-01-01 00:00:05"}
    assert bench.entry(engine, "a") == entry


async def test_the_engines_error_is_unfiltered_first_and_what_wait_raises_then(
    bench: Bench, new_part: type[Part]
) -> None:
    engine = bench.engine(is_fatal=lambda _: True, filter=lambda _: KeyError())
    a, b = new_part("a"), new_part("b", stubborn=True)
    await bench.install(engine, a, b)

    a.probe.end(ValueError("as it was"))
    await bench.settle()
    assert engine.report()["error"] == "as it was"
    b.probe.end()
    await bench.died(engine)

    assert engine.report()["error"] == "KeyError"


async def test_each_report_is_a_fresh_copy(bench: Bench, new_part: type[Part]) -> None:
    engine = bench.engine()
    talker = Talker({"is": "talking"})
    await bench.install(engine, new_part("a", "b", start=lambda _: talker))

    entry = bench.entry(engine, "a")
    entry["inputs"].append("c")
    entry["report"]["more"] = 1
    entry.clear()

    assert bench.entry(engine, "a")["inputs"] == ["b"]
    assert talker.said == {"is": "talking"}


async def test_a_workers_report_may_ask_the_engine(bench: Bench, new_part: type[Part]) -> None:
    """Checklist 19."""
    engine = bench.engine()

    class Curious(NoOpWorker):
        def report(self) -> dict[str, object]:
            return {"engine": engine.report()["state"]}

    await bench.install(engine, new_part("a", start=lambda _: Curious()), new_part("b", start=lambda _: Curious()))

    assert bench.entry(engine, "a")["report"] == {"engine": "started"}
    assert bench.entry(engine, "b")["report"] == {"engine": "started"}


async def test_a_workers_report_that_raises_is_logged_and_left_out(
    bench: Bench, new_part: type[Part], caplog: pytest.LogCaptureFixture
) -> None:
    """G9."""
    engine = bench.engine()

    class Broken(NoOpWorker):
        def report(self) -> dict[str, object]:
            raise ValueError("broken")

    await bench.install(engine, new_part("a", start=lambda _: Broken()))

    assert "report" not in bench.entry(engine, "a")
    assert "broken" in caplog.text


async def test_transitions_are_kept_with_their_errors(bench: Bench, new_part: type[Part]) -> None:
    engine = bench.engine(error_delay=5, name="top")
    a = new_part("a")
    await bench.install(engine, a)
    error = ValueError("no")

    a.probe.end(error)
    await bench.settle()

    found = [(event.kind, event.path, event.error, event.delay) for event in engine.transitions()]
    assert found == [
        ("starting", "top/a", None, None),
        ("started", "top/a", None, None),
        ("stopped", "top/a", error, None),
        ("restarting", "top/a", error, 5),
    ]


async def test_failures_with_restart_are_warnings_and_the_rest_is_less(
    bench: Bench, new_part: type[Part], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "undercroft.engine")
    engine = bench.engine(error_delay=5)
    a, b = new_part("a"), new_part("b", "a")
    await bench.install(engine, b, a)

    a.probe.end(ValueError("not fatal"))
    await bench.settle()

    loud = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert loud == ["engine/a failed, and starts again in 5 s: not fatal"]
    assert any("engine/b" in record.getMessage() and record.levelno < logging.INFO for record in caplog.records)


async def test_a_given_logger_is_used(bench: Bench, new_part: type[Part], caplog: pytest.LogCaptureFixture) -> None:
    engine = bench.engine(logger=logging.getLogger("mine"), error_delay=5)
    a = new_part("a")
    await bench.install(engine, a)

    a.probe.end(ValueError("not fatal"))
    await bench.settle()

    assert {record.name for record in caplog.records} == {"mine"}


def explain(engine: Engine, name: str) -> tuple[Explanation, str]:
    found = engine.explain(name)
    assert list(found) == list(found.sentences)
    assert str(found) == "\n".join(found)
    return found, str(found)


async def test_explain_walks_down_to_the_first_cause(bench: Bench, new_part: type[Part]) -> None:
    engine = bench.engine(error_delay=8, backoff_factor=2)

    def fail(_: Context) -> Worker:
        raise OSError("no such device")

    await bench.install(engine, new_part("c", start=fail), new_part("b", "c"), new_part("a", "b"))
    await bench.clock.advance(10)

    found, text = explain(engine, "a")

    assert (found.name, found.state, found.missing) == ("a", "stopped", ("b",))
    assert found.error == "'b' is not running"
    assert found.retry_in is None
    assert [sentence.split()[0] for sentence in found.sentences] == ["a", "b", "c"]
    assert "no such device" in text
    assert "14 s after 2 failures" in text
    assert explain(engine, "c")[0].retry_in == pytest.approx(14)


async def test_explain_names_an_input_that_is_not_installed(bench: Bench, new_part: type[Part]) -> None:
    engine = bench.engine()
    await bench.install(engine, new_part("a", "b"))

    assert explain(engine, "a")[0].sentences[-1] == "b is not installed."


async def test_explain_a_worker_that_is_up(bench: Bench, new_part: type[Part]) -> None:
    engine = bench.engine()
    await bench.install(engine, new_part("a", "b", start=lambda _: NoOpWorker()))

    found, text = explain(engine, "a")

    assert found.state == "started"
    assert text == f"a is started, since {START}, without b."


async def test_explain_a_worker_that_has_finished(bench: Bench, new_part: type[Part]) -> None:
    engine = bench.engine()
    a = new_part("a")
    await bench.install(engine, a)
    a.probe.end()
    await bench.settle()

    assert "has finished" in explain(engine, "a")[1]


async def test_explain_what_takes_its_time(bench: Bench, new_part: type[Part]) -> None:
    engine = bench.engine(kill_timeout=5)

    async def slow(_: Context) -> Worker:
        await release.wait()
        return NoOpWorker()

    async def very_slow(_: Context) -> Worker:
        while not release.is_set():
            try:
                await release.wait()
            except asyncio.CancelledError:
                continue
        late.append(late_part.add_probe())
        return late[-1]

    release = asyncio.Event()
    late: list[Worker] = []
    late_part = new_part("late", "a", start=very_slow, stubborn=True)
    a, b = new_part("a"), new_part("b", "a", stubborn=True)
    await bench.install(engine, new_part("slow", start=slow), late_part, a, b)
    assert "start is running" in explain(engine, "slow")[1]
    assert "asked to stop, and has not ended" in explain(engine, "late")[1]

    a.probe.end(Bounce())
    release.set()
    await bench.settle()
    assert "came up too late" in explain(engine, "late")[1]
    assert "was asked to stop, and is not dead yet" in explain(engine, "b")[1]
    await bench.clock.advance(5)

    assert "has outlived its kill timeout" in explain(engine, "b")[1]
    assert bench.entry(engine, "b")["hung"] is True


async def test_explain_nobody(bench: Bench) -> None:
    with pytest.raises(NotFoundError):
        bench.engine().explain("nobody")


@pytest.mark.slow_callbacks  # So many installs in one step, in debug mode.
async def test_explain_a_long_chain(bench: Bench, new_part: type[Part]) -> None:
    engine = bench.engine()
    names = [f"m{i}" for i in range(1500)]
    for i, name in enumerate(names):
        await engine.install(name, new_part(name, names[i + 1] if i + 1 < len(names) else "nobody").manifold)
    await bench.settle()

    assert len(explain(engine, "m0")[0].sentences) == 1501


async def test_explain_does_not_wander_off(bench: Bench, new_part: type[Part]) -> None:
    """Only what the start has missed is followed, if it said what that was."""
    engine = bench.engine()

    def start(context: Context) -> Worker:
        context.get("needed")
        return NoOpWorker()

    await bench.install(engine, new_part("a", "optional", "needed", start=start))

    assert [sentence.split()[0] for sentence in explain(engine, "a")[0]] == ["a", "needed"]


async def test_explain_after_death(bench: Bench, new_part: type[Part]) -> None:
    engine = bench.engine(is_fatal=lambda _: True)
    a = new_part("a")
    await bench.install(engine, a)
    a.probe.end(ValueError("fatal"))
    await bench.died(engine)

    assert "fatal" in explain(engine, "a")[1]
