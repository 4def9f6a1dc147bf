"""The plugin `metrics`: its config, its workers in each unit, the tool `add-metric`, and the senders of its config."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import msgspec

from undercroft_hookspecs import Agent, HookTool, Manifold, MetricSender, UnitAgent, hookimpl
from undercroft_metrics.senders.config import STORE, SenderConfig, SenderName
from undercroft_metrics.spool.limits import Limits


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section `[plugins.metrics]`."""

    period_seconds: Annotated[float, msgspec.Meta(gt=0)] = 300.0
    """The pause between two collections of a unit."""
    jitter: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.2
    """By which part of it a pause may be shorter or longer."""
    hook_timeout_seconds: Annotated[float, msgspec.Meta(gt=0)] = 60.0
    """For how long collect-metrics may run, and never for longer than a period."""
    on_failure: Literal["publish", "discard"] = "publish"
    """What becomes of metrics whose hook failed, or was killed."""
    max_samples: Annotated[int, msgspec.Meta(ge=1)] = 10_000
    """The most samples of one batch; a collection that has more is split."""
    max_series: Annotated[int, msgspec.Meta(ge=1)] = 1000
    """The most sets of labels that one metric may have within a day."""
    spool: Limits = Limits()
    senders: Mapping[SenderName, SenderConfig] = msgspec.field(default_factory=lambda: dict(STORE))
    """Where batches are sent to, by name."""


@hookimpl
def undercroft_config() -> type[msgspec.Struct]:
    """The struct of this plugin's section."""
    return Config


@hookimpl
def undercroft_manifolds(agent: Agent) -> Mapping[str, Manifold]:
    """The worker `metric-leftovers`."""
    from undercroft_metrics.manifolds import manifolds  # noqa: PLC0415

    return manifolds(agent, agent.config(Config))


@hookimpl
def undercroft_unit_manifolds(unit: UnitAgent) -> Mapping[str, Manifold]:
    """The workers `metric-spool`, `metric-collect` and `metric-sender` of one unit."""
    # Late, as all of these: other commands should not pay for it.
    from undercroft_metrics.manifolds import unit_manifolds  # noqa: PLC0415

    return unit_manifolds(unit, unit.config(Config))


@hookimpl
def undercroft_hook_tools(unit: UnitAgent) -> Mapping[str, HookTool]:
    """`add-metric`, which has an effect."""
    from undercroft_metrics.collect.recording import FILE  # noqa: PLC0415
    from undercroft_metrics.tool import AddMetric  # noqa: PLC0415

    tool = AddMetric(unit.data_dir / FILE, unit.clock)
    return {tool.name: tool}


@hookimpl
def undercroft_metric_senders(agent: Agent) -> Mapping[str, MetricSender]:
    """The senders of the config."""
    from undercroft_metrics.senders import configured  # noqa: PLC0415

    return configured(agent, agent.config(Config).senders)


@hookimpl
def undercroft_check(agent: Agent) -> Sequence[str]:
    """What this host lacks for the senders of its config, and the remedy."""
    from undercroft_metrics.senders.check import missing  # noqa: PLC0415

    return missing(agent.config(Config).senders)
