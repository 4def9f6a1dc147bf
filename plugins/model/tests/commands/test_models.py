from __future__ import annotations

import json
from pathlib import Path

from plugins.model.tests.commands.conftest import CommandLine


def test_a_model_that_is_added_becomes_the_current_one(undercroft: CommandLine) -> None:
    ran = undercroft.ok("add-model", "staging")

    assert ran.err == "Added 'staging' model for user 'admin'\n"
    assert undercroft.ok("switch").out == "staging\n"
    assert undercroft.json("status")["model"]["name"] == "staging"


def test_no_switch_leaves_the_current_model(undercroft: CommandLine) -> None:
    undercroft.ok("add-model", "staging", "--no-switch", "localhost")

    assert undercroft.ok("switch").out == "default\n"


def test_a_name_is_taken_once(undercroft: CommandLine) -> None:
    undercroft.ok("add-model", "staging")

    assert 'model "staging" for admin already exists' in undercroft.refused("add-model", "staging")


def test_switch_says_from_where_to_where(undercroft: CommandLine) -> None:
    undercroft.ok("add-model", "one")
    undercroft.ok("add-model", "two")

    assert undercroft.ok("switch", "admin/one").err == "undercroft:admin/two -> undercroft:admin/one\n"
    assert undercroft.ok("switch", "one").err == "undercroft:admin/one (no change)\n"
    assert "not found" in undercroft.refused("switch", "three")
    assert undercroft.ok("switch").out == "one\n"


def test_the_model_is_the_options_then_the_environments_then_the_current_one(
    undercroft: CommandLine, monkeypatch: object
) -> None:
    for name in ("one", "two", "three"):
        undercroft.ok("add-model", name)

    assert undercroft.json("status")["model"]["name"] == "three"
    undercroft._monkeypatch.setenv("UNDERCROFT_MODEL", "two")
    assert undercroft.json("status")["model"]["name"] == "two"
    assert undercroft.json("status", "-m", "one")["model"]["name"] == "one"
    assert undercroft.json("show-model", "three")["three"]["short-name"] == "three"


def test_a_current_model_that_is_gone_gives_way_to_the_default(undercroft: CommandLine) -> None:
    undercroft.ok("add-model", "staging")
    undercroft.ok("destroy-model", "staging", "--no-prompt")

    assert undercroft.json("status")["model"]["name"] == "default"


def test_models_are_listed_with_what_is_in_them(undercroft: CommandLine, server: str) -> None:
    undercroft.ok("deploy", server, "-n", "2")
    undercroft.ok("add-model", "staging")

    document = undercroft.json("models")

    assert document["current-model"] == "staging"
    assert [(each["short-name"], each["unit-count"]) for each in document["models"]] == [("default", 2), ("staging", 0)]
    lines = undercroft.ok("models").out.splitlines()
    assert [line.split()[:4] for line in lines[2:]] == [
        ["Model", "Machines", "Units", "Status"],
        ["default", "1", "2", "available"],
        ["staging*", "0", "0", "available"],
    ]


def test_destroying_a_model_leaves_no_key_behind(undercroft: CommandLine, server: str) -> None:
    undercroft.ok("add-model", "staging")
    undercroft.ok("deploy", server, "-n", "3")

    ran = undercroft.ok("destroy-model", "staging", "--no-prompt")

    assert ran.err == "Destroying model staging\nModel staging destroyed\n"
    assert undercroft.json("models")["models"] == []


def test_a_model_is_destroyed_when_its_name_is_repeated(undercroft: CommandLine) -> None:
    undercroft.ok("add-model", "staging")

    refused = undercroft("destroy-model", "staging", stdin="no\n")
    assert (refused.code, "aborted" in refused.err) == (1, True)
    undercroft.ok("destroy-model", "staging", stdin="staging\n")

    assert undercroft.json("models")["models"] == []


def test_settings_are_shown_one_by_one_and_all_at_once(undercroft: CommandLine) -> None:
    undercroft.ok("model-config", "update-status-hook-interval=30s", "test-mode=true")

    assert undercroft.ok("model-config", "update-status-hook-interval").out == "30s\n"
    assert undercroft.ok("model-config", "test-mode").out == "true\n"
    assert undercroft.json("model-config", "test-mode") == {"test-mode": {"Value": True, "Source": "model"}}
    assert "nothing" in undercroft.refused("model-config", "nothing")
    assert ["test-mode", "model", "true"] in [line.split() for line in undercroft.ok("model-config").out.splitlines()]


def test_settings_come_from_a_file_too(undercroft: CommandLine) -> None:
    Path("settings.yaml").write_text("test-mode: true\nlogging-config: <root>=DEBUG\n")

    undercroft.ok("model-config", "settings.yaml", "logging-config=<root>=ERROR")

    settings = undercroft.json("model-config")
    assert (settings["test-mode"]["Value"], settings["logging-config"]["Value"]) == (True, "<root>=ERROR")


def test_setting_and_resetting_is_one_change(undercroft: CommandLine) -> None:
    undercroft.ok("model-config", "test-mode=true")
    before = undercroft.stored()

    undercroft.refused("model-config", "logging-config=x", "--reset", "nothing")
    assert undercroft.stored() == before
    undercroft.ok("model-config", "logging-config=x", "--reset", "test-mode,development")

    assert json.loads(undercroft.stored()["model/self"])["config"] == {"logging-config": "x"}
