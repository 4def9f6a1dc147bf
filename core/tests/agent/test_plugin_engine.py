from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from undercroft import DeadError, NoOpWorker, SystemClock, outcome
from undercroft.agent.events import Events
from undercroft.agent.plan import Claim
from undercroft.agent.plugin_engine import PluginEngine, Surroundings, worst_error
from undercroft.agent.quarantine import Limit
from undercroft.agent.story import explain, graph, state
from undercroft.dependency import Missing, ValueWorker, value_output
from undercroft_hookspecs import (
    Event,
    Manifold,
    NotFoundError,
    RebootMachine,
    RestartAgent,
    ShutdownMachine,
    TerminateAgent,
    Worker,
)

Until = Callable[[Callable[[], object]], Awaitable[None]]


def surroundings(*, allow_reboot: bool = False) -> Surroundings:
    return Surroundings(
        clock=SystemClock(), limit=Limit(1, 600), allow_reboot=allow_reboot, events=Events(), error_delay=0.0
    )


@asynccontextmanager
async def running(**manifolds: Manifold) -> AsyncIterator[PluginEngine]:
    engine = PluginEngine(
        "agent", {name: Claim("acme", manifold) for name, manifold in manifolds.items()}, surroundings()
    )
    await engine.fill()
    try:
        yield engine
    finally:
        engine.kill()
        await engine.wait()


def plain() -> Manifold:
    return Manifold(start=lambda _: NoOpWorker())


async def coroutine() -> Worker:
    await asyncio.sleep(0)
    return NoOpWorker()


def future() -> asyncio.Future[Worker]:
    made: asyncio.Future[Worker] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(lambda: made.set_result(NoOpWorker()))
    return made


def task() -> asyncio.Future[Worker]:
    return asyncio.ensure_future(coroutine())


@pytest.mark.parametrize("make", [NoOpWorker, coroutine, future, task])
async def test_the_present_worker_is_known_however_it_was_made(
    make: Callable[[], Worker | Awaitable[Worker]], until: Until
) -> None:
    async with running(x=Manifold(start=lambda _: make())) as engine:
        await until(lambda: state(engine, "x") == "started")
        present = engine.present["x"]

        present.kill()
        await outcome(present)
        await until(lambda: "x" not in engine.present)


async def test_a_future_that_fails_is_a_failed_start(until: Until) -> None:
    def start(_: object) -> asyncio.Future[Worker]:
        made: asyncio.Future[Worker] = asyncio.get_running_loop().create_future()
        made.set_exception(OSError("no"))
        return made

    async with running(x=Manifold(start=start)) as engine:
        await until(lambda: state(engine, "x") == "quarantined")

        assert not engine.present


async def test_what_is_put_out_can_be_had_while_the_worker_is_up(until: Until) -> None:
    async with running(
        x=Manifold(start=lambda _: ValueWorker(3), output=value_output), silent=plain(), down=Manifold(start=_missing)
    ) as engine:
        await until(lambda: len(engine.present) == 2)

        assert engine.expose("x", int) == 3
        for name, reason in (("silent", "unexposed"), ("down", "stopped"), ("nobody", "stopped")):
            with pytest.raises(Missing) as caught:
                engine.expose(name, int)
            assert caught.value.reason == reason


def _missing(_: object) -> Worker:
    raise Missing("something")


async def test_a_restart_of_nobody_is_refused() -> None:
    async with running() as engine:
        with pytest.raises(NotFoundError, match="'x' in agent"):
            await engine.restart("x")


async def test_a_restart_in_a_dying_engine_is_refused() -> None:
    async with running(x=plain()) as engine:
        engine.kill()

        with pytest.raises(DeadError):
            await engine.restart("x")


async def test_replace_takes_out_and_puts_in(until: Until) -> None:
    async with running(x=plain(), y=plain(), z=plain()) as engine:
        await until(lambda: len(engine.present) == 3)
        z = engine.present["z"]
        await engine.replace({"x"}, {"y": Claim("beta", plain()), "new": Claim("beta", plain())})
        await until(lambda: engine.present.keys() == {"y", "z", "new"})

        assert engine.present["z"] is z
        assert {name: claim.plugin for name, claim in engine.claims.items()} == {
            "y": "beta",
            "z": "acme",
            "new": "beta",
        }


async def test_everything_can_be_killed_at_once(until: Until) -> None:
    async with running(x=plain(), y=plain()) as engine:
        await until(lambda: len(engine.present) == 2)

        engine.kill_everything()

        async with asyncio.timeout(5):
            await engine.wait()


async def test_the_graph_has_every_claim_with_its_plugin_and_why_it_is_down(until: Until) -> None:
    async with running(down=Manifold(start=_missing, inputs=("up", "gone")), up=plain()) as engine:
        await until(lambda: state(engine, "up") == "started")
        await until(lambda: state(engine, "down") == "stopped")

        assert graph(engine) == {
            "down": {
                "plugin": "acme",
                "state": "stopped",
                "inputs": ["up", "gone"],
                "missing": ["gone"],
                "error": "'something' is missing",
            },
            "up": {"plugin": "acme", "state": "started", "inputs": [], "missing": [], "error": None},
        }
        assert explain(engine, "down")


def test_the_most_important_wish_wins_and_the_first_of_equals_stays() -> None:
    terminate, shutdown, reboot, restart = TerminateAgent(), ShutdownMachine(), RebootMachine(), RestartAgent()
    ordered: list[Exception] = [terminate, shutdown, reboot, restart, ValueError()]

    for place, important in enumerate(ordered):
        for other in ordered[place + 1 :]:
            assert worst_error(important, other) is important
            assert worst_error(other, important) is important
    assert worst_error(RestartAgent(), restart) is restart
    assert worst_error(restart, None) is restart


@pytest.mark.parametrize(
    ("error", "allowed", "fatal"),
    [
        (TerminateAgent(), False, True),
        (RestartAgent(), False, True),
        (RebootMachine(), False, False),
        (ShutdownMachine(), False, False),
        (RebootMachine(), True, True),
        (ValueError(), True, False),
    ],
)
def test_a_wish_is_fatal_if_it_is_granted(error: Exception, allowed: bool, fatal: bool) -> None:
    assert surroundings(allow_reboot=allowed).is_fatal(error) is fatal


def test_an_observer_that_fails_disturbs_nobody(caplog: pytest.LogCaptureFixture) -> None:
    events, seen = Events(), list[Event]()

    def fail(_: Event) -> None:
        raise RuntimeError("observer")

    events.observe(fail)
    events.observe(seen.append)
    events(Event("stopped", "agent/x", SystemClock().now(), OSError("gone"), 3.0))

    assert len(seen) == 1
    assert "observer" in caplog.text
    (row,) = events.transitions()
    assert isinstance(row, dict)
    assert (row["error"], row["delay"]) == ("gone", 3.0)
