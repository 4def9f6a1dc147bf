"""Who is bounced by whom, and when."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from undercroft import Context, NoOpWorker, Worker

if TYPE_CHECKING:
    from core.tests.dependency.conftest import Bench, Part


async def test_dependents_are_bounced_when_an_input_comes_and_when_it_goes(bench: Bench, new_part: type[Part]) -> None:
    """Checklist 10."""
    engine = bench.engine()
    a, b = new_part("a"), new_part("b", "a", start=lambda _: NoOpWorker())
    await bench.install(engine, b)

    await bench.install(engine, a)
    assert b.starts == 2
    a.probe.end()
    await bench.settle()

    assert b.starts == 3


async def test_a_start_that_fails_disturbs_nobody(bench: Bench, new_part: type[Part]) -> None:
    """Checklist 10."""
    engine = bench.engine(error_delay=1)

    def start(_: Context) -> Worker:
        raise ValueError

    a, b = new_part("a", start=start), new_part("b", "a", start=lambda _: NoOpWorker())
    await bench.install(engine, b, a)

    await bench.clock.advance(20)

    assert a.starts > 3
    assert b.starts == 1


async def test_a_new_provider_may_be_up_while_an_old_dependent_still_stops(bench: Bench, new_part: type[Part]) -> None:
    engine = bench.engine()
    a, b = new_part("a"), new_part("b", "a", stubborn=True)
    await bench.install(engine, a, b)

    a.probe.end(ValueError("and starts again"))
    await bench.settle()

    assert bench.states(engine) == {"a": "started", "b": "stopping"}
    assert len(a.probes) == 2


async def test_two_workers_of_one_manifold_are_never_alive_at_once(bench: Bench, new_part: type[Part]) -> None:
    engine = bench.engine()
    a, b = new_part("a"), new_part("b", "a", stubborn=True)
    await bench.install(engine, a, b)
    for _ in range(3):
        a.probe.end(ValueError("again"))
        await bench.settle()
    assert b.starts == 1
    assert b.probe.kills == 1

    b.probe.end()
    await bench.settle()

    assert b.starts == 2


async def test_an_input_that_comes_during_the_delay_puts_the_attempt_off(bench: Bench, new_part: type[Part]) -> None:
    """juju: TestRestartDependentWhenAborted."""
    engine = bench.engine(bounce_delay=1)
    a = new_part("a", "b", "c")
    await bench.install(engine, a)
    await bench.install(engine, new_part("b"))
    await bench.clock.advance(0.5)
    await bench.install(engine, new_part("c"))

    await bench.clock.advance(0.9)
    assert a.starts == 1
    await bench.clock.advance(0.2)

    assert a.starts == 2
    assert bench.states(engine)["a"] == "started"


async def test_nobody_listens_to_a_worker_that_was_never_up(bench: Bench, new_part: type[Part]) -> None:
    """Checklist 10."""
    engine = bench.engine()
    b = new_part("b", "a")

    async def start(_: Context) -> Worker:
        if b.starts > 1:
            await asyncio.Event().wait()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            return b.add_probe()
        raise AssertionError

    b.do = start
    c = new_part("c", "b", start=lambda _: NoOpWorker())
    await bench.install(engine, c, b, new_part("a"))

    assert b.probe.ended
    assert b.starts == 2
    assert c.starts == 1


async def test_many_inputs_that_come_at_once_cost_one_start(bench: Bench, new_part: type[Part]) -> None:
    engine = bench.engine()
    inputs = [new_part(f"input{i}") for i in range(50)]
    b = new_part("b", *(part.name for part in inputs))
    await bench.install(engine, b)

    await engine.install_all({part.name: part.manifold for part in inputs})
    await bench.settle()

    assert len(b.probes) == 1
    assert b.starts <= 4


async def test_a_crowd_of_starts_comes_a_few_at_a_time(bench: Bench, new_part: type[Part]) -> None:
    engine = bench.engine()
    parts = [new_part(f"m{i}") for i in range(200)]
    await engine.install_all({part.name: part.manifold for part in parts})

    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert 0 < sum(part.starts for part in parts) < 200
    await engine.uninstall("m199")
    await bench.settle()

    assert [part.starts for part in parts] == [1] * 199 + [0]


@pytest.mark.slow_callbacks  # The garbage collector is not quick about the tracebacks of debug mode.
async def test_a_chain_is_not_bounded_by_the_recursion_limit(bench: Bench, new_part: type[Part]) -> None:
    """G14."""
    engine = bench.engine(shutdown="reverse")
    names = [f"m{i}" for i in range(2000)]
    parts = [new_part(name, *names[i - 1 : i]) for i, name in enumerate(names)]
    await engine.install_all({part.name: part.manifold for part in parts})
    await bench.until(lambda: bool(parts[-1].probes))

    parts[0].probe.end(ValueError("again"))
    await bench.until(lambda: len(parts[-1].probes) == 2)
    engine.kill()

    assert await bench.died(engine) is None
