"""The manifolds of one unit."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from undercroft import fortress
from undercroft_hookspecs import CharmFacade, HookRunner, Manifold, MetricSender
from undercroft_hookspecs.unit_facades import MeterStatusFacade, UnitFacade
from undercroft_metrics.collect.worker import MetricCollect
from undercroft_metrics.seams import SpoolReader, SpoolWriter
from undercroft_metrics.senders.config import NAME
from undercroft_metrics.sending.worker import MetricSending, sending_output
from undercroft_metrics.spool.worker import spool_output, start_spool

if TYPE_CHECKING:
    from undercroft_hookspecs import Context, UnitAgent, Worker
    from undercroft_metrics.plugin import Config

_log = logging.getLogger(__name__)


def unit_manifolds(unit: UnitAgent, config: Config) -> Mapping[str, Manifold]:
    """`metric-spool`, `metric-collect` and `metric-sender` of a unit."""

    async def spool(_: Context) -> Worker:
        return await start_spool(unit, config.spool, sorted(_senders(unit)))

    def collect(context: Context) -> Worker:
        return MetricCollect(
            unit,
            config,
            spool=context.get("metric-spool", SpoolWriter),
            guest=context.get("charm-dir", fortress.Guest),
            hooks=context.get("hook-runner", HookRunner),
            charms=context.get("model", CharmFacade),
            units=context.get("model", UnitFacade),
        )

    def sender(context: Context) -> Worker:
        spool = context.get("metric-spool", SpoolReader)
        return MetricSending(unit, spool=spool, senders=_senders(unit), meter=context.get("model", MeterStatusFacade))

    inputs = ("metric-spool", "charm-dir", "hook-runner", "model")
    return {
        "metric-spool": Manifold(start=spool, output=spool_output),
        "metric-collect": Manifold(start=collect, inputs=inputs),
        "metric-sender": Manifold(start=sender, inputs=("metric-spool", "model"), output=sending_output),
    }


def _senders(unit: UnitAgent) -> Mapping[str, MetricSender]:
    """All senders of all plugins, by name; one whose name cannot be a folder's keeps only itself from being used."""
    senders: dict[str, MetricSender] = {}
    for plugin, found in unit.collect("undercroft_metric_senders"):
        for name, sender in found.items() if isinstance(found, Mapping) else ():
            if re.match(NAME, name):
                senders[name] = sender
            else:
                _log.error("plugin %s has a metric sender with the name %r, which no sender can have", plugin, name)
    return senders
