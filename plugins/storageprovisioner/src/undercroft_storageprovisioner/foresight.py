"""What the provisioner would do, to its end: the plan made again and again, with each step taken to succeed.

What the model decides meanwhile is not foreseen: that what was let go of is destroyed, say.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import msgspec

from undercroft_hookspecs.state import Life
from undercroft_hookspecs.storage import AttachInfo, FilesystemInfo, VolumeInfo
from undercroft_storageprovisioner.plan import Actual, Deed, Kind, Step, plan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from undercroft_hookspecs.storage_facades import WantedStorage
    from undercroft_hookspecs.storage_state import Filesystem, Volume

_LASTING = frozenset({Deed.CREATE, Deed.IMPORT, Deed.ATTACH, Deed.DETACH, Deed.DESTROY, Deed.GROW})
"""What shows in what is wanted, or in what there is; the rest is done once."""


@dataclass(frozen=True, slots=True)
class Foreseen:
    """A step, and when it comes: the steps of one stage need those of the stage before, and not one another."""

    stage: int
    step: Step
    storage: str
    pool: str
    size_mib: int
    place: str
    """Where it is mounted, or which device it is, as far as that is known."""


def foresee(wanted: WantedStorage, actual: Actual) -> Iterator[Foreseen]:
    """The steps in order."""
    taken: set[Step] = set()
    stage = 0
    while steps := [step for step in plan(wanted, actual) if step not in taken]:
        stage += 1
        for step in steps:
            yield _foreseen(stage, step, wanted)
        for step in steps:
            taken.add(step)
            if step.deed in _LASTING:
                wanted, actual = _after(step, wanted, actual)


def _foreseen(stage: int, step: Step, wanted: WantedStorage) -> Foreseen:
    if step.kind is Kind.VOLUME:
        volume, held = wanted.volumes.get(step.entity), wanted.volume_attachments.get(step.entity)
        info = held.info if held is not None else None
        device = (info.device_link or (f"/dev/{info.device_name}" if info.device_name else "")) if info else ""
        return _about(stage, step, volume, device)
    mounted = wanted.filesystem_attachments.get(step.entity)
    path = (mounted.info.path if mounted.info is not None else mounted.path) if mounted is not None else ""
    return _about(stage, step, wanted.filesystems.get(step.entity), path)


def _about(stage: int, step: Step, entity: Volume | Filesystem | None, place: str) -> Foreseen:
    if entity is None:
        return Foreseen(stage, step, storage="", pool="", size_mib=0, place=place)
    return Foreseen(stage, step, storage=entity.storage, pool=entity.pool, size_mib=entity.size_mib, place=place)


def _after(step: Step, wanted: WantedStorage, actual: Actual) -> tuple[WantedStorage, Actual]:
    is_volume = step.kind is Kind.VOLUME
    there = actual.volumes if is_volume else actual.filesystems
    match step.deed:
        case Deed.ATTACH:
            there = there | {step.entity}
        case Deed.DETACH:
            there = there - {step.entity}
        case _:
            pass
    seen = replace(actual, volumes=there) if is_volume else replace(actual, filesystems=there)
    return (_volume_after(step, wanted) if is_volume else _filesystem_after(step, wanted)), seen


def _volume_after(step: Step, wanted: WantedStorage) -> WantedStorage:
    name, volumes, held = step.entity, dict(wanted.volumes), dict(wanted.volume_attachments)
    match step.deed:
        case Deed.DESTROY:
            volumes.pop(name, None)
        case Deed.DETACH:
            held.pop(name, None)
        case Deed.ATTACH:
            held[name] = msgspec.structs.replace(held[name], info=held[name].info or AttachInfo())
        case _:
            info = VolumeInfo(provider_id=name, size_mib=volumes[name].size_mib)
            volumes[name] = msgspec.structs.replace(volumes[name], info=info)
    return replace(wanted, volumes=volumes, volume_attachments=held)


def _filesystem_after(step: Step, wanted: WantedStorage) -> WantedStorage:
    name, filesystems, mounted = step.entity, dict(wanted.filesystems), dict(wanted.filesystem_attachments)
    match step.deed:
        case Deed.DESTROY:
            filesystems.pop(name, None)
        case Deed.DETACH:
            mounted.pop(name, None)
        case Deed.ATTACH:
            mounted[name] = msgspec.structs.replace(mounted[name], info=mounted[name].info or AttachInfo())
        case _:
            info = FilesystemInfo(provider_id=name, size_mib=filesystems[name].size_mib)
            filesystems[name] = msgspec.structs.replace(filesystems[name], info=info)
    return replace(wanted, filesystems=filesystems, filesystem_attachments=mounted)


def as_it_looks(wanted: WantedStorage, mounts: frozenset[str], devices: frozenset[str]) -> Actual:
    """What there is, for who has no provisioner to ask: what was recorded as attached, and still looks so."""
    return Actual(
        volumes=frozenset(
            name
            for name, held in wanted.volume_attachments.items()
            if held.info is not None and (held.info.device_name in devices or held.info.device_link)
        ),
        filesystems=frozenset(
            name
            for name, mounted in wanted.filesystem_attachments.items()
            if mounted.info is not None and (mounted.info.path in mounts or _is_folder(wanted, name))
        ),
    )


def _is_folder(wanted: WantedStorage, name: str) -> bool:
    """Whether a filesystem may be a mere folder, which no look tells from one that is not attached."""
    filesystem = wanted.filesystems.get(name)
    return filesystem is not None and filesystem.provider == "directory" and filesystem.life is not Life.DEAD
