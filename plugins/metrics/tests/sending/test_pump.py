"""A pump: everything arrives, whatever the receiver does, and nobody is held up by another's trouble."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest
from plugins.metrics.tests.sending.fakes import START, Receiver, Stage, accepted, batch, number

from undercroft_hookspecs import (
    Accepted,
    BatchesRefusedError,
    MetricBatch,
    Rejected,
    Retry,
    RetryLaterError,
    SendReport,
    TooMuchError,
    Verdict,
)


class Down:
    """A receiver that can be down."""

    def __init__(self, error: Exception | None) -> None:
        self.error = error

    async def __call__(self, batches: Sequence[MetricBatch]) -> SendReport:
        if self.error is not None:
            raise self.error
        return accepted(batches)


async def test_a_published_batch_is_sent_and_leaves_the_queue(tmp_path: Path) -> None:
    receiver = Receiver()
    async with Stage(tmp_path, main=receiver.sender()) as stage:
        stage.queue.publish(1)

        await stage.until(lambda: not stage.queue.batches)

    assert receiver.requests == [[1]]


async def test_a_batch_that_the_receiver_has_already_leaves_the_queue(tmp_path: Path) -> None:
    async def answer(batches: Sequence[MetricBatch]) -> SendReport:
        return SendReport(verdicts={each.id: Accepted(duplicate=True) for each in batches})

    async with Stage(tmp_path, main=Receiver(answer).sender()) as stage:
        stage.queue.publish(1)

        await stage.until(lambda: not stage.queue.batches)


async def test_a_send_that_fails_keeps_the_batch_and_the_reason_is_shown(tmp_path: Path) -> None:
    receiver = Receiver(Down(OSError("connection refused")))
    async with Stage(tmp_path, main=receiver.sender()) as stage:
        stage.queue.publish(1)

        await stage.until(lambda: len(receiver.requests) == 3)

        assert len(stage.queue.batches) == 1
        assert "connection refused" in str(stage.worker.report())


async def test_with_nothing_to_send_the_sender_is_not_even_opened(tmp_path: Path) -> None:
    receiver = Receiver()
    async with Stage(tmp_path, main=receiver.sender()) as stage:
        await stage.advance(3600)

    assert (receiver.opened, receiver.requests) == (0, [])


async def test_batches_are_sent_oldest_first_and_as_many_at_once_as_the_sender_takes(tmp_path: Path) -> None:
    receiver = Receiver()
    async with Stage(tmp_path, main=receiver.sender(max_batches=4)) as stage:
        stage.queue.publish(*range(10))

        await stage.until(lambda: not stage.queue.batches)

    assert receiver.requests == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


async def test_two_of_seven_that_are_never_answered_for_are_sent_again_and_the_others_arrive(tmp_path: Path) -> None:
    async def answer(batches: Sequence[MetricBatch]) -> SendReport:
        return SendReport(verdicts={each.id: Accepted() for each in batches if number(each) not in (2, 5)})

    receiver = Receiver(answer)
    async with Stage(tmp_path, main=receiver.sender(max_batches=4)) as stage:
        stage.queue.publish(*range(1, 8))

        await stage.until(lambda: len(stage.queue.batches) == 2)

        assert sorted(receiver.arrived) == [1, 3, 4, 6, 7]
        assert [number(each) for each in stage.queue.batches] == [2, 5]


async def test_verdicts_for_batches_that_were_not_sent_are_ignored(tmp_path: Path) -> None:
    async def answer(batches: Sequence[MetricBatch]) -> SendReport:
        verdicts: dict[str, Verdict] = {
            batch(99).id: Rejected(reason="x"),
            "nonsense": Accepted(),
            batches[0].id: Accepted(),
        }
        return SendReport(verdicts=verdicts)

    receiver = Receiver(answer)
    async with Stage(tmp_path, main=receiver.sender(max_batches=1)) as stage:
        stage.queue.publish(1)
        await stage.until(lambda: not stage.queue.batches)
        assert stage.queue.dead == {}


def test_a_three_days_outage_loses_nothing_and_is_asked_about_every_five_minutes_at_most(tmp_path: Path) -> None:
    # Not by the loops of the other tests, whose debug mode makes days long.
    asyncio.run(three_days(tmp_path))


async def three_days(tmp_path: Path) -> None:
    """The test's body."""
    down = Down(OSError("no route to host"))
    receiver = Receiver(down)
    async with Stage(tmp_path, main=receiver.sender()) as stage:
        for tick in range(3 * 24):
            stage.queue.publish(*range(tick * 12, (tick + 1) * 12))
            await stage.advance(3600)
        tries = len(receiver.requests)
        assert 3 * 24 * 12 <= tries < 3 * 3 * 24 * 12
        assert {len(request) for request in receiver.requests[1:]} == {1}

        down.error = None
        await stage.until(lambda: not stage.queue.batches)

    assert receiver.arrived == list(range(864))
    assert [len(request) for request in receiver.requests[tries:]] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 353]


