"""Quarantine as an operator meets it: in the reports, and ended by a restart or a reload."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from core.tests.agent.conftest import Bench

Until = Callable[[Callable[[], object]], Awaitable[None]]

FAILING = """
class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    fails: bool = True

@hookimpl
def undercroft_config():
    return Config

@hookimpl
def undercroft_manifolds(agent):
    fails = agent.config(Config).fails
    def start(context):
        LOG.append("start")
        if fails:
            raise OSError("no such disk")
        return NoOpWorker()
    def start_above(context):
        context.get("acme")
        return NoOpWorker()
    return {"acme": Manifold(start=start), "above": Manifold(start=start_above, inputs=("acme",))}
"""

LIMIT = "restart_limit = {failures = 1, seconds = 600}\n[plugins.acme]\nfails = %s\n"


@pytest.fixture
def failing(bench: Bench) -> Bench:
    bench.plugin("acme", FAILING)
    bench.config(LIMIT % "true")
    return bench


async def test_a_worker_that_keeps_failing_is_quarantined_and_the_rest_runs(failing: Bench, until: Until) -> None:
    async with failing.agent(error_delay=0.0) as agent:
        await until(lambda: failing.states(agent)["acme"] == "quarantined")
        entries = failing.entries(agent)

    assert failing.log("acme") == ["start", "start"]
    assert "no such disk" in entries["acme"]["error"]
    assert entries["model"]["state"] == "started"
    assert entries["above"]["missing"] == ["acme"]


async def test_the_graph_and_explain_know_the_quarantined(failing: Bench, until: Until) -> None:
    async with failing.agent(error_delay=0.0) as agent:
        await until(lambda: failing.states(agent)["acme"] == "quarantined")
        graph = await failing.ask(agent, "graph")
        own = await failing.ask(agent, "explain", name="acme")
        above = await failing.ask(agent, "explain", name="above")

    assert graph["manifolds"]["acme"]["state"] == "quarantined"
    assert "no such disk" in graph["manifolds"]["acme"]["error"]
    assert own["state"] == "quarantined"
    assert "undercroft restart acme" in " ".join(own["sentences"])
    assert "acme is in quarantine" in " ".join(above["sentences"])
    assert "not installed" not in " ".join(above["sentences"])


async def test_restart_lets_a_worker_out_of_quarantine(failing: Bench, until: Until) -> None:
    async with failing.agent(error_delay=0.0) as agent:
        await until(lambda: failing.states(agent)["acme"] == "quarantined")
        answer = await failing.ask(agent, "restart", name="acme")
        await until(lambda: len(failing.log("acme")) == 4 and failing.states(agent)["acme"] == "quarantined")

    assert answer == {}


async def test_a_change_of_the_plugins_section_lets_it_out_of_quarantine(failing: Bench, until: Until) -> None:
    async with failing.agent(error_delay=0.0) as agent:
        await until(lambda: failing.states(agent)["acme"] == "quarantined")
        failing.config(LIMIT % "false")
        answer = await failing.ask(agent, "reload")
        await until(lambda: failing.states(agent)["above"] == "started")

    assert answer == {"changed": ["acme"], "needs_restart": [], "errors": []}


async def test_a_worker_that_failed_and_waits_for_its_next_attempt_shows_its_error(bench: Bench) -> None:
    bench.plugin("acme", FAILING)

    async with bench.agent() as agent:
        graph = await bench.ask(agent, "graph")
        explained = await bench.ask(agent, "explain", name="above")

    assert graph["manifolds"]["acme"]["error"] == "no such disk"
    assert any("no such disk" in sentence for sentence in explained["sentences"])


async def test_restart_stops_and_starts_a_worker_and_bounces_what_depends_on_it(bench: Bench, until: Until) -> None:
    bench.plugin("acme", FAILING)
    bench.config("[plugins.acme]\nfails = false\n")

    async with bench.agent() as agent:
        before = bench.entries(agent)["above"]["started"], agent.top.present["above"]
        await bench.ask(agent, "restart", name="acme")
        await agent.settled()
        await until(lambda: agent.top.present.get("above") not in (None, before[1]))

    assert bench.log("acme") == ["start", "start"]


@pytest.mark.parametrize("request_", ["restart", "explain"])
async def test_a_name_that_nobody_has_is_answered_with_those_that_there_are(bench: Bench, request_: str) -> None:
    async with bench.agent() as agent:
        answer = await bench.ask(agent, request_, name="nobody")

    assert answer["error"]["kind"] == "NotFoundError"
    assert "agent, model, store" in answer["error"]["message"]


async def test_a_worker_may_ask_for_its_own_restart(bench: Bench, until: Until) -> None:
    bench.plugin(
        "acme",
        """
@hookimpl
def undercroft_manifolds(agent):
    def start(context):
        control = context.get("agent", Control)
        async def work(stop):
            LOG.append("start")
            if LOG.count("start") == 1:
                LOG.append(await control.ask({"request": "restart", "name": "acme"}))
            await stop.wait()
        return SimpleWorker(work)
    return {"acme": Manifold(start=start, inputs=("agent",))}
""",
    )

    async with bench.agent():
        await until(lambda: bench.log("acme") == ["start", {}, "start"])
