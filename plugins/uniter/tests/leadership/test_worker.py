from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from plugins.model.tests.conftest import MYSQL
from plugins.model.tests.unitside.conftest import Units
from plugins.uniter.tests.sight import open_units, until

from undercroft import NoOpWorker, SystemClock, outcome, stop
from undercroft.dependency import OutputError
from undercroft.testing import FakeClock
from undercroft_hookspecs import NotFoundError, StoreUnavailable
from undercroft_hookspecs.relation_facades import LeadershipFacade
from undercroft_hookspecs.state import Life, Unit
from undercroft_hookspecs.unit_facades import UnitFacade
from undercroft_model.units import remove_unit
from undercroft_uniter.leadership.worker import LeadershipWorker, leadership_output, start_leadership
from undercroft_uniter.seams import Leadership

CERTAIN = 40.0


class FakeLease:
    """`LeadershipFacade`, as far as the worker needs it; `is_free`: nobody else leads."""

    def __init__(self, clock: FakeClock, *, is_free: bool = True) -> None:
        self._clock = clock
        self._until = 0.0
        self.failure: Exception | None = None
        self.claims: list[float] = []
        self.resigned = 0
        self._free = asyncio.Event()
        if is_free:
            self._free.set()

    def be_free(self) -> None:
        """Nobody else leads any more."""
        self._free.set()

    def be_taken(self) -> None:
        """Somebody else leads."""
        self._free.clear()
        self._until = 0.0

    async def claim(self) -> bool:
        self.claims.append(self._clock.monotonic())
        if self.failure is not None:
            raise self.failure
        if not self._free.is_set():
            return False
        if self.certain_seconds() < 30:
            self._until = self._clock.monotonic() + CERTAIN
        return True

    def certain_seconds(self) -> float:
        return max(0.0, self._until - self._clock.monotonic())

    async def wait_released(self) -> None:
        await self._free.wait()

    async def resign(self) -> None:
        self.resigned += 1
        self._until = 0.0


class FakeUnits:
    """`UnitFacade`, as far as the worker needs it."""

    def __init__(self) -> None:
        self.record = Unit(name="shop/0", machine="0")
        self.failure: Exception | None = None

    async def unit(self) -> Unit:
        if self.failure is not None:
            raise self.failure
        return self.record


class Scene:
    """A worker on a clock that stands still."""

    def __init__(self, *, is_free: bool = True) -> None:
        self.clock = FakeClock()
        self.lease = FakeLease(self.clock, is_free=is_free)
        self.units = FakeUnits()

    def begin(self) -> LeadershipWorker:
        return LeadershipWorker(
            "shop/0",
            leadership=self.lease,  # type: ignore[arg-type]
            units=self.units,  # type: ignore[arg-type]
            clock=self.clock,
            rng=random.Random(7),
        )


async def soon(waiting: asyncio.Future[None]) -> None:
    async with asyncio.timeout(10):
        await waiting


async def settle() -> None:
    for _ in range(40):
        await asyncio.sleep(0)


async def changing(worker: LeadershipWorker) -> asyncio.Future[None]:
    waiting = asyncio.ensure_future(worker.changed())
    await settle()
    return waiting


async def test_a_free_leadership_is_taken_and_renewed_at_half_of_the_lease() -> None:
    scene = Scene()
    worker = scene.begin()
    await worker.answered()

    for _ in range(6):
        await scene.clock.advance(15)
        assert worker.is_leader()

    assert scene.lease.claims == [0, 30, 60, 90]
    await stop(worker)


async def test_a_renewal_by_somebody_else_puts_the_next_one_off() -> None:
    scene = Scene()
    worker = scene.begin()
    await worker.answered()

    await scene.clock.advance(25)
    assert await worker.guarantee()
    await scene.clock.advance(38)

    assert worker.is_leader()
    await stop(worker)


async def test_a_leadership_that_another_has_is_waited_for_and_then_taken() -> None:
    scene = Scene(is_free=False)
    worker = scene.begin()
    await worker.answered()
    gained = await changing(worker)
    await scene.clock.advance(300)
    assert (worker.is_leader(), gained.done(), scene.lease.claims) == (False, False, [0])

    scene.lease.be_free()

    await soon(gained)
    assert worker.is_leader()
    await stop(worker)


async def test_a_leadership_that_was_lost_at_its_renewal_is_told() -> None:
    scene = Scene()
    worker = scene.begin()
    await worker.answered()
    lost = await changing(worker)

    scene.lease.be_taken()
    await scene.clock.advance(31)

    await soon(lost)
    assert not worker.is_leader()
    assert not await worker.guarantee()
    await stop(worker)


