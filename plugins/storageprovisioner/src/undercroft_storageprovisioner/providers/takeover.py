"""Takes over a file or folder that is there: it is renamed to where a provider has its own."""

from __future__ import annotations

from pathlib import Path

from undercroft.files import sync
from undercroft.linux import mountinfo
from undercroft_hookspecs import PermanentError
from undercroft_storageprovisioner.linux import loops, mounts


def take_over(folder: Path, provider_id: str, target: Path, *, is_folder: bool) -> None:
    """Rename what `provider_id` means (a name in `folder`, or a path) to `target`; nothing if that was done before.

    Raises:
        PermanentError: there is no such thing, somebody uses it, or it is on another filesystem.
    """
    source = Path(provider_id) if provider_id.startswith("/") else folder / provider_id
    if ".." in source.parts or (not provider_id.startswith("/") and source.parent != folder):
        raise PermanentError(f"{provider_id!r} is neither a name in {folder} nor a plain path")
    if target.exists() and not source.exists():
        return
    if source.is_symlink() or not (source.is_dir() if is_folder else source.is_file()):
        raise PermanentError(f"{source} cannot be imported: it is no {'folder' if is_folder else 'file'}")
    if target.exists() or target.is_symlink():
        raise PermanentError(f"{source} cannot be imported: {target} is there already")
    _refuse_used(source, is_folder=is_folder)
    if source.stat().st_dev != folder.stat().st_dev:
        raise PermanentError(f"{source} cannot be imported: it is on another filesystem than {folder}; move it there")
    source.rename(target)
    for changed in {source.parent, target.parent}:
        sync(changed)


def _refuse_used(source: Path, *, is_folder: bool) -> None:
    if not is_folder:
        taken = loops.loops_of(source)
        if taken:
            raise PermanentError(f"{source} cannot be imported: {taken[0].path} is over it (losetup -d)")
        return
    mounts.check_place(source)
    inside = [mount.target for mount in mountinfo.read() if Path(mount.target).is_relative_to(source)]
    if inside:
        raise PermanentError(f"{source} cannot be imported: {inside[0]} is a mount")
