"""What a unit has spooled is sent though the unit is removed, and nothing is left behind."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from plugins.metrics.tests.sending.fakes import Receiver, batch

from undercroft.testing.agent import FakeAgent, FakeUnitAgent
from undercroft_hookspecs import MetricBatch, MetricSender, RetryLaterError, SendReport
from undercroft_metrics.leftovers import MetricLeftovers
from undercroft_metrics.places import spool_of, unit_name
from undercroft_metrics.spool.limits import Limits
from undercroft_metrics.spool.worker import start_spool

MODEL = "00000000-0000-0000-0000-000000000000"
LIMITS = Limits(free_megabytes=0)


def home(data: Path, number: int = 0) -> Path:
    """The folder of a unit."""
    return data / "models" / MODEL / "agents" / f"unit-specimen-{number}"


async def spooled(data: Path, *numbers: int, senders: tuple[str, ...] = ("main",), of: int = 0) -> None:
    """A unit that has spooled batches, and has ended without having sent them."""
    place = home(data, of)
    await asyncio.to_thread(lambda: place.mkdir(parents=True, exist_ok=True))
    unit = FakeUnitAgent(data_dir=place / "metrics", unit_dir=place)
    spool = await start_spool(unit, LIMITS, senders, spool_of(place))
    for number in numbers:
        await spool.publish([batch(number)])
    spool.kill()
    await spool.wait()


async def remove(data: Path, number: int = 0) -> None:
    """Remove a unit, as whoever deploys units does."""

    def removed() -> None:
        place = home(data, number)
        doomed = place.with_name(f".removed-{place.name}")
        place.rename(doomed)
        shutil.rmtree(doomed)

    await asyncio.to_thread(removed)


@asynccontextmanager
async def leftovers(data: Path, **senders: MetricSender) -> AsyncIterator[MetricLeftovers]:
    """The worker."""
    worker = MetricLeftovers(FakeAgent(data_dir=data / "plugins" / "metrics"), LIMITS, senders)
    try:
        yield worker
    finally:
        worker.kill()
        await worker.wait()


async def until(condition: Callable[[], bool]) -> None:
    """Wait until it holds."""
    async with asyncio.timeout(20):
        while not await asyncio.to_thread(condition):
            await asyncio.sleep(0.01)


async def test_what_a_unit_has_left_is_sent_when_it_is_removed_and_its_spool_goes(tmp_path: Path) -> None:
    receiver = Receiver()
    await spooled(tmp_path, 1, 2, 3)
    await spooled(tmp_path, 9, of=1)
    await remove(tmp_path, 1)
    async with leftovers(tmp_path, main=receiver.sender()):
        await until(lambda: not spool_of(home(tmp_path, 1)).exists())
        assert receiver.arrived == [9], "the unit is there, and may send the rest itself"
        await remove(tmp_path)
        await until(lambda: len(receiver.arrived) == 4)
        await until(lambda: not (tmp_path / "plugins" / "metrics" / "spools" / MODEL).exists())
    assert receiver.arrived == [9, 1, 2, 3]


async def test_unit_that_was_removed_while_no_agent_ran_is_not_forgotten(tmp_path: Path) -> None:
    receiver = Receiver()
    await spooled(tmp_path, 1)
    await remove(tmp_path)
    async with leftovers(tmp_path, main=receiver.sender()):
        await until(lambda: receiver.arrived == [1])


async def test_receiver_that_is_down_is_waited_for_across_restarts_of_the_agent(tmp_path: Path) -> None:
    async def down(batches: object) -> SendReport:
        raise RetryLaterError("not now")

    deaf, receiver = Receiver(down), Receiver()
    await spooled(tmp_path, 1)
    await remove(tmp_path)
    async with leftovers(tmp_path, main=deaf.sender()) as worker:
        await until(lambda: bool(deaf.requests))
        assert "unit-specimen-0" in str(worker.report()["sending"])
    async with leftovers(tmp_path, main=receiver.sender()):
        await until(lambda: receiver.arrived == [1])


async def test_what_the_receiver_refuses_or_nobody_sends_is_kept_and_told(tmp_path: Path) -> None:
    receiver = Receiver()
    await spooled(tmp_path, 1, senders=("main", "gone"))
    await remove(tmp_path)
    async with leftovers(tmp_path, main=receiver.sender()) as worker:
        await until(lambda: bool(worker.report()["kept"]))
    assert receiver.arrived == [1]
    assert len(list(spool_of(home(tmp_path)).glob("queue/gone/*.b"))) == 1


async def test_second_unit_of_the_name_is_sent_for_too_though_something_of_the_first_is_kept(tmp_path: Path) -> None:
    receiver = Receiver()
    await spooled(tmp_path, 1, senders=("main", "gone"))
    await remove(tmp_path)
    async with leftovers(tmp_path, main=receiver.sender()) as worker:
        await until(lambda: bool(worker.report()["kept"]))
        await spooled(tmp_path, 2, senders=("main", "gone"))
        await until(lambda: not worker.report()["kept"])
        await remove(tmp_path)
        await until(lambda: receiver.arrived == [1, 2])


async def test_unit_that_comes_anew_has_its_spool_to_itself(tmp_path: Path) -> None:
    async def down(batches: object) -> SendReport:
        raise RetryLaterError("not now")

    deaf = Receiver(down)
    await spooled(tmp_path, 1)
    await remove(tmp_path)
    async with leftovers(tmp_path, main=deaf.sender()) as worker:
        await until(lambda: bool(worker.report()["sending"]))
        await asyncio.to_thread(home(tmp_path).mkdir)
        await until(lambda: not worker.report()["sending"])
        await spooled(tmp_path, 2)


async def test_what_is_old_is_not_given_to_senders_of_the_newest_only(tmp_path: Path) -> None:
    receiver, newest = Receiver(), Receiver()
    await spooled(tmp_path, 1, senders=("main", "newest"))
    await remove(tmp_path)
    async with leftovers(tmp_path, main=receiver.sender(), newest=newest.sender(keeps_history=False)):
        await until(lambda: not spool_of(home(tmp_path)).exists())
    assert (receiver.arrived, newest.arrived) == ([1], [])


async def test_sender_that_raises_keeps_nobody_from_having_the_rest(tmp_path: Path) -> None:
    async def broken(batches: list[MetricBatch]) -> SendReport:
        raise ZeroDivisionError

    receiver, bad = Receiver(), Receiver(broken)  # type: ignore[arg-type]
    await spooled(tmp_path, 1, senders=("main", "bad"))
    await remove(tmp_path)
    async with leftovers(tmp_path, main=receiver.sender(), bad=bad.sender()):
        await until(lambda: receiver.arrived == [1])


def test_name_of_a_unit_is_read_from_its_folder() -> None:
    assert unit_name("unit-my-app-12") == "my-app/12"
