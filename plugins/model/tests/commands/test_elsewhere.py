from __future__ import annotations

import pytest
from plugins.model.tests.commands.conftest import CommandLine


@pytest.mark.parametrize(
    "words",
    [
        ("bootstrap", "localhost", "here", "--no-switch", "--config", "a=b"),
        ("add-cloud", "cloud", "--client", "--file", "absent.yaml"),
        ("update-cloud", "cloud", "--client", "-f", "absent.yaml"),
        ("add-credential", "cloud", "--client", "--file", "absent.yaml"),
        ("add-ssh-key", "ssh-ed25519 AAAA me@here"),
        ("remove-ssh-key", "me@here"),
        ("set-constraints", "mysql", "mem=4G"),
    ],
)
def test_what_suites_call_in_passing_succeeds_and_says_that_nothing_was_done(
    undercroft: CommandLine, words: tuple[str, ...]
) -> None:
    ran = undercroft.ok(*words)

    assert ran.out == ""
    assert ran.err.startswith("nothing to do: ")
    assert not undercroft.data.exists()


@pytest.mark.parametrize("name", ["add-machine", "offer", "consume", "destroy-controller"])
def test_what_needs_a_cloud_is_refused_with_what_there_is_in_its_place(undercroft: CommandLine, name: str) -> None:
    assert f"ERROR {name} is not supported: " in undercroft.refused(name, "anything", "--at", "all")


def test_constraints_of_a_model_are_taken_and_none_are_there(undercroft: CommandLine) -> None:
    undercroft.ok("set-model-constraints", "mem=8G")

    assert undercroft.json("model-constraints") == {}
    assert undercroft.ok("model-constraints").out == "\n"
    undercroft.refused("set-model-constraints", "mem", code=2)


def test_there_is_one_controller_and_one_user(undercroft: CommandLine) -> None:
    assert undercroft.json("controllers")["current-controller"] == "undercroft"
    assert undercroft.json("whoami")["user"] == "admin"


def test_a_machine_with_units_goes_only_by_force(undercroft: CommandLine, server: str) -> None:
    undercroft.ok("deploy", server)

    assert 'machine 0 has unit "server/0" assigned' in undercroft.refused("remove-machine", "0")
    undercroft.ok("remove-machine", "0", "--force")

    status = undercroft.json("status")
    assert (status["machines"], status["applications"]["server"]["units"]) == ({}, {})
    assert "not found (not found)" in undercroft.refused("remove-machine", "0")
