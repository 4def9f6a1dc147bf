"""Read `storage` of metadata.yaml."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Literal

from undercroft_hookspecs.charm import StorageSpec
from undercroft_model.charms import names
from undercroft_model.charms.document import Entry, optional_boolean, optional_text

if TYPE_CHECKING:
    from collections.abc import Mapping

JUJU_FOLDER = "/var/lib/juju/storage"
"""Where storage goes that has no location of its own; so nobody may ask for a place in it."""

Kind = Literal["filesystem", "block"]
KINDS: tuple[Kind, ...] = ("filesystem", "block")

_RANGE = re.compile(r"([0-9]+)(?:([-+])|-([0-9]+))?")
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)([MGTPEZY]?)(?:B|iB)?")
_MULTIPLES = "MGTPEZY"


def read_storage(entry: Entry) -> dict[str, StorageSpec]:
    """The stores that the charm asks for.

    Raises:
        CharmFileError: one of them is not right.
    """
    found: dict[str, StorageSpec] = {}
    for name, store in entry.mapping().items():
        names.check(store, name, names.STORAGE, "a storage")
        found[name] = _store(store)
    return found


def _store(entry: Entry) -> StorageSpec:
    keys = entry.mapping()
    if "type" not in keys:
        raise entry.error("`type`: 'filesystem' or 'block'")
    kind: Kind = keys["type"].one_of(KINDS)
    minimum, maximum = _counts(keys)
    properties = keys["properties"].items() if "properties" in keys else ()
    return StorageSpec(
        type=kind,
        description=optional_text(keys, "description"),
        shared=optional_boolean(keys, "shared"),
        read_only=optional_boolean(keys, "read-only"),
        minimum=minimum,
        maximum=maximum,
        minimum_size_mib=_size(keys["minimum-size"]) if "minimum-size" in keys else 0,
        location=_location(keys, kind),
        properties=tuple(item.one_of(("transient",)) for item in properties),
    )


def _counts(keys: Mapping[str, Entry]) -> tuple[int, int | None]:
    """The least and the greatest number: `multiple: {range: ...}` is `2`, `1-3`, `0-` or `0+`; without it, just one."""
    if "multiple" not in keys or keys["multiple"].is_null:
        return 1, 1
    entry = keys["multiple"].mapping().get("range")
    if entry is None:
        return 1, 1
    match = _RANGE.fullmatch(entry.text())
    if match is None:
        raise entry.error("a range like 2, 1-3, 0- or 0+")
    minimum, is_open, last = int(match[1]), match[2], match[3]
    if is_open:
        return minimum, None
    maximum = minimum if last is None else int(last)
    if maximum == 0 or maximum < minimum:
        raise entry.error("a range whose end is at least 1 and not below its beginning")
    return minimum, maximum


def _size(entry: Entry) -> int:
    """A size in MiB: a number of them, or one with M, G, T, P, E, Z or Y behind it. Rounded up."""
    match = _SIZE.fullmatch(entry.text())
    if match is None:
        raise entry.error("a size like 512M or 10G")
    multiple: int = 1024 ** _MULTIPLES.index(match[2] or "M")
    return math.ceil(float(match[1]) * multiple)


def _location(keys: Mapping[str, Entry], kind: str) -> str:
    """Where a filesystem is to be mounted, in its simplest form."""
    location = optional_text(keys, "location")
    if not location:
        return ""
    if kind != "filesystem":
        raise keys["location"].error(f"no location for a store of type {kind!r}")
    if not location.startswith("/") or ".." in location.split("/") or "\0" in location:
        raise keys["location"].error("an absolute path without '..'")
    clean = "/" + "/".join(part for part in location.split("/") if part not in {"", "."})
    if clean == "/" or clean == JUJU_FOLDER or clean.startswith(JUJU_FOLDER + "/"):
        raise keys["location"].error(f"a folder of its own, outside {JUJU_FOLDER}")
    return clean
