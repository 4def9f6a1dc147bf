#!/usr/bin/env python3
"""Counts the hooks that its application has seen, in the application's peer data."""

from __future__ import annotations

import ops


class Counter(ops.CharmBase):
    """The leader counts; everyone shows the count."""

    def __init__(self, framework: ops.Framework) -> None:
        super().__init__(framework)
        for event in (self.on.start, self.on.config_changed, self.on.update_status, self.on.leader_elected):
            framework.observe(event, self._count)
        framework.observe(self.on.counters_relation_changed, self._show)
        framework.observe(self.on.reset_action, self._reset)

    def _count(self, _: ops.EventBase) -> None:
        relation = self.model.get_relation("counters")
        if relation is not None and self.unit.is_leader():
            self._set(relation, self._seen(relation) + int(self.config["step"]))
        self._show(_)

    def _show(self, _: ops.EventBase) -> None:
        relation = self.model.get_relation("counters")
        seen = 0 if relation is None else self._seen(relation)
        self.unit.status = ops.ActiveStatus(f"{seen} seen")

    def _reset(self, event: ops.ActionEvent) -> None:
        relation = self.model.get_relation("counters")
        if relation is None or not self.unit.is_leader():
            event.fail("only the leader counts")
            return
        self._set(relation, int(event.params["to"]))
        event.set_results({"count": event.params["to"]})

    def _seen(self, relation: ops.Relation) -> int:
        return int(relation.data[self.app].get("seen", "0"))

    def _set(self, relation: ops.Relation, count: int) -> None:
        relation.data[self.app]["seen"] = str(count)


if __name__ == "__main__":
    ops.main(Counter)
