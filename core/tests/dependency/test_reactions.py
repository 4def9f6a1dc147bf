"""The queue of reactions, and the order of the graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

from undercroft.dependency.order import Order, Ranked
from undercroft.dependency.reactions import Reactions
from undercroft.testing import FakeClock

if TYPE_CHECKING:
    from core.tests.dependency.conftest import Bench, Part


def test_what_a_reaction_sets_off_queues_behind_it() -> None:
    seen: list[str] = []
    reactions = Reactions(lambda error: None)

    def first() -> None:
        reactions.run(seen.append, "second")
        seen.append("first")

    reactions.run(first)

    assert seen == ["first", "second"]


def test_errors_are_told_and_the_queue_goes_on() -> None:
    errors: list[str] = []
    seen: list[str] = []
    reactions = Reactions(lambda error: errors.append(str(error)))

    def fail(text: str) -> None:
        if text == "first":
            reactions.run(fail, "second")
            reactions.run(seen.append, "third")
        raise ValueError(text)

    reactions.run(fail, "first")

    assert errors == ["first", "second"]
    assert seen == ["third"]
    assert not reactions.is_running


async def test_a_reaction_that_cannot_go_on_is_the_engines_death(bench: Bench, new_part: type[Part]) -> None:
    error = OSError("the clock has stopped")

    class Broken(FakeClock):
        def monotonic(self) -> float:
            raise error

    engine = bench.engine(clock=Broken())

    await bench.install(engine, new_part("a"))

    assert await bench.died(engine) is error


def test_an_order_is_ranked_anew_when_a_gap_is_used_up() -> None:
    order = Order()
    first, last = Ranked(), Ranked()
    order.append(first)
    order.append(last)
    between: list[Ranked] = []

    for _ in range(600):
        between.append(Ranked())
        order.insert(between[-1], first)

    ranks = [member.rank for member in (first, *reversed(between), last)]
    assert ranks == sorted(set(ranks))
    order.remove(between[0])
    order.prepend(between[0])
    assert between[0].rank < first.rank
