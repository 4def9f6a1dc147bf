"""What the plugin declares to the agent: its section of the config, its manifold, and what it needs of the host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import msgspec

from undercroft_hookspecs import Agent, Context, Manifold, Worker, hookimpl


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section `[plugins.pressure]`."""

    poll_seconds: Annotated[float, msgspec.Meta(gt=0)] = 10.0
    warn_percent: Annotated[float, msgspec.Meta(gt=0, le=100)] = 20.0
    folder: str = "/proc/pressure"


@hookimpl
def undercroft_config() -> type[msgspec.Struct]:
    """The struct of the section."""
    return Config


@hookimpl
def undercroft_manifolds(agent: Agent) -> Mapping[str, Manifold]:
    """One worker, which needs nothing."""

    def start(context: Context) -> Worker:
        from undercroft_pressure.worker import Pressure  # Late: commands that load plugins should not pay for it.

        return Pressure(agent, agent.config(Config))

    return {"pressure": Manifold(start=start)}


@hookimpl
def undercroft_check(agent: Agent) -> Sequence[str]:
    """Kernels can be built or started without pressure stall information."""
    folder = Path(agent.config(Config).folder)
    if folder.is_dir():
        return ()
    return (f"{folder} is missing: this kernel does not measure pressure; start it with the parameter psi=1.",)
