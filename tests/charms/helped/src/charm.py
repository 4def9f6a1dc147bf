#!/usr/bin/env python3
"""Asks what charmhelpers asks, and asserts on the answers: an assertion that fails fails the hook."""

from __future__ import annotations

import glob
import os
import subprocess
import sys
from pathlib import Path

import yaml
from charmhelpers.core import hookenv, unitdata

hooks = hookenv.Hooks()


def note(what: str) -> None:
    """Add a line to the unit's notes."""
    name = hookenv.local_unit().replace("/", "-")
    with Path(hookenv.config("record"), f"{name}.hooks").open("a") as notes:
        notes.write(what + "\n")


@hooks.hook("install", "start", "stop", "remove", "upgrade-charm", "update-status", "leader-settings-changed")
@hooks.hook("ring-relation-created", "ring-relation-broken", "talk-relation-created")
def _noted() -> None:
    pass


@hooks.hook("cache-storage-attached")
def _attached() -> None:
    storage = hookenv.storage_list("cache")
    assert storage == hookenv.storage_list() == [os.environ["JUJU_STORAGE_ID"]]
    place = hookenv.storage_get("location", storage[0])
    assert Path(place).is_dir()
    assert hookenv.storage_get("kind") == "filesystem"
    assert hookenv.storage_get() == {"kind": "filesystem", "location": place}
    assert hookenv.storage_list("unheard-of") == []


@hooks.hook("cache-storage-detaching")
def _detaching() -> None:
    assert hookenv.storage_get("kind", os.environ["JUJU_STORAGE_ID"]) == "filesystem"


@hooks.hook("leader-elected")
def _elected() -> None:
    assert hookenv.is_leader() is True
    hookenv.leader_set({"gone": "soon"}, leader=hookenv.local_unit())
    hookenv.leader_set(gone=None)
    assert hookenv.leader_get("leader") == hookenv.local_unit()
    assert hookenv.leader_get() == {"leader": hookenv.local_unit()}
    assert hookenv.leader_get("gone") is None


@hooks.hook("config-changed")
def _config_changed() -> None:
    _ask_for_config()
    _ask_who_we_are()
    _ask_for_network()
    _ask_for_ports()
    _say_things()
    _keep_things()
    assert Path(hookenv.resource_get("letter")).read_text() == "of thanks"
    assert hookenv.resource_get("stamp") is False
    goals = hookenv.goal_state()
    assert set(goals["units"]) == {hookenv.local_unit()}
    assert list(hookenv.expected_peer_units()) == []
    assert hookenv.unit_doomed() is False
    assert hookenv.unit_doomed("helped/77") is True
    assert hookenv.relation_get("a", unit="bash-tools/0", rid="talk:9999") is None
    assert hookenv.relation_ids("unheard-of") == []
    if hookenv.config("reboot") and not Path(".rebooted").exists():
        Path(".rebooted").touch()
        subprocess.check_call(["juju-reboot"])


def _ask_for_config() -> None:
    config = hookenv.config()
    assert (config["number"], config["unset"], config["reboot"] in (True, False)) == (5, None, True)
    assert hookenv.config("text") == config["text"]
    assert hookenv.config("unheard-of") is None
    # What it was in the hook before is kept beside the charm.
    if config.changed("text"):
        note(f"the text was {config.previous('text')}")
    config["kept"] = "in a file"


def _ask_who_we_are() -> None:
    assert hookenv.local_unit() == hookenv.principal_unit() == "helped/0"
    assert hookenv.is_subordinate() is False
    assert (hookenv.application_name(), hookenv.charm_name()) == ("helped", "helped")
    assert hookenv.hook_name() == "config-changed"
    assert hookenv.in_relation_hook() is False
    assert hookenv.model_uuid() == os.environ["JUJU_MODEL_UUID"]
    assert hookenv.model_name() == "default"
    assert Path(hookenv.charm_dir()) == Path.cwd()
    assert hookenv.metadata()["name"] == "helped"
    assert sorted(hookenv.relation_types()) == ["ring", "talk"]
    assert hookenv.relation_to_role_and_interface("talk") == ("requires", "talk")
    assert hookenv.juju_version().startswith("3.6."), hookenv.juju_version()
    assert hookenv.has_juju_version("2.8")
    assert set(hookenv.env_proxy_settings(["no_proxy"])) == {"NO_PROXY", "no_proxy"}
    environment = hookenv.execution_environment()
    assert environment["unit"] == "helped/0"


def _ask_for_network() -> None:
    address = hookenv.unit_get("private-address")
    assert address == hookenv.unit_private_ip()
    assert hookenv.unit_public_ip()
    assert hookenv.network_get_primary_address("talk") == address
    network = hookenv.network_get("talk")
    (first, *_) = network["bind-addresses"]
    assert first["addresses"][0]["address"] == first["addresses"][0]["value"] == address
    assert first["interfacename"] == first["interface-name"]
    assert network["ingress-addresses"] == [address]
    try:
        nowhere = hookenv.network_get_primary_address("nowhere")
    except hookenv.NoNetworkBinding:
        nowhere = ""
    assert nowhere == ""


