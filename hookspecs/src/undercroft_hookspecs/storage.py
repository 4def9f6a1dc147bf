"""How storage providers are declared, and what the provisioner asks of one.

One entity a call, and every call can be repeated. The provisioner serialises the calls of one entity, bounds how many
run at once, and retries; `PermanentError` sets the entity's status to `error` and is not retried.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Literal, Protocol, TypeVar, runtime_checkable

import msgspec

from undercroft_hookspecs.errors import UndercroftError
from undercroft_hookspecs.records import Record

if TYPE_CHECKING:
    from pathlib import Path

    from undercroft_hookspecs.identity import FilesystemId, MachineId, VolumeId

A = TypeVar("A", bound=msgspec.Struct)

SYSTEM_FOLDERS = ("/boot", "/dev", "/etc", "/proc", "/run", "/sys", "/usr", "/bin", "/sbin", "/lib", "/lib64")
"""Nothing is mounted on these, or within."""
NOT_THEMSELVES = ("/", "/home", "/opt", "/root", "/srv", "/tmp", "/var", "/var/lib", "/var/log")  # noqa: S108
"""Nothing is mounted on these, for it would hide what is there; within them it may be."""


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
    kind: str = ""
    """What is on the volume, where that was not made by us: `xfs`."""
    uuid: str = ""
    """The UUID of that."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachParams:
    """Which entity goes to which machine, and how."""

    entity: VolumeId | FilesystemId
    provider_id: str
    machine: MachineId
    read_only: bool = False
    path: Path | None = None


class Usage(Record, frozen=True, kw_only=True):
    """How full a filesystem is. `inodes` is 0 where it has no limit of those."""

    size_bytes: int
    used_bytes: int
    inodes: int = 0
    inodes_used: int = 0


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


class Releases(Protocol):
    """What a source that can `release` has, too."""

    async def release(self, entity: VolumeId | FilesystemId) -> None:
        """Let go of the entity and keep it, with its data; nothing if it is gone."""


class Grows(Protocol):
    """What a source that can `grow` has, too."""

    async def grow(self, entity: VolumeId | FilesystemId, size_mib: int) -> VolumeInfo | FilesystemInfo:
        """Make it at least that large, attached or not; nothing if it is. A filesystem on a volume is not its part."""
        ...


class Snapshots(Protocol):
    """What a source that can `snapshot` has, too."""

    async def snapshot(self, entity: VolumeId | FilesystemId, name: str) -> str:
        """Keep what is in it now under a name, or find what was kept so; gives the provider's id of that."""
        ...

    async def remove_snapshot(self, entity: VolumeId | FilesystemId, name: str) -> None:
        """Destroy what was kept under a name; nothing if it is gone."""


class Trims(Protocol):
    """What a source that can `trim` has, too."""

    async def trim(self, params: AttachParams) -> None:
        """Give back what an attached entity does not use; of a volume, what the filesystem on it has let go of."""


class Imports(Protocol):
    """What a source that can `import` has, too."""

    async def import_existing(self, entity: VolumeId | FilesystemId, provider_id: str) -> VolumeInfo | FilesystemInfo:
        """Make the entity of something that is there, by the provider's id of it, or find that this was done.

        Raises:
            PermanentError: there is no such thing, or it cannot be taken.
        """
        ...


@runtime_checkable
class Measures(Protocol):
    """What a source of filesystems has if it knows better how full one is than the kernel says of its mount."""

    async def usage(self, filesystem: FilesystemId) -> Usage | None:
        """How full it is; None: the kernel knows."""
        ...


class VolumePool(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What the pool of a provider of volumes says of the filesystems on them: to be derived from."""

    fs: Literal["ext4", "xfs", "btrfs"] = "ext4"
    """Which filesystem is made."""
    fsck: Literal["repair", "check", "never"] = "repair"
    """What is done before one is mounted that was not unmounted, or says that it has errors: mend what can be mended
    without a question, look and refuse what is damaged, or neither."""
    trim: Literal["never", "daily", "weekly", "monthly"] = "never"
    """How often the volume is told what the filesystem on it does not use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StorageProvider(Generic[A]):
    """A kind of storage. `attributes` is the struct of a pool's attributes; the path given is the storage folder.

    `scope` says whether a machine's agent or the model provisions it, `dynamic` whether it can be made on demand.
    `default_pools` are there without being made. Each word of `can` promises that the source is also one of `Releases`,
    `Grows`, `Snapshots`, `Trims` and `Imports`.
    """

    attributes: type[A]
    filesystems: Callable[[A, Path], FilesystemSource] | None = None
    volumes: Callable[[A, Path], VolumeSource] | None = None
    scope: Literal["machine", "model"] = "machine"
    dynamic: bool = True
    can: frozenset[Literal["release", "grow", "snapshot", "trim", "import"]] = frozenset()
    default_pools: Mapping[str, A] = field(default_factory=dict)
