"""The sender that stands for one whose library is missing."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from undercroft_hookspecs import MetricSender

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from undercroft_hookspecs import MetricDelivery
    from undercroft_metrics.senders import LibraryMissingError


def absent(error: LibraryMissingError) -> MetricSender:
    """A sender that cannot be opened, and says why."""

    @asynccontextmanager
    async def open_sender(_model: str, _unit: str, /) -> AsyncIterator[MetricDelivery]:
        raise error
        yield  # Makes it a generator.

    return MetricSender(open=open_sender)
