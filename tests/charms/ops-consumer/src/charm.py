#!/usr/bin/env python3
"""Takes what the feed gives, beside another charm, and asserts on what hook tools answer."""

from __future__ import annotations

import os
from collections.abc import Callable

import ops
from ops import hookcmds
from witness import Witness


class Consumer(ops.CharmBase):
    """Says which password it knows; its stored state is kept with state-set."""

    _stored = ops.StoredState()

    def __init__(self, framework: ops.Framework) -> None:
        super().__init__(framework)
        self._stored.set_default(started=0, deferred=False)
        self._witness = Witness(self)
        on, observe = self.on, framework.observe
        observe(on.start, self._on_start)
        observe(on.host_relation_joined, self._on_host_joined)
        observe(on.host_relation_departed, self._on_host_departed)
        observe(on.feed_relation_changed, self._on_feed_changed)
        observe(on.feed_relation_departed, self._on_feed_departed)
        observe(on.feed_relation_broken, self._on_feed_broken)
        observe(on.secret_changed, self._on_secret_changed)
        observe(on.update_status, self._on_update_status)
        observe(on.stop, self._on_stop)
        observe(on.collect_unit_status, self._on_collect_unit_status)

    def _on_start(self, event: ops.StartEvent) -> None:
        # A deferred event is emitted again with the next hook.
        self._stored.started += 1
        if not self._stored.deferred:
            self._stored.deferred = True
            event.defer()

    def _on_host_joined(self, event: ops.RelationJoinedEvent) -> None:
        assert os.environ["JUJU_PRINCIPAL_UNIT"] == event.unit.name
        assert event.relation.units == {event.unit}
        assert event.relation.data[event.unit]["ingress-address"]

    def _on_host_departed(self, event: ops.RelationDepartedEvent) -> None:
        assert event.departing_unit is not None

    def _on_feed_changed(self, event: ops.RelationChangedEvent) -> None:
        if event.unit is not None:
            assert os.environ["JUJU_REMOTE_UNIT"] == event.unit.name
        secret_id = event.relation.data[event.app].get("secret")
        if secret_id is None:
            return
        secret = self.model.get_secret(id=secret_id, label="theirs")
        content = secret.get_content()
        assert self.model.get_secret(label="theirs").get_content() == content
        assert hookcmds.secret_get(id=secret_id.rpartition(":")[2]) == content
        assert hookcmds.secret_get(id=f"secret://{self.model.uuid}/{secret.unique_identifier}") == content
        self._say(event.relation, content["password"])
        # What is another's is not for this unit to change, nor to look into.
        for call in (lambda: hookcmds.secret_info_get(id=secret_id), lambda: hookcmds.secret_remove(secret_id)):
            _is_refused(call)
        _is_refused(lambda: hookcmds.relation_get(event.relation.id, unit="ops-everything/77"))
        _is_refused(hookcmds.credential_get, "cannot access cloud credentials: ")
        _is_refused(lambda: hookcmds.resource_get("blueprint"))
        assert event.relation.remote_model.uuid == self.model.uuid

    def _say(self, relation: ops.Relation, password: str) -> None:
        relation.data[self.unit]["taken"] = password
        relation.data[self.app]["heard"] = "yes"

    def _on_secret_changed(self, event: ops.SecretChangedEvent) -> None:
        assert event.secret.label == "theirs"
        followed, latest = event.secret.get_content(), event.secret.peek_content()
        assert followed != latest
        assert event.secret.get_content() == followed
        assert event.secret.get_content(refresh=True) == event.secret.get_content() == latest
        for relation in self.model.relations["feed"]:
            self._say(relation, latest["password"])

    def _on_update_status(self, _: ops.UpdateStatusEvent) -> None:
        assert self._stored.started == 2, self._stored.started

    def _on_feed_departed(self, event: ops.RelationDepartedEvent) -> None:
        assert event.unit not in event.relation.units
        assert event.relation.data[event.unit]["greeting"] == f"welcome {self.unit.name}"

    def _on_feed_broken(self, event: ops.RelationBrokenEvent) -> None:
        assert not event.relation.units
        assert event.relation.app.name == "ops-everything"

    def _on_stop(self, _: ops.StopEvent) -> None:
        # With the relation goes the right to read the secret.
        _is_refused(lambda: self.model.get_secret(label="theirs"))

    def _on_collect_unit_status(self, event: ops.CollectStatusEvent) -> None:
        feed = self.model.get_relation("feed")
        taken = feed.data[self.unit].get("taken") if feed is not None and feed.active else None
        event.add_status(ops.ActiveStatus(taken) if taken else ops.WaitingStatus("for a password"))


def _is_refused(call: Callable[[], object], what: str = "") -> None:
    said: str | None = None
    try:
        call()
    except hookcmds.Error as error:
        said = error.stderr
    except ops.ModelError as error:
        said = str(error)
    assert said is not None, "it is answered"
    assert what in said


if __name__ == "__main__":
    ops.main(Consumer, use_juju_for_storage=True)
