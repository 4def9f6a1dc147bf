from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest
from plugins.model.tests.commands.conftest import CommandLine

from undercroft.clock import SystemClock
from undercroft_hookspecs import Store
from undercroft_model.commands.statustable import status_table
from undercroft_model.models import find_model, model_id
from undercroft_model.statuses import set_status
from undercroft_model.transaction import Transaction

PATIENCE = 30.0


@pytest.fixture
def related(undercroft: CommandLine, server: str, client: str) -> CommandLine:
    """Two applications that are related."""
    undercroft.ok("deploy", server, "-n", "2")
    undercroft.ok("deploy", client)
    undercroft.ok("integrate", "client", "server")
    return undercroft


def set_workload(undercroft: CommandLine, unit: str, *statuses: str) -> None:
    """Let a unit's workload have these statuses, one after another."""

    async def work(store: Store) -> None:
        for status in statuses:
            tx = Transaction(store)
            model = model_id(await find_model(tx, "default"))
            await set_status(tx, model, "unit", unit, status, f"it is {status}\x1b[31m", now=SystemClock().now())
            await tx.commit()

    undercroft.on_store(work)


def test_the_tables_have_jujus_columns(related: CommandLine) -> None:
    sections = related.ok("status").out.split("\n\n")

    assert [section.split("\n")[0].split() for section in sections] == [
        ["Model", "Controller", "Cloud/Region", "Version", "SLA", "Timestamp"],
        ["App", "Version", "Status", "Scale", "Charm", "Channel", "Rev", "Exposed", "Message"],
        ["Unit", "Workload", "Agent", "Machine", "Public", "address", "Ports", "Message"],
        ["Machine", "State", "Address", "Inst", "id", "Base", "AZ", "Message"],
    ]
    assert sections[1].split("\n")[2].split()[:5] == ["server", "waiting", "0/2", "server", "0"]
    assert sections[2].split("\n")[1].split()[:4] == ["client/0", "waiting", "allocating", "0"]


def test_scale_counts_the_units_at_work_and_subordinates_with_their_principals() -> None:
    def unit(agent: str, **subordinates: object) -> dict[str, object]:
        return {"workload-status": {"current": "active"}, "juju-status": {"current": agent}, **subordinates}

    application = {"application-status": {"current": "active"}, "charm-name": "x", "charm-rev": 0, "exposed": False}
    below = {"subordinates": {"log/0": unit("executing"), "other/0": unit("idle")}}
    document = {
        "model": dict.fromkeys(("name", "controller", "cloud", "region", "version", "sla"), "-") | {"model-status": {}},
        "controller": {"timestamp": "-"},
        "machines": {},
        "applications": {
            "log": application | {"subordinate-to": ["web"]},
            "web": application | {"units": {"web/0": unit("idle", **below), "web/1": unit("lost")}},
        },
    }

    rows = status_table(document, storage=False).split("\n\n")[1].split("\n")[1:]

    assert [row.split()[2] for row in rows] == ["1", "1/2"]


def test_relations_are_shown_when_they_are_asked_for(related: CommandLine) -> None:
    sections = related.ok("status", "--relations").out.rstrip("\n").split("\n\n")

    assert [line.split() for line in sections[-1].split("\n")] == [
        ["Integration", "provider", "Requirer", "Interface", "Type", "Message"],
        ["server:mates", "server:mates", "mates", "peer"],
        ["server:web", "client:backend", "http", "regular"],
    ]
    assert related.json("status", "--relations")["integrations"][1]["requirer"] == "client:backend"


def test_an_empty_model_says_so(undercroft: CommandLine) -> None:
    assert 'Model "admin/default" is empty.' in undercroft.ok("status", "--storage").out


@pytest.mark.parametrize(
    ("patterns", "shown"),
    [
        (["client"], {"client": ["client/0"]}),
        (["server/1"], {"server": ["server/1"]}),
        (["s*"], {"server": ["server/0", "server/1"]}),
        (["*/0"], {"client": ["client/0"], "server": ["server/0"]}),
        (["blocked"], {"server": ["server/1"]}),
        (["nothing"], {}),
    ],
)
def test_patterns_choose_what_is_shown(related: CommandLine, patterns: list[str], shown: dict[str, list[str]]) -> None:
    set_workload(related, "server/1", "blocked")

    applications = related.json("status", *patterns)["applications"]

    assert {name: sorted(application["units"]) for name, application in applications.items()} == shown


def test_a_message_does_nothing_to_the_terminal(related: CommandLine) -> None:
    set_workload(related, "server/1", "active")

    assert "\x1b" not in related.ok("status").out


def test_the_same_is_given_as_yaml(related: CommandLine) -> None:
    assert "applications:\n  client:\n" in related.ok("status", "--format", "yaml").out


def test_units_are_shown_a_line_each_and_counted(related: CommandLine) -> None:
    lines = related.ok("status", "--format", "short").out.splitlines()
    assert [line.split(":")[0] for line in lines] == ["- client/0", "- server/0", "- server/1"]
    assert lines[0].endswith("(agent:allocating, workload:waiting)")

    counts = related.ok("status", "--format", "summary").out.splitlines()
    assert counts == ["Machines: 1", "Units: 3", "  waiting: 3", "Applications: 2", "  client: 1", "  server: 2"]


def test_machines_are_listed_with_their_units(related: CommandLine) -> None:
    document = related.json("machines")

    assert document["machines"]["0"]["units"] == ["client/0", "server/0", "server/1"]
    assert related.ok("machines").out.split()[:3] == ["Machine", "State", "Address"]


def test_the_last_statuses_of_a_unit_are_shown(related: CommandLine) -> None:
    assert related.ok("show-status-log", "server/0").out == "No status history available.\n"
    set_workload(related, "server/0", "maintenance", "active", "blocked")

    rows = related.json("show-status-log", "server/0", "-n", "2")

    assert [(row["type"], row["status"]) for row in rows] == [("workload", "active"), ("workload", "blocked")]
    assert related.ok("show-status-log", "server/0").out.startswith("Time")
    assert "unexpected status type" in related.refused("show-status-log", "server/0", "--type", "nothing")


def test_of_a_unit_the_relations_that_are_asked_for_are_shown(related: CommandLine) -> None:
    (relation,) = related.json("show-unit", "server/0", "--endpoint", "web")["server/0"]["relation-info"]
    assert relation["related-endpoint"] == "backend"

    whole = related.json("show-unit", "server/0", "--app")["server/0"]["relation-info"]
    assert all("local-unit" not in relation for relation in whole)
    assert "could not determine leader" in related.refused("show-unit", "server/leader")


def test_watching_shows_each_change_at_once_and_ends_well(undercroft: CommandLine, server: str) -> None:
    undercroft.ok("status")
    watching = subprocess.Popen(
        [sys.executable, "-m", "undercroft", "status", "--watch", "--format", "json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "UNDERCROFT_DATA": str(undercroft.data)},
    )
    assert watching.stdout is not None

    first = json.loads(watching.stdout.readline())
    undercroft.ok("deploy", server)
    second = json.loads(watching.stdout.readline())
    watching.send_signal(signal.SIGINT)
    _, errors = watching.communicate(timeout=PATIENCE)

    assert (first["applications"], list(second["applications"])) == ({}, ["server"])
    assert (watching.returncode, errors) == (0, "")
