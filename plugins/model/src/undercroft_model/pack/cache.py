"""Charms that were packed before, by what they were made of."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import IO

    from undercroft_model.charms.folder import Item

KEPT = 30
FORMAT = b"undercroft pack 1"


def key_of(items: Iterable[Item], inputs: Iterable[bytes]) -> str:
    """The key of a charm that is made of these files and whatever else has a say. This blocks: call it in a thread."""
    digest = hashlib.sha256(FORMAT)
    for data in inputs:
        digest.update(b"%d:" % len(data) + data)
    for item in items:
        content = b"" if item.is_folder or item.is_link else item.path.read_bytes()
        head = f"{item.name}\0{item.mode:o}\0{item.target}\0{len(content)}\0"
        digest.update(head.encode("utf-8", "surrogateescape") + content)
    return digest.hexdigest()


def find(folder: Path, key: str) -> Path | None:
    """The charm of that key, if it is there; it is now the last one used."""
    path = folder / f"{key}.charm"
    with contextlib.suppress(FileNotFoundError):
        os.utime(path)
        return path
    return None


def keep(folder: Path, key: str, write: Callable[[IO[bytes]], object]) -> Path:
    """Keep the charm that `write` writes, whole or not at all; those that were not used for longest make room."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / f"{key}.charm"
    with tempfile.NamedTemporaryFile(dir=folder, prefix=".", suffix=".part", delete=False) as file:
        try:
            write(file)
            file.flush()
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
    known = sorted(folder.glob("*.charm"), key=lambda known: known.stat().st_mtime_ns, reverse=True)
    for old in known[KEPT:]:
        old.unlink(missing_ok=True)
    return path
