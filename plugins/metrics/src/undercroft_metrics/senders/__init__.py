"""The destinations that this plugin can send to: each kind is imported when one is configured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from undercroft_hookspecs.errors import UndercroftError

if TYPE_CHECKING:
    from undercroft_hookspecs import Agent, MetricSender
    from undercroft_metrics.senders.config import SenderConfig

# Any: each maker takes the struct of its own kind.
Maker = Callable[["Agent", str, Any], "MetricSender"]

_MAKERS: Mapping[str, tuple[str, str]] = {
    "StoreConfig": ("undercroft_metrics.senders.embedded", ""),
    "HttpConfig": ("undercroft_metrics.senders.http_json", "http"),
    "OtlpConfig": ("undercroft_metrics.senders.otlp", "otlp"),
    "RemoteWriteConfig": ("undercroft_metrics.senders.remote_write", "remote-write"),
    "TextfileConfig": ("undercroft_metrics.senders.textfile", "prometheus"),
    "MeterConfig": ("undercroft_metrics.senders.meter", ""),
    "FileConfig": ("undercroft_metrics.senders.ndjson", ""),
}


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

    One whose library is missing is there, too, and says so whenever it is opened: the others send meanwhile, and what
    is for it waits in the spool.
    """
    return {name: _made(agent, name, config) for name, config in senders.items()}


def _made(agent: Agent, name: str, config: SenderConfig) -> MetricSender:
    module, extra = _MAKERS[type(config).__name__]
    try:
        make: Maker = import_module(module).make
    except ModuleNotFoundError as missing:
        if not extra or (missing.name or "").startswith("undercroft"):
            raise
        # Late: what needs no such sender does not pay for it.
        from undercroft_metrics.senders.absent import absent  # noqa: PLC0415

        return absent(LibraryMissingError(name, extra, (missing.name or "a library").partition(".")[0]))
    return make(agent, name, config)
