"""What each plugin's hooks are given: its own read-only `Agent`, and its own `UnitAgent` for a unit."""

from __future__ import annotations

import random
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import msgspec

from undercroft_hookspecs import NotValidError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from undercroft.agent.meter import Instruments, PluginMeter
    from undercroft.plugins import Registry
    from undercroft_hookspecs import Clock, HostId, MachineId, ModelId, Process, UnitName

C = TypeVar("C", bound=msgspec.Struct)

UNIT_HOOKS = frozenset({"undercroft_unit_manifolds", "undercroft_hook_tools"})
"""The hooks that are asked for a unit; all others are asked for the host."""

_CORES_OWN = frozenset({"undercroft_config", "undercroft_worker_event"})

asking: ContextVar[Place | None] = ContextVar("undercroft_asking", default=None)
"""The manifold that the running code belongs to: what a `collect` is put down to. None while a hook is asked."""


@dataclass(frozen=True, slots=True)
class Place:
    """A manifold of an engine; or, with no engine, all manifolds of the plugin `name`."""

    engine: str | None
    name: str


@dataclass(frozen=True, slots=True)
class UnitPlace:
    """Where a unit is."""

    model: ModelId
    unit: UnitName
    machine: MachineId
    unit_dir: Path


class Handles:
    """Makes every plugin's Agent and UnitAgents, and remembers who collected which hook."""

    def __init__(
        self,
        registry: Registry,
        *,
        host: HostId,
        data_dir: Path,
        clock: Clock,
        process: Process,
        instruments: Instruments,
        new_rng: Callable[[], random.Random] = random.Random,
        whole: Callable[[], Registry] | None = None,
    ) -> None:
        self.registry, self.instruments = registry, instruments
        self._whole = whole
        self.host, self.data_dir = host, data_dir
        self.clock, self.process, self.new_rng = clock, process, new_rng
        self._collectors: dict[str, set[Place]] = {}

    def top(self, plugin: str) -> PluginAgent:
        """The plugin's Agent, with its section of the config as it is now."""
        return PluginAgent(self, plugin)

    def unit(self, plugin: str, place: UnitPlace) -> PluginUnitAgent:
        """The plugin's UnitAgent for one unit."""
        return PluginUnitAgent(self, plugin, place)

    def note_collect(self, plugin: str, hook: str) -> None:
        """Remember that the running manifold of `plugin` depends on what every plugin answers to this hook."""
        place = asking.get() or Place(None, plugin)
        self._collectors.setdefault(hook, set()).add(place)

    def every_plugin(self) -> Registry:
        """The registry of every plugin: where only some were loaded (`whole` is given), the others are now."""
        if self._whole is not None:
            self.registry, self._whole = self._whole(), None
        return self.registry

    def collectors(self, hook: str) -> frozenset[Place]:
        """Who has collected this hook."""
        return frozenset(self._collectors.get(hook, ()))

    def forget_engine(self, engine: str) -> None:
        """Forget what an engine's manifolds collected: it has gone."""
        for places in self._collectors.values():
            places.difference_update([place for place in places if place.engine == engine])


class PluginAgent:
    """The Agent of one plugin. It keeps the config that it was made with: a reload makes another."""

    def __init__(self, handles: Handles, plugin: str) -> None:
        self._handles, self._plugin = handles, plugin
        self._section = handles.registry.section(plugin)
        self._rng = handles.new_rng()

    @property
    def host(self) -> HostId:
        """This host."""
        return self._handles.host

    @property
    def data_dir(self) -> Path:
        """`<data>/plugins/<plugin>`; it is there when the agent runs."""
        return self._handles.data_dir / "plugins" / self._plugin

    @property
    def clock(self) -> Clock:
        """Time."""
        return self._handles.clock

    @property
    def rng(self) -> random.Random:
        """Randomness, this handle's own."""
        return self._rng

    @property
    def process(self) -> Process:
        """How to run a program."""
        return self._handles.process

    @property
    def meter(self) -> PluginMeter:
        """The plugin's own instruments."""
        return self._handles.instruments.meter(self._plugin)

    def config(self, kind: type[C]) -> C:
        """This plugin's section of the config.

        Raises:
            NotValidError: `kind` is not the struct that the plugin's `undercroft_config` names.
        """
        if not isinstance(self._section, kind):
            message = (
                f"plugin {self._plugin!r} asks for its config as {kind.__name__}, "
                f"but its undercroft_config names {type(self._section).__name__}"
            )
            raise NotValidError(message, field="kind")
        return self._section

    def collect(self, hook: str) -> Sequence[tuple[str, object]]:
        """Ask all plugins a hook: (plugin, its answer).

        Raises:
            NotValidError: no such hook, one that core alone asks, or a unit's hook.
        """
        _check_collectable(hook)
        if hook in UNIT_HOOKS:
            raise NotValidError(f"{hook} is asked for a unit: collect it from a UnitAgent", field="hook")
        self._handles.note_collect(self._plugin, hook)
        return self._handles.every_plugin().hooks.collect(hook, self._handles.top)


class PluginUnitAgent(PluginAgent):
    """The UnitAgent of one plugin for one unit."""

    def __init__(self, handles: Handles, plugin: str, place: UnitPlace) -> None:
        super().__init__(handles, plugin)
        self._place = place

    @property
    def model(self) -> ModelId:
        """The unit's model."""
        return self._place.model

    @property
    def unit(self) -> UnitName:
        """The unit."""
        return self._place.unit

    @property
    def machine(self) -> MachineId:
        """The machine of that model that the unit is placed on."""
        return self._place.machine

    @property
    def unit_dir(self) -> Path:
        """The unit's folder."""
        return self._place.unit_dir

    @property
    def data_dir(self) -> Path:
        """`<unit_dir>/<plugin>`; it is there when the unit's engine runs."""
        return self._place.unit_dir / self._plugin

    @property
    def meter(self) -> PluginMeter:
        """The plugin's own instruments, with this unit's labels."""
        unit = (str(self._place.model), str(self._place.unit))
        return self._handles.instruments.meter(self._plugin, unit=unit)

    def collect(self, hook: str) -> Sequence[tuple[str, object]]:
        """Ask all plugins a hook, a unit's hook for this unit: (plugin, its answer).

        Raises:
            NotValidError: no such hook, or one that core alone asks.
        """
        _check_collectable(hook)
        if hook not in UNIT_HOOKS:
            return super().collect(hook)
        self._handles.note_collect(self._plugin, hook)
        return self._handles.every_plugin().hooks.collect(hook, lambda plugin: self._handles.unit(plugin, self._place))


def _check_collectable(hook: str) -> None:
    if hook in _CORES_OWN:
        raise NotValidError(f"the hook {hook} is core's to ask", field="hook")