def _ask_for_ports() -> None:
    hookenv.open_port(8080)
    hookenv.open_port(53, "UDP")
    hookenv.open_ports(9000, 9010)
    hookenv.open_port(0, "ICMP")
    hookenv.close_ports(9000, 9010)
    hookenv.close_port(53, "UDP")
    assert hookenv.opened_ports() == ["icmp", "8080/tcp"], hookenv.opened_ports()
    hookenv.close_port(0, "ICMP")  # Other units of the machine want it, too.


def _say_things() -> None:
    hookenv.log("a line")
    hookenv.log("another", level=hookenv.WARNING)
    hookenv.log("x" * 200_000, level=hookenv.DEBUG)
    hookenv.application_version_set("1.2.3")
    hookenv.payload_register("docker", "monitor", "one")
    hookenv.payload_status_set("monitor", "one", "running")
    hookenv.payload_unregister("monitor", "one")
    hookenv.status_set("active", "for the application", application=True)
    hookenv.status_set(hookenv.WORKLOAD_STATES.ACTIVE, hookenv.config("text"))
    status, message = hookenv.status_get()
    assert status in ("maintenance", "waiting", "active", "unknown"), (status, message)


def _keep_things() -> None:
    with unitdata.HookData()() as (store, _, _):
        store.set("hooks", store.get("hooks", 0) + 1)
        note(f"kept {store.get('hooks')}")


@hooks.hook("talk-relation-joined")
def _joined() -> None:
    remote = hookenv.remote_unit()
    assert remote == "bash-tools/0"
    assert hookenv.in_relation_hook()
    assert hookenv.relation_type() == "talk"
    assert hookenv.relation_id() == os.environ["JUJU_RELATION_ID"]
    assert hookenv.related_units() == [remote]
    assert hookenv.remote_service_name() == "bash-tools"
    assert hookenv.relation_ids("talk") == [hookenv.relation_id()]
    assert list(hookenv.expected_related_units()) == [remote]
    hookenv.relation_set(said="it", number=5, gone="soon")
    hookenv.relation_set(hookenv.relation_id(), {"gone": None})
    mine = hookenv.relation_get(unit=hookenv.local_unit())
    assert (mine["said"], mine["number"]) == ("it", "5")
    assert "gone" not in mine
    hookenv.relation_set(relation_settings={"leader": "helped"}, app=True)
    assert hookenv.relation_get(app="helped") == {"leader": "helped"}


@hooks.hook("talk-relation-changed")
def _changed() -> None:
    remote, number = "bash-tools/0", hookenv.relation_id()
    if hookenv.relation_get("said") is None:
        return
    assert hookenv.relation_get("said") == "overridden"
    assert hookenv.relation_get("unheard-of") is None
    assert hookenv.relation_get("many", unit=remote, rid=number) == "lines\nof text\n"
    assert hookenv.relation_get("of", app="bash-tools", rid=number) == "the application"
    assert hookenv.is_relation_made("talk", ["said"])
    assert hookenv.relation_for_unit(remote, number)["__unit__"] == remote
    assert [one["__relid__"] for one in hookenv.relations_of_type("talk")] == [number]
    assert [one.unit for one in hookenv.iter_units_for_relation_name("talk")] == [remote]
    address = hookenv.ingress_address(number, remote)
    assert address == hookenv.relation_get("private-address")
    assert hookenv.egress_subnets(number, remote)
    assert hookenv.relations()["talk"][number][remote]["piped"] == "in"
    # A secret is read with the tool itself: charmhelpers is older.
    secret = yaml.safe_load(subprocess.check_output(["secret-get", hookenv.relation_get("secret")]))
    assert secret == {"key": "value"}
    note("heard")


@hooks.hook("talk-relation-departed")
def _departed() -> None:
    assert hookenv.departing_unit()
    assert hookenv.related_units() == []
    assert hookenv.relation_get("piped") == "in"


@hooks.hook("talk-relation-broken")
def _broken() -> None:
    assert not hookenv.remote_unit()
    assert hookenv.related_units() == []
    hookenv.relation_clear(hookenv.relation_id())


@hooks.hook("collect-metrics")
def _collect_metrics() -> None:
    # It may come between a change of the config and config-changed, which is to see what it was before.
    hookenv.config().implicit_save = False
    hookenv.add_metric("of-things=2", things=3)
    note("collected")


@hooks.hook("check")
def _check() -> None:
    assert hookenv.action_get() == hookenv.function_get() == {"word": "sesame", "times": 3}
    assert hookenv.action_get("word") == hookenv.function_get("word") == "sesame"
    assert hookenv.action_get("none") is None
    assert (hookenv.action_name(), hookenv.function_name()) == ("check", "check")
    assert hookenv.action_tag() == f"action-{hookenv.action_uuid()}"
    hookenv.action_set({"one.two": "a=b", "three": 3})
    hookenv.function_set({"four": "yes"})
    hookenv.function_log("half of it")


@hooks.hook("give-up")
def _give_up() -> None:
    hookenv.action_set({"kept": "all the same"})
    hookenv.action_fail("no more")


def _below_root(pattern: str, found: object = glob.glob) -> list[str]:
    return found(f"{hookenv.config('root')}{pattern}")


if __name__ == "__main__":
    glob.glob = _below_root  # Tests put nothing in the machine's own /var/lib/juju, where hookenv looks.
    name = hookenv.hook_name() or hookenv.action_name()
    note(name)
    try:
        hooks.execute([name])
    except hookenv.UnregisteredHookError:
        sys.exit(0)
