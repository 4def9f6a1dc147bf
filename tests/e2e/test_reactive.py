"""A charm written with charms.reactive keeps its flags from hook to hook, and talks over an interface layer.

What its handlers are told is judged by them, and by the charms in bash that they talk to: see tests/charms/reactive.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from tests.e2e.machine import CHARMS, OneMachine

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def relay(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OneMachine]:
    """A machine on which a token has been relayed; each test goes on where the last one ended."""
    machine = OneMachine(tmp_path_factory.mktemp("reactive"))
    machine.start()
    try:
        machine.do("model-config", "automatically-retry-hooks=false")
        packed = machine.do("pack", str(CHARMS / "reactive"), "--output", str(machine.folder)).strip()
        charms = {
            "reactive": packed,
            "token-source": str(CHARMS / "token-source"),
            "token-sink": str(CHARMS / "token-sink"),
        }
        relations = [["token-source:token", "reactive:takes"], ["reactive:gives", "token-sink:token"]]
        applications = {name: {"charm": charm, "num_units": 1} for name, charm in charms.items()}
        bundle = machine.folder / "bundle.yaml"
        bundle.write_text(yaml.safe_dump({"applications": applications, "relations": relations}))
        machine.do("deploy", str(bundle))
        machine.until(lambda: said(machine, "swordfish"), "the token is relayed")
        yield machine
    finally:
        if machine.agent is not None:
            machine.end()


def test_handlers_run_for_what_comes_to_pass_and_flags_outlast_their_hook(relay: OneMachine) -> None:
    notes, flags = report(relay)
    assert notes == ["begun", "prefix None becomes ''", "took swordfish"]
    assert {"relay.ready", "takes.available", "gives.wanted", "endpoint.takes.joined"} <= flags
    assert not {flag for flag in flags if flag.startswith("config.changed")}


def test_what_another_unit_says_later_is_a_change(relay: OneMachine) -> None:
    relay.do("config", "token-source", "token=halibut")
    relay.until(lambda: said(relay, "halibut"), "the new token is relayed")


def test_hook_that_fails_keeps_no_flag_and_says_nothing(relay: OneMachine) -> None:
    relay.do("config", "reactive", "prefix=ouch")
    error = {"current": "error", "message": 'hook failed: "config-changed"'}
    relay.until(lambda: error.items() <= relay.units()["reactive/0"]["workload-status"].items(), "the hook has failed")
    notes, flags = report(relay)
    assert notes[-1] == "took halibut"
    assert "relay.hurt" not in flags
    assert relay.messages()["token-sink/0"] == "active: halibut"


def test_hook_that_is_run_again_sees_what_changed_since_the_last_that_succeeded(relay: OneMachine) -> None:
    relay.do("config", "reactive", "prefix=fresh ")
    relay.do("resolved", "reactive/0")
    relay.until(lambda: said(relay, "halibut", given="fresh halibut"), "the prefix is taken")
    assert report(relay)[0][-1] == "prefix '' becomes 'fresh '"


def test_metrics_are_collected_without_the_other_handlers(relay: OneMachine) -> None:
    assert relay.run("collect-metrics", "reactive/0").stderr == ""
    assert "Restricted mode" in relay.do("debug-log", "--replay", "--limit", "0", "--include", "unit-reactive-0")


def test_flags_outlast_a_new_revision_of_the_charm(relay: OneMachine) -> None:
    (archive,) = relay.folder.glob("*.charm")
    relay.do("refresh", "reactive", "--path", str(archive))
    relay.until(lambda: "reactive/0: ran upgrade-charm hook" in relay.log(), "the charm is refreshed")
    relay.until(lambda: said(relay, "halibut", given="fresh halibut"), "all is as it was")
    assert report(relay)[0][-1] == "upgraded"


def test_relation_that_ends_takes_its_flags_along(relay: OneMachine) -> None:
    relay.do("remove-relation", "reactive", "token-sink")
    relay.do("remove-relation", "reactive", "token-source")
    relay.until(lambda: relay.messages().get("reactive/0") == "blocked: no token", "it is without a token")
    relay.until(lambda: relay.messages().get("token-sink/0") == "blocked: no token", "the sink is, too")
    notes, flags = report(relay)
    assert notes[-2:] == ["token-sink/0 left", "broken"]
    assert not flags & {"takes.available", "gives.wanted", "endpoint.takes.joined", "endpoint.gives.joined"}


def test_nothing_is_left_of_the_environment_beside_the_charm(relay: OneMachine) -> None:
    (agents,) = relay.data_dir.glob("models/*/agents")
    assert (agents / "unit-reactive-0" / ".venv" / "bin" / "python").exists()
    relay.do("remove-application", "reactive", "token-source", "token-sink", "--no-prompt")
    relay.until(lambda: not relay.ask("status")["applications"], "the applications are gone")
    relay.until(lambda: not any(agents.iterdir()), "the folders are gone")


def report(machine: OneMachine) -> tuple[list[str], set[str]]:
    """What the charm's handlers have noted, and the flags that are set."""
    (task,) = machine.ask("run", "reactive/0", "report", "word=sesame").values()
    assert task["status"] == "completed", task
    results: dict[str, Any] = task["results"]  # Any: JSON.
    assert results["word"] == "sesame"
    return results["notes"].split("\n"), set(results["flags"].split())


def said(machine: OneMachine, token: str, *, given: str | None = None) -> bool:
    """Whether the token has come through, and all are idle."""
    return machine.messages() == {
        "token-source/0": f"active: handing out {token}",
        "reactive/0": f"active: {given or token}",
        "token-sink/0": f"active: {given or token}",
    }