async def test_a_receiver_s_retry_after_is_kept_to(tmp_path: Path) -> None:
    down = Down(RetryLaterError("429", after=600))
    receiver = Receiver(down)
    async with Stage(tmp_path, main=receiver.sender()) as stage:
        stage.queue.publish(1)
        await stage.until(lambda: len(receiver.requests) == 1, step=0)

        await stage.advance(599)
        assert len(receiver.requests) == 1
        await stage.advance(70)
        assert len(receiver.requests) == 2


async def test_a_receiver_that_asks_for_a_year_is_asked_again_within_the_hour(tmp_path: Path) -> None:
    receiver = Receiver(Down(RetryLaterError("429", after=3e7)))
    async with Stage(tmp_path, main=receiver.sender()) as stage:
        stage.queue.publish(1)
        await stage.until(lambda: len(receiver.requests) == 1, step=0)

        await stage.advance(3601)

        assert len(receiver.requests) == 2


async def test_what_is_too_much_at_once_is_sent_in_smaller_parts(tmp_path: Path) -> None:
    async def answer(batches: Sequence[MetricBatch]) -> SendReport:
        if len(batches) > 3:
            raise TooMuchError("413")
        return accepted(batches)

    receiver = Receiver(answer)
    async with Stage(tmp_path, main=receiver.sender(max_batches=16)) as stage:
        stage.queue.publish(*range(16))

        await stage.until(lambda: not stage.queue.batches, step=0)

    assert receiver.arrived == list(range(16))
    assert [len(request) for request in receiver.requests][:4] == [16, 8, 4, 2]


async def test_a_batch_that_is_too_much_alone_goes_to_the_dead_letters(tmp_path: Path) -> None:
    receiver = Receiver(Down(TooMuchError("413")))
    async with Stage(tmp_path, main=receiver.sender()) as stage:
        stage.queue.publish(1)

        await stage.until(lambda: 1 in stage.queue.dead)

        assert "413" in stage.queue.dead[1]


@pytest.mark.parametrize("bad", [{0}, {499}, {999}, {17, 18, 700}])
async def test_a_batch_that_is_refused_among_a_thousand_is_found_in_few_requests(tmp_path: Path, bad: set[int]) -> None:
    async def answer(batches: Sequence[MetricBatch]) -> SendReport:
        if any(number(each) in bad for each in batches):
            raise BatchesRefusedError("400 out of bounds")
        return accepted(batches)

    receiver = Receiver(answer)
    async with Stage(tmp_path, main=receiver.sender()) as stage:
        stage.queue.publish(*range(1000))
        await stage.until(lambda: not stage.queue.batches)

        assert stage.queue.dead == dict.fromkeys(bad, "400 out of bounds")
    assert receiver.arrived == [each for each in range(1000) if each not in bad]
    assert len(receiver.requests) <= 15 * len(bad) + 10


