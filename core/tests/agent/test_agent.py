"""The agent as a whole, in this process."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest

from undercroft import outcome
from undercroft.agent.agent import HostAgent
from undercroft.agent.ending import ForcedStopError
from undercroft.agent.setup import StrictError
from undercroft.plugins import RequiredPluginError
from undercroft_hookspecs import RestartAgent, Store, TerminateAgent

if TYPE_CHECKING:
    from core.tests.agent.conftest import Bench

Until = Callable[[Callable[[], object]], Awaitable[None]]

WORKER = """
@hookimpl
def undercroft_manifolds(agent: Agent) -> Mapping[str, Manifold]:
    def start(context: Context) -> Worker:
        LOG.append("start")
        return SimpleWorker(work)
    return {"acme": Manifold(start=start, inputs=INPUTS)}
"""
RUNS = "async def work(stop):\n    await stop.wait()\n    LOG.append('stop')\nINPUTS = ()\n" + WORKER


async def test_an_agent_with_no_plugins_runs_core_alone(bench: Bench) -> None:
    async with bench.agent() as agent:
        states = bench.states(agent)

    assert states == {"agent": "started", "store": "started", "model": "started"}


async def test_a_plugins_worker_runs_and_is_stopped_with_the_agent(bench: Bench) -> None:
    bench.plugin("acme", RUNS)

    async with bench.agent():
        pass

    assert bench.log("acme") == ["start", "stop"]


async def test_workers_are_stopped_before_what_they_depend_on(bench: Bench) -> None:
    bench.plugin(
        "acme",
        """
@hookimpl
def undercroft_manifolds(agent):
    def worker(inputs):
        def start(context):
            for needed in inputs:
                context.get(needed)
            async def work(stop):
                await stop.wait()
                await agent.clock.sleep(0.02)
                LOG.append(context.name)
            return SimpleWorker(work)
        return Manifold(start=start, inputs=inputs)
    return {"a": worker([]), "b": worker(["a"]), "c": worker(["a", "b"])}
""",
    )

    async with bench.agent():
        pass

    assert bench.log("acme") == ["c", "b", "a"]


async def test_an_agent_signal_ends_the_agent_and_is_raised(bench: Bench) -> None:
    bench.plugin("acme", "INPUTS = ()\nasync def work(stop):\n    raise RestartAgent('new version')\n" + WORKER)

    async with bench.ready() as setup:
        error = await outcome(HostAgent(setup))

    assert isinstance(error, RestartAgent)


async def test_the_most_important_signal_wins(bench: Bench) -> None:
    bench.plugin(
        "acme",
        """
@hookimpl
def undercroft_manifolds(agent):
    def worker(error):
        async def work(stop):
            await stop.wait()
            raise error
        return lambda context: SimpleWorker(work)
    async def begin(stop):
        raise RestartAgent()
    return {
        "x": Manifold(start=worker(ShutdownMachine())),
        "y": Manifold(start=worker(TerminateAgent())),
        "z": Manifold(start=lambda context: SimpleWorker(begin)),
    }
""",
    )

    async with bench.ready() as setup:
        error = await outcome(HostAgent(setup))

    assert isinstance(error, TerminateAgent)


async def test_a_reboot_that_is_not_allowed_leaves_the_rest_running(
    bench: Bench, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    bench.plugin("acme", "INPUTS = ()\nasync def work(stop):\n    raise RebootMachine('kernel')\n" + WORKER)

    async with bench.agent() as agent:
        await until(lambda: "blocked: reboot requested" in caplog.text)
        states = bench.states(agent)

    assert states["model"] == "started"


async def test_a_second_stop_leaves_workers_that_do_not_end(bench: Bench) -> None:
    bench.plugin(
        "acme",
        """
STUBBORN = []
@hookimpl
def undercroft_manifolds(agent):
    def start(context):
        worker = ForeverWorker()
        STUBBORN.append(worker)
        return worker
    return {"acme": Manifold(start=start)}
from undercroft.testing import ForeverWorker
""",
    )

    async with bench.ready() as setup:
        agent = HostAgent(setup)
        await agent.settled()
        agent.kill()
        agent.force()
        error = await outcome(agent)
        bench.module("acme").STUBBORN[0].really_kill()
        await outcome(agent.top)

    assert isinstance(error, ForcedStopError)
    assert error.workers == ("acme",)
    assert "acme" in str(error)


async def test_the_budget_of_a_stop_ends_it_by_force(bench: Bench) -> None:
    bench.plugin(
        "acme",
        """
from undercroft.testing import ForeverWorker
STUBBORN = []
@hookimpl
def undercroft_manifolds(agent):
    def start(context):
        STUBBORN.append(ForeverWorker())
        return STUBBORN[0]
    return {"acme": Manifold(start=start)}
