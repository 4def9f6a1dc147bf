"""The plugin `meterstatus`: its config, and the workers `meter-status` and `meter-status-senders` of each unit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import msgspec

from undercroft import fortress
from undercroft_hookspecs import Context, HookRunner, Manifold, MeterSources, SenderHealths, UnitAgent, Worker, hookimpl
from undercroft_hookspecs.unit_facades import ConnectionFacade, MeterFacade


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section `[plugins.meterstatus]`."""

    amber_seconds: Annotated[float, msgspec.Meta(gt=0)] = 300.0
    """After how long a unit that cannot reach the store is AMBER."""
    red_seconds: Annotated[float, msgspec.Meta(gt=0)] = 900.0
    """After how long it is RED."""
    hook_timeout_seconds: Annotated[float, msgspec.Meta(gt=0)] = 60.0
    """For how long the hook may run."""

    def __post_init__(self) -> None:
        """Refuse what would never be amber."""
        if self.amber_seconds >= self.red_seconds:
            raise ValueError(
                f"amber_seconds ({self.amber_seconds:g}) must be less than red_seconds ({self.red_seconds:g})"
            )


@hookimpl
def undercroft_config() -> type[msgspec.Struct]:
    """The struct of this plugin's section."""
    return Config


@hookimpl
def undercroft_unit_manifolds(unit: UnitAgent) -> Mapping[str, Manifold]:
    """The workers of one unit."""
    # Late: other commands should not pay for them.
    from undercroft_meterstatus.senders import follow_senders  # noqa: PLC0415
    from undercroft_meterstatus.worker import MeterStatusWorker, meter_status_output  # noqa: PLC0415

    def start(context: Context) -> Worker:
        return MeterStatusWorker(
            unit,
            unit.config(Config),
            meter=context.get("model", MeterFacade),
            connection=context.get("model", ConnectionFacade),
            hooks=context.get("hook-runner", HookRunner),
            guest=context.get("charm-dir", fortress.Guest),
        )

    def start_senders(context: Context) -> Worker:
        return follow_senders(
            unit, context.get("metric-sender", SenderHealths), context.get("meter-status", MeterSources)
        )

    inputs = ("model", "hook-runner", "charm-dir")
    return {
        "meter-status": Manifold(start=start, inputs=inputs, output=meter_status_output),
        "meter-status-senders": Manifold(start=start_senders, inputs=("metric-sender", "meter-status")),
    }
