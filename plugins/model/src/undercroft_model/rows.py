"""The records that only the model itself reads and writes; what other packages see is in `undercroft_hookspecs`."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

import msgspec

from undercroft_hookspecs.charm import Scalar
from undercroft_hookspecs.records import BlockDevice, Record
from undercroft_hookspecs.state import PortRange, Status


class ModelName(Record, frozen=True, kw_only=True):
    """Which model has a name."""

    uuid: str


class Sequence(Record, frozen=True, kw_only=True):
    """The next number of a kind. Numbers are never given twice."""

    next: int = 0


class Presence(Record, frozen=True, kw_only=True):
    """A host's agent is running; leased, so that it goes when the agent does."""

    since: datetime


class BlockDevices(Record, frozen=True, kw_only=True):
    """A host's block devices."""

    devices: tuple[BlockDevice, ...] = ()


class Config(Record, frozen=True, kw_only=True):
    """What was set of an application's options; the others have their charm's default."""

    values: Mapping[str, Scalar] = msgspec.field(default_factory=dict)


class StatusLog(Record, frozen=True, kw_only=True):
    """The last statuses of one entity, oldest first; the present one is the last."""

    entries: tuple[Status, ...] = ()


class RelationKey(Record, frozen=True, kw_only=True):
    """Which relation has a key: there is never a second one between the same endpoints."""

    id: int


class Scope(Record, frozen=True, kw_only=True):
    """A unit is in a relation's scope. One that is departing is no longer shown to the others."""

    entered: datetime
    departing: bool = False


class Leader(Record, frozen=True, kw_only=True):
    """The unit that leads its application, by lease."""

    unit: str


class OpenedPorts(Record, frozen=True, kw_only=True):
    """What a unit has opened."""

    ranges: tuple[PortRange, ...] = ()


class UnitState(Record, frozen=True, kw_only=True):
    """What a charm keeps with `state-set`, and its agent beside it."""

    charm: Mapping[str, str] = msgspec.field(default_factory=dict)
    agent: Mapping[str, str] = msgspec.field(default_factory=dict)


class Resource(Record, frozen=True, kw_only=True):
    """A resource of an application: which blob it is."""

    sha256: str
    size_bytes: int = 0
    filename: str = ""
    revision: int = 0


class BlobMark(Record, frozen=True, kw_only=True):
    """Of a blob: that it may be needed no more, is held, or is being removed. See `blobholds`."""


class Operation(Record, frozen=True, kw_only=True):
    """What an operator asked for in one command: the tasks are its actions."""

    id: int
    summary: str = ""
    enqueued: datetime
    tasks: tuple[int, ...] = ()


class UnitActions(Record, frozen=True, kw_only=True):
    """The actions of a unit that are not finished, the oldest first, and which of them are to be stopped."""

    pending: tuple[int, ...] = ()
    aborting: tuple[int, ...] = ()


class StorageRequests(Record, frozen=True, kw_only=True):
    """What a unit is given beyond what its application says, and how much was made so far, by store."""

    counts: Mapping[str, int] = msgspec.field(default_factory=dict)
    """Asked for by its charm with `storage-add`, or by an operator with `add-storage`."""
    directives: Mapping[str, str] = msgspec.field(default_factory=dict)
    """How those were asked for, by an operator."""
    made: Mapping[str, int] = msgspec.field(default_factory=dict)


class SecretsKey(Record, frozen=True, kw_only=True):
    """Which key the secrets of this store are encrypted with. It says nothing of the key itself."""

    fingerprint: str


class SecretRevision(Record, frozen=True, kw_only=True):
    """One revision's content, encrypted."""

    content: bytes
    checksum: str = ""
    created: datetime
    expires: datetime | None = None


class SecretGrant(Record, frozen=True, kw_only=True):
    """A consumer (unit or application) may read a secret, for as long as a relation lasts if one is named."""

    role: Literal["view", "manage"] = "view"
    relation: int | None = None


class SecretConsumer(Record, frozen=True, kw_only=True):
    """What a consumer calls a secret, and which revision it follows."""

    label: str = ""
    tracked: int = 0


class Cleanup(Record, frozen=True, kw_only=True):
    """Something that is to be taken down or removed, in as many steps as it takes: see `lifecycle`."""

    force: bool = False
