"""Notes which events a unit has seen, where the option `record` says."""

from __future__ import annotations

import json
import os
import pathlib

import ops


class Witness(ops.Object):
    """Observes every event that the charm has, before the charm itself does."""

    def __init__(self, charm: ops.CharmBase) -> None:
        super().__init__(charm, "witness")
        self._folder = pathlib.Path(str(charm.config["record"]))
        events = {**charm.on.events(), **charm.framework.on.events()}
        self.note("known", sorted(events))
        for event in events.values():
            self.framework.observe(event, self._seen)

    def note(self, what: str, value: object) -> None:
        """Add a line to the unit's notes."""
        line = {"what": what, "value": value, "hook": os.environ["JUJU_HOOK_NAME"]}
        file = self._folder / f"{self.model.unit.name.replace('/', '-')}.notes"
        with file.open("a") as notes:
            notes.write(json.dumps(line) + "\n")

    def _seen(self, event: ops.EventBase) -> None:
        self.note("event", event.handle.kind)
