from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TypeVar

import pytest
from plugins.model.tests.conftest import MYSQL, World
from plugins.model.tests.fakes import FlakyStore

from undercroft.testing import FakeClock, MemoryStore
from undercroft_hookspecs import LeaseId, ModelId, NotFoundError, StoreUnavailable
from undercroft_model.leadership import LeadershipClaim
from undercroft_model.tables import LEADERS
from undercroft_model.transaction import Transaction

T = TypeVar("T")


class Rivals:
    """Two units of one application, on a clock that stands still, and their claims."""

    def __init__(self, store: MemoryStore, clock: FakeClock, world: World) -> None:
        self.store, self.clock, self.world = store, clock, world
        self.first, self.second = self.claim("mysql/0"), self.claim("mysql/1")

    def claim(self, unit: str) -> LeadershipClaim:
        """A claim of a unit, as a new life of its agent has it."""
        return LeadershipClaim(self.store, self.world.model, unit, clock=self.clock)

    async def leader(self) -> str | None:
        """Who leads, as the store has it."""
        entry = await self.store.get(LEADERS.of(self.world.model).key("mysql"))
        return None if entry is None else LEADERS.of(self.world.model).decode(entry).unit


async def rivals_on(make: Callable[[FakeClock], MemoryStore]) -> Rivals:
    clock = FakeClock()
    store = make(clock)
    world = await World(store).begin()
    await world.deploy(MYSQL, units=2)
    return Rivals(store, clock, world)


@pytest.fixture
async def rivals() -> Rivals:
    return await rivals_on(lambda clock: MemoryStore(clock=clock))


async def test_the_first_to_claim_leads_for_at_least_thirty_seconds(rivals: Rivals) -> None:
    assert await rivals.first.claim()

    assert rivals.first.certain_seconds() >= 30


async def test_whoever_comes_second_does_not_lead(rivals: Rivals) -> None:
    await rivals.first.claim()

    assert not await rivals.second.claim()
    assert rivals.second.certain_seconds() == 0


async def test_of_many_who_claim_at_once_one_leads(rivals: Rivals) -> None:
    claims = [rivals.first, rivals.second]

    async def claim(each: LeadershipClaim) -> bool:
        return await each.claim()

    tasks = [asyncio.ensure_future(claim(each)) for each in claims]
    while not all(task.done() for task in tasks):
        await rivals.clock.advance(0.02)

    assert sorted(task.result() for task in tasks) == [False, True]


async def test_a_leader_that_renews_every_thirty_seconds_stays_it(rivals: Rivals) -> None:
    for _ in range(10):
        assert await rivals.first.claim()
        assert not await rivals.second.claim()
        await rivals.clock.advance(30)
        assert rivals.first.certain_seconds() > 0


async def test_a_claim_that_has_enough_left_does_not_ask_the_store(rivals: Rivals) -> None:
    await rivals.first.claim()
    revision = (await rivals.store.list("")).revision
    await rivals.clock.advance(9)

    assert await rivals.first.claim()
    assert (await rivals.store.list("")).revision == revision
    assert rivals.first.certain_seconds() == pytest.approx(31)


async def test_a_leader_stops_believing_long_before_another_can_lead(rivals: Rivals) -> None:
    await rivals.first.claim()
    stopped = 0.0
    for second in range(1, 70):
        await rivals.clock.advance(1)
        believes, other = rivals.first.certain_seconds() > 0, await rivals.second.claim()
        assert not (believes and other)
        if not believes and not stopped:
            stopped = second
        if other:
            break

    assert stopped == 40
    assert second == 60


async def test_leadership_moves_within_the_lease_when_the_leader_says_nothing_any_more(rivals: Rivals) -> None:
    await rivals.first.claim()
    await rivals.clock.advance(60)

    assert await rivals.second.claim()
    assert not await rivals.first.claim()


async def test_a_new_life_of_the_leader_goes_on_where_the_last_one_was_killed(rivals: Rivals) -> None:
    await rivals.first.claim()
    await rivals.clock.advance(50)

    again = rivals.claim("mysql/0")

    assert again.certain_seconds() == 0
    assert await again.claim()
    await rivals.clock.advance(30)
    assert not await rivals.second.claim()


