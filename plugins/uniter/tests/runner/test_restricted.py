"""Restricted hooks: they run beside the unit's others, with next to nothing."""

from __future__ import annotations

import asyncio
import logging

import pytest
from plugins.uniter.tests.stage import UNIT, Stage

from undercroft.clock import SystemClock
from undercroft_hookspecs import HookResult, NotFoundError
from undercroft_uniter.runner.executions import surroundings_of
from undercroft_uniter.runner.restricted import RestrictedHooks


@pytest.fixture
async def restricted(stage: Stage) -> RestrictedHooks:
    facades = stage.side.facades
    return RestrictedHooks(
        surroundings=await surroundings_of(stage.agent, stage.paths, facades),
        server=stage.server,
        log=stage.log,
        config=facades.config,
        network=facades.network,
        clock=SystemClock(),
    )


async def run(
    stage: Stage, restricted: RestrictedHooks, text: str = "", *, timeout: float = 60.0, tools: tuple[str, ...] = ()
) -> HookResult:
    if text:
        stage.script("hooks/collect-metrics", text)
    allowed = {name: stage.tools[name] for name in tools}
    return await restricted.run(
        "collect-metrics", tools=allowed, environment={"JUJU_METER_STATUS": "RED"}, timeout=timeout
    )


async def test_it_has_what_ops_needs_and_what_its_caller_adds(stage: Stage, restricted: RestrictedHooks) -> None:
    result = await run(stage, restricted, "env | grep -v '^_=' | cut -d= -f1 | sort | tr '\\n' ' '")

    assert result == HookResult(returncode=0)
    assert stage.log.said(logging.DEBUG, "collect-metrics")[0].split() == [
        "APT_LISTCHANGES_FRONTEND",
        "CHARM_DIR",
        "DEBIAN_FRONTEND",
        "HOME",
        "JUJU_AGENT_SOCKET_ADDRESS",
        "JUJU_AGENT_SOCKET_NETWORK",
        "JUJU_CHARM_DIR",
        "JUJU_CONTEXT_ID",
        "JUJU_DISPATCH_PATH",
        "JUJU_HOOK_NAME",
        "JUJU_METER_STATUS",
        "JUJU_MODEL_NAME",
        "JUJU_MODEL_UUID",
        "JUJU_UNIT_NAME",
        "JUJU_VERSION",
        "LANG",
        "PATH",
        "PWD",
        "SHLVL",
        "TERM",
    ]


async def test_it_has_the_tools_it_was_given_and_no_others(stage: Stage, restricted: RestrictedHooks) -> None:
    tools = ("juju-log", "config-get", "status-get", "status-set")

    await run(stage, restricted, "juju-log hello; config-get colour; status-set active; relation-ids db", tools=tools)

    assert stage.log.said(logging.INFO, "juju-log") == ["hello"]
    assert stage.log.said(logging.DEBUG, "collect-metrics") == ["red"]
    said = "\n".join(stage.log.said(logging.WARNING, "collect-metrics"))
    assert "not available in collect-metrics" in said
    assert "relation-ids is not available" in said


async def test_its_exit_status_is_told(stage: Stage, restricted: RestrictedHooks) -> None:
    assert await run(stage, restricted, "exit 3") == HookResult(returncode=3)


async def test_a_charm_without_it_misses_it(stage: Stage, restricted: RestrictedHooks) -> None:
    assert await run(stage, restricted) == HookResult(returncode=0, missing=True)


async def test_one_that_takes_too_long_is_killed(stage: Stage, restricted: RestrictedHooks) -> None:
    async with asyncio.timeout(60):
        with pytest.raises(TimeoutError, match=f"hook collect-metrics of unit {UNIT} ran for more than 0.2 s"):
            await run(stage, restricted, "sleep 1000", timeout=0.2)


async def test_one_that_cannot_be_started_says_why(stage: Stage, restricted: RestrictedHooks) -> None:
    stage.script("hooks/collect-metrics", "true", first="#!/no/such/sh\n")

    with pytest.raises(NotFoundError, match="interpreter"):
        await run(stage, restricted)


async def test_it_runs_beside_a_hook_of_the_unit(stage: Stage, restricted: RestrictedHooks) -> None:
    stage.script("hooks/install", "touch begun; while [ ! -e ran ]; do sleep 0.02; done; juju-log installed")
    installing = asyncio.ensure_future((await stage.execution()).run())
    async with asyncio.timeout(60):
        while not (stage.paths.charm / "begun").exists():
            await asyncio.sleep(0.01)

    await run(stage, restricted, "juju-log collected; touch ran", tools=("juju-log",))

    assert not (await installing).failure
    assert stage.log.said(logging.INFO, "juju-log") == ["collected", "installed"]
