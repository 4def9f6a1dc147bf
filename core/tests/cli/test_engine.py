from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import pytest
from core.tests.cli.conftest import CannedAgent, CommandLine

Start = Callable[[Mapping[str, object] | bytes], CannedAgent]

GRAPH = {
    "manifolds": {
        "disks": {"plugin": "disks", "state": "stopped", "inputs": ["model", "ghost"], "missing": ["ghost"]},
        "model": {"plugin": "core", "state": "started", "inputs": ["store"], "missing": [], "error": None},
        "store": {"plugin": "core", "state": "started", "inputs": []},
        'odd"name': {"plugin": "odd", "state": "stopped", "inputs": ["model"], "error": "disk on fire"},
    }
}

REPORT = {"state": "started", "manifolds": {"store": {"state": "started", "inputs": [], "start-count": 1}}}


@pytest.mark.parametrize(
    "arguments",
    [["report"], ["graph"], ["explain", "x"], ["transitions"], ["restart", "x"]],
    ids=lambda words: words[0],
)
def test_without_an_agent_it_says_so(undercroft: CommandLine, arguments: list[str]) -> None:
    ran = undercroft(*arguments)

    assert ran.code == 3
    assert ran.err == (
        f"Error: no agent is running on {undercroft.data}; start one with `undercroft agent`, or name its --data\n"
    )


def test_a_report_is_shown_to_people_and_programs(undercroft: CommandLine, canned_agent: Start) -> None:
    agent = canned_agent(REPORT)

    assert undercroft("report").out == (
        "state: started\nmanifolds:\n  store:\n    state: started\n    inputs: []\n    start-count: 1\n"
    )
    assert undercroft("report", "--format", "json").document == REPORT
    assert agent.requests == [{"request": "report"}] * 2


def test_one_workers_report_is_a_part_of_it(undercroft: CommandLine, canned_agent: Start) -> None:
    canned_agent(REPORT)

    assert undercroft("report", "store", "--format", "json").document == REPORT["manifolds"]["store"]  # type: ignore[index]


def test_a_report_of_nobody_is_no_such_thing(undercroft: CommandLine, canned_agent: Start) -> None:
    canned_agent(REPORT)

    ran = undercroft("report", "stor")

    assert ran.code == 4
    assert ran.err == "Error: the agent has no worker called 'stor' (did you mean \"store\"?)\n"


def test_an_explanation_is_its_sentences(undercroft: CommandLine, canned_agent: Start) -> None:
    answer = {"name": "disks", "state": "stopped", "sentences": ["It waits for model.", "model is stopped."]}
    agent = canned_agent(answer)

    assert undercroft("explain", "disks").out == "It waits for model.\nmodel is stopped.\n"
    assert undercroft("explain", "disks", "--format", "json").document == answer
    assert agent.requests[0] == {"request": "explain", "name": "disks"}


def test_explaining_nobody_is_no_such_thing(undercroft: CommandLine, canned_agent: Start) -> None:
    canned_agent({"error": {"kind": "NotFoundError", "message": "there is no worker 'x'"}})

    ran = undercroft("explain", "x")

    assert (ran.code, ran.err) == (4, "Error: there is no worker 'x'\n")


def test_transitions_are_rows(undercroft: CommandLine, canned_agent: Start) -> None:
    rows = [{"at": "2026-01-02T00:00:00Z", "path": "disks", "kind": "started", "error": None}]
    canned_agent({"transitions": rows})

    assert undercroft("transitions").out.splitlines()[1].split() == ["2026-01-02T00:00:00Z", "disks", "started"]
    assert undercroft("transitions", "--format", "json").document == rows


def test_a_restart_is_asked_for_by_name(undercroft: CommandLine, canned_agent: Start) -> None:
    agent = canned_agent({})

    assert undercroft("restart", "disks").out == "disks was restarted.\n"
    assert undercroft("restart", "disks", "--format", "json").document == {"restarted": "disks"}
    assert agent.requests[0] == {"request": "restart", "name": "disks"}


def test_a_graph_as_text_has_what_is_needed_before_what_needs_it(undercroft: CommandLine, canned_agent: Start) -> None:
    canned_agent(GRAPH)

    lines = undercroft("graph").out.splitlines()

    assert [line.split()[0] for line in lines] == ["NAME", "store", "model", "disks", 'odd"name']
    assert lines[3].endswith("  waits for ghost")
    assert lines[4].endswith("  disk on fire")


def test_a_graph_for_graphviz_is_in_its_language(undercroft: CommandLine, canned_agent: Start) -> None:
    canned_agent(GRAPH)

    out = undercroft("graph", "--as", "dot").out

    assert out.startswith("digraph undercroft {\n")
    assert out.endswith("\n}\n")
    assert '  "store" [label="store\\nstarted", fillcolor=palegreen];' in out
    assert '  "odd\\"name" [label="odd\\"name\\nstopped", fillcolor=lightsalmon];' in out
    assert '  "ghost" [label="ghost\\nabsent", fillcolor=lightsalmon];' in out
    assert '  "store" -> "model";' in out
    assert '  "ghost" -> "disks";' in out


def test_a_graph_for_mermaid_is_a_flowchart(undercroft: CommandLine, canned_agent: Start) -> None:
    canned_agent(GRAPH)

    out = undercroft("graph", "--as", "mermaid").out

    assert out.startswith("flowchart LR\n")
    assert '  n0["store<br/>started"]' in out
    assert '  n3["odd#quot;name<br/>stopped"]' in out
    assert "  n0 --> n1" in out


def test_a_graph_for_programs_is_the_agents_answer(undercroft: CommandLine, canned_agent: Start) -> None:
    canned_agent(GRAPH)

    assert undercroft("graph", "--as", "dot", "--format", "json").document == GRAPH


def test_the_plugins_of_a_running_agent_are_the_agents(undercroft: CommandLine, canned_agent: Start) -> None:
    rows = [{"name": "acme", "state": "broken", "why": "its worker went mad", "distribution": "a", "version": "1"}]
    canned_agent({"plugins": rows})

    ran = undercroft("plugins", "--format", "json")

    assert (ran.code, ran.document) == (0, rows)
    assert undercroft("plugins", "--strict").code == 1
    assert "its worker went mad" in undercroft("plugins").out


def test_the_shell_completes_the_names_of_workers(undercroft: CommandLine, canned_agent: Start) -> None:
    canned_agent(GRAPH)
    undercroft.environ |= {
        "_UNDERCROFT_COMPLETE": "bash_complete",
        "COMP_WORDS": "undercroft explain st",
        "COMP_CWORD": "2",
    }

    assert undercroft().out == "plain,store\n"


def test_the_shell_completes_nothing_without_an_agent(undercroft: CommandLine) -> None:
    undercroft.environ |= {
        "_UNDERCROFT_COMPLETE": "bash_complete",
        "COMP_WORDS": "undercroft explain st",
        "COMP_CWORD": "2",
    }

    ran = undercroft()

    assert (ran.out.strip(), ran.err) == ("", "")


def test_the_version_is_ours_for_people(undercroft: CommandLine) -> None:
    assert undercroft("version").out == undercroft("--version").out == "undercroft 1.0.0\n"


@pytest.mark.parametrize("options", [[], ["--all"]])
def test_the_version_for_programs_is_jujus_with_ours_beside_it(undercroft: CommandLine, options: list[str]) -> None:
    document = json.loads(undercroft("version", "--format", "json", *options).out)

    assert document["version"].startswith("3.6.9-ubuntu-")
    assert document["undercroft"] == "1.0.0"
