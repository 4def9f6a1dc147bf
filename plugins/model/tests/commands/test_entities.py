"""Units, relations, options and machines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from plugins.model.tests.commands.conftest import CommandLine

from undercroft.clock import SystemClock
from undercroft_hookspecs import Store
from undercroft_model.models import find_model, model_id
from undercroft_model.statuses import set_status
from undercroft_model.transaction import Transaction
from undercroft_model.units import take_up_charm


@pytest.fixture
def related(undercroft: CommandLine, server: str, client: str) -> CommandLine:
    """Two applications that are related."""
    undercroft.ok("deploy", server)
    undercroft.ok("deploy", client)
    undercroft.ok("integrate", "client", "server:web")
    return undercroft


def start(undercroft: CommandLine, unit: str, *, status: str = "idle") -> None:
    """Let a unit's agent take up its charm, and say how it is."""

    async def work(store: Store) -> None:
        tx = Transaction(store)
        model = model_id(await find_model(tx, "default"))
        await take_up_charm(tx, model, unit, url="local:server-0", sha256="0" * 64)
        await set_status(tx, model, "agent", unit, status, 'hook failed: "install"', now=SystemClock().now())
        await tx.commit()

    undercroft.on_store(work)


def test_units_are_added_with_the_next_numbers(undercroft: CommandLine, server: str) -> None:
    undercroft.ok("deploy", server)

    assert undercroft.ok("add-unit", "server", "-n", "2").err == "added unit server/1\nadded unit server/2\n"
    assert "positive" in undercroft.refused("add-unit", "server", "-n", "0")


def test_a_unit_that_never_ran_is_gone_at_once(undercroft: CommandLine, server: str) -> None:
    undercroft.ok("deploy", server, "-n", "2")

    assert undercroft.ok("remove-unit", "server/1", "--dry-run").err == "will remove unit server/1\n"
    assert undercroft.ok("remove-unit", "server/1").err == "will remove unit server/1\n"

    assert [key for key in undercroft.stored() if key.startswith("units/")] == ["units/server/0"]


def test_a_unit_that_runs_is_let_run_its_last_hooks(undercroft: CommandLine, server: str) -> None:
    undercroft.ok("deploy", server)
    start(undercroft, "server/0")

    undercroft.ok("remove-unit", "server/0")
    assert undercroft.json("status")["applications"]["server"]["units"]["server/0"]["juju-status"]["life"] == "dying"
    undercroft.ok("remove-unit", "server/0", "--force")

    assert undercroft.json("status")["applications"]["server"]["units"] == {}


def test_of_several_units_none_is_removed_where_one_is_wrong(undercroft: CommandLine, server: str) -> None:
    undercroft.ok("deploy", server)

    undercroft.refused("remove-unit", "server/0", "server/7")

    assert list(undercroft.json("status")["applications"]["server"]["units"]) == ["server/0"]


def test_removed_applications_leave_no_key_behind(related: CommandLine) -> None:
    related.ok("remove-application", "client", "server", "--no-prompt")

    left = {key for key in related.stored() if not key.startswith(("sequences/", "charm-revisions/"))}
    assert left == {"model/self", "machines/0"}
    related.ok("remove-machine", "0")
    assert not any(key.startswith("machines/") for key in related.stored())


def test_a_model_whose_units_run_waits_for_their_agents(undercroft: CommandLine, server: str) -> None:
    undercroft.ok("add-model", "default")
    undercroft.ok("deploy", server)
    start(undercroft, "server/0")

    assert "once an agent is running" in undercroft.ok("destroy-model", "default", "--no-prompt").err
    undercroft.ok("destroy-model", "default", "--no-prompt", "--force")

    assert undercroft.json("models")["models"] == []


def test_a_relation_is_removed_by_its_number_or_its_ends(related: CommandLine) -> None:
    related.ok("remove-relation", "1")
    related.ok("relate", "server", "client")
    related.ok("remove-relation", "client:backend", "server")

    assert related.json("status")["applications"]["client"]["relations"] == {}
    assert "peer relation" in related.refused("remove-relation", "0")


