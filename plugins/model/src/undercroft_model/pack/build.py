"""Build a charm."""

from __future__ import annotations

import stat
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from undercroft.files import in_thread
from undercroft_hookspecs.errors import NotFoundError
from undercroft_model.charms.folder import Item, items, write_archive
from undercroft_model.charms.paths import UnsafeName, check_links
from undercroft_model.pack import cache
from undercroft_model.pack.dispatch import dispatch_script
from undercroft_model.pack.errors import PackError
from undercroft_model.pack.install import Installer, find_python, find_uv
from undercroft_model.pack.plan import Plan, make_plan

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from undercroft_hookspecs.agent import Process
    from undercroft_hookspecs.charm import Charm
    from undercroft_model.pack.install import Python

DISPATCH = "dispatch"


@dataclass(frozen=True, slots=True, kw_only=True)
class Packed:
    """A packed charm: its archive in the cache, to be copied from there as `file_name`, which is charmcraft's.

    `notes` are for whoever packed it: what charmcraft would have done that was not done.
    """

    charm: Charm
    archive: Path
    file_name: str
    notes: tuple[str, ...]
    is_cached: bool


def _silent(_: str) -> None:
    """Tell nobody."""


async def pack(
    source: Path,
    *,
    cache_folder: Path,
    process: Process,
    python: str | None = None,
    libraries: Sequence[Path] = (),
    is_fresh: bool = False,
    progress: Callable[[str], None] = _silent,
    uv: Callable[[], str | None] = find_uv,
) -> Packed:
    """Build the charm in a source folder, with uv, or pip where there is no uv.

    What was packed before of the same files, for the same Python, is taken from the cache, unless `is_fresh`; so
    dependencies that are not locked stay as they were then. `libraries` are folders where charm libraries are looked
    for that charmcraft.yaml names and the source has not got. `progress` is told of each step as it begins.

    Raises:
        NotFoundError: there is no such folder.
        PackError: it cannot be built here; the text says why.
        CharmFileError: one of the charm's files is not right.
        ArchiveError: there is something in the folder that no charm may have.
    """
    if not await in_thread(source.is_dir):
        raise NotFoundError(str(source), f"{source}: there is no such folder")
    source = await in_thread(source.resolve)
    progress(f"Reading {source}")
    plan = await in_thread(make_plan, source, libraries=libraries)
    interpreter = await find_python(process, source, wanted=python, requires=plan.requires_python)
    installer = Installer(process=process, source=source, python=interpreter, uv=uv())
    key = await in_thread(_key, plan, interpreter, installer.uv is not None)
    known = None if is_fresh else await in_thread(cache.find, cache_folder, key)
    if known is not None:
        return _packed(plan, known, is_cached=True)
    scratch = await in_thread(_temporary)
    try:
        archive = await _build(plan, installer, Path(scratch.name), progress, cache_folder, key)
    finally:
        await in_thread(scratch.cleanup)
    return _packed(plan, archive, is_cached=False)


def _packed(plan: Plan, archive: Path, *, is_cached: bool) -> Packed:
    return Packed(charm=plan.charm, archive=archive, file_name=plan.file_name, notes=plan.notes, is_cached=is_cached)


async def _build(
    plan: Plan, installer: Installer, scratch: Path, progress: Callable[[str], None], folder: Path, key: str
) -> Path:
    venv = scratch / "venv"
    if not plan.dependencies.is_empty:
        tool = "uv" if installer.uv is not None else "pip"
        progress(f"Installing {plan.dependencies.origin} with {tool} for Python {installer.python.full}")
        await installer.install(plan.dependencies, scratch=scratch, venv=venv, is_venv=plan.is_venv)
    progress("Writing the archive")
    found = await in_thread(_gather, plan, scratch, venv, installer.python)
    return await in_thread(cache.keep, folder, key, lambda file: write_archive(found, file))


def _gather(plan: Plan, scratch: Path, venv: Path, python: Python) -> Sequence[Item]:
    """All that the archive is made of: the source, what is generated, the libraries and the dependencies."""
    found = {item.parts: item for item in plan.items}
    if venv.is_dir():
        found = {parts: item for parts, item in found.items() if parts[0] != "venv"}
        found[("venv",)] = Item(("venv",), venv, stat.S_IFDIR | 0o755)
        found |= {("venv", *item.parts): replace(item, parts=("venv", *item.parts)) for item in _installed(venv)}
    generated = dict(plan.generated)
    if plan.writes_dispatch:
        script = dispatch_script(entry=plan.entry, version=python.version, is_venv=plan.is_venv and venv.is_dir())
        generated[DISPATCH] = script.encode()
    for name, data in generated.items():
        path = scratch / f"generated-{name}"
        path.write_bytes(data)
        mode = 0o755 if name == DISPATCH else 0o644
        found[(name,)] = Item((name,), path, stat.S_IFREG | mode, size=len(data))
    for name, path in plan.libraries.items():
        parts = tuple(name.split("/"))
        for depth in range(1, len(parts)):
            found.setdefault(parts[:depth], Item(parts[:depth], path.parent, stat.S_IFDIR | 0o755))
        found[parts] = Item(parts, path, stat.S_IFREG | 0o644, size=path.stat().st_size)
    _check(plan.source, found.values())
    return sorted(found.values(), key=lambda item: item.parts)


def _installed(venv: Path) -> tuple[Item, ...]:
    return items(venv, ignored=("__pycache__", "*.pyc"))


def _check(source: Path, found: Iterable[Item]) -> None:
    try:
        check_links({item.parts: item.target for item in found if item.is_link})
    except UnsafeName as error:
        raise PackError(source, str(error)) from None


def _key(plan: Plan, python: Python, has_uv: bool) -> str:
    """Everything that has a say in what the archive will be; also what is read and not in it."""
    inputs = [repr((python.full, python.version, has_uv, plan.dependencies, plan.entry, plan.is_venv)).encode()]
    for name in plan.dependencies.inputs:
        path = plan.source / name
        inputs.append(path.read_bytes() if path.is_file() else b"")
    for name, data in sorted(plan.generated.items()):
        inputs += [name.encode(), data]
    for name, path in sorted(plan.libraries.items()):
        inputs += [name.encode(), path.read_bytes()]
    return cache.key_of(plan.items, inputs)


def _temporary() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="undercroft-pack-")
