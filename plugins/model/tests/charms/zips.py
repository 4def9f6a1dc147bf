"""Archives, also such as no honest tool writes."""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path

METADATA = b"name: app\n"


class Zip:
    """Writes an archive, entry by entry."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._zip = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED)

    def add(self, name: str, content: bytes = b"", *, mode: int = stat.S_IFREG | 0o644, system: int = 3) -> Zip:
        """Add an entry of any name and kind."""
        info = zipfile.ZipInfo("x", (1980, 1, 1, 0, 0, 0))
        info.filename = name
        info.external_attr = mode << 16
        info.create_system = system
        info.compress_type = zipfile.ZIP_DEFLATED
        self._zip.writestr(info, content)
        return self

    def link(self, name: str, target: str) -> Zip:
        """Add a symbolic link."""
        return self.add(name, target.encode(), mode=stat.S_IFLNK | 0o777)

    def close(self) -> Path:
        """End the archive."""
        self._zip.close()
        return self.path


def charm(folder: Path, files: Mapping[str, bytes] | None = None) -> Path:
    """A charm's archive with these files, and metadata."""
    zipped = Zip(folder / "app.charm").add("metadata.yaml", METADATA)
    for name, content in (files or {}).items():
        zipped.add(name, content)
    return zipped.close()


def tree(folder: Path) -> dict[str, str]:
    """What is in a folder: a file's content, a link's target behind `->`, `/` for a folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        else:
            found[name] = "/" if path.is_dir() else path.read_text()
    return found