async def test_it_does_not_believe_longer_than_is_certain_in_an_outage() -> None:
    scene = Scene()
    worker = scene.begin()
    await worker.answered()
    lost = await changing(worker)
    scene.lease.failure = StoreUnavailable()

    await scene.clock.advance(39)
    assert (worker.is_leader(), lost.done()) == (True, False)
    await scene.clock.advance(2)
    await soon(lost)
    assert not worker.is_leader()
    with pytest.raises(StoreUnavailable):
        await worker.guarantee()

    regained = await changing(worker)
    scene.lease.failure = None
    await scene.clock.advance(7)
    await soon(regained)
    await stop(worker)


async def test_a_guarantee_that_wins_the_leadership_is_told() -> None:
    scene = Scene(is_free=False)
    worker = scene.begin()
    await worker.answered()
    gained = await changing(worker)

    scene.lease.be_free()
    assert await worker.guarantee()

    await soon(gained)
    await stop(worker)


async def test_an_unknown_error_of_a_claim_is_fatal() -> None:
    scene = Scene()
    scene.lease.failure = RuntimeError("out of order")
    worker = scene.begin()

    assert await outcome(worker) is scene.lease.failure


async def test_a_unit_that_is_gone_claims_nothing_and_makes_no_noise() -> None:
    scene = Scene()
    scene.lease.failure = NotFoundError("shop/0")
    worker = scene.begin()
    await worker.answered()

    await scene.clock.advance(100)

    assert not worker.is_leader()
    assert not await worker.guarantee()
    assert await outcome_soon(worker) is None


async def outcome_soon(worker: LeadershipWorker) -> BaseException | None:
    async with asyncio.timeout(10):
        worker.kill()
        return await outcome(worker)


async def test_a_unit_that_stays_keeps_its_lease_when_the_agent_stops() -> None:
    scene = Scene()
    worker = scene.begin()
    await worker.answered()

    await stop(worker)

    assert scene.lease.resigned == 0


async def test_a_unit_that_is_dying_resigns_when_the_agent_stops() -> None:
    scene = Scene()
    worker = scene.begin()
    await worker.answered()
    scene.units.record = Unit(name="shop/0", machine="0", life=Life.DYING)

    await stop(worker)

    assert scene.lease.resigned == 1


@pytest.mark.parametrize("failure", [StoreUnavailable(), NotFoundError("shop/0")])
async def test_an_agent_stops_cleanly_though_nobody_knows_whether_the_unit_dies(failure: Exception) -> None:
    scene = Scene()
    worker = scene.begin()
    await worker.answered()
    scene.units.failure = failure

    await stop(worker)

    assert scene.lease.resigned == 0


async def test_a_worker_that_is_killed_at_once_is_dead() -> None:
    worker = Scene().begin()

    await stop(worker)

    assert not worker.is_leader()


async def test_it_reports_how_it_stands() -> None:
    scene = Scene()
    worker = scene.begin()
    await worker.answered()

    assert worker.report() == {"leader": True, "certain_seconds": 40.0}
    await stop(worker)


async def test_the_manifold_puts_out_leadership_alone() -> None:
    worker = Scene().begin()

    assert leadership_output(worker, Leadership) is worker
    with pytest.raises(OutputError):
        leadership_output(worker, int)
    await stop(worker)
    with pytest.raises(OutputError):
        leadership_output(NoOpWorker(), Leadership)


@pytest.fixture
async def units(tmp_path: Path) -> AsyncIterator[Units]:
    """Two started units of mysql."""
    async with open_units(tmp_path) as units:
        await units.world.deploy(MYSQL, units=2)
        await units.world.start("mysql/0", "mysql/1")
        yield units


async def start(units: Units, unit: str) -> LeadershipWorker:
    return await start_leadership(
        unit,
        leadership=units.of(unit, LeadershipFacade),
        units=units.of(unit, UnitFacade),
        clock=SystemClock(),
        rng=random.Random(7),
    )


async def test_one_of_two_units_leads_and_knows_it_from_the_start(units: Units) -> None:
    first, second = await start(units, "mysql/0"), await start(units, "mysql/1")

    assert (first.is_leader(), second.is_leader()) == (True, False)
    assert (await first.guarantee(), await second.guarantee()) == (True, False)
    await stop(first)
    await stop(second)


async def test_a_restarted_agent_leads_on(units: Units) -> None:
    await stop(await start(units, "mysql/0"))

    second, again = await start(units, "mysql/1"), await start(units, "mysql/0")

    assert (second.is_leader(), again.is_leader()) == (False, True)
    await stop(second)
    await stop(again)


async def test_the_other_leads_as_soon_as_a_dying_leader_stops(units: Units) -> None:
    first, second = await start(units, "mysql/0"), await start(units, "mysql/1")
    await units.world.run(remove_unit, "mysql/0")

    await stop(first)

    await until(second.is_leader)
    await stop(second)
