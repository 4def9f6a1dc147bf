from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from plugins.meterstatus.tests.metering import Charm, Metering

from undercroft.fortress import Fortress
from undercroft.testing import FakeClock
from undercroft.testing.agent import FakeUnitAgent
from undercroft_hookspecs import HookResult, NotValidError
from undercroft_hookspecs.state import MeterStatus
from undercroft_meterstatus.grading import ISOLATED
from undercroft_meterstatus.memory import Memory, Moment
from undercroft_meterstatus.plugin import Config
from undercroft_meterstatus.worker import MeterStatusWorker

GREEN = MeterStatus(code="GREEN", info="ok")
AMBER = MeterStatus(code="AMBER", info="quota nearly used up")
RED = MeterStatus(code="RED", info="quota used up")
CUT_OFF = [("AMBER", ISOLATED), ("RED", ISOLATED)]


@dataclass
class Unit:
    """A unit's data folder and clock, which outlive its workers."""

    folder: Path
    clock: FakeClock
    fortress: Fortress

    @asynccontextmanager
    async def running(self, metering: Metering, charm: Charm) -> AsyncIterator[MeterStatusWorker]:
        agent = FakeUnitAgent(config=Config(), data_dir=self.folder, clock=self.clock)
        worker = MeterStatusWorker(
            agent, Config(), meter=metering, connection=metering, hooks=charm, guest=self.fortress
        )
        try:
            yield worker
        finally:
            worker.kill()
            await worker.wait()

    def kept(self) -> Memory:
        return msgspec.json.decode((self.folder / "meter-status.json").read_bytes(), type=Memory)

    async def until_kept(self, expected: MeterStatus) -> None:
        """Wait until it is on the disk that the charm was told so."""
        async with asyncio.timeout(10):
            while not (self.folder / "meter-status.json").exists() or self.kept().told != expected:
                await asyncio.sleep(0.001)


@pytest.fixture
async def unit(tmp_path: Path) -> AsyncIterator[Unit]:
    fortress = Fortress()
    await fortress.unlock()
    yield Unit(tmp_path, FakeClock(), fortress)
    fortress.kill()
    await fortress.wait()


async def connected(*statuses: MeterStatus) -> Metering:
    metering = Metering()
    await metering.connected.show(True)
    for status in statuses:
        await metering.status.show(status)
    return metering


async def cut_off() -> Metering:
    metering = Metering()
    await metering.connected.show(False)
    return metering


async def test_a_charm_is_told_each_change_once(unit: Unit) -> None:
    metering, charm = await connected(GREEN), Charm()
    async with unit.running(metering, charm):
        await charm.was_told(1)
        await metering.status.show(GREEN)
        await metering.status.show(RED)
        await charm.was_told(2)
        await unit.until_kept(RED)

    assert charm.told == [("GREEN", "ok"), ("RED", "quota used up")]


async def test_the_same_code_for_another_reason_is_a_change(unit: Unit) -> None:
    metering, charm = await connected(AMBER), Charm()
    async with unit.running(metering, charm):
        await charm.was_told(1)
        await metering.status.show(MeterStatus(code="AMBER", info="other"))
        await charm.was_told(2)

    assert charm.told == [("AMBER", AMBER.info), ("AMBER", "other")]


async def test_a_charm_is_not_told_again_after_a_restart(unit: Unit) -> None:
    metering, first, second = await connected(RED), Charm(), Charm()
    async with unit.running(metering, first):
        await unit.until_kept(RED)
    async with unit.running(metering, second):
        await metering.status.show(GREEN)
        await second.was_told(1)

    assert (first.told, second.told) == ([("RED", RED.info)], [("GREEN", "ok")])


async def test_a_charm_is_not_started_to_be_told_that_nobody_has_set_anything(unit: Unit) -> None:
    metering, charm = await connected(MeterStatus()), Charm()
    async with unit.running(metering, charm):
        await unit.clock.advance(1)
        assert charm.told == []
        await metering.status.show(GREEN)
        await charm.was_told(1)
        await metering.status.show(MeterStatus())
        await charm.was_told(2)

    assert charm.told == [("GREEN", "ok"), ("AMBER", "not set")]


async def test_a_charm_without_the_hook_counts_as_told(unit: Unit) -> None:
    charm = Charm(HookResult(returncode=0, missing=True))
    async with unit.running(await connected(RED), charm):
        await unit.until_kept(RED)
        await unit.clock.advance(3600)

    assert len(charm.told) == 1


FAILURES = (
    HookResult(returncode=1),
    TimeoutError("it took too long"),
    NotValidError("not executable", field="script"),
)


@pytest.mark.parametrize("failure", FAILURES)
async def test_a_hook_that_failed_is_run_again_and_counts_only_then(
    unit: Unit, failure: HookResult | Exception
) -> None:
    charm = Charm(failure, failure)
    async with unit.running(await connected(RED), charm) as worker:
        await charm.was_told(1)
        assert worker.report()["pending"] == "RED"
        for times in (2, 3):
            await unit.clock.wait_advance(15)
            await charm.was_told(times)
        await unit.until_kept(RED)

    assert charm.told == [("RED", RED.info)] * 3


