"""What this host lacks for the senders of its config."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from undercroft_metrics.senders import LibraryMissingError
from undercroft_metrics.senders.config import HttpConfig, OtlpConfig, RemoteWriteConfig, TextfileConfig

if TYPE_CHECKING:
    from undercroft_metrics.senders.config import SenderConfig

_LIBRARIES = {
    HttpConfig: ("http", ("aiohttp",)),
    OtlpConfig: ("otlp", ("aiohttp", "opentelemetry.proto", "google.protobuf")),
    RemoteWriteConfig: ("remote-write", ("aiohttp", "cramjam")),
    TextfileConfig: ("prometheus", ("prometheus_client",)),
}


def missing(senders: Mapping[str, SenderConfig]) -> Sequence[str]:
    """One sentence for each thing that is missing, with its remedy."""
    return [sentence for name, config in sorted(senders.items()) for sentence in _missing(name, config)]


def _missing(name: str, config: SenderConfig) -> Iterator[str]:
    extra, libraries = _LIBRARIES.get(type(config), ("", ()))
    yield from (str(LibraryMissingError(name, extra, library)) for library in libraries if not _is_there(library))
    for key in ("token_file", "ca_file"):
        if (path := getattr(config, key, "")) and not Path(path).is_file():
            yield f"the metric sender {name!r} has {path} as its {key}, which is no file: make it, or name another"


def _is_there(library: str) -> bool:
    try:
        return find_spec(library) is not None
    except ModuleNotFoundError:  # What it lies in is missing.
        return False
