"""Find what is installed, by reading the metadata folders on `sys.path` themselves.

`importlib.metadata` would answer the same questions at several times the price of the whole `undercroft --help`.
Nothing is imported here, and nothing is cached between scans. Zip files on `sys.path` are passed over.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

PLUGINS = "undercroft.plugins"
STORES = "undercroft.stores"
COMMANDS = "undercroft.commands"

_INFO_SUFFIXES = (".dist-info", ".egg-info")


@dataclass(frozen=True, slots=True)
class EntryPoint:
    """One line of a distribution's entry_points.txt: `name = module:attribute` under `[group]`."""

    group: str
    name: str
    module: str
    attribute: str = ""
    distribution: str = ""
    version: str = ""

    @property
    def value(self) -> str:
        """The right-hand side, as it is written."""
        return f"{self.module}:{self.attribute}" if self.attribute else self.module

    def load(self) -> object:
        """Import the module and return the attribute, or the module itself where none is named."""
        found: object = import_module(self.module)
        for part in filter(None, self.attribute.split(".")):
            found = getattr(found, part)
        return found


@dataclass(frozen=True, slots=True)
class Distribution:
    """An installed distribution. `name` is normalised; `info` is its metadata folder, where it has one on disk."""

    name: str
    version: str = ""
    entry_points: tuple[EntryPoint, ...] = ()
    info: Path | None = None
    stated: tuple[str, ...] = ()

    def requires(self) -> Sequence[str]:
        """What it requires, each as a line of `Requires-Dist`; read from its metadata at each call."""
        if self.info is None:
            return self.stated
        if self.info.suffix == ".egg-info":
            return _egg_requires(_read(self.info / "requires.txt"))
        return [value for key, value in _headers(self.info) if key == "requires-dist"]


@dataclass(frozen=True, slots=True)
class Installed:
    """The distributions of one environment, by normalised name; the first on the path wins."""

    distributions: tuple[Distribution, ...]

    @classmethod
    def scan(cls, path: Iterable[str] | None = None) -> Installed:
        """Read the metadata folders in the folders of `path` (default: `sys.path`)."""
        found: dict[str, Distribution] = {}
        for folder in sys.path if path is None else path:
            for info in _info_folders(folder or "."):
                name, version = _name_and_version(info)
                if name not in found:
                    found[name] = _distribution(name, version, info)
        return cls(tuple(found[name] for name in sorted(found)))

    def entry_points(self, group: str) -> Sequence[EntryPoint]:
        """Those of one group, sorted by name and then by distribution."""
        points = (point for each in self.distributions for point in each.entry_points if point.group == group)
        return sorted(points, key=lambda point: (point.name, point.distribution))

    def find(self, name: str) -> Distribution | None:
        """The distribution of that name, however it is spelt."""
        wanted = normalise(name)
        return next((each for each in self.distributions if each.name == wanted), None)

    def requires(self, name: str) -> Sequence[str]:
        """What a distribution requires; nothing if there is no such distribution."""
        found = self.find(name)
        return found.requires() if found else ()

    def version(self, name: str) -> str | None:
        """A distribution's version, or None if it is not installed."""
        found = self.find(name)
        return found.version if found else None


def normalise(name: str) -> str:
    """A distribution's name as packaging tools compare it: lower case, with single dashes."""
    return "-".join(filter(None, name.lower().replace("_", "-").replace(".", "-").split("-")))


def _info_folders(folder: str) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if entry.name.endswith(_INFO_SUFFIXES))
    except OSError:
        return
    for name in names:
        yield Path(folder, name)


def _name_and_version(info: Path) -> tuple[str, str]:
    # The names of these folders are escaped: the first dash ends the distribution's name.
    name, _, rest = info.stem.partition("-")
    if info.suffix == ".egg-info":
        rest = rest.partition("-py")[0]
    return normalise(name), rest


def _distribution(name: str, version: str, info: Path) -> Distribution:
    version = version or next((value for key, value in _headers(info) if key == "version"), "")
    text = _read(info / "entry_points.txt")
    return Distribution(name, version, tuple(_entry_points(text, name, version)), info)


def _entry_points(text: str, distribution: str, version: str) -> Iterator[EntryPoint]:
    group = ""
    for line in map(str.strip, text.splitlines()):
        if not line or line.startswith(("#", ";")):
            continue
        if line.startswith("[") and line.endswith("]"):
            group = line[1:-1].strip()
            continue
        name, equals, value = (part.strip() for part in line.partition("="))
        module, _, attribute = value.partition("[")[0].partition(":")
        if equals and module.strip():
            yield EntryPoint(group, name, module.strip(), attribute.strip(), distribution, version)


def _headers(info: Path) -> Iterator[tuple[str, str]]:
    text = _read(info / "METADATA") or _read(info / "PKG-INFO")
    for line in text.splitlines():
        if not line.strip():
            return
        key, colon, value = line.partition(":")
        if colon and not line[0].isspace():
            yield key.strip().lower(), value.strip()


def _egg_requires(text: str) -> Sequence[str]:
    """The unconditional part of a requires.txt: what stands before its first section."""
    lines = [line.strip() for line in text.partition("[")[0].splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
