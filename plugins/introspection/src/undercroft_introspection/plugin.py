"""The plugin `introspection`: its config, and its manifold of the same name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

import msgspec

from undercroft_hookspecs import Agent, Context, Control, Manifold, Samples, Worker, hookimpl

_BYTE: Final = r"(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_PORT: Final = r"(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3}|0)"
_LOOPBACK: Final = rf"\A((127(\.{_BYTE}){{3}}|\[::1\]):{_PORT})?\Z"


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section `[plugins.introspection]`."""

    listen: Annotated[
        str,
        msgspec.Meta(
            pattern=_LOOPBACK,
            description='a loopback address with a port, such as "127.0.0.1:9160" or "[::1]:9160", or "" for none',
        ),
    ] = ""
    """Where to listen beside the unix socket; port 0 takes any that is free."""


@hookimpl
def undercroft_config() -> type[msgspec.Struct]:
    """The struct of this plugin's section."""
    return Config


@hookimpl
def undercroft_manifolds(agent: Agent) -> Mapping[str, Manifold]:
    """The worker `introspection`, which serves what `agent` tells."""

    def start(context: Context) -> Worker:
        control, samples = context.get("agent", Control), context.get("agent", Samples)
        # Late: other commands should not pay for it.
        from undercroft_introspection.worker import Introspection  # noqa: PLC0415

        return Introspection(agent, agent.config(Config), control=control, samples=samples)

    return {"introspection": Manifold(start=start, inputs=("agent",))}
