"""The command line and a real agent, each in a process of its own."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from typing import cast

import pytest
from core.tests.cli.conftest import PATIENCE, CommandLine
from core.tests.conftest import Distributions

PUMP = """
    import asyncio
    import logging
    import msgspec
    from undercroft import SimpleWorker
    from undercroft_hookspecs import Manifold, NotValidError, hookimpl

    class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        is_dry: bool = False

    @hookimpl
    def undercroft_config():
        return Settings

    @hookimpl
    def undercroft_manifolds(agent):
        def start(context):
            if agent.config(Settings).is_dry:
                raise NotValidError("the well is dry", field="well")
            return SimpleWorker(lambda stop: stop.wait())

        return {"pump": Manifold(start=start, inputs=("agent",)), "mill": Manifold(start=start, inputs=("ghost",))}
"""


@pytest.fixture
def live(undercroft: CommandLine, distributions: Distributions) -> Iterator[CommandLine]:
    """The command line, and an agent that runs on its data folder with the plugin above and no other."""
    distributions.plugin("pump", PUMP)
    undercroft.path = [distributions.folder]
    undercroft.environ["UNDERCROFT_PLUGINS"] = "pump"
    with subprocess.Popen(
        [*undercroft.argv, "agent"],
        env=undercroft.environment,
        cwd=undercroft.folder,
        stderr=subprocess.PIPE,
        text=True,
    ) as agent:
        assert agent.stderr is not None
        logged = []
        for line in agent.stderr:
            logged.append(line)
            if "ready" in line:
                break
        else:
            pytest.fail("".join(logged))
        yield undercroft
        agent.send_signal(signal.SIGTERM)
        agent.stderr.read()
        assert agent.wait(PATIENCE) == 0


def test_every_command_is_answered_by_a_running_agent(live: CommandLine) -> None:
    report = cast("dict[str, dict[str, object]]", live("report", "--format", "json").document)
    graph = live("graph").out
    explained = live("explain", "mill")
    restarted = live("restart", "pump")
    transitions = cast("list[dict[str, object]]", live("transitions", "--format", "json").document)
    rows = cast("list[dict[str, object]]", live("plugins", "--format", "json").document)

    assert {"agent", "pump", "mill"} <= set(report["manifolds"])
    assert "waits for ghost" in graph
    assert explained.code == 0
    assert "ghost" in explained.out
    assert (restarted.code, restarted.out) == (0, "pump was restarted.\n")
    assert "agent/pump" in {row["path"] for row in transitions}
    assert ["mill", "pump"] in [sorted(cast("list[str]", row["manifolds"])) for row in rows]


def test_what_is_not_there_is_no_such_thing(live: CommandLine) -> None:
    assert live("explain", "nobody").code == 4
    assert live("restart", "nobody").code == 4
    assert live("report", "nobody").code == 4


def test_a_second_agent_on_the_same_folder_is_told_which_is_there(live: CommandLine) -> None:
    ran = live("agent")

    assert ran.code == 1
    assert f"runs on {live.data} already" in ran.err
    assert "Traceback" not in ran.err


def test_the_agents_config_is_checked_before_it_runs(undercroft: CommandLine) -> None:
    file = undercroft.config("allow_reboot = 1")

    ran = undercroft("agent")

    assert ran.code == 78
    assert f"{file}: allow_reboot is 1; expected true or false" in ran.err


def test_a_required_plugin_that_is_broken_keeps_the_agent_from_running(
    undercroft: CommandLine, distributions: Distributions
) -> None:
    distributions.plugin("bad", "raise ValueError('no luck')")
    undercroft.path = [distributions.folder]
    undercroft.config('required = ["bad"]')

    ran = undercroft("agent")

    assert ran.code == 1
    assert "bad is broken" in ran.err
    assert "no luck" in ran.err
    assert "Traceback" not in ran.err