async def test_a_charm_that_has_not_started_is_told_the_newest_once_it_has(unit: Unit) -> None:
    await unit.fortress.lockdown()
    metering, charm = await connected(GREEN), Charm()
    async with unit.running(metering, charm) as worker:
        await unit.clock.advance(1)
        await metering.status.show(RED)
        async with asyncio.timeout(10):
            while worker.report()["pending"] != "RED":
                await asyncio.sleep(0)
        assert charm.told == []
        await unit.fortress.unlock()
        await charm.was_told(1)

    assert charm.told == [("RED", RED.info)]


async def test_isolation_is_amber_and_then_red(unit: Unit) -> None:
    charm = Charm()
    async with unit.running(await cut_off(), charm):
        await unit.clock.wait_advance(299)
        assert charm.told == []
        await unit.clock.wait_advance(1)
        await charm.was_told(1)
        await unit.clock.wait_advance(599)
        assert len(charm.told) == 1
        await unit.clock.wait_advance(1)
        await charm.was_told(2)
        await unit.until_kept(MeterStatus(code="RED", info=ISOLATED))
        await unit.clock.advance(86400)

    assert charm.told == CUT_OFF


async def test_isolation_is_kept_from_the_first_second(unit: Unit) -> None:
    """An agent that is restarted every four minutes is cut off all the same."""
    charm = Charm()
    for _ in range(4):
        async with unit.running(await cut_off(), charm):
            await unit.clock.wait_advance(240)
    async with unit.running(await cut_off(), charm):
        await charm.was_told(2)

    assert charm.told == CUT_OFF


async def test_both_limits_passed_in_the_meantime_are_red_at_once(unit: Unit) -> None:
    charm = Charm()
    async with unit.running(await cut_off(), charm):
        await unit.clock.until(1)
    await unit.clock.advance(5000)
    async with unit.running(await cut_off(), charm):
        await charm.was_told(1)

    assert charm.told == [("RED", ISOLATED)]


async def test_after_another_boot_the_wall_clock_counts(unit: Unit) -> None:
    since = unit.clock.now() - timedelta(seconds=301)
    moment = Moment(boot="another", boot_seconds=1e9, wall=since)
    (unit.folder / "meter-status.json").write_bytes(msgspec.json.encode(Memory(isolated=moment)))
    charm = Charm()
    async with unit.running(await cut_off(), charm):
        await charm.was_told(1)

    assert charm.told == [("AMBER", ISOLATED)]


async def test_a_wall_clock_that_was_set_back_does_not_count_backwards(unit: Unit) -> None:
    moment = Moment(boot="another", boot_seconds=0, wall=unit.clock.now() + timedelta(days=1))

    assert moment.elapsed("present", unit.clock) == 0


async def test_isolation_never_makes_a_red_unit_amber(unit: Unit) -> None:
    metering, charm = await connected(RED), Charm()
    async with unit.running(metering, charm):
        await unit.until_kept(RED)
        await metering.connected.show(False)
        await unit.clock.wait_advance(899)
        assert len(charm.told) == 1
        await unit.clock.wait_advance(1)
        await charm.was_told(2)

    assert charm.told == [("RED", RED.info), ("RED", ISOLATED)]


async def test_who_is_connected_again_is_told_what_the_model_says_and_counts_anew(unit: Unit) -> None:
    metering, charm = await connected(GREEN), Charm()
    async with unit.running(metering, charm):
        await unit.until_kept(GREEN)
        await metering.connected.show(False)
        await unit.clock.wait_advance(300)
        await unit.until_kept(MeterStatus(code="AMBER", info=ISOLATED))
        await metering.connected.show(True)
        await unit.until_kept(GREEN)
        assert unit.kept().isolated is None
        await metering.connected.show(False)
        await unit.clock.wait_advance(299)

    assert charm.told == [("GREEN", "ok"), ("AMBER", ISOLATED), ("GREEN", "ok")]


async def test_the_most_severe_source_is_told(unit: Unit) -> None:
    metering, charm = await connected(AMBER), Charm()
    async with unit.running(metering, charm) as worker:
        await charm.was_told(1)
        worker.set("senders", MeterStatus(code="RED", info="failed"))
        await charm.was_told(2)
        worker.set("senders", None)
        await charm.was_told(3)
        worker.set("plugin", GREEN)
        await unit.clock.advance(1)

    assert charm.told == [("AMBER", AMBER.info), ("RED", "failed"), ("AMBER", AMBER.info)]


async def test_a_damaged_file_is_named_and_left(unit: Unit) -> None:
    (unit.folder / "meter-status.json").write_bytes(b"{")
    agent = FakeUnitAgent(config=Config(), data_dir=unit.folder, clock=unit.clock)
    metering = Metering()
    worker = MeterStatusWorker(agent, Config(), meter=metering, connection=metering, hooks=Charm(), guest=unit.fortress)

    with pytest.raises(NotValidError, match=r"meter-status\.json is damaged"):
        await worker.wait()
    assert (unit.folder / "meter-status.json").read_bytes() == b"{"


@pytest.mark.parametrize("limits", [{"amber_seconds": 900}, {"amber_seconds": 0}, {"red_seconds": 0}])
def test_limits_that_make_no_sense_are_refused(limits: dict[str, float]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(limits, Config)
