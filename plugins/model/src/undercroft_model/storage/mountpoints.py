"""Where a charm wants its filesystems mounted, and that no two get into each other's way."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import TYPE_CHECKING

import msgspec

from undercroft_hookspecs.errors import NotValidError
from undercroft_hookspecs.state import Life
from undercroft_hookspecs.storage import NOT_THEMSELVES, SYSTEM_FOLDERS
from undercroft_model.charmrecords import charm_of
from undercroft_model.storage.directives import parse_directive, settled
from undercroft_model.tables import FILESYSTEM_ATTACHMENTS, FILESYSTEMS, MACHINES, UNITS, parts_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from undercroft_hookspecs.charm import StorageSpec
    from undercroft_hookspecs.identity import ModelId
    from undercroft_hookspecs.state import Application
    from undercroft_model.transaction import Transaction


def mount_point(storage: str, spec: StorageSpec) -> str:
    """Where the charm wants a piece of storage mounted; empty: where its agent likes.

    Raises:
        NotValidError: nothing may be mounted there; `field` is `location`.
    """
    if not spec.location:
        return ""
    path = spec.location if spec.maximum == 1 else f"{spec.location}/{storage}"
    checked = PurePosixPath(path)
    if not checked.is_absolute() or ".." in checked.parts or any(ord(letter) < 32 for letter in path):
        raise NotValidError(f'"{path}" cannot be a mount point: it is not absolute and plain', field="location")
    clean = str(checked).replace("//", "/")
    inside = [folder for folder in SYSTEM_FOLDERS if checked.is_relative_to(folder)]
    if inside or clean in NOT_THEMSELVES:
        raise NotValidError(f'"{clean}" cannot be a mount point: it is the system\'s', field="location")
    return clean


async def check_mount_point(tx: Transaction, model: ModelId, machine: str, path: str, *, storage: str) -> None:
    """Refuse a mount point on, in or around another one of the machine.

    Raises:
        NotValidError: it names both.
    """
    record = await tx.need(MACHINES.of(model), machine, what="machine")
    counted = msgspec.structs.replace(record, mount_points=record.mount_points + 1)
    tx.put(MACHINES.of(model), machine, record=counted)
    wanted = PurePosixPath(path)
    for mounted in (await tx.look(FILESYSTEM_ATTACHMENTS.of(model))).values():
        there = mounted.path or (mounted.info.path if mounted.info is not None else "")
        if mounted.machine != machine or not there:
            continue
        taken = PurePosixPath(there)
        if wanted.is_relative_to(taken) or taken.is_relative_to(wanted):
            filesystem = await tx.get(FILESYSTEMS.of(model), *parts_of(mounted.filesystem))
            other = filesystem.storage if filesystem is not None else mounted.filesystem
            message = (
                f'mount point "{path}" for "{storage}" overlaps with "{taken}" for "{other}": '
                "remove one of the two, or place it on another host"
            )
            raise NotValidError(message, field="location")


async def check_apart(tx: Transaction, model: ModelId, application: Application, machines: Sequence[str]) -> None:
    """Refuse to put a unit where another one of its application lives, if both want storage mounted at one place.

    Raises:
        NotValidError: it names the place, and what to do.
    """
    charm = await charm_of(tx, model, application)
    fixed = [store for store, spec in charm.storage.items() if _is_fixed(application, store, spec)]
    if not fixed:
        return
    units = await tx.look(UNITS.of(model), application.name)
    taken = {unit.machine for unit in units.values() if unit.life is Life.ALIVE}
    for machine in machines:
        if machine in taken:
            message = (
                f'cannot place another unit of "{application.name}" on machine {machine}: its storage "{fixed[0]}" is '
                f"mounted at {charm.storage[fixed[0]].location}, which two units cannot share; "
                "place each on a host of its own, with --to"
            )
            raise NotValidError(message, field="to")
        taken.add(machine)


def _is_fixed(application: Application, store: str, spec: StorageSpec) -> bool:
    is_one_place = bool(spec.location) and spec.maximum == 1 and spec.type == "filesystem"
    return is_one_place and bool(settled(parse_directive(application.storage.get(store, ""), store=store), spec).count)
