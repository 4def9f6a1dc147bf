"""What a unit was at when its agent last wrote it down, so that a crash between any two steps is survived."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

import msgspec

from undercroft_hookspecs import NotValidError
from undercroft_hookspecs.records import Record
from undercroft_uniter.hook.info import HookInfo

if TYPE_CHECKING:
    from undercroft_hookspecs.unit_facades import ConfigHashes


class OperationKind(StrEnum):
    """What the unit is at."""

    INSTALL = "install"
    UPGRADE = "upgrade"
    RUN_HOOK = "run-hook"
    RUN_ACTION = "run-action"
    CONTINUE = "continue"


class Step(StrEnum):
    """How far it is: queued, it is yet to be begun; pending, it was begun; done, all but its consequences is done."""

    QUEUED = "queued"
    PENDING = "pending"
    DONE = "done"


class CharmReference(Record, frozen=True, kw_only=True):
    """A charm: its URL, which has the revision, and the SHA-256 of its archive."""

    url: str
    sha256: str


class OperationState(Record, frozen=True, kw_only=True):
    """The unit's operation and step, with what goes with them, and what the unit has been through."""

    kind: OperationKind
    step: Step
    hook: HookInfo | None = None
    """run-hook: the hook; upgrade and run-action: the hook that was interrupted, which is gone back to."""
    action: int | None = None
    charm: CharmReference | None = None
    installed: bool = False
    started: bool = False
    stopped: bool = False
    removed: bool = False
    leader: bool = False
    """leader-elected was queued, and the leadership not given up since."""
    status_set: bool = False
    """The charm has said how its workload is."""
    config_hash: str = ""
    trust_hash: str = ""
    addresses_hash: str = ""
    boot_id: str = ""
    """The boot in which start was last run."""
    charm_modified_version: int = 0
    """The application's, when this charm was installed, or upgraded to."""
    reboot_boot_id: str = ""
    """The boot in which a hook has asked for the machine to be rebooted."""

    def to(
        self,
        kind: OperationKind,
        step: Step,
        *,
        hook: HookInfo | None = None,
        action: int | None = None,
        charm: CharmReference | None = None,
    ) -> OperationState:
        """Another operation or step; what the unit has been through stays."""
        return msgspec.structs.replace(self, kind=kind, step=step, hook=hook, action=action, charm=charm)

    def has_seen(self, hashes: ConfigHashes) -> bool:
        """config-changed has been run for just this."""
        return (self.config_hash, self.trust_hash, self.addresses_hash) == (
            hashes.config,
            hashes.trust,
            hashes.addresses,
        )

    def validate(self) -> OperationState:
        """Give itself back, if its parts fit one another.

        Raises:
            NotValidError: they do not; `field` says which.
        """
        if self.hook is not None:
            self.hook.validate()
        deploys = self.kind in (OperationKind.INSTALL, OperationKind.UPGRADE)
        wanted = {
            "charm": deploys,
            "action": self.kind is OperationKind.RUN_ACTION,
            "hook": self.kind is OperationKind.RUN_HOOK,
        }
        for name, is_wanted in wanted.items():
            value = getattr(self, name)
            if is_wanted and value is None:
                raise NotValidError(f"{self.kind} needs its {name}", field=name)
            may_interrupt = name == "hook" and self.kind in (OperationKind.UPGRADE, OperationKind.RUN_ACTION)
            if not is_wanted and value is not None and not may_interrupt:
                raise NotValidError(f"{self.kind} cannot have a {name}", field=name)
        if self.kind is OperationKind.INSTALL and self.installed:
            raise NotValidError("the unit is installed already", field="installed")
        return self
