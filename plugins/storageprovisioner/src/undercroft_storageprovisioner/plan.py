"""What can be done next, from what is wanted and what there is: a pure function.

A step is in the plan when all that it needs is there; what it brings about makes others possible. So a plan is never
carried out to its end, but made anew after each step.

    create volume -> attach volume -> create filesystem -> attach filesystem
    grow volume -> grow filesystem
    detach filesystem -> detach volume -> destroy
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from undercroft_hookspecs.state import Life

if TYPE_CHECKING:
    from collections.abc import Iterator

    from undercroft_hookspecs.storage_facades import WantedStorage
    from undercroft_hookspecs.storage_state import Filesystem, FilesystemAttachment, Snapshot, VolumeAttachment


class Deed(StrEnum):
    """What can be done about an entity."""

    CREATE = "create"
    IMPORT = "import"
    ATTACH = "attach"
    DETACH = "detach"
    DESTROY = "destroy"
    GROW = "grow"
    SNAPSHOT = "snapshot"
    """Make one, or remove one."""
    TRIM = "trim"


class Kind(StrEnum):
    """What kind of entity it is."""

    VOLUME = "volume"
    FILESYSTEM = "filesystem"


@dataclass(frozen=True, slots=True, order=True)
class Step:
    """One thing to do about one entity."""

    kind: Kind
    entity: str
    deed: Deed

    def __str__(self) -> str:
        return f"{self.deed} {self.kind} {self.entity}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Actual:
    """What there is: the volumes and filesystems that were seen to be attached to this machine, and still are."""

    volumes: frozenset[str] = field(default_factory=frozenset)
    filesystems: frozenset[str] = field(default_factory=frozenset)
    trim_due: frozenset[str] = field(default_factory=frozenset)
    """The filesystems whose pool says that it is time to trim them."""


def plan(wanted: WantedStorage, actual: Actual) -> tuple[Step, ...]:
    """All steps that can be taken now, sorted; they do not need one another."""
    return tuple(sorted([*_about_volumes(wanted, actual), *_about_filesystems(wanted, actual)]))


def _about_volumes(wanted: WantedStorage, actual: Actual) -> Iterator[Step]:
    mounted = {
        filesystem.volume
        for name in wanted.filesystem_attachments
        if (filesystem := wanted.filesystems.get(name)) is not None and filesystem.volume
    }
    for name, volume in wanted.volumes.items():
        held = wanted.volume_attachments.get(name)
        if volume.life is Life.DEAD:
            if held is None:
                yield Step(Kind.VOLUME, name, Deed.DESTROY)
        elif volume.info is None:
            if held is None or held.life is Life.ALIVE:  # What is on its way out is not made first.
                yield Step(Kind.VOLUME, name, Deed.IMPORT if volume.imported else Deed.CREATE)
        elif _is_lacking(held, is_there=name in actual.volumes):
            yield Step(Kind.VOLUME, name, Deed.ATTACH)
        elif _is_ours(name, held):
            if volume.size_mib > volume.info.size_mib:
                yield Step(Kind.VOLUME, name, Deed.GROW)
            if any(map(is_pending, volume.snapshots)):
                yield Step(Kind.VOLUME, name, Deed.SNAPSHOT)
    for name, held in wanted.volume_attachments.items():
        if held.life is not Life.ALIVE and name not in mounted:
            yield Step(Kind.VOLUME, name, Deed.DETACH)


def _about_filesystems(wanted: WantedStorage, actual: Actual) -> Iterator[Step]:
    for name, filesystem in wanted.filesystems.items():
        mounted = wanted.filesystem_attachments.get(name)
        if filesystem.life is Life.DEAD:
            if mounted is None:
                yield Step(Kind.FILESYSTEM, name, Deed.DESTROY)
        elif filesystem.volume and filesystem.volume not in actual.volumes:
            continue
        elif filesystem.info is None:
            if mounted is None or mounted.life is Life.ALIVE:
                yield Step(Kind.FILESYSTEM, name, Deed.IMPORT if filesystem.imported else Deed.CREATE)
        elif _is_lacking(mounted, is_there=name in actual.filesystems):
            yield Step(Kind.FILESYSTEM, name, Deed.ATTACH)
        elif _is_ours(name, mounted):
            yield from _care(filesystem, wanted, actual)
    for name, mounted in wanted.filesystem_attachments.items():
        if mounted.life is not Life.ALIVE:
            yield Step(Kind.FILESYSTEM, name, Deed.DETACH)


def _care(filesystem: Filesystem, wanted: WantedStorage, actual: Actual) -> Iterator[Step]:
    """What is asked of a filesystem that is there. On a volume it grows after that, and while it is mounted."""
    name, volume = filesystem.id, wanted.volumes.get(filesystem.volume)
    has_room = not filesystem.volume
    if volume is not None and volume.info is not None:
        has_room = name in actual.filesystems and volume.info.size_mib >= filesystem.size_mib
    if filesystem.info is not None and filesystem.size_mib > filesystem.info.size_mib and has_room:
        yield Step(Kind.FILESYSTEM, name, Deed.GROW)
    if any(map(is_pending, filesystem.snapshots)):
        yield Step(Kind.FILESYSTEM, name, Deed.SNAPSHOT)
    asked, done = filesystem.trim_asked, filesystem.trimmed
    is_due = name in actual.trim_due or (asked is not None and (done is None or done < asked))
    if is_due and filesystem.volume and name in actual.filesystems:
        yield Step(Kind.FILESYSTEM, name, Deed.TRIM)


def is_pending(snapshot: Snapshot) -> bool:
    """Whether a snapshot is still to be made, or to be removed."""
    return snapshot.life is not Life.ALIVE or not (snapshot.provider_id or snapshot.refused)


def _is_ours(entity: str, attachment: VolumeAttachment | FilesystemAttachment | None) -> bool:
    """Whether something is to be done here about an entity that is there: it is this machine's, and not on its way."""
    return attachment.life is Life.ALIVE if attachment is not None else "/" in entity


def _is_lacking(attachment: VolumeAttachment | FilesystemAttachment | None, *, is_there: bool) -> bool:
    """Whether an attachment is wanted, and is not known or not there."""
    return attachment is not None and attachment.life is Life.ALIVE and (attachment.info is None or not is_there)
