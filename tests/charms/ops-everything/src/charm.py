#!/usr/bin/env python3
"""Meets every event of ops, and asserts on what hook tools answer: an assertion that fails fails the hook."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import logging
import os
import pathlib
import subprocess

import ops
from ops import hookcmds
from witness import Witness

logger = logging.getLogger(__name__)


class Everything(ops.CharmBase):
    """Provides `feed`, whose application data names a secret; the crew's leader says so to its peers."""

    def __init__(self, framework: ops.Framework) -> None:
        super().__init__(framework)
        self.on.define_event("reconcile", ops.HookEvent)
        self._witness = Witness(self)
        on, observe = self.on, framework.observe
        observe(on.data_storage_attached, self._on_storage)
        observe(on.data_storage_detaching, self._on_storage)
        observe(on.extra_storage_attached, self._on_storage)
        observe(on.install, self._on_install)
        observe(on.leader_elected, self._on_elected)
        observe(on.leader_settings_changed, self._on_settings_changed)
        observe(on.start, self._on_start)
        observe(on.config_changed, self._on_config)
        observe(on.feed_relation_created, self._on_feed_created)
        observe(on.feed_relation_joined, self._on_feed_joined)
        observe(on.feed_relation_changed, self._on_feed_changed)
        observe(on.feed_relation_departed, self._on_feed_departed)
        observe(on.feed_relation_broken, self._on_feed_broken)
        observe(on.crew_relation_changed, self._on_crew_changed)
        observe(on.secret_rotate, self._on_rotate)
        observe(on.secret_expired, self._on_expired)
        observe(on.secret_remove, self._on_secret_remove)
        observe(on.check_action, self._on_check)
        observe(on.grow_action, self._on_grow)
        observe(on.break_off_action, self._on_break_off)
        observe(on.collect_unit_status, self._on_collect_unit_status)
        observe(on.collect_app_status, self._on_collect_app_status)

    # The beginning.

    def _on_storage(self, event: ops.StorageEvent) -> None:
        place = event.storage.location
        assert event.storage.full_id == os.environ["JUJU_STORAGE_ID"]
        assert os.environ["JUJU_STORAGE_KIND"] == "filesystem"
        assert str(place) == os.environ["JUJU_STORAGE_LOCATION"]
        if isinstance(event, ops.StorageAttachedEvent):
            assert place.is_dir(), place
        found = hookcmds.storage_get(event.storage.full_id)
        assert found == hookcmds.storage_get() == hookcmds.Storage(kind="filesystem", location=place)
        assert event.storage.full_id in hookcmds.storage_list(event.storage.name)

    def _on_install(self, _: ops.InstallEvent) -> None:
        context = ops.JujuContext.from_environ()
        assert context.version.has_secrets
        assert context.dispatch_path == "hooks/install"
        assert context.unit_name == self.unit.name
        assert (context.principal_unit or "") == ""
        assert context.machine_id == "0"
        assert (context.model_name, context.model_uuid) == (self.model.name, self.model.uuid)
        assert context.charm_dir == pathlib.Path.cwd() == self.charm_dir
        assert [one.location.is_dir() for one in self.model.storages["data"]] == [True]
        self.unit.set_workload_version("1.2 -- 3")

    def _on_elected(self, _: ops.LeaderElectedEvent) -> None:
        assert self.unit.is_leader()
        crew = self._crew()
        crew.data[self.app]["leader"] = self.unit.name
        assert hookcmds.relation_get(crew.id, unit=self.app.name, app=True) == {"leader": self.unit.name}
        # For its sake other units see leader-settings-changed.
        _tool("leader-set", f"leader={self.unit.name}", "gone=")
        assert _tool("leader-get", "leader") == f"{self.unit.name}\n"

    def _on_settings_changed(self, _: ops.LeaderSettingsChangedEvent) -> None:
        # It may lead by now, and be told of that next.
        self._witness.note("leader", _tool("leader-get", "leader").strip())

    def _on_start(self, _: ops.StartEvent) -> None:
        # Without its zone, as some libraries say it: it is in UTC.
        soon = (dt.datetime.now(dt.UTC) + dt.timedelta(seconds=1)).replace(tzinfo=None)
        self.unit.add_secret({"key": "for a moment"}, label="short", description="soon gone", expire=soon)
        assert self.model.get_secret(label="short").get_content() == {"key": "for a moment"}

    # All that can be asked in a hook.

    def _on_config(self, _: ops.ConfigChangedEvent) -> None:
        self._ask_for_config()
        self._ask_for_ports()
        self._ask_for_network()
        self._ask_for_state()
        self._ask_for_statuses()
        self._log()
        if self.unit.is_leader():
            for relation in self.model.relations["feed"]:
                self._change_password(relation)
        else:
            self._try_what_followers_may_not()

    def _ask_for_config(self) -> None:
        assert dict(self.config) == hookcmds.config_get()
        assert self.config["ratio"] == hookcmds.config_get("ratio") == 0.5
        assert "unset" not in self.config
        assert hookcmds.config_get("unset") is None
        assert self.model.resources.fetch("blueprint").read_text() == "of a house"
        goals = hookcmds.goal_state()
        assert self.unit.name in goals.units
        assert goals.units[self.unit.name].status in ("maintenance", "waiting", "active", "unknown"), goals
        for relation in self.model.relations["feed"]:
            assert relation.app.name in goals.relations["feed"], goals
        cloud = self.model.get_cloud_spec()
        assert cloud.credential is not None
        assert (cloud.type, cloud.credential.auth_type) == ("manual", "empty")

    def _ask_for_ports(self) -> None:
        # Units of one machine may not have the same.
        number = int(self.unit.name.rpartition("/")[2])
        web, name, first = 8100 + number, 5300 + number, 8200 + 10 * number
        hookcmds.open_port("tcp", first, to_port=first + 9, endpoints=["feed"])
        self.unit.open_port("tcp", web)
        self.unit.open_port("icmp")
        self.unit.open_port("udp", name)
        assert self.unit.opened_ports() >= {ops.Port("tcp", web), ops.Port("udp", name), ops.Port("icmp", None)}
        ports = hookcmds.opened_ports(endpoints=True)
        assert hookcmds.Port("tcp", first, first + 9, ["feed"]) in ports, ports
        hookcmds.close_port("tcp", first, to_port=first + 9, endpoints=["feed"])
        self.unit.set_ports(web, ops.Port("udp", name))
        assert self.unit.opened_ports() == {ops.Port("tcp", web), ops.Port("udp", name)}

    def _ask_for_network(self) -> None:
        for binding in ("feed", "crew", "backup", "juju-info"):
            network = hookcmds.network_get(binding)
            address = network.bind_addresses[0].addresses[0].value
            assert network.ingress_addresses[0] == address, network
            assert network.egress_subnets, network
        crew = self._crew()
        assert hookcmds.network_get("crew", relation_id=crew.id).ingress_addresses == [address]
        bound = self.model.get_binding("feed")
        assert bound is not None
        assert str(bound.network.bind_address) == str(bound.network.ingress_address) == address
        mine = crew.data[self.unit]
        assert mine["ingress-address"] == mine["private-address"] == address
        assert mine["egress-subnets"]
        assert _refused("network-get", "nowhere") == (1, 'ERROR no network config found for binding "nowhere"\n')

    def _ask_for_state(self) -> None:
        hookcmds.state_set({"kept": "this\nand = that", "other": "yes"})
        assert hookcmds.state_get("kept") == "this\nand = that"
        hookcmds.state_delete("other")
        assert hookcmds.state_get(None) == {"kept": "this\nand = that"}
        assert hookcmds.state_get("other") == ""

    def _ask_for_statuses(self) -> None:
        hookcmds.status_set("waiting", "-- for it", app=False)
        # What was said is read in the next hook: what is read first holds for the whole hook.
        assert hookcmds.status_get(app=False).status in ("maintenance", "waiting", "active", "unknown")
        if self.unit.is_leader():
            hookcmds.status_set("active", app=True)
            units = _json("status-get", "--application", "--include-data")["application-status"]["units"]
            assert set(units[self.unit.name]) == {"status", "message", "status-data"}

    def _log(self) -> None:
        for level in ("TRACE", "DEBUG", "INFO", "WARNING", "ERROR"):
            hookcmds.juju_log("-- a line", level=level)
        logger.warning("line one\nline two")
        logger.info("long %s", "x" * 200_000)

    def _try_what_followers_may_not(self) -> None:
        unreadable = 1, "ERROR permission denied\n"
        for relation in self.model.relations["feed"]:
            assert _refused("relation-get", "-r", str(relation.id), "--app", "-", self.app.name) == unreadable
            written = _refused("relation-set", "-r", str(relation.id), "--app", "a=b")
            assert written == (1, "ERROR cannot write relation settings\n"), written
        not_leader = 1, "ERROR this unit is not the leader\n"
        assert _refused("secret-add", "key=value") == not_leader
        assert _refused("status-get", "--application") == not_leader
        assert _refused("status-set", "--application", "active") == not_leader
        unwritten = 1, "ERROR cannot write leadership settings: this unit is not the leader\n"
        assert _refused("leader-set", "a=b") == unwritten
        # What its leader says to its peers it may read.
        crew = self._crew()
        assert dict(crew.data[self.app]) == hookcmds.relation_get(crew.id, unit=self.app.name, app=True)

    # The relation.

    def _on_feed_created(self, event: ops.RelationCreatedEvent) -> None:
        assert event.unit is None
        assert event.app is not None
        assert os.environ["JUJU_REMOTE_APP"] == event.app.name
        assert not event.relation.units
        if self.unit.is_leader():
            self._hand_out(event.relation)

    def _hand_out(self, relation: ops.Relation) -> None:
        secret = self.app.add_secret(
            {"password": str(self.config["password"])},
            label="feed",
            description="the feed's password",
            rotate=ops.SecretRotate.HOURLY,
            expire=dt.timedelta(days=1),
        )
        assert secret.id is not None
        secret.grant(relation)
        relation.data[self.app]["secret"] = secret.id
        assert hookcmds.relation_get(relation.id, unit=self.app.name, app=True)["secret"] == secret.id
        assert hookcmds.secret_get(label="feed") == {"password": self.config["password"]}
        info = secret.get_info()
        assert (info.label, info.revision, info.rotation) == ("feed", 1, ops.SecretRotate.HOURLY)
        assert info.description == "the feed's password"
        assert info.expires is not None
        assert hookcmds.secret_info_get(label="feed").id in hookcmds.secret_ids()

    def _change_password(self, relation: ops.Relation) -> None:
        if "secret" not in relation.data[self.app]:
            self._hand_out(relation)
        if not relation.units:
            return
        secret = self.model.get_secret(label="feed")
        before = secret.get_info().revision
        if secret.peek_content()["password"] != self.config["password"]:
            followed = hookcmds.secret_get(label="feed")
            secret.set_content({"password": str(self.config["password"])})
            assert hookcmds.secret_get(label="feed") == followed
            assert secret.peek_content() == {"password": self.config["password"]}
            assert secret.get_content(refresh=True) == {"password": self.config["password"]}
            assert secret.get_info().revision == before + 1
        # Neither is a change: there is no new revision.
        secret.set_content({"password": str(self.config["password"])})
        secret.set_info(description="the feed's own password")
        assert secret.get_info().description == "the feed's own password"
        other = hookcmds.secret_add({"key": "for one"}, owner="unit", label="other")
        hookcmds.secret_grant(other, relation.id, unit=next(iter(relation.units)).name)
        hookcmds.secret_revoke(other, relation_id=relation.id)
        hookcmds.secret_remove(other)
        assert _refused("secret-info-get", other)[0] == 1

    def _on_feed_joined(self, event: ops.RelationJoinedEvent) -> None:
        assert event.unit in event.relation.units
        assert hookcmds.relation_list(event.relation.id) == [event.unit.name]
        assert hookcmds.relation_list(event.relation.id, app=True) == event.unit.app.name
        assert hookcmds.relation_ids("feed") == [f"feed:{event.relation.id}"]
        assert event.relation.data[event.unit]["ingress-address"]
        event.relation.data[self.unit]["greeting"] = f"welcome {event.unit.name}"
        event.relation.data[self.unit]["gone"] = "at once"
        del event.relation.data[self.unit]["gone"]
        read = hookcmds.relation_get(event.relation.id, unit=self.unit.name)
        assert read["greeting"] == f"welcome {event.unit.name}"
        assert "gone" not in read
        assert event.relation.remote_model.uuid == self.model.uuid

    def _on_feed_changed(self, event: ops.RelationChangedEvent) -> None:
        of = event.unit or event.app
        self._witness.note("heard", dict(event.relation.data[of]).get("taken"))

    def _on_feed_departed(self, event: ops.RelationDepartedEvent) -> None:
        assert event.departing_unit in (event.unit, self.unit)
        assert event.unit not in event.relation.units
        # What it has said can still be read.
        read = hookcmds.relation_get(event.relation.id, unit=event.unit.name)
        assert read["taken"] == str(self.config["password"])

    def _on_feed_broken(self, event: ops.RelationBrokenEvent) -> None:
        assert not event.relation.active
        assert hookcmds.relation_list(event.relation.id) == []
        assert hookcmds.relation_ids("feed") == [f"feed:{event.relation.id}"]
        assert os.environ["JUJU_REMOTE_UNIT"] == ""
        assert hookcmds.relation_get(event.relation.id, unit=event.app.name, app=True) == {"heard": "yes"}
        labels = [hookcmds.secret_info_get(id=one).label for one in hookcmds.secret_ids()]
        if self.unit.is_leader() and "feed" in labels:
            self.model.get_secret(label="feed").remove_all_revisions()
            assert "feed" not in [hookcmds.secret_info_get(id=one).label for one in hookcmds.secret_ids()]

    def _on_crew_changed(self, event: ops.RelationChangedEvent) -> None:
        assert event.app == self.app
        assert self.unit not in event.relation.units

    def _crew(self) -> ops.Relation:
        crew = self.model.get_relation("crew")
        assert crew is not None
        return crew

    # Secrets.

    def _on_rotate(self, event: ops.SecretRotateEvent) -> None:
        assert event.secret.label == "feed"
        assert event.secret.get_info().rotates is not None
        event.secret.set_content({"password": "rotated"})

    def _on_expired(self, event: ops.SecretExpiredEvent) -> None:
        assert (event.secret.label, event.revision) == ("short", 1)
        event.remove_revision()

    def _on_secret_remove(self, event: ops.SecretRemoveEvent) -> None:
        assert event.secret.label == "feed"
        assert event.revision < event.secret.get_info().revision
        self._witness.note("obsolete", event.revision)
        event.remove_revision()

    # Actions.

    def _on_check(self, event: ops.ActionEvent) -> None:
        assert event.params == {"word": "sesame", "times": 3, "deep": {"er": [1, True]}}
        assert hookcmds.action_get() == event.params
        assert hookcmds.action_get("deep.er") == [1, True]
        assert hookcmds.action_get("nothing") is None
        assert os.environ["JUJU_ACTION_NAME"] == "check"
        assert os.environ["JUJU_ACTION_UUID"] == event.id
        event.log("half of it")
        event.set_results({"word": event.params["word"], "a": {"b-c": "x=y\nz"}})
        bad = _refused("action-set", "Bad=1")
        assert bad[0] == 2
        assert 'key "Bad" must start and end with lowercase alphanumeric' in bad[1]
        assert _refused("juju-reboot") == (1, "ERROR juju-reboot is not supported when running an action\n")
        unheard = _refused("secret-get", "--label", "unheard of", "--format=json")
        assert unheard == (1, 'ERROR secret "unheard of" not found\n'), unheard
        with contextlib.suppress(ops.SecretNotFoundError):
            raise AssertionError(self.model.get_secret(label="unheard of"))
        assert _refused("relation-get", "-r", "9999", "-", "a/0") == (
            2,
            'ERROR invalid value "9999" for option -r: relation not found\n',
        )
        assert self.model.get_relation("crew", 9999).units == set()
        print("said aloud")

    def _on_grow(self, _: ops.ActionEvent) -> None:
        self.model.storages.request("extra", 2)

    def _on_break_off(self, event: ops.ActionEvent) -> None:
        event.set_results({"kept": "all the same"})
        event.fail("as it should")

    # What is said in the end.

    def _on_collect_unit_status(self, event: ops.CollectStatusEvent) -> None:
        event.add_status(ops.ActiveStatus(f"{self.config['password']}, {len(self.model.storages['extra'])} extra"))

    def _on_collect_app_status(self, event: ops.CollectStatusEvent) -> None:
        event.add_status(ops.ActiveStatus("led"))


def _tool(*words: str) -> str:
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def _json(*words: str) -> dict:
    return json.loads(_tool(*words, "--format=json"))


def _refused(*words: str) -> tuple[int, str]:
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.stdout == "", done.stdout
    return done.returncode, done.stderr


if __name__ == "__main__":
    ops.main(Everything)
