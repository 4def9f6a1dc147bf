"""Gate, flag, fortress and housing where they live: under a real dependency engine."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from undercroft import Context, Manifold, NoOpWorker, Worker
from undercroft.dependency import Engine, EngineConfig, Missing
from undercroft.fortress import Guard
from undercroft.fortress import manifold as fortress_manifold
from undercroft.gate import Flag, Lock, Unlocker, flag_manifold
from undercroft.gate import manifold as gate_manifold
from undercroft.housing import Housing
from undercroft.testing import check_killed, clean_kill


async def until(condition: Callable[[], bool]) -> None:
    """Turn the loop until it is so, within bounds."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


class Desk:
    """An engine, and what its manifolds have written down."""

    def __init__(self) -> None:
        self.engine = Engine(EngineConfig(error_delay=0.01, bounce_delay=0.001))
        self.log: list[str] = []
        self.guard: Guard | None = None
        self.workers: list[Worker] = []

    def state(self, name: str) -> object:
        manifolds = self.engine.report()["manifolds"]
        assert isinstance(manifolds, dict)
        return manifolds[name]["state"]

    async def install(self, name: str, manifold: Manifold) -> None:
        await self.engine.install(name, manifold)

    async def get_guard(self) -> Guard:
        def start(context: Context) -> Worker:
            self.guard = context.get("fortress", Guard)
            return NoOpWorker()

        await self.install("guard", Manifold(start, ("fortress",)))
        await until(lambda: self.guard is not None)
        assert self.guard is not None
        return self.guard

    def resident(self) -> Manifold:
        def start(_: Context) -> Worker:
            self.workers.append(NoOpWorker())
            return self.workers[-1]

        return Manifold(start)


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    desk = Desk()
    yield desk
    desk.engine.kill()
    await check_killed(desk.engine, timeout=5)


async def test_flag_comes_back_true_when_the_gate_opens_and_its_dependents_with_it(desk: Desk) -> None:
    lock = Lock()

    def start(context: Context) -> Worker:
        desk.log.append(f"flag: {context.get('flag', Flag).check()}")
        return NoOpWorker()

    await desk.install("gate", gate_manifold(lock))
    await desk.install("flag", flag_manifold("gate"))
    await desk.install("dependent", Manifold(start, ("flag",)))
    await until(lambda: desk.log[-1:] == ["flag: False"])

    lock.unlock()

    await until(lambda: desk.log[-1:] == ["flag: True"])
    assert desk.engine.report()["state"] == "started"


async def test_one_manifold_opens_what_another_waits_for(desk: Desk) -> None:
    def opener(context: Context) -> Worker:
        context.get("gate", Unlocker).unlock()
        return NoOpWorker()

    await desk.install("gate", gate_manifold())
    await desk.install("flag", flag_manifold("gate"))
    await desk.install("housed", Housing(flags=["flag"]).decorate(desk.resident()))
    await until(lambda: desk.state("flag") == "started")
    assert desk.workers == []

    await desk.install("opener", Manifold(opener, ("gate",)))

    await until(lambda: desk.state("housed") == "started")


async def test_housed_worker_enters_when_the_fortress_is_unlocked_and_a_lockdown_waits_for_it(desk: Desk) -> None:
    await desk.install("fortress", fortress_manifold())
    await desk.install("housed", Housing(occupy="fortress").decorate(desk.resident()))
    guard = await desk.get_guard()
    await until(lambda: desk.state("housed") == "starting")
    assert desk.workers == []

    await guard.unlock()
    await until(lambda: desk.state("housed") == "started")
    lockdown = asyncio.create_task(guard.lockdown())
    desk.workers[0].kill()

    await asyncio.wait_for(lockdown, 10)


async def test_engine_that_dies_while_a_housed_start_waits_at_the_door(desk: Desk) -> None:
    await desk.install("fortress", fortress_manifold())
    await desk.install("housed", Housing(occupy="fortress").decorate(desk.resident()))
    await until(lambda: desk.state("housed") == "starting")

    await clean_kill(desk.engine)

    assert desk.workers == []


async def test_engine_that_dies_with_a_housed_worker_inside(desk: Desk) -> None:
    await desk.install("fortress", fortress_manifold())
    await desk.install("housed", Housing(occupy="fortress").decorate(desk.resident()))
    await (await desk.get_guard()).unlock()
    await until(lambda: desk.state("housed") == "started")

    await clean_kill(desk.engine)

    await check_killed(desk.workers[0], timeout=0)


async def test_flag_that_says_no_keeps_a_manifold_down_without_a_timer(desk: Desk) -> None:
    await desk.install("gate", gate_manifold())
    await desk.install("flag", flag_manifold("gate"))
    await desk.install("housed", Housing(flags=["flag"]).decorate(desk.resident()))
    await until(lambda: desk.state("flag") == "started" and desk.state("housed") == "stopped")

    manifolds = desk.engine.report()["manifolds"]

    assert isinstance(manifolds, dict)
    assert manifolds["housed"]["error"] == str(Missing("flag"))
    assert "delay" not in manifolds["housed"]
