"""Read what charmcraft.yaml says of building, and make of it the files that a built charm has."""

from __future__ import annotations

import platform
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml

from undercroft_model.charms.bases import read_bases
from undercroft_model.charms.document import Entry, optional_text, read
from undercroft_model.charms.parse import ACTIONS, CHARMCRAFT, CONFIG, MANIFEST, METADATA

if TYPE_CHECKING:
    from collections.abc import Mapping

PYTHON_PLUGINS = ("charm", "uv", "poetry", "python")

_METADATA_KEYS = (
    *("name", "summary", "description", "assumes", "charm-user", "containers", "devices", "extra-bindings", "payloads"),
    *("peers", "provides", "requires", "resources", "storage", "subordinate", "terms", "tags", "min-juju-version"),
    *("display-name", "maintainers", "docs", "issues", "source", "website"),
)
_LINKS = {
    "contact": "maintainers",
    "documentation": "docs",
    "issues": "issues",
    "source": "source",
    "website": "website",
}
_LISTS = frozenset({"maintainers"})
_UNSAFE = re.compile(r"[^A-Za-z0-9@.+_-]")
"""What a file's name is not to have in it."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part: its plugin (by default its name says which), and the rest of its keys."""

    name: str
    plugin: str
    keys: Mapping[str, Entry]

    def texts(self, key: str) -> tuple[str, ...]:
        """The list of texts at a key; empty if there is none."""
        return self.keys[key].texts() if key in self.keys else ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Library:
    """A charm library: `lib/charms/<package>/v<api>/<name>.py`."""

    package: str
    name: str
    api: str

    @property
    def path(self) -> str:
        """Where it is, within the folder `lib`."""
        return f"charms/{self.package}/v{self.api}/{self.name}.py"


@dataclass(frozen=True, slots=True, kw_only=True)
class Craft:
    """A charmcraft.yaml. `kind` is its `type`."""

    kind: str = "charm"
    parts: tuple[Part, ...] = ()
    extensions: tuple[str, ...] = ()
    libraries: tuple[Library, ...] = ()
    label: str = ""
    """What charmcraft would put behind the name of the archive that it builds on this machine."""
    files: Mapping[str, bytes]
    """What it says that other files say in a built charm: metadata.yaml and so on."""


def read_craft(data: bytes, file: str = CHARMCRAFT) -> Craft:
    """Read a charmcraft.yaml; `file` is its name in messages.

    Raises:
        CharmFileError: something is not right.
    """
    root = read(data, file)
    keys = root.mapping()
    parts = keys["parts"].mapping() if "parts" in keys else {}
    return Craft(
        kind=optional_text(keys, "type", "charm"),
        parts=tuple(_part(name, entry) for name, entry in parts.items()),
        extensions=keys["extensions"].texts() if "extensions" in keys else (),
        libraries=tuple(_library(item) for item in keys["charm-libs"].items()) if "charm-libs" in keys else (),
        label=_UNSAFE.sub("-", _label(keys, _architecture())),
        files=_files(keys),
    )


def _part(name: str, entry: Entry) -> Part:
    keys = entry.mapping()
    return Part(name, optional_text(keys, "plugin", name), keys)


def _library(entry: Entry) -> Library:
    keys = entry.mapping()
    if "lib" not in keys or "version" not in keys:
        raise entry.error("`lib` and `version`")
    charm, dot, name = keys["lib"].text().partition(".")
    package = charm.replace("-", "_")
    if not dot or not package.isidentifier() or not name.isidentifier():
        raise keys["lib"].error("a library like postgresql_k8s.postgres_client")
    api = keys["version"].text().partition(".")[0]
    if not api.isdigit():
        raise keys["version"].error("a version like 1 or 0.12")
    return Library(package=package, name=name, api=api)


def _files(keys: Mapping[str, Entry]) -> dict[str, bytes]:
    files: dict[str, dict[str, object]] = {MANIFEST: _manifest(keys)}
    if "name" in keys:
        files[METADATA] = _metadata(keys)
    for file, key in ((CONFIG, "config"), (ACTIONS, "actions")):
        if key in keys and not keys[key].is_null:
            files[file] = {name: entry.plain() for name, entry in keys[key].mapping().items()}
    return {name: yaml.safe_dump(content, sort_keys=False).encode() for name, content in files.items()}


def _metadata(keys: Mapping[str, Entry]) -> dict[str, object]:
    found: dict[str, object] = {key: keys[key].plain() for key in _METADATA_KEYS if key in keys}
    if title := optional_text(keys, "title"):
        found["display-name"] = title
    for name, entry in (keys["links"].mapping() if "links" in keys else {}).items():
        if name in _LINKS:
            value = entry.plain()
            found[_LINKS[name]] = [value] if _LINKS[name] in _LISTS and isinstance(value, str) else value
    return found


def _manifest(keys: Mapping[str, Entry]) -> dict[str, object]:
    """What the charm is for. There is no time in it: the same source makes the same charm."""
    bases, architectures = read_bases(keys)
    entries = []
    for base in bases:
        name, _, channel = base.partition("@")
        entry: dict[str, object] = {"name": name, "channel": channel}
        entries.append(entry | {"architectures": list(architectures)} if architectures else entry)
    return {"bases": entries}


def _label(keys: Mapping[str, Entry], architecture: str) -> str:
    """The platform, or the bases, that an archive is named after."""
    if "platforms" in keys:
        names = list(keys["platforms"].mapping())
        ours = (name for name in names if name == architecture or name.endswith(f":{architecture}"))
        return next(ours, names[0] if names else "")
    if "bases" not in keys:
        return ""
    first = keys["bases"].items()[:1]
    runs = [item.mapping().get("run-on") or item for item in first]
    bases = [base.mapping() for run in runs for base in (run.items() if run.is_list else (run,))]
    labels = [
        "-".join([optional_text(base, "name"), optional_text(base, "channel"), *_architectures(base, architecture)])
        for base in bases
    ]
    return "_".join(labels)


def _architectures(base: Mapping[str, Entry], default: str) -> tuple[str, ...]:
    return base["architectures"].texts() if "architectures" in base else (default,)


def _architecture() -> str:
    """This machine's architecture, as Debian calls it."""
    machine = platform.machine()
    return {"x86_64": "amd64", "aarch64": "arm64", "ppc64le": "ppc64el"}.get(machine, machine)
