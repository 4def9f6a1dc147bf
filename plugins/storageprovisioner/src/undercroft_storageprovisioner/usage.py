"""How full the filesystems are that are mounted here: looked at now and then, for the model and as metrics.

Nobody tells when a filesystem has become fuller, so this is one of the few things that are asked for by the clock.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from undercroft_hookspecs import FilesystemId, Usage
from undercroft_hookspecs.storage import Measures
from undercroft_storageprovisioner.threads import in_thread

if TYPE_CHECKING:
    from collections.abc import Mapping

    from undercroft_hookspecs import Meter
    from undercroft_hookspecs.storage_state import Filesystem
    from undercroft_storageprovisioner.sources import Sources
    from undercroft_storageprovisioner.threads import Hangs

LABELS = ("model", "storage", "filesystem")


class Gauges:
    """The metrics of all models' filesystems."""

    def __init__(self, meter: Meter) -> None:
        self._gauges = {
            "size_bytes": meter.gauge("filesystem_size_bytes", "Size of a filesystem.", LABELS),
            "used_bytes": meter.gauge("filesystem_used_bytes", "How much of a filesystem is used.", LABELS),
            "inodes": meter.gauge("filesystem_inodes", "Inodes that a filesystem has; 0: no limit.", LABELS),
            "inodes_used": meter.gauge("filesystem_inodes_used", "Inodes of a filesystem that are used.", LABELS),
        }
        self._models: dict[str, dict[tuple[str, ...], Usage]] = {}

    def show(self, model: str, usage: Mapping[tuple[str, str], Usage]) -> None:
        """Show a model's filesystems, each by its storage and its id, and forget others of that model."""
        self._models[model] = {(model, *names): found for names, found in usage.items()}
        shown = {labels: found for each in self._models.values() for labels, found in each.items()}
        for field, gauge in self._gauges.items():
            gauge.replace({labels: getattr(found, field) for labels, found in shown.items()})


async def measure(
    places: Mapping[str, str], wanted: Mapping[str, Filesystem], sources: Sources, hangs: Hangs
) -> dict[str, Usage]:
    """How full filesystems are, by id; `places` has where each is. One that cannot be looked at is left out."""
    found = {}
    for name, place in places.items():
        filesystem = wanted.get(name)
        source: object = sources.of_filesystem(filesystem) if filesystem is not None and not filesystem.volume else None
        with contextlib.suppress(OSError), hangs.about(("usage", place)):
            told = await in_thread(_look, place)
            better = await source.usage(FilesystemId.parse(name)) if isinstance(source, Measures) else None
            found[name] = better or told
    return found


def _look(place: str) -> Usage:
    told = os.statvfs(place)
    return Usage(
        size_bytes=told.f_blocks * told.f_frsize,
        used_bytes=(told.f_blocks - told.f_bfree) * told.f_frsize,
        inodes=told.f_files,
        inodes_used=told.f_files - told.f_ffree,
    )
