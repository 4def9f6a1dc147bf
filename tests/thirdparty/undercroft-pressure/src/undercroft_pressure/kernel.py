"""Read what the kernel measured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def read(folder: Path) -> Mapping[str, float]:
    """The percentage of the last ten seconds in which some work waited for each resource; {} without such a kernel."""
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    return {file.name: parse(file.read_text())["some"] for file in files if file.is_file()}


def parse(text: str) -> Mapping[str, float]:
    """The averages over ten seconds in one file: `some` of the work waited, or (not for every resource) `full`, all."""
    averages = {}
    for line in text.splitlines():
        kind, *fields = line.split()
        averages[kind] = float(dict(field.split("=") for field in fields)["avg10"])
    return {"some": 0.0, **averages}