async def test_a_receiver_that_refuses_everything_does_not_get_the_whole_queue_buried_at_once(tmp_path: Path) -> None:
    receiver = Receiver(Down(BatchesRefusedError("400 wrong endpoint")))
    async with Stage(tmp_path, main=receiver.sender()) as stage:
        stage.queue.publish(*range(1000))

        await stage.advance(3600)

        assert len(stage.queue.dead) < 60
        assert len(stage.queue.batches) > 900


async def test_a_batch_that_alone_is_answered_with_500_for_ever_goes_to_the_dead_letters(tmp_path: Path) -> None:
    async def answer(batches: Sequence[MetricBatch]) -> SendReport:
        if any(number(each) == 5 for each in batches):
            raise RetryLaterError("500 too old sample")
        return accepted(batches)

    receiver = Receiver(answer)
    async with Stage(tmp_path, main=receiver.sender()) as stage:
        stage.queue.publish(*range(20))
        await stage.until(lambda: not stage.queue.batches, step=10)

        assert list(stage.queue.dead) == [5]
        assert "500 too old sample" in stage.queue.dead[5]
    assert sorted(receiver.arrived) == [each for each in range(20) if each != 5]


def test_a_receiver_that_is_down_for_long_makes_no_batch_look_like_poison(tmp_path: Path) -> None:
    # Not by the loops of the other tests, whose debug mode makes days long.
    asyncio.run(a_long_day(tmp_path))


async def a_long_day(tmp_path: Path) -> None:
    """The test's body."""
    down = Down(RetryLaterError("503"))
    receiver = Receiver(down)
    async with Stage(tmp_path, main=receiver.sender()) as stage:
        stage.queue.publish(*range(20))
        await stage.advance(86400)
        down.error = None

        await stage.until(lambda: not stage.queue.batches)

        assert stage.queue.dead == {}
    assert receiver.arrived == list(range(20))


async def test_a_batch_that_is_put_off_for_ever_while_others_arrive_goes_to_the_dead_letters(tmp_path: Path) -> None:
    async def answer(batches: Sequence[MetricBatch]) -> SendReport:
        return SendReport(
            verdicts={each.id: Retry(reason="busy") if number(each) == 0 else Accepted() for each in batches}
        )

    receiver = Receiver(answer)
    async with Stage(tmp_path, main=receiver.sender()) as stage:
        stage.queue.publish(*range(3))
        await stage.until(lambda: 0 in stage.queue.dead, step=10)

        assert receiver.arrived == [1, 2]


async def test_a_sender_that_hangs_is_cancelled_in_time_and_tried_again(tmp_path: Path) -> None:
    hanging = True

    async def answer(batches: Sequence[MetricBatch]) -> SendReport:
        if hanging:
            await asyncio.Event().wait()
        return accepted(batches)

    receiver = Receiver(answer)
    async with Stage(tmp_path, main=receiver.sender(timeout=30)) as stage:
        stage.queue.publish(1)
        await stage.until(lambda: len(receiver.requests) == 1, step=0)
        await stage.advance(31)
        await stage.until(lambda: "longer than 30 s" in str(stage.worker.report()), step=0)

        hanging = False
        await stage.until(lambda: not stage.queue.batches)


@pytest.mark.parametrize("trouble", ["raises", "hangs", "answers nonsense", "cannot be opened"])
async def test_a_sender_in_trouble_stops_no_other(tmp_path: Path, trouble: str) -> None:
    async def answer(batches: Sequence[MetricBatch]) -> SendReport:
        if trouble == "raises":
            raise ZeroDivisionError("a bug")
        if trouble == "hangs":
            await asyncio.Event().wait()
        return None  # type: ignore[return-value]

    bad, good = Receiver(answer), Receiver()
    sender = bad.sender()
    if trouble == "cannot be opened":
        sender = type(sender)(open=lambda *_: 1 / 0)  # type: ignore[arg-type]
    async with Stage(tmp_path, bad=sender, main=good.sender()) as stage:
        stage.spool.of("bad").publish(1)
        await stage.advance(60)
        stage.queue.publish(1, 2)

        await stage.until(lambda: not stage.queue.batches)

        assert good.arrived == [1, 2]
        assert len(stage.spool.of("bad").batches) == 1
        assert stage.worker.healths.of("bad").snapshot().failures > 0 or trouble == "hangs"


