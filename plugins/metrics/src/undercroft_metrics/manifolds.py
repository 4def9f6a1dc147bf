"""The manifolds of one unit, and of the agent. What they run is imported when it starts, in a thread."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING

from undercroft import fortress
from undercroft.files import in_thread
from undercroft_hookspecs import CharmFacade, HookRunner, Manifold, MetricSender
from undercroft_hookspecs.unit_facades import MeterStatusFacade, UnitFacade
from undercroft_metrics.leftovers import MetricLeftovers
from undercroft_metrics.places import spool_of
from undercroft_metrics.seams import SpoolReader, SpoolWriter
from undercroft_metrics.senders.config import NAME

if TYPE_CHECKING:
    from undercroft_hookspecs import Agent, Context, UnitAgent, Worker
    from undercroft_metrics.plugin import Config

_log = logging.getLogger(__name__)


def unit_manifolds(unit: UnitAgent, config: Config) -> Mapping[str, Manifold]:
    """`metric-spool`, `metric-collect` and `metric-sender` of a unit."""

    async def spool(_: Context) -> Worker:
        await in_thread(import_module, "undercroft_metrics.spool.worker")
        from undercroft_metrics.spool.worker import start_spool  # noqa: PLC0415

        return await start_spool(unit, config.spool, sorted(_senders(unit)), spool_of(unit.unit_dir))

    async def collect(context: Context) -> Worker:
        await in_thread(import_module, "undercroft_metrics.collect.worker")
        from undercroft_metrics.collect.worker import MetricCollect  # noqa: PLC0415

        return MetricCollect(
            unit,
            config,
            spool=context.get("metric-spool", SpoolWriter),
            guest=context.get("charm-dir", fortress.Guest),
            hooks=context.get("hook-runner", HookRunner),
            charms=context.get("model", CharmFacade),
            units=context.get("model", UnitFacade),
        )

    async def sender(context: Context) -> Worker:
        await in_thread(import_module, "undercroft_metrics.sending.worker")
        from undercroft_metrics.sending.worker import MetricSending  # noqa: PLC0415

        spool, meter = context.get("metric-spool", SpoolReader), context.get("model", MeterStatusFacade)
        return MetricSending(unit, spool=spool, senders=_senders(unit), meter=meter)

    inputs = ("metric-spool", "charm-dir", "hook-runner", "model")
    return {
        "metric-spool": Manifold(start=spool, output=_spool_output),
        "metric-collect": Manifold(start=collect, inputs=inputs),
        "metric-sender": Manifold(
            start=sender,
            inputs=("metric-spool", "model"),
            output=_sending_output,
        ),
    }


def manifolds(agent: Agent, config: Config) -> Mapping[str, Manifold]:
    """`metric-leftovers`, for all units that were on this machine."""

    def leftovers(_: Context) -> Worker:
        return MetricLeftovers(agent, config.spool, _senders(agent))

    return {"metric-leftovers": Manifold(start=leftovers)}


def _spool_output(worker: Worker, kind: type) -> object:
    from undercroft_metrics.spool.worker import spool_output  # noqa: PLC0415

    return spool_output(worker, kind)


def _sending_output(worker: Worker, kind: type) -> object:
    from undercroft_metrics.sending.worker import sending_output  # noqa: PLC0415

    return sending_output(worker, kind)


def _senders(unit: Agent) -> Mapping[str, MetricSender]:
    """All senders of all plugins, by name; one whose name cannot be a folder's keeps only itself from being used."""
    senders: dict[str, MetricSender] = {}
    for plugin, found in unit.collect("undercroft_metric_senders"):
        for name, sender in found.items() if isinstance(found, Mapping) else ():
            if re.match(NAME, name):
                senders[name] = sender
            else:
                _log.error("plugin %s has a metric sender with the name %r, which no sender can have", plugin, name)
    return senders
