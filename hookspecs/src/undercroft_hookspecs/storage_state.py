"""The records of storage: what charms and operators want, and what the provisioners have made of it.

A storage instance is what a charm sees (`data/0`). Behind it stands a filesystem, a volume, or a filesystem on a
volume. What is bound to one machine has that machine in its id (`0/7`). Each entity is wanted first (`info` None), and
then there. Entities go from alive to dead, attachments from alive to dying, and then their records go, once whoever
provisions has said that nothing is left.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

import msgspec

from undercroft_hookspecs.records import Record
from undercroft_hookspecs.state import Life, Status
from undercroft_hookspecs.storage import AttachInfo, FilesystemInfo, VolumeInfo


class Pool(Record, frozen=True, kw_only=True):
    """A named way to make storage: a provider, and its attributes as the operator wrote them."""

    name: str
    provider: str
    attributes: Mapping[str, str] = msgspec.field(default_factory=dict)


class Snapshot(Record, frozen=True, kw_only=True):
    """What was in a filesystem at one time, kept beside it. It is asked for first, and made by its provisioner."""

    name: str
    asked: datetime
    made: datetime | None = None
    provider_id: str = ""
    """By which it can be imported as a filesystem of its own."""
    refused: str = ""
    """Why it cannot be made."""
    life: Life = Life.ALIVE


class StorageInstance(Record, frozen=True, kw_only=True):
    """A piece of storage as charms see it, with what is behind it. It is with one unit, or detached."""

    id: str
    kind: Literal["block", "filesystem"]
    life: Life = Life.ALIVE
    pool: str
    size_mib: int
    volume: str = ""
    filesystem: str = ""
    unit: str = ""
    """Whose it is; empty: nobody's."""
    attachment: Life = Life.ALIVE
    """Of its being with `unit`: dying, the charm is to let go of it."""
    releasing: bool = False
    """When it goes, what is behind it is let go of, and not destroyed."""
    imported: bool = False
    """It was there before: it outlives its unit, and is let go of where nobody says that it is to be destroyed."""


class Volume(Record, frozen=True, kw_only=True):
    """A volume. `provider` and `attributes` are the pool's, of the moment when it was asked for."""

    id: str
    storage: str = ""
    life: Life = Life.ALIVE
    pool: str
    provider: str
    attributes: Mapping[str, str] = msgspec.field(default_factory=dict)
    size_mib: int
    """The least that is wanted; a resize raises it."""
    status: Status
    info: VolumeInfo | None = None
    releasing: bool = False
    """When it is dead, it is let go of, and not destroyed."""
    imported: str = ""
    """The provider's id of what is taken over, in place of making something."""
    snapshots: tuple[Snapshot, ...] = ()
    """In the order in which they were asked for."""


class VolumeAttachment(Record, frozen=True, kw_only=True):
    """That a volume is, or is to be, on a machine."""

    volume: str
    machine: str
    life: Life = Life.ALIVE
    read_only: bool = False
    info: AttachInfo | None = None


class Filesystem(Record, frozen=True, kw_only=True):
    """A filesystem. With `volume` it lies on that; without, its provider makes filesystems itself."""

    id: str
    storage: str = ""
    volume: str = ""
    life: Life = Life.ALIVE
    pool: str
    provider: str
    attributes: Mapping[str, str] = msgspec.field(default_factory=dict)
    size_mib: int
    status: Status
    info: FilesystemInfo | None = None
    releasing: bool = False
    imported: str = ""
    """The provider's id of what is taken over; with `volume`, of that: what is on it is taken as it is."""
    snapshots: tuple[Snapshot, ...] = ()
    """In the order in which they were asked for."""
    trim_asked: datetime | None = None
    """When an operator last asked that the volume be told what is not used."""
    trimmed: datetime | None = None
    """When that was last done."""


class FilesystemAttachment(Record, frozen=True, kw_only=True):
    """That a filesystem is, or is to be, mounted on a machine, at `path`."""

    filesystem: str
    machine: str
    life: Life = Life.ALIVE
    read_only: bool = False
    path: str = ""
    info: AttachInfo | None = None
