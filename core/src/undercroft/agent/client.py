"""The state without an agent: `store` or `model` in a private engine, for one command.

No lock is taken, and nothing is renewed, reaped or announced: the engine's `agent` says that its role is `client`.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from undercroft import NoOpWorker, SystemClock, caused_by, outcome
from undercroft.agent.blueprint import Draughtsman
from undercroft.agent.handle import Handles
from undercroft.agent.host import host_id, make_folders, prepare
from undercroft.agent.meter import Instruments
from undercroft.agent.top import MODEL, ProcessRole, outputs_manifold, state_manifolds
from undercroft.agent.waiting import first
from undercroft.dependency import Bounce, Engine, EngineConfig, Missing
from undercroft.files import in_thread
from undercroft.plugins import PluginState, Registry
from undercroft.process import SystemProcess
from undercroft_hookspecs import Manifold, NotValidError, Role, Samples, UndercroftError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping
    from pathlib import Path

    from undercroft.config import Config
    from undercroft.plugins import Installed
    from undercroft_hookspecs import Clock, Context, HostId, Worker

T = TypeVar("T")

OPEN_SECONDS = 30.0


class ModelUnusableError(UndercroftError):
    """The plugin `model` is installed, but cannot be used: the message says why."""


@asynccontextmanager
async def open_private(
    name: str,
    kind: type[T],
    *,
    data_dir: Path,
    config: Config,
    model: str | None = None,
    clock: Clock | None = None,
    installed: Installed | None = None,
    patience: float = OPEN_SECONDS,
) -> AsyncIterator[T]:
    """Give `store` or `model` as `kind`; a start that fails raises its error at once.

    `model` is the model's name as the command was given it; the manifold `model` finds it in the `Role`.

    Raises:
        NotValidError: another name.
        ModelUnusableError: the plugin `model` is disabled, incompatible or broken.
        TimeoutError: it was not up within `patience` seconds.
    """
    if name not in ("store", MODEL):
        raise NotValidError(f"a command can open `store` or `model`, not {name!r}", field="name")
    claims = await in_thread(_claims, data_dir, config, model, clock or SystemClock(), installed)
    engine = Engine(EngineConfig(is_fatal=_is_failure, clock=clock, shutdown="reverse"), name="client")
    got: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    def start(context: Context) -> Worker:
        value = context.get(name, kind)
        if not got.done():
            got.set_result(value)
        return NoOpWorker()

    async with engine:
        await engine.install_all({**_needed(name, claims), "client": Manifold(start=start, inputs=(name,))})
        try:
            async with asyncio.timeout(patience):
                await first(got, outcome(engine))
        except TimeoutError:
            raise TimeoutError(f"`{name}` was not up within {patience:g} s") from None
        if got.done():
            yield got.result()
            return
    raise ModelUnusableError(f"`{name}` ended before it was up")


def _claims(
    data_dir: Path, config: Config, model: str | None, clock: Clock, installed: Installed | None
) -> dict[str, Manifold]:
    """Every manifold that the state is made of: core's, and those of the plugin `model`.

    The other plugins are loaded if it collects what they answer, as it does for what depends on their providers.
    """
    prepare(data_dir)
    host = host_id(data_dir)
    registry = Registry.load(replace(config, only=(MODEL,)), installed=installed)
    for plugin in registry.plugins:
        if plugin.name == MODEL and plugin.state not in (PluginState.ACTIVE, PluginState.SHADOWED):
            raise ModelUnusableError(f"plugin {MODEL!r} is {plugin.state}: {plugin.why}")
    make_folders(data_dir / "plugins" / name for name in registry.active())
    return _drawn(registry, host, data_dir, clock, model, lambda: Registry.load(config, installed=installed))


def _drawn(
    registry: Registry,
    host: HostId,
    data_dir: Path,
    clock: Clock,
    model: str | None,
    whole: Callable[[], Registry],
) -> dict[str, Manifold]:
    instruments = Instruments()
    handles = Handles(
        registry,
        host=host,
        data_dir=data_dir,
        clock=clock,
        process=SystemProcess(clock=clock),
        instruments=instruments,
        whole=whole,
    )
    agent = outputs_manifold({Role: ProcessRole("client", model), Samples: instruments})
    state = state_manifolds(registry, host=host, data_dir=data_dir, clock=clock)
    blueprint = Draughtsman(handles, {"agent": agent, **state}).draw()
    return {name: claim.manifold for name, claim in blueprint.top.claims.items()}


def _needed(name: str, manifolds: Mapping[str, Manifold]) -> dict[str, Manifold]:
    """`name`, and what it takes, directly or through others."""
    found: dict[str, Manifold] = {}
    fresh = [name]
    while fresh:
        wanted = fresh.pop()
        if wanted not in manifolds:
            raise ModelUnusableError(f"`{name}` needs {wanted!r}, which only a running agent may have")
        if wanted not in found:
            found[wanted] = manifolds[wanted]
            fresh.extend(manifolds[wanted].inputs)
    return found


def _is_failure(error: Exception) -> bool:
    missing = caused_by(error, Missing)
    if missing is not None:
        return missing.reason in ("undeclared", "unexposed")
    return caused_by(error, Bounce) is None