def test_a_unit_in_error_is_resolved(undercroft: CommandLine, server: str) -> None:
    undercroft.ok("deploy", server)
    assert "not in an error state" in undercroft.refused("resolved", "server/0")
    start(undercroft, "server/0", status="error")

    undercroft.ok("resolved", "--all", "--no-retry")

    assert json.loads(undercroft.stored()["units/server/0"])["resolved"] == "no-hooks"
    assert "already resolved" in undercroft.refused("resolved", "server/0")
    undercroft.ok("resolved", "--all")
    undercroft.refused("resolved")


def test_options_are_shown_as_juju_shows_them(undercroft: CommandLine, server: str) -> None:
    undercroft.ok("deploy", server)
    undercroft.ok("config", "server", "title=new")

    document = undercroft.json("config", "server")
    assert (document["application"], document["charm"]) == ("server", "server")
    assert document["settings"] == {
        "nickname": {"description": "", "source": "unset", "type": "string"},
        "title": {
            "default": "hello",
            "description": "What it is called",
            "source": "user",
            "type": "string",
            "value": "new",
        },
        "workers": {"default": 4, "description": "", "source": "default", "type": "int", "value": 4},
    }
    assert undercroft.ok("config", "server", "title").out == "new\n"
    assert undercroft.ok("config", "server", "nickname").out == "\n"
    assert "not found" in undercroft.refused("config", "server", "nothing")
    assert "title:" in undercroft.ok("config", "server").out


def test_options_come_from_a_file_and_from_stdin(undercroft: CommandLine, server: str) -> None:
    undercroft.ok("deploy", server)
    Path("options.yaml").write_text("server: {title: of the file}\n")

    undercroft.ok("config", "server", "--file", "options.yaml", "workers=3")
    undercroft.ok("config", "server", "--file", "-", stdin="nickname: of stdin\n")

    settings = undercroft.json("config", "server")["settings"]
    assert {name: option["value"] for name, option in settings.items()} == {
        "title": "of the file",
        "workers": 3,
        "nickname": "of stdin",
    }


def test_what_config_prints_can_be_given_back(undercroft: CommandLine, server: str) -> None:
    undercroft.ok("deploy", server)
    undercroft.ok("config", "server", "title=mine")
    shown = undercroft.ok("config", "server").out
    undercroft.ok("config", "server", "--reset", "title")

    undercroft.ok("config", "server", "--file", "-", stdin=shown)

    assert undercroft.ok("config", "server", "title").out == "mine\n"


def test_trust_and_exposure_are_marks_of_the_application(undercroft: CommandLine, server: str) -> None:
    undercroft.ok("deploy", server)
    undercroft.ok("trust", "server")
    undercroft.ok("expose", "server")
    shown = undercroft.json("show-application", "server")["server"]
    assert (shown["trust"], shown["exposed"]) == (True, True)

    undercroft.ok("trust", "server", "--remove")
    undercroft.ok("unexpose", "server")

    shown = undercroft.json("show-application", "server")["server"]
    assert (shown["trust"], shown["exposed"]) == (False, False)


def test_a_meter_status_is_set_of_a_unit_or_of_an_application(undercroft: CommandLine, server: str) -> None:
    undercroft.ok("deploy", server)

    undercroft.ok("set-meter-status", "server", "green")
    undercroft.ok("set-meter-status", "server/0", "RED", "--info", "quota used up")


def test_a_meter_status_that_cannot_be_is_refused(undercroft: CommandLine, server: str) -> None:
    undercroft.ok("deploy", server)

    assert 'unit "server/9" not found' in undercroft.refused("set-meter-status", "server/9", "RED")
    assert '"absent" not found' in undercroft.refused("set-meter-status", "absent", "RED")
    assert "'BLUE' is not one of" in undercroft.refused("set-meter-status", "server", "BLUE", code=2)
