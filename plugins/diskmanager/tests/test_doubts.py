from __future__ import annotations

from undercroft.testing import FakeClock
from undercroft_diskmanager.doubts import DELAYS, Doubts


async def test_a_doubtful_device_is_looked_at_again_after_growing_delays_and_then_left() -> None:
    clock, looks = FakeClock(), list[float]()

    with Doubts(lambda _: looks.append(clock.monotonic()), clock=clock) as doubts:
        begin = clock.monotonic()
        for _ in range(len(DELAYS) + 2):
            doubts.judge({"sda"})
            await clock.advance(20.0)

    assert len(looks) == len(DELAYS)
    assert looks[0] - begin == DELAYS[0]


async def test_one_that_is_doubtful_no_longer_is_not_looked_at_and_begins_anew_later() -> None:
    clock, looks = FakeClock(), list[str]()

    with Doubts(looks.append, clock=clock) as doubts:
        doubts.judge({"sda", "sdb"})
        doubts.judge({"sdb"})
        await clock.advance(DELAYS[0])
        assert looks == ["sdb"]
        doubts.judge({"sda"})
        await clock.advance(DELAYS[0])

    assert looks == ["sdb", "sda"]


async def test_judging_again_while_a_look_is_due_does_not_put_it_off() -> None:
    clock, looks = FakeClock(), list[str]()

    with Doubts(looks.append, clock=clock) as doubts:
        doubts.judge({"sda"})
        await clock.advance(DELAYS[0] / 2)
        doubts.judge({"sda"})
        await clock.advance(DELAYS[0] / 2)

    assert looks == ["sda"]


async def test_nothing_is_looked_at_after_the_block() -> None:
    clock, looks = FakeClock(), list[str]()
    with Doubts(looks.append, clock=clock) as doubts:
        doubts.judge({"sda"})

    await clock.advance(10.0)

    assert looks == []
    assert clock.pending == 0
