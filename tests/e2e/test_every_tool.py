"""Charms of our own, written with ops, with charmhelpers and in bash, call every hook tool and see every event.

What the tools answer is judged by the charms: see tests/charms. Here is judged what was called and seen in the end.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from tests.e2e.ensemble import EVERYTHING, UNITS, Ensemble
from tests.e2e.machine import OneMachine

pytestmark = pytest.mark.slow

UNSEEN = {
    "crew_relation_broken": "a unit that goes leaves its peers without it",
    "collect_metrics": "it is run beside the unit's other hooks, and ops' state file takes one hook at a time",
    "pre_series_upgrade": "Juju upgrades the series of no machine any more",
    "post_series_upgrade": "as above",
}
"""Events that ops knows, and that are not shown here."""


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ensemble]:
    """All acts, once for all tests: each of them costs many hooks."""
    ensemble = Ensemble(OneMachine(tmp_path_factory.mktemp("ensemble")))
    try:
        ensemble.play()
        yield ensemble
    finally:
        if ensemble.machine.agent is not None:
            ensemble.machine.end()


def test_every_hook_tool_is_called_by_some_charm(played: Ensemble) -> None:
    assert len(played.tools) > 40
    assert played.tools - played.calls() == set()


def test_every_event_of_ops_is_seen_by_some_unit(played: Ensemble) -> None:
    known = {name for unit in EVERYTHING for names in played.notes(unit, "known") for name in names}
    seen = {name for unit in EVERYTHING for name in played.events(unit)}
    # No secret of this application's is another's.
    assert known - seen - UNSEEN.keys() == {"secret_changed"}
    assert "secret_changed" in played.events("ops-consumer/0")


def test_each_unit_begins_and_ends_in_juju_s_order(played: Ensemble) -> None:
    for unit in UNITS[:3]:
        events = played.events(unit)
        order = ("install", "config_changed", "start", "stop", "remove")
        assert sorted(order, key=events.index) == list(order), unit
        assert [events.count(name) for name in ("install", "stop", "remove")] == [1, 1, 1]
    for unit in EVERYTHING:
        events = played.events(unit)
        assert events.index("data_storage_attached") < events.index("install")
        assert events.index("data_storage_detaching") < events.index("stop")


@pytest.mark.parametrize(
    ("unit", "endpoint"),
    [
        (EVERYTHING[0], "feed"),
        (EVERYTHING[1], "feed"),
        ("ops-consumer/0", "feed"),
        ("ops-consumer/0", "host"),
    ],
)
def test_relation_is_seen_from_its_beginning_to_its_end(played: Ensemble, unit: str, endpoint: str) -> None:
    events = played.events(unit)
    # What an application has said is told before its units join.
    order = [f"{endpoint}_relation_{kind}" for kind in ("created", "joined", "departed", "broken")]
    assert {*order, f"{endpoint}_relation_changed"} <= set(events)
    assert sorted(order, key=events.index) == order


def test_leader_is_known_to_those_that_follow(played: Ensemble) -> None:
    events = {unit: played.events(unit) for unit in EVERYTHING}
    (leader,) = [unit for unit, seen in events.items() if "leader_elected" in seen[: seen.index("start")]]
    (follower,) = [unit for unit in EVERYTHING if unit != leader]
    assert leader in played.notes(follower, "leader")


def test_password_is_heard_of_in_all_its_revisions(played: Ensemble) -> None:
    for unit in EVERYTHING:
        heard = [password for password in played.notes(unit, "heard") if password]
        assert list(dict.fromkeys(heard)) == ["one", "two", "rotated"]


def test_actions_end_as_their_charms_say(played: Ensemble) -> None:
    ends = {name: (task.status, task.message) for name, task in played.tasks.items()}
    assert ends == {
        "ops check": ("completed", ""),
        "ops break-off": ("failed", "as it should"),
        "ops grow": ("completed", ""),
        "bash check": ("completed", ""),
        "bash give-up": ("failed", "really no more"),
        "bash give-up-silently": ("failed", "action failed without reason given, check action for errors"),
        "charmhelpers check": ("completed", ""),
        "charmhelpers give-up": ("failed", "no more"),
    }


def test_results_of_actions_are_kept(played: Ensemble) -> None:
    results = {name: task.results for name, task in played.tasks.items()}
    assert results["ops check"]["a"] == {"b-c": "x=y\nz"}
    assert results["ops check"]["stdout"] == "said aloud\n"
    assert results["bash check"]["action"] == results["bash check"]["function"] == {"a": "2", "b-c": "x=y"}
    assert results["charmhelpers check"]["one"] == {"two": "a=b"}
    for name in ("ops break-off", "bash give-up", "charmhelpers give-up"):
        assert results[name]["kept"] == "all the same"
    assert played.tasks["ops check"].log[0].endswith("half of it")


def test_hooks_that_asked_for_a_reboot_go_on_after_it(played: Ensemble) -> None:
    # One waits with the reboot for the end of its hook; the other is killed, and run once more.
    assert played.hooks("helped/0").count("start") == 2
    assert played.hooks("bash-tools/0").count("start") == 2


def test_what_charmhelpers_keeps_outlasts_the_hook(played: Ensemble) -> None:
    hooks = played.hooks("helped/0")
    assert "the text was swordfish" in hooks
    assert [line for line in hooks if line.startswith("kept ")][:2] == ["kept 1", "kept 2"]


def test_nothing_is_left_of_the_units(played: Ensemble) -> None:
    (agents,) = played.machine.data_dir.glob("models/*/agents")
    played.machine.until(lambda: not any(agents.iterdir()), "the folders are gone")
