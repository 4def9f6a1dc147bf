"""The plugin `model`: its config, and its manifold `model`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module

import msgspec

from undercroft.files import in_thread
from undercroft_hookspecs import Agent, Context, Manifold, Role, Store, Worker, hookimpl


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section `[plugins.model]`."""

    blobs: str = ""
    """Where charm archives and resources are kept: a folder, or a URL of fsspec; empty: a folder of this plugin's own.
    Hosts that share a store have to share this, too."""
    secrets_key_file: str = ""
    """The file of the key that secrets are encrypted with, the same on all hosts that share a store. Empty:
    `secrets.key` in the data folder, made when it is first needed; only for a store that is this machine's own."""


@hookimpl
def undercroft_config() -> type[msgspec.Struct]:
    """The struct of this plugin's section."""
    return Config


@hookimpl
def undercroft_manifolds(agent: Agent) -> Mapping[str, Manifold]:
    """The worker `model`, which puts out the facades."""

    async def start(context: Context) -> Worker:
        role = context.get("agent", Role)
        store = context.get("store", Store)
        # Other commands should not pay for the import, nor the loop wait for it.
        await in_thread(import_module, "undercroft_model.worker")
        from undercroft_model.worker import start_model  # noqa: PLC0415

        return await start_model(agent, agent.config(Config), role=role, store=store)

    def output(worker: Worker, kind: type) -> object:
        from undercroft_model.worker import model_output  # noqa: PLC0415 - As above.

        return model_output(worker, kind)

    return {"model": Manifold(start=start, inputs=("agent", "store"), output=output)}


@hookimpl
def undercroft_check(agent: Agent) -> Sequence[str]:
    """What is wrong with the key of the secrets that the config names."""
    from undercroft_model.encryption import trouble_with  # noqa: PLC0415 - As above.

    return trouble_with(agent.config(Config).secrets_key_file)
