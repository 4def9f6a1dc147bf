"""Facades of storage: a unit's view of what is attached to it, and the provisioner's of what is to be made."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, Protocol, runtime_checkable

from undercroft_hookspecs.records import Record
from undercroft_hookspecs.state import Life

if TYPE_CHECKING:
    from undercroft_hookspecs.identity import FilesystemId, MachineId, ModelId, VolumeId
    from undercroft_hookspecs.storage import AttachInfo, FilesystemInfo, Usage, VolumeInfo
    from undercroft_hookspecs.storage_state import (
        Filesystem,
        FilesystemAttachment,
        Snapshot,
        Volume,
        VolumeAttachment,
    )


class UnitStorage(Record, frozen=True, kw_only=True):
    """A piece of storage of a unit. `location` (a mount point, or a device) is empty until it is there."""

    id: str
    kind: Literal["block", "filesystem"]
    life: Life = Life.ALIVE
    location: str = ""


@runtime_checkable
class UnitStorageFacade(Protocol):
    """The storage attachments of one unit."""

    async def attachments(self) -> Sequence[UnitStorage]:
        """What is, or is to be, attached to the unit, by id."""
        ...

    def watch_attachments(self) -> AbstractAsyncContextManager[AsyncIterator[Sequence[UnitStorage]]]:
        """The attachments, and again whenever there are others or one has changed."""
        ...

    async def destroy_attachments(self) -> None:
        """Let all of the unit's attachments die, because the unit does; nothing for those that do already."""

    async def remove_attachment(self, storage: str) -> None:
        """The charm has let go of a dying attachment, or never had it; nothing if it is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WantedStorage:
    """What is wanted on this host in one model, each by its id; attachments by that of their entity.

    Entities of the model's scope are there, too, while they are attached to this host's machine, or to no machine yet.
    """

    machine: MachineId | None = None
    """What this host is in that model; None: nothing yet."""
    volumes: Mapping[str, Volume] = field(default_factory=dict)
    volume_attachments: Mapping[str, VolumeAttachment] = field(default_factory=dict)
    filesystems: Mapping[str, Filesystem] = field(default_factory=dict)
    filesystem_attachments: Mapping[str, FilesystemAttachment] = field(default_factory=dict)


@runtime_checkable
class ProvisionerFacade(Protocol):
    """The storage provisioner's, in all models of this host. What is set again as it is, is written once.

    An entity that is meant but gone makes each of these return without a word: whoever removed it wanted it so.
    """

    def watch_storage(self, model: ModelId) -> AbstractAsyncContextManager[AsyncIterator[WantedStorage]]:
        """What is wanted in a model, and again whenever it has changed; ends with NotFoundError with the model."""
        ...

    async def set_volume(self, model: ModelId, volume: VolumeId, info: VolumeInfo) -> None:
        """The volume is there. Raises NotValidError: it is there already, and is another."""

    async def set_filesystem(self, model: ModelId, filesystem: FilesystemId, info: FilesystemInfo) -> None:
        """The filesystem is there. Raises NotValidError: it is there already, and is another."""

    async def set_attached(self, model: ModelId, entity: VolumeId | FilesystemId, info: AttachInfo) -> None:
        """The entity is attached to this host's machine."""

    async def set_detached(self, model: ModelId, entity: VolumeId | FilesystemId) -> None:
        """The entity is detached: its dying attachment goes. Raises NotValidError: the attachment is alive."""

    async def set_snapshot(self, model: ModelId, entity: VolumeId | FilesystemId, snapshot: Snapshot) -> None:
        """What has become of a snapshot that was asked for; one that is dead goes. Nothing if it is gone."""

    async def set_trimmed(self, model: ModelId, filesystem: FilesystemId) -> None:
        """The volume has just been told what the filesystem does not use."""

    async def set_usage(self, model: ModelId, usage: Mapping[FilesystemId, Usage]) -> None:
        """How full filesystems are; what has changed by less than a hundredth is not written."""

    async def set_status(
        self, model: ModelId, entity: VolumeId | FilesystemId, current: str, message: str = ""
    ) -> None:
        """How the entity is: pending, attaching, attached, detaching, detached, destroying or error."""

    async def remove(self, model: ModelId, entity: VolumeId | FilesystemId) -> None:
        """A dead entity is destroyed, or let go of: its record goes. Raises NotValidError: it is not dead."""
