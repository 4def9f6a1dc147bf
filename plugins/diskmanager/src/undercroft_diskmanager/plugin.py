"""The plugin `diskmanager`: its config, its manifold `disk-manager`, and what it needs of a host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated

import msgspec

from undercroft_hookspecs import Agent, BlockDeviceFacade, Context, Manifold, Worker, hookimpl


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section `[plugins.diskmanager]`."""

    resync_seconds: Annotated[float, msgspec.Meta(gt=0)] = 300.0
    """How often everything is read again, whatever the events say."""
    blkid: str = "blkid"
    """The program that tells what is on a device where udev does not."""
    receive_buffer_bytes: Annotated[int, msgspec.Meta(ge=4096)] = 16 * 1024 * 1024
    """How much of a burst of events the kernel keeps for us."""


@hookimpl
def undercroft_config() -> type[msgspec.Struct]:
    """The struct of this plugin's section."""
    return Config


@hookimpl
def undercroft_manifolds(agent: Agent) -> Mapping[str, Manifold]:
    """The worker `disk-manager`, which publishes through `model`."""

    def start(context: Context) -> Worker:
        devices = context.get("model", BlockDeviceFacade)
        from undercroft_diskmanager.worker import DiskManager  # noqa: PLC0415 - Other commands should not pay for it.

        return DiskManager(agent, agent.config(Config), devices=devices)

    return {"disk-manager": Manifold(start=start, inputs=("model",))}


@hookimpl
def undercroft_check(agent: Agent) -> Sequence[str]:
    """What this host lacks, and the remedy."""
    from undercroft_diskmanager.check import missing  # noqa: PLC0415 - As above.

    return missing(agent.config(Config))
