"""How storage providers are declared, and what the provisioner asks of one.

One entity a call, and every call can be repeated. The provisioner serialises the calls of one entity, bounds how many
run at once, and retries; `PermanentError` sets the entity's status to `error` and is not retried.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Literal, Protocol, TypeVar

import msgspec

from undercroft_hookspecs.errors import UndercroftError
from undercroft_hookspecs.records import Record

if TYPE_CHECKING:
    from pathlib import Path

    from undercroft_hookspecs.identity import FilesystemId, MachineId, VolumeId

A = TypeVar("A", bound=msgspec.Struct)


class PermanentError(UndercroftError):
    """The provider will never be able to do this: no retry helps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeParams:
    """The volume that is wanted."""

    volume: VolumeId
    size_mib: int
    tags: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class FilesystemParams:
    """The filesystem that is wanted, and the volume that it goes on, if any."""

    filesystem: FilesystemId
    size_mib: int
    volume: VolumeId | None = None
    tags: Mapping[str, str] = field(default_factory=dict)


class VolumeInfo(Record, frozen=True, kw_only=True):
    """The volume that there is; `provider_id` is the provider's own name for it."""

    provider_id: str
    size_mib: int
    hardware_id: str = ""
    wwn: str = ""
    persistent: bool = False


class FilesystemInfo(Record, frozen=True, kw_only=True):
    """The filesystem that there is; `provider_id` is the provider's own name for it."""

    provider_id: str
    size_mib: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachParams:
    """Which entity goes to which machine, and how."""

    entity: VolumeId | FilesystemId
    provider_id: str
    machine: MachineId
    read_only: bool = False
    path: Path | None = None


class AttachInfo(Record, frozen=True, kw_only=True):
    """Where the entity is on the machine: a mount point for a filesystem, a device for a volume."""

    path: str = ""
    device_name: str = ""
    device_link: str = ""
    bus_address: str = ""
    read_only: bool = False


class VolumeSource(Protocol):
    """What one pool of a provider does with volumes."""

    async def create(self, params: VolumeParams) -> VolumeInfo:
        """Make the volume, or find the one made before."""
        ...

    async def attach(self, params: AttachParams) -> AttachInfo:
        """Attach the volume; attaching twice gives the same answer."""
        ...

    async def detach(self, params: AttachParams) -> None:
        """Detach the volume; nothing if it is not attached."""

    async def destroy(self, volume: VolumeId) -> None:
        """Destroy the volume and its data; nothing if it is gone."""


class FilesystemSource(Protocol):
    """What one pool of a provider does with filesystems."""

    async def create(self, params: FilesystemParams) -> FilesystemInfo:
        """Make the filesystem, or find the one made before."""
        ...

    async def attach(self, params: AttachParams) -> AttachInfo:
        """Mount the filesystem; attaching twice gives the same answer."""
        ...

    async def detach(self, params: AttachParams) -> None:
        """Unmount the filesystem; nothing if it is not mounted."""

    async def destroy(self, filesystem: FilesystemId) -> None:
        """Destroy the filesystem and its data; nothing if it is gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageProvider(Generic[A]):
    """A kind of storage. `attributes` is the struct of a pool's attributes; the path given is the storage folder.

    `scope` says whether a machine's agent or the model provisions it, `dynamic` whether it can be made on demand. Each
    word of `can` promises one more method of the source. `default_pools` are there without being made.
    """

    attributes: type[A]
    filesystems: Callable[[A, Path], FilesystemSource] | None = None
    volumes: Callable[[A, Path], VolumeSource] | None = None
    scope: Literal["machine", "model"] = "machine"
    dynamic: bool = True
    can: frozenset[Literal["release", "grow", "snapshot", "trim", "import"]] = frozenset()
    default_pools: Mapping[str, A] = field(default_factory=dict)
