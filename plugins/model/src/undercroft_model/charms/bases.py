"""Read what a charm is for: manifest.yaml, `bases`, `base` and `platforms` of charmcraft.yaml, and the old `series`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from undercroft_model.charms.document import optional_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from undercroft_model.charms.document import Entry

_SERIES = (
    ("precise", "ubuntu@12.04"),
    ("trusty", "ubuntu@14.04"),
    ("xenial", "ubuntu@16.04"),
    ("bionic", "ubuntu@18.04"),
    ("focal", "ubuntu@20.04"),
    ("jammy", "ubuntu@22.04"),
    ("noble", "ubuntu@24.04"),
    ("centos7", "centos@7"),
    ("centos8", "centos@8"),
    ("centos9", "centos@9"),
)


class Bases(NamedTuple):
    """Bases like `ubuntu@22.04`, and architectures; none at all: any."""

    bases: tuple[str, ...] = ()
    architectures: tuple[str, ...] = ()


def read_manifest(root: Entry) -> Bases:
    """The bases in a manifest.yaml.

    Raises:
        CharmFileError: one of them is not right.
    """
    keys = root.mapping()
    return _collected(keys["bases"].items() if "bases" in keys else ())


def read_bases(keys: Mapping[str, Entry]) -> Bases:
    """The bases in a charmcraft.yaml.

    Raises:
        CharmFileError: one of them is not right.
    """
    if "bases" in keys:
        runs = [item.mapping().get("run-on") or item for item in keys["bases"].items()]
        return _collected(base for run in runs for base in (run.items() if run.is_list else (run,)))
    platforms = keys["platforms"].mapping() if "platforms" in keys else {}
    # A platform's name is `ubuntu@24.04:amd64`, or the architecture alone where `base` says the rest.
    parts = [name.rpartition(":") for name in platforms]
    base = optional_text(keys, "base")
    bases = dict.fromkeys(([base] if base else []) + [before for before, _, _ in parts if "@" in before])
    return Bases(tuple(bases), tuple(dict.fromkeys(after for _, _, after in parts if "@" not in after)))


def bases_of_series(series: Iterable[str]) -> tuple[str, ...]:
    """The bases of the series that are known."""
    known = dict(_SERIES)
    return tuple(dict.fromkeys(known[name] for name in series if name in known))


def _collected(entries: Iterable[Entry]) -> Bases:
    bases: dict[str, None] = {}
    architectures: dict[str, None] = {}
    for entry in entries:
        keys = entry.mapping()
        if "name" not in keys or "channel" not in keys:
            raise entry.error("`name` and `channel`")
        version = keys["channel"].text().partition("/")[0]
        bases[f"{keys['name'].text()}@{version}"] = None
        if "architectures" in keys:
            architectures |= dict.fromkeys(keys["architectures"].texts())
    return Bases(tuple(bases), tuple(architectures))
