"""Where a charm comes from: what the operator has written is made a charm's archive, or found to be a bundle."""

from __future__ import annotations

import os
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from undercroft.files import copy, in_thread
from undercroft.process import SystemProcess
from undercroft_hookspecs.errors import NotFoundError
from undercroft_model.charms.source import take
from undercroft_model.commands.frame import Refusal, say
from undercroft_model.pack.build import pack
from undercroft_model.pack.plan import needs_packing

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from undercroft_model.charms.source import TakenCharm

CHARMS = "UNDERCROFT_CHARMS"
BUNDLE = "bundle.yaml"
PACKED = "packed-charms"
_YAML = (".yaml", ".yml")


def bundle_file(wanted: str) -> Path | None:
    """The file of a bundle, if that is what is wanted: a YAML file, or a folder with a bundle.yaml and no charm."""
    path = Path(wanted).expanduser()
    if wanted.endswith(_YAML) and not path.is_dir():
        return path
    if is_path(wanted) and (path / BUNDLE).is_file() and not (path / "metadata.yaml").exists():
        return path / BUNDLE
    return None


def is_path(wanted: str) -> bool:
    """Whether a charm is given by its path and not by its name."""
    return wanted in (".", "..") or wanted.startswith((".", "/", "~")) or "/" in wanted or wanted.endswith(".charm")


def charm_path(wanted: str) -> Path:
    """The archive or folder of a charm.

    Raises:
        NotFoundError: there is none.
    """
    if is_path(wanted):
        path = Path(wanted.removeprefix("local:")).expanduser()
        if not path.exists():
            raise NotFoundError(wanted, f'no charm was found at "{wanted}"')
        return path
    name = wanted.removeprefix("ch:").removeprefix("local:")
    folders = [Path(folder).expanduser() for folder in os.environ.get(CHARMS, "").split(os.pathsep) if folder]
    for folder in folders:
        for path in (folder / f"{name}.charm", folder / name):
            if path.exists():
                return path
    where = f"in {os.pathsep.join(map(str, folders))}" if folders else f"since ${CHARMS} names no folder"
    raise NotFoundError(
        name,
        f'no charm "{name}" was found {where}: Undercroft has no charm store; give the path of an archive or a source '
        f"folder (./{name}), or put it in a folder of ${CHARMS}",
    )


@asynccontextmanager
async def taken(wanted: str, *, data_dir: Path) -> AsyncIterator[TakenCharm]:
    """Read a charm, whole; a source folder is packed first, if it needs to be. The archive is there while this is open.

    Raises:
        NotFoundError: there is no such charm.
        CharmError: it cannot be used, or not be packed.
    """
    path = charm_path(wanted)
    if await in_thread(path.is_dir) and await in_thread(needs_packing, path):
        packed = await pack(path, cache_folder=data_dir / PACKED, process=SystemProcess(), progress=say)
        for note in packed.notes:
            say(f"note: {note}")
        path = packed.archive
    async with take(path) as found:
        yield found


async def pack_folder(
    source: Path, output: Path, *, data_dir: Path, python: str | None, libraries: Sequence[Path], is_fresh: bool
) -> Path:
    """Build a charm, and put its archive into a folder, under charmcraft's name for it."""
    for folder in (output, *libraries):
        if not await in_thread(folder.is_dir):
            raise Refusal(f"{folder}: there is no such folder")
    cache = data_dir / "plugins" / "model" / PACKED
    packed = await pack(
        source,
        cache_folder=cache,
        process=SystemProcess(),
        python=python,
        libraries=libraries,
        is_fresh=is_fresh,
        progress=say,
    )
    for note in packed.notes:
        say(f"note: {note}")
    to = output / packed.file_name
    await copy(packed.archive, to, mode=0o644)
    return to
