"""What a hook is run for."""

from __future__ import annotations

from enum import StrEnum

from undercroft_hookspecs import NotValidError, StorageId, UnitName
from undercroft_hookspecs.records import Record


class HookKind(StrEnum):
    """The kinds of hooks of a machine charm, by the names that charms know."""

    INSTALL = "install"
    START = "start"
    CONFIG_CHANGED = "config-changed"
    UPGRADE_CHARM = "upgrade-charm"
    STOP = "stop"
    REMOVE = "remove"
    UPDATE_STATUS = "update-status"
    LEADER_ELECTED = "leader-elected"
    LEADER_SETTINGS_CHANGED = "leader-settings-changed"
    COLLECT_METRICS = "collect-metrics"
    METER_STATUS_CHANGED = "meter-status-changed"
    RELATION_CREATED = "relation-created"
    RELATION_JOINED = "relation-joined"
    RELATION_CHANGED = "relation-changed"
    RELATION_DEPARTED = "relation-departed"
    RELATION_BROKEN = "relation-broken"
    STORAGE_ATTACHED = "storage-attached"
    STORAGE_DETACHING = "storage-detaching"
    SECRET_CHANGED = "secret-changed"  # noqa: S105 - A hook, no secret.
    SECRET_ROTATE = "secret-rotate"  # noqa: S105 - A hook, no secret.
    SECRET_EXPIRED = "secret-expired"  # noqa: S105 - A hook, no secret.
    SECRET_REMOVE = "secret-remove"  # noqa: S105 - A hook, no secret.

    @property
    def is_relation(self) -> bool:
        """Run for a relation; the script's name begins with the endpoint's."""
        return self.value.startswith("relation-")

    @property
    def is_storage(self) -> bool:
        """Run for a piece of storage; the script's name begins with the store's."""
        return self.value.startswith("storage-")

    @property
    def is_secret(self) -> bool:
        """Run for a secret."""
        return self.value.startswith("secret-")


class HookInfo(Record, frozen=True, kw_only=True):
    """One hook, and what it is run for; `validate` says what each kind needs."""

    kind: HookKind
    relation: int | None = None
    remote_unit: str = ""
    remote_application: str = ""
    change_version: int = 0
    """The version of the settings that the hook stands for."""
    departing_unit: str = ""
    storage: str = ""
    secret: str = ""
    """A secret's bare id."""
    secret_label: str = ""
    secret_revision: int = 0

    def validate(self) -> HookInfo:
        """Give itself back, if it has what its kind needs.

        Raises:
            NotValidError: it has not; `field` says what is missing or wrong.
        """
        if self.kind.is_relation:
            self._validate_relation()
        if self.kind.is_storage:
            StorageId.parse(self.storage)
        if self.kind.is_secret and not self.secret:
            raise NotValidError(f"{self.kind} needs a secret", field="secret")
        needs_revision = self.kind in (HookKind.SECRET_EXPIRED, HookKind.SECRET_REMOVE)
        if needs_revision and self.secret_revision < 1:
            raise NotValidError(f"{self.kind} needs a secret's revision", field="secret_revision")
        return self

    def _validate_relation(self) -> None:
        if self.relation is None:
            raise NotValidError(f"{self.kind} needs a relation", field="relation")
        if not self.remote_application:
            raise NotValidError(f"{self.kind} needs a remote application", field="remote_application")
        if self.remote_unit:
            UnitName.parse(self.remote_unit)
        elif self.kind in (HookKind.RELATION_JOINED, HookKind.RELATION_DEPARTED):
            raise NotValidError(f"{self.kind} needs a remote unit", field="remote_unit")
