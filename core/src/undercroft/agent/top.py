"""Core's own manifolds of the top engine: `agent`, `store`, and `model` where no plugin of that name is installed."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast

from undercroft import NoOpWorker, Tomb, outcome
from undercroft.agent.memory import MemoryModel, model_output
from undercroft.agent.waiting import first
from undercroft.dependency import OutputError
from undercroft.files import in_thread
from undercroft.settings import ConfigError
from undercroft.testing.store import MemoryStore
from undercroft_hookspecs import Manifold, Store

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from undercroft.plugins import EntryPoint, Registry
    from undercroft_hookspecs import Clock, Context, HostId, StoreFactory, Worker

_log = logging.getLogger(__name__)

MODEL = "model"
KEPT_COMMITS = 256
"""What the store in memory keeps for its watchers; one that lags further behind lists again."""


@dataclass(frozen=True, slots=True)
class ProcessRole:
    """The `Role` that the manifold `agent` puts out; `model` is the model's name that a command was given."""

    role: Literal["agent", "client"]
    model: str | None = None


class Outputs(NoOpWorker):
    """A worker that exists to put out ready-made objects, each as exactly one kind."""

    def __init__(self, outputs: Mapping[type, object]) -> None:
        super().__init__()
        self.outputs = outputs


def outputs_manifold(outputs: Mapping[type, object]) -> Manifold:
    """A manifold that puts out these objects."""

    def start(_: Context) -> Worker:
        return Outputs(outputs)

    def output(worker: Worker, kind: type) -> object:
        if isinstance(worker, Outputs) and kind in worker.outputs:
            return worker.outputs[kind]
        known = ", ".join(sorted(each.__name__ for each in outputs))
        raise OutputError(f"there is no {kind.__name__} here; there are: {known}")

    return Manifold(start=start, output=output)


def state_manifolds(
    registry: Registry, *, host: HostId, data_dir: Path, clock: Clock, memory: MemoryStore | None = None
) -> dict[str, Manifold]:
    """`store`, and `model` as well if core serves both in memory.

    Raises:
        ConfigError: nothing that is installed opens a store of the configured URL's scheme.
    """
    if any(plugin.name == MODEL for plugin in registry.plugins):
        config = registry.config
        point = _store_entry_point(registry)
        return {"store": _opened_store(point, config.store, data_dir=data_dir, clock=clock)}
    _log.info("no plugin 'model' is installed: the state is kept in memory only")
    store = memory or MemoryStore(clock=clock, kept_commits=KEPT_COMMITS)

    def start_model(context: Context) -> Worker:
        return MemoryModel(context.get("store", Store), host)

    return {
        "store": outputs_manifold({Store: store}),
        MODEL: Manifold(start=start_model, inputs=("store",), output=model_output),
    }


class OpenStore:
    """A store that a factory opened, held open until it is killed; opened and closed by one task, as some insist."""

    def __init__(self, factory: StoreFactory, url: str, *, data_dir: Path, clock: Clock) -> None:
        self._factory, self._url, self._data_dir, self._clock = factory, url, data_dir, clock
        self._opened: asyncio.Future[Store] = asyncio.get_running_loop().create_future()
        self._tomb = Tomb("store", clock=clock)
        self._task = self._tomb.go(self._hold(), name="store")

    @property
    def store(self) -> Store:
        """The store, once `opened` has returned."""
        return self._opened.result()

    async def opened(self) -> None:
        """Return when it is open, or raise why it cannot be opened; cancelled, it gives up and waits for the end."""
        try:
            await first(self._opened, self._task)
        except asyncio.CancelledError:
            self._tomb.kill()
            self._task.cancel()
            await outcome(self)
            raise
        if not self._opened.done():
            await self.wait()

    def kill(self) -> None:
        """Close the store."""
        self._tomb.kill()

    async def wait(self) -> None:
        """Return when it is closed."""
        await self._tomb.wait()

    async def _hold(self) -> None:
        async with self._factory(self._url, data_dir=self._data_dir, clock=self._clock) as store:
            self._opened.set_result(store)
            await self._tomb.stop.wait()


def _opened_store(point: EntryPoint, url: str, *, data_dir: Path, clock: Clock) -> Manifold:
    async def start(_: Context) -> Worker:
        factory = cast("StoreFactory", await in_thread(point.load))
        worker = OpenStore(factory, url, data_dir=data_dir, clock=clock)
        await worker.opened()
        return worker

    def output(worker: Worker, kind: type) -> object:
        if isinstance(worker, OpenStore) and kind is Store:
            return worker.store
        raise OutputError(f"`store` puts out a Store, not a {kind.__name__}")

    return Manifold(start=start, output=output)


def _store_entry_point(registry: Registry) -> EntryPoint:
    points = registry.store_entry_points()
    scheme = registry.config.store.partition(":")[0]
    if scheme not in points:
        known = ", ".join(f'"{each}:"' for each in sorted(points)) or "none, for no distribution offers a store"
        raise ConfigError(
            file=registry.config.file,
            key="store",
            expected=f"a URL of one of these kinds: {known}",
            found=f"is {registry.config.store!r}, which nothing that is installed opens",
            remedy=f"install the plugin that does (undercroft-{scheme}?), or change it",
        )
    return points[scheme]
