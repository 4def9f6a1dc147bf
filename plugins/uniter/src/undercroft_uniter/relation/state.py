"""What a unit has seen in a relation: which hooks may follow from it, and what each makes of it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from undercroft_hookspecs import NotValidError, UnitName
from undercroft_hookspecs.records import Record
from undercroft_uniter.hook.info import HookInfo, HookKind


class RelationState(Record, frozen=True, kw_only=True):
    """What the charm has been told of one relation; there is none once relation-broken has been run."""

    id: int
    members: Mapping[str, int] = msgspec.field(default_factory=dict)
    """The units that have joined, each with the version of its settings that the charm has been told of."""
    applications: Mapping[str, int] = msgspec.field(default_factory=dict)
    """The same of the applications."""
    changed_pending: str = ""
    """The unit that has joined last, whose relation-changed comes before anything else."""
    is_created: bool = False
    """relation-created has been run."""

    def check(self) -> RelationState:
        """Give itself back, if its parts fit one another.

        Raises:
            NotValidError: they do not.
        """
        for name in self.members:
            UnitName.parse(name)
        if self.changed_pending and self.changed_pending not in self.members:
            message = f"in relation {self.id}, {self.changed_pending} is to change, but has not joined"
            raise NotValidError(message, field="changed_pending")
        return self

    def validate(self, hook: HookInfo) -> None:
        """See that a hook may be run now.

        Raises:
            NotValidError: it does not follow from what the unit has seen.
        """
        reason = self._why_not(hook)
        if reason:
            whom = f" for {hook.remote_unit}" if hook.remote_unit else ""
            message = f"inappropriate {hook.kind}{whom} in relation {self.id}: {reason}"
            raise NotValidError(message, field="hook")

    def apply(self, hook: HookInfo) -> RelationState:
        """What the unit has seen once a hook has been run; the same again for the same hook."""
        if hook.kind is HookKind.RELATION_CREATED:
            return msgspec.structs.replace(self, is_created=True)
        if hook.kind is HookKind.RELATION_DEPARTED:
            members = {name: version for name, version in self.members.items() if name != hook.remote_unit}
            pending = "" if self.changed_pending == hook.remote_unit else self.changed_pending
            return msgspec.structs.replace(self, members=members, changed_pending=pending)
        if not hook.remote_unit:
            applications = {**self.applications, hook.remote_application: hook.change_version}
            return msgspec.structs.replace(self, applications=applications)
        members = {**self.members, hook.remote_unit: hook.change_version}
        pending = hook.remote_unit if hook.kind is HookKind.RELATION_JOINED else ""
        return msgspec.structs.replace(self, members=members, changed_pending=pending)

    def _why_not(self, hook: HookInfo) -> str:
        if hook.relation != self.id:
            return f"it is for relation {hook.relation}"
        if hook.kind is HookKind.RELATION_CREATED:
            return "it has been run" if self.is_created else ""
        is_awaited = hook.kind is HookKind.RELATION_CHANGED and hook.remote_unit == self.changed_pending
        if self.changed_pending and not is_awaited:
            return f"relation-changed for {self.changed_pending} has to come first"
        if hook.kind is HookKind.RELATION_BROKEN:
            return "there are members left" if self.members else ""
        if not hook.remote_unit:
            return ""
        is_member = hook.remote_unit in self.members
        if hook.kind is HookKind.RELATION_JOINED:
            return "it has joined already" if is_member else ""
        return "" if is_member else "it has not joined"