""",
    )

    async with bench.ready() as setup:
        agent = HostAgent(setup, budget_seconds=0.05)
        await agent.settled()
        agent.kill()
        error = await outcome(agent)
        bench.module("acme").STUBBORN[0].really_kill()
        await outcome(agent.top)

    assert isinstance(error, ForcedStopError)


async def test_a_required_plugin_that_is_broken_keeps_the_agent_from_running(bench: Bench) -> None:
    bench.plugin("acme", "raise RuntimeError('no')")
    bench.config('required = ["acme"]')

    async with bench.ready() as setup:
        with pytest.raises(RequiredPluginError, match="acme"):
            HostAgent(setup)


async def test_strict_refuses_what_is_otherwise_only_reported(bench: Bench) -> None:
    bench.plugin("acme", "raise RuntimeError('no')")

    async with bench.ready(strict=True) as setup:
        with pytest.raises(StrictError, match=r"acme is broken .*no"):
            HostAgent(setup)


async def test_a_broken_plugin_is_reported_and_the_agent_runs(bench: Bench) -> None:
    bench.plugin("acme", "raise RuntimeError('no')")
    bench.plugin("other", RUNS.replace('"acme"', '"other"'))

    async with bench.agent() as agent:
        answer = await bench.ask(agent, "plugins")
    states = {row["name"]: row["state"] for row in answer["plugins"]}

    assert states == {"acme": "broken", "other": "active"}


async def test_a_plugin_is_told_of_every_event_and_its_errors_disturb_nobody(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.plugin(
        "acme",
        """
@hookimpl
def undercroft_worker_event(event):
    LOG.append((event.kind, event.path))
    raise RuntimeError("observer")
""",
    )

    async with bench.agent() as agent:
        rows = (await bench.ask(agent, "transitions"))["transitions"]

    assert ("started", "agent/store") in bench.log("acme")
    assert ("started", "agent/store") in [(row["kind"], row["path"]) for row in rows]
    assert "observer" in caplog.text


async def test_what_the_manifold_agent_puts_out_reaches_a_worker(bench: Bench) -> None:
    bench.plugin(
        "acme",
        """
@hookimpl
def undercroft_manifolds(agent):
    async def start(context):
        control, role = context.get("agent", Control), context.get("agent", Role)
        LOG.append((role.role, sorted(await control.ask({"request": "graph"}))))
        LOG.append(context.get("agent", Samples).samples())
        LOG.append(isinstance(context.get("agent", UnitEngines), UnitEngines))
        return NoOpWorker()
    return {"acme": Manifold(start=start, inputs=("agent",))}
""",
    )

    async with bench.agent():
        pass

    assert bench.log("acme") == [("agent", ["manifolds"]), [], True]


async def test_a_control_socket_that_cannot_be_made_ends_the_agent_with_everything_stopped(bench: Bench) -> None:
    bench.plugin("acme", RUNS)
    bench.data_dir.mkdir(mode=0o700)
    (bench.data_dir / "agent.sock").mkdir()

    async with bench.ready() as setup:
        error = await outcome(HostAgent(setup))

    assert "agent.sock" in str(error)


async def test_the_store_in_memory_outlives_a_restart_of_its_worker(bench: Bench) -> None:
    async with bench.agent() as agent:
        before = agent.top.expose("store", Store)
        await bench.ask(agent, "restart", name="store")
        await agent.settled()
        after = agent.top.expose("store", Store)

    assert after is before


async def test_requests_are_answered_while_the_agent_stops(bench: Bench) -> None:
    bench.plugin(
        "acme",
        """
@hookimpl
def undercroft_manifolds(agent):
    def start(context):
        control = context.get("agent", Control)
        async def work(stop):
            await stop.wait()
            LOG.append((await control.ask({"request": "report"}))["state"])
        return SimpleWorker(work)
    return {"acme": Manifold(start=start, inputs=("agent",))}
""",
    )

    async with bench.agent():
        pass

    assert bench.log("acme") == ["stopping"]


async def test_a_cancelled_caller_of_restart_does_not_lose_the_manifold(bench: Bench, until: Until) -> None:
    bench.plugin(
        "acme",
        """
GO = asyncio.Event()
@hookimpl
def undercroft_manifolds(agent):
    async def work(stop):
        await stop.wait()
        await GO.wait()
    def start(context):
        LOG.append("start")
        return SimpleWorker(work)
    return {"acme": Manifold(start=start)}
""",
    )

    async with bench.agent() as agent:
        asking = asyncio.ensure_future(bench.ask(agent, "restart", name="acme"))
        await until(lambda: bench.states(agent)["acme"] == "stopping")
        asking.cancel()
        await asyncio.gather(asking, return_exceptions=True)
        bench.module("acme").GO.set()
        await until(lambda: bench.log("acme") == ["start", "start"])
