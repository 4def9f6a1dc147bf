"""One timer of the loop for all who wait for the same millisecond."""

from __future__ import annotations

import asyncio
import math
from contextvars import Context, copy_context

from undercroft.worker.timetable import Timetable, _timetables


class Traveller:
    """Notes when it is told."""

    def __init__(self) -> None:
        self.context: Context = copy_context()
        self.told_at: list[float] = []
        self.told = asyncio.Event()

    def on_due(self) -> None:
        self.told_at.append(asyncio.get_running_loop().time())
        self.told.set()


async def test_travellers_are_told_after_their_delay_and_not_before() -> None:
    timetable = Timetable.enter()
    travellers = [Traveller() for _ in range(320)]
    loop = asyncio.get_running_loop()
    begun = loop.time()

    for number, traveller in enumerate(travellers):
        timetable.wait(traveller, 0.005 + number % 3 * 0.002)
    async with asyncio.timeout(5):
        for traveller in travellers:
            await traveller.told.wait()

    assert all(len(traveller.told_at) == 1 for traveller in travellers)
    assert all(traveller.told_at[0] - begun >= 0.005 + n % 3 * 0.002 for n, traveller in enumerate(travellers))
    timetable.leave()


async def test_who_has_given_up_is_not_told() -> None:
    timetable = Timetable.enter()
    stays, goes = Traveller(), Traveller()
    due = [timetable.wait(each, 0.005) for each in (stays, goes)]

    timetable.give_up(goes, due[1])
    timetable.give_up(goes, due[1])
    await asyncio.wait_for(stays.told.wait(), 5)

    assert goes.told_at == []
    timetable.leave()


async def test_the_last_to_give_up_takes_the_timer_along() -> None:
    timetable = Timetable.enter()
    first, second = Traveller(), Traveller()
    due = timetable.wait(first, math.inf)
    assert timetable.wait(second, math.inf) == due

    timetable.give_up(first, due)
    timetable.give_up(second, due)

    assert not timetable._timers
    assert not timetable._due
    timetable.leave()


async def test_a_loop_has_one_timetable_for_as_long_as_it_is_used() -> None:
    loop = asyncio.get_running_loop()

    first, second = Timetable.enter(), Timetable.enter()
    assert first is second
    first.leave()
    assert loop in _timetables
    second.leave()

    assert loop not in _timetables


def test_timetables_of_closed_loops_are_forgotten() -> None:
    async def enter() -> None:
        Timetable.enter()

    closed = asyncio.new_event_loop()
    closed.run_until_complete(enter())
    closed.close()
    assert closed in _timetables

    async def enter_and_leave() -> None:
        Timetable.enter().leave()

    asyncio.run(enter_and_leave())

    assert closed not in _timetables
