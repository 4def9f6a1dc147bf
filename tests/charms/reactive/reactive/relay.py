"""What is to be done when flags are set, in whatever hook that comes to pass."""

from __future__ import annotations

import os
from pathlib import Path

from charmhelpers.core import hookenv, unitdata
from charms.reactive import (
    clear_flag,
    collect_metrics,
    data_changed,
    endpoint_from_flag,
    endpoint_from_name,
    hook,
    is_flag_set,
    register_trigger,
    set_flag,
    when,
    when_any,
    when_not,
)

register_trigger(when="config.changed.prefix", set_flag="relay.stale")


def note(what: str) -> None:
    """Keep that it was done, as flags are kept: not if the hook fails."""
    kept = unitdata.kv()
    kept.set("notes", [*kept.get("notes", []), what])


@when_not("relay.ready")
def begin() -> None:
    assert hookenv.hook_name() == "install"
    assert os.environ["CHARM_DIR"] == os.environ["JUJU_CHARM_DIR"] == str(Path.cwd())
    assert hookenv.metadata()["name"] == "reactive"
    note("begun")
    hookenv.application_version_set("1.0")
    set_flag("relay.ready")


@when("relay.ready")
@when_not("takes.available")
def be_without() -> None:
    hookenv.status_set("blocked", "no token")


@when("config.changed.prefix")
def take_prefix() -> None:
    config = hookenv.config()
    note(f"prefix {config.previous('prefix')!r} becomes {config['prefix']!r}")
    assert is_flag_set("relay.stale")
    if config["prefix"] == "ouch":
        # Neither the note nor the flag may outlast this hook, nor what is said.
        set_flag("relay.hurt")
        for relation in endpoint_from_name("gives").relations:
            hookenv.relation_set(relation.relation_id, {"token": "ouch"})
        raise ValueError("ouch")


@when("takes.new")
def take_token() -> None:
    takes = endpoint_from_flag("takes.new")
    (unit,) = takes.all_joined_units
    assert unit.relation.application_name == unit.unit_name.partition("/")[0]
    assert unit.relation.relation_id in hookenv.relation_ids("takes")
    assert unit.received_raw["ingress-address"] == hookenv.unit_get("private-address")
    assert data_changed("token", takes.token)
    note(f"took {takes.token}")
    set_flag("relay.stale")
    clear_flag("takes.new")


@when("takes.available")
@when_any("relay.stale", "gives.wanted")
def relay() -> None:
    token = hookenv.config("prefix") + endpoint_from_flag("takes.available").token
    gives = endpoint_from_name("gives")
    gives.give(token)
    for relation in gives.relations:
        assert relation.to_publish["lengths"] == {"token": len(token)}
    hookenv.status_set("active", token)
    clear_flag("relay.stale")


@when("endpoint.gives.departed")
def left() -> None:
    assert hookenv.hook_name() == "gives-relation-departed"
    gives = endpoint_from_name("gives")
    for name, unit in gives.all_departed_units.items():
        # It is gone, and what it has said can still be read.
        assert name == hookenv.remote_unit() == os.environ["JUJU_DEPARTING_UNIT"]
        assert name not in gives.all_joined_units
        assert unit.received_raw["ingress-address"]
        note(f"{name} left")
    gives.all_departed_units.clear()
    clear_flag("endpoint.gives.departed")


@hook("{provides:token}-relation-broken")
def broken(gives: object) -> None:
    assert gives is endpoint_from_name("gives")
    assert hookenv.related_units() == []
    note("broken")


@hook("upgrade-charm")
def upgraded() -> None:
    assert is_flag_set("relay.ready")
    note("upgraded")


@collect_metrics()
def collect() -> None:
    hookenv.add_metric("tokens=1")
