"""What commands are for, in a few words, read from their source: a list of them imports nothing of others."""

from __future__ import annotations

from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from undercroft.plugins.discovery import EntryPoint

_QUOTES = '"""'


def summaries(points: Collection[EntryPoint]) -> Mapping[str, str]:
    """The first sentence of each command's docstring, by the command's name.

    Those are left out that are not a function, have no docstring, or whose source cannot be read: a list of commands
    has no room for errors.
    """
    places = {top: _place(top) for top in {point.module.partition(".")[0] for point in points}}
    sources = {module: _source(module, places) for module in {point.module for point in points}}
    found = {point.name: _first_sentence(_docstring(sources[point.module], point.attribute)) for point in points}
    return {name: summary for name, summary in found.items() if summary}


def _place(top: str) -> Path | None:
    """The file of a top-level module; to ask for one below it would import what it is in."""
    try:
        spec = find_spec(top)
    except (ImportError, ValueError):
        return None
    return Path(spec.origin) if spec is not None and spec.origin is not None else None


def _source(module: str, places: Mapping[str, Path | None]) -> str:
    top, *rest = module.split(".")
    place = places[top]
    if place is None:
        return ""
    below = place.parent.joinpath(*rest)
    for file in (below.with_suffix(".py"), below / "__init__.py") if rest else (place,):
        with suppress(OSError, UnicodeDecodeError):
            return file.read_text(encoding="utf-8")
    return ""


def _docstring(source: str, function: str) -> str:
    _, _, text = source.partition(f"\ndef {function}(")
    text = text.partition("\ndef ")[0]
    return text.partition(_QUOTES)[2].partition(_QUOTES)[0]


def _first_sentence(text: str) -> str:
    paragraph = " ".join(text.strip().partition("\n\n")[0].split())
    return paragraph.partition(". ")[0].removesuffix(".")
