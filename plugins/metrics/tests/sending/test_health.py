"""How senders fare is seen, kept over restarts, and told; what receivers say reaches the model."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from plugins.metrics.tests.sending.fakes import START, Receiver, Stage, accepted

from undercroft.testing import FakeClock
from undercroft.testing.agent import RecordingMeter
from undercroft_hookspecs import MetricBatch, SenderHealths, SendReport, StoreUnavailable
from undercroft_hookspecs.state import MeterStatus
from undercroft_metrics.sending.health import HealthBoard
from undercroft_metrics.sending.worker import sending_output

AMBER, GREEN, RED = (MeterStatus(code="AMBER"), MeterStatus(code="GREEN"), MeterStatus(code="RED"))


def says(*, fails: bool = False, **said: object) -> Receiver:
    """A receiver that says something of the unit's metering."""

    async def answer(batches: Sequence[MetricBatch]) -> SendReport:
        if fails:
            raise OSError("down")
        return SendReport(verdicts=accepted(batches).verdicts, **said)  # type: ignore[arg-type]

    return Receiver(answer)


async def test_failures_are_counted_and_a_success_resets_them(tmp_path: Path) -> None:
    failing = True

    async def answer(batches: Sequence[MetricBatch]) -> SendReport:
        if failing:
            raise OSError("down")
        return accepted(batches)

    receiver = Receiver(answer)
    async with Stage(tmp_path, main=receiver.sender()) as stage:
        stage.queue.publish(1)
        await stage.until(lambda: len(receiver.requests) == 3)
        (health,) = stage.worker.healths.senders()
        assert (health.failures, health.error, health.last_success) == (3, "down", None)
        assert health.since == health.trying_since == START

        failing = False
        await stage.until(lambda: stage.worker.healths.senders()[0].failures == 0)
        succeeded = stage.worker.healths.senders()[0].last_success
        assert succeeded is not None
        assert START < succeeded <= stage.clock.now()
        await stage.settle()
        meter = stage.unit.meter
        assert meter.values("sender_send_failures_total") == {("main",): 3}
        assert meter.values("sender_sent_batches_total") == {("main",): 1}
        assert meter.values("sender_consecutive_failures") == {("main",): 0}


async def test_since_when_a_sender_fails_and_when_it_last_succeeded_outlive_the_agent(tmp_path: Path) -> None:
    async with Stage(tmp_path, main=Receiver().sender()) as stage:
        stage.queue.publish(1)
        await stage.until(lambda: not stage.queue.batches)
    receiver = says(fails=True)
    async with Stage(tmp_path, main=receiver.sender()) as stage:
        stage.queue.publish(2)
        await stage.until(lambda: len(receiver.requests) == 2)
        before = stage.worker.healths.senders()[0]

    async with Stage(tmp_path, main=Receiver().sender()) as stage:
        await stage.until(lambda: bool(stage.worker.healths.senders()))
        after = stage.worker.healths.senders()[0]

    assert after.last_success == START
    assert after.since == before.since
    assert after.failures > 0


async def test_a_state_file_that_is_damaged_begins_anew(tmp_path: Path) -> None:
    (tmp_path / "senders.json").write_text('{"main": 3')
    async with Stage(tmp_path, main=Receiver().sender()) as stage:
        stage.queue.publish(1)
        await stage.until(lambda: not stage.queue.batches)


async def test_who_watches_is_told_of_failures_and_of_their_end(tmp_path: Path) -> None:
    board = HealthBoard(tmp_path / "s.json", clock=FakeClock(START), meter=RecordingMeter())
    health = board.of("main")
    async with board.watch_senders() as states:
        assert (await anext(states))[0].failures == 0
        waiting = asyncio.ensure_future(anext(states))
        await health.failed("down", None)
        assert (await waiting)[0].failures == 1


async def test_the_output_is_the_healths(tmp_path: Path) -> None:
    async with Stage(tmp_path) as stage:
        assert isinstance(sending_output(stage.worker, SenderHealths), SenderHealths)


async def test_a_unit_status_in_the_answer_becomes_the_unit_s_meter_status(tmp_path: Path) -> None:
    receiver = says(statuses={"specimen/0": AMBER, "other/0": RED}, grace=47 * 3600.0)
    async with Stage(tmp_path, main=receiver.sender()) as stage:
        stage.queue.publish(1)

        await stage.until(lambda: bool(stage.meter.set))

        assert stage.meter.set == [AMBER]
        assert stage.worker.healths.senders()[0].grace == 47 * 3600.0


async def test_the_model_s_status_counts_where_the_unit_has_none(tmp_path: Path) -> None:
    async with Stage(tmp_path, main=says(statuses={"other/0": RED}, model_status=GREEN).sender()) as stage:
        stage.queue.publish(1)
        await stage.until(lambda: bool(stage.meter.set))
        assert stage.meter.set == [GREEN]


@pytest.mark.parametrize("grace", [0.0, -5.0, None])
async def test_a_grace_that_is_not_positive_is_ignored(tmp_path: Path, grace: float | None) -> None:
    async with Stage(tmp_path, main=says(grace=grace).sender()) as stage:
        stage.queue.publish(1)
        await stage.until(lambda: not stage.queue.batches)
        assert stage.worker.healths.senders()[0].grace == timedelta(days=7).total_seconds()


async def test_a_status_that_cannot_be_set_is_ignored(tmp_path: Path) -> None:
    odd = MeterStatus(code="PURPLE")  # type: ignore[arg-type]
    async with Stage(tmp_path, main=says(statuses={"specimen/0": odd}).sender()) as stage:
        stage.queue.publish(1)
        await stage.until(lambda: not stage.queue.batches)
        await stage.settle()
        assert stage.meter.set == []


async def test_of_what_several_receivers_say_the_worst_counts(tmp_path: Path) -> None:
    one, two = says(statuses={"specimen/0": RED}), says(statuses={"specimen/0": GREEN})
    async with Stage(tmp_path, one=one.sender(), two=two.sender()) as stage:
        stage.spool.of("one").publish(1)
        await stage.until(lambda: bool(stage.meter.set))
        stage.spool.of("two").publish(1)
        await stage.until(lambda: not stage.spool.of("two").batches)
        await stage.settle()

        assert stage.meter.set == [RED]


async def test_a_store_that_is_away_holds_up_no_sending_and_gets_the_status_later(tmp_path: Path) -> None:
    async with Stage(tmp_path, main=says(statuses={"specimen/0": RED}).sender()) as stage:
        stage.meter.error = StoreUnavailable("away", outcome_unknown=False)
        stage.queue.publish(1, 2)
        await stage.until(lambda: not stage.queue.batches)
        stage.meter.error = None

        await stage.until(lambda: bool(stage.meter.set))

        assert stage.meter.set == [RED]