async def test_a_sender_that_failed_by_a_bug_is_opened_anew(tmp_path: Path) -> None:
    down = Down(KeyError("a bug"))
    receiver = Receiver(down)
    async with Stage(tmp_path, main=receiver.sender()) as stage:
        stage.queue.publish(1)
        await stage.until(lambda: len(receiver.requests) == 2)
        down.error = None
        await stage.until(lambda: not stage.queue.batches)

    assert receiver.opened == 3


async def test_a_flush_cuts_the_wait_short_and_says_what_came_of_it(tmp_path: Path) -> None:
    down = Down(RetryLaterError("503", after=3000))
    receiver = Receiver(down)
    async with Stage(tmp_path, main=receiver.sender()) as stage:
        stage.queue.publish(1)
        await stage.until(lambda: len(receiver.requests) == 1, step=0)
        await stage.settle()

        assert await asyncio.wait_for(stage.worker.flush(), 10) == {"main": "503"}
        down.error = None
        await stage.settle()
        assert await asyncio.wait_for(stage.worker.flush("main"), 10) == {"main": ""}
        assert stage.queue.batches == []
        assert await stage.worker.flush("absent") == {}


async def test_what_arrived_is_not_sent_again_while_the_disk_is_read_only(tmp_path: Path) -> None:
    receiver = Receiver()
    async with Stage(tmp_path, main=receiver.sender()) as stage:
        stage.queue.read_only = True
        stage.queue.publish(1, 2)
        await stage.until(lambda: receiver.arrived == [1, 2])
        await stage.advance(3600)
        assert receiver.requests == [[1, 2]]

        stage.queue.read_only = False
        await stage.until(lambda: not stage.queue.batches)

    assert receiver.requests == [[1, 2]]


async def test_where_only_the_newest_count_the_old_ones_are_acknowledged_unsent(tmp_path: Path) -> None:
    receiver = Receiver()
    async with Stage(tmp_path, main=receiver.sender(keeps_history=False, max_batches=2)) as stage:
        stage.queue.publish(*range(7))
        await stage.until(lambda: not stage.queue.batches)

    assert receiver.requests == [[6]]


async def test_a_kill_while_sending_keeps_the_batch_for_the_next_start(tmp_path: Path) -> None:
    async def answer(_: Sequence[MetricBatch]) -> SendReport:
        await asyncio.Event().wait()
        raise AssertionError

    receiver = Receiver(answer)
    async with Stage(tmp_path, main=receiver.sender()) as stage:
        stage.queue.publish(1)
        await stage.until(lambda: len(receiver.requests) == 1, step=0)

    assert [number(each) for each in stage.queue.batches] == [1]


async def test_many_senders_come_back_to_a_receiver_spread_over_time(tmp_path: Path) -> None:
    """Those that failed together do not try again together."""
    down = Down(OSError("down"))
    receiver = Receiver(down)
    moments: list[timedelta] = []
    async with Stage(tmp_path, **{f"s{n}": receiver.sender() for n in range(10)}) as stage:
        for n in range(10):
            stage.spool.of(f"s{n}").publish(n)
        await stage.advance(600)
        down.error = None
        seen = len(receiver.arrived)
        for _ in range(60):
            await stage.advance(5)
            moments += [stage.clock.now() - START] * (len(receiver.arrived) - seen)
            seen = len(receiver.arrived)

    assert len(moments) == 10
    assert max(moments.count(moment) for moment in moments) <= 4