async def test_who_resigns_leaves_the_way_free_at_once(rivals: Rivals) -> None:
    await rivals.first.claim()

    await rivals.first.resign()

    assert rivals.first.certain_seconds() == 0
    assert await rivals.second.claim()


class Hanging(MemoryStore):
    """Revokes no lease before `goes`; `revoked` has those that it has revoked."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock=clock)
        self.goes, self.asked = asyncio.Event(), asyncio.Event()
        self.revoked: list[LeaseId] = []

    async def revoke(self, lease: LeaseId) -> None:
        self.asked.set()
        await self.goes.wait()
        self.revoked.append(lease)
        await super().revoke(lease)


async def test_who_is_cut_off_while_resigning_can_resign_again_even_from_a_key_that_is_gone() -> None:
    rivals = await rivals_on(Hanging)
    store = rivals.store
    assert isinstance(store, Hanging)
    await rivals.first.claim()
    resigning = asyncio.ensure_future(rivals.first.resign())
    await store.asked.wait()

    resigning.cancel()
    with pytest.raises(asyncio.CancelledError):
        await resigning
    assert rivals.first.certain_seconds() == 0
    await rivals.world.run(_forget)
    store.goes.set()
    await rivals.first.resign()

    assert len(store.revoked) == 1


async def test_who_does_not_lead_resigns_nobody(rivals: Rivals) -> None:
    await rivals.first.claim()

    await rivals.second.resign()

    assert await rivals.leader() == "mysql/0"


async def test_a_unit_that_is_gone_leads_nothing(rivals: Rivals) -> None:
    with pytest.raises(NotFoundError):
        await rivals.claim("mysql/7").claim()

    assert await rivals.leader() is None


async def test_a_key_that_was_taken_away_is_no_leadership_even_if_the_lease_lives(rivals: Rivals) -> None:
    await rivals.first.claim()
    await rivals.clock.advance(20)
    await rivals.world.run(_forget)

    assert await rivals.second.claim()
    assert not await rivals.first.claim()


async def _forget(tx: Transaction, model: ModelId) -> None:
    tx.delete(LEADERS.of(model), "mysql")


class SlowStore(MemoryStore):
    """A store that acknowledges a renewal long after it was asked for."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock=clock)
        self._slow = clock
        self.delay = 0.0

    async def renew(self, lease: LeaseId) -> None:
        delay, self.delay = self.delay, 0.0
        if delay:
            await self._slow.sleep(delay)
        await super().renew(lease)


async def test_belief_is_reckoned_from_before_the_renewal_was_asked_for() -> None:
    rivals = await rivals_on(SlowStore)
    assert isinstance(rivals.store, SlowStore)
    await rivals.first.claim()
    await rivals.clock.advance(20)
    rivals.store.delay = 5.0

    claiming = asyncio.ensure_future(rivals.first.claim())
    await rivals.clock.wait_advance(5.0)

    assert await claiming
    assert rivals.first.certain_seconds() == pytest.approx(35)


async def test_a_renewal_that_took_too_long_is_made_again() -> None:
    rivals = await rivals_on(SlowStore)
    assert isinstance(rivals.store, SlowStore)
    await rivals.first.claim()
    await rivals.clock.advance(20)
    rivals.store.delay = 15.0

    claiming = asyncio.ensure_future(rivals.first.claim())
    await rivals.clock.wait_advance(15.0)
    await rivals.clock.wait_advance(0.02)

    assert await claiming
    assert rivals.first.certain_seconds() >= 30


async def test_during_an_outage_what_was_certain_stays_so_and_runs_out() -> None:
    store = FlakyStore()
    world = await World(store).begin()
    await world.deploy(MYSQL)
    claim = LeadershipClaim(store, world.model, "mysql/0", clock=world.clock, lease_seconds=1.0)
    await claim.claim()
    store.go_away()

    assert claim.certain_seconds() > 0
    while claim.certain_seconds() > 0:
        await asyncio.sleep(0.05)
    with pytest.raises(StoreUnavailable):
        await claim.claim()
