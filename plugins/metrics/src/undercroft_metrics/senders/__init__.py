"""The destinations that this plugin can send to: each kind is imported when one is configured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import asynccontextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from undercroft.files import in_thread
from undercroft_hookspecs import MetricSender
from undercroft_hookspecs.errors import UndercroftError
from undercroft_metrics.senders.config import (
    FileConfig,
    HttpConfig,
    MeterConfig,
    OtlpConfig,
    RemoteWriteConfig,
    StoreConfig,
    TextfileConfig,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from undercroft_hookspecs import Agent, MetricDelivery, MetricSenderOpener
    from undercroft_metrics.senders.config import SenderConfig

# Any: each takes the struct of its own kind.
Opener: TypeAlias = Callable[["Agent", str, Any], "MetricSenderOpener"]

_KINDS: Mapping[type[msgspec.Struct], tuple[str, str]] = {
    StoreConfig: ("embedded", ""),
    HttpConfig: ("http_json", "http"),
    OtlpConfig: ("otlp", "otlp"),
    RemoteWriteConfig: ("remote_write", "remote-write"),
    TextfileConfig: ("textfile", "prometheus"),
    MeterConfig: ("meter", ""),
    FileConfig: ("ndjson", ""),
}
"""By kind of sender, the module that has its `opener`, and the extra with the libraries that it needs."""


class LibraryMissingError(UndercroftError):
    """A sender is configured whose library is not installed."""

    def __init__(self, sender: str, extra: str, library: str) -> None:
        super().__init__(
            f"the metric sender {sender!r} needs {library}, which is not installed: "
            f"pip install 'undercroft-metrics[{extra}]', or take [plugins.metrics.senders.{sender}] out of the config"
        )
        self.sender = sender
        self.extra = extra
        self.library = library

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.sender, self.extra, self.library))


def configured(agent: Agent, senders: Mapping[str, SenderConfig]) -> Mapping[str, MetricSender]:
    """The senders of the config, by name.

    What they need is imported when they are opened, in a thread. One whose library is missing says so then: the others
    send meanwhile, and what is for it waits in the spool.
    """
    return {name: _sender(agent, name, config) for name, config in senders.items()}


def _sender(agent: Agent, name: str, config: SenderConfig) -> MetricSender:
    @asynccontextmanager
    async def open_sender(model: str, unit: str, /) -> AsyncIterator[MetricDelivery]:
        module, extra = _KINDS[type(config)]
        find = await in_thread(_imported, f"{__name__}.{module}", name, extra)
        async with find(agent, name, config)(model, unit) as delivery:
            yield delivery

    if isinstance(config, HttpConfig | OtlpConfig | RemoteWriteConfig):
        # The library's own timeout comes first; this one is for a body that takes long to make.
        patience = config.connect_seconds + config.total_seconds + 30.0
        return MetricSender(
            open=open_sender, max_batches=config.max_batches, max_bytes=config.max_bytes, timeout=patience
        )
    return MetricSender(open=open_sender, keeps_history=not isinstance(config, TextfileConfig | MeterConfig))


def _imported(module: str, sender: str, extra: str) -> Opener:
    try:
        found: Opener = import_module(module).opener
    except ModuleNotFoundError as missing:
        library = (missing.name or "a library").partition(".")[0]
        if not extra or library.startswith("undercroft"):
            raise
        raise LibraryMissingError(sender, extra, library) from missing
    return found
