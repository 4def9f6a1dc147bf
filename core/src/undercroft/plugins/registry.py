"""The plugins of one process: what became of each, and its section of the config.

A plugin that breaks stays broken for the life of the registry.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

import msgspec

from undercroft.plugins.calls import HookCalls
from undercroft.plugins.discovery import PLUGINS, STORES, Installed
from undercroft.plugins.loader import Loader
from undercroft.plugins.plugin import Plugin, PluginBrokenError, PluginState, RequiredPluginError
from undercroft.settings import suggestion
from undercroft_hookspecs.errors import NotFoundError
from undercroft_hookspecs.hooks import Hooks

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from undercroft.config import Config
    from undercroft.plugins.discovery import EntryPoint

logger = logging.getLogger(__name__)


class NoSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The settings of a plugin that has none."""


class Registry:
    """Every plugin that was found, with its state; made by `load`. `hooks` is the way to their hooks."""

    def __init__(self, *, config: Config, installed: Installed, loader: Loader) -> None:
        self.config = config
        self.hooks = HookCalls(loader, active=self.active, on_broken=self.break_plugin)
        self._installed = installed
        self._loader = loader
        self._named: dict[str, Plugin] = {}
        self._shadowed: list[Plugin] = []
        self._settings: dict[str, msgspec.Struct] = {}

    @classmethod
    def load(cls, config: Config, *, installed: Installed | None = None, hookspecs: type = Hooks) -> Registry:
        """Import and register every plugin that is installed, and validate its section.

        A plugin that fails is reported by its state, and logged. Plugins missing for `required` are not an error yet.

        Raises:
            ConfigError: a section does not validate, or is for a plugin that is not installed.
        """
        installed = installed or Installed.scan()
        registry = cls(config=config, installed=installed, loader=Loader(config, installed, hookspecs))
        points = installed.entry_points(PLUGINS)
        names = {point.name for point in points}
        config.check_names(names)
        registry._note_misspelt(names)
        for point in points:
            registry._add(point)
        for note in registry.notes:
            logger.warning("%s", note)
        registry._settings = registry._validated(config)
        return registry

    @property
    def plugins(self) -> Sequence[Plugin]:
        """Every plugin that was found, by name; a shadowed one follows the one that it gave way to."""
        return sorted((*self._named.values(), *self._shadowed), key=lambda each: (each.name, each.distribution))

    @property
    def notes(self) -> Sequence[str]:
        """What is odd about the plugins but not wrong, a sentence each."""
        return tuple(self._loader.notes)

    def active(self) -> Sequence[str]:
        """The names of the active plugins, in the order in which they are asked."""
        return [name for name in sorted(self._named) if self._named[name].state is PluginState.ACTIVE]

    def plugin(self, name: str) -> Plugin:
        """The plugin of that name as it stands now.

        Raises:
            NotFoundError: there is none.
        """
        try:
            return self._named[name]
        except KeyError:
            hint = suggestion(name, self._named)
            raise NotFoundError(name, f"no plugin called {name!r} is installed{hint}") from None

    def check_required(self) -> None:
        """Insist on the plugins that the config requires; ask again when what they contribute has been collected.

        Raises:
            RequiredPluginError: one or more are not active.
        """
        problems = {}
        for name in self.config.required:
            found = self._named.get(name)
            if found is None:
                problems[name] = f"not installed{suggestion(name, self._named)}"
            elif found.state is not PluginState.ACTIVE:
                problems[name] = f"{found.state} ({found.why})"
        if problems:
            raise RequiredPluginError(problems)

    def break_plugin(self, name: str, why: str, error: BaseException | None = None) -> None:
        """Declare a plugin broken: it contributes nothing from now on. The first reason stays."""
        plugin = self.plugin(name)
        if plugin.state is PluginState.ACTIVE:
            self._loader.manager.unregister(name=name)
            self._named[name] = replace(plugin, state=PluginState.BROKEN, why=why, error=error)
            logger.error("plugin %r is broken: %s", name, why)

    def section(self, plugin: str) -> msgspec.Struct:
        """An active plugin's section, validated.

        Raises:
            NotFoundError: the plugin is not active.
        """
        try:
            return self._settings[plugin]
        except KeyError:
            raise NotFoundError(plugin, f"plugin {plugin!r} is {self.plugin(plugin).state}, not active") from None

    def reload(self, config: Config) -> Sequence[str]:
        """Take over a config read anew, and say which plugins' sections have changed.

        Raises:
            ConfigError: a section does not validate; then nothing has changed.
        """
        config.check_names(self._named)
        settings = self._validated(config)
        changed = [name for name in self.active() if settings[name] != self._settings.get(name)]
        self._settings, self.config = settings, config
        return changed

    def store_entry_points(self) -> Mapping[str, EntryPoint]:
        """The store factories by URL scheme; where two distributions offer one, the first by name has it."""
        return {point.name: point for point in reversed(self._installed.entry_points(STORES))}

    def _note_misspelt(self, names: Collection[str]) -> None:
        # A name that is not installed may well be meant for other hosts; one that is nearly installed hardly is.
        for name in sorted({*self.config.disabled, *(self.config.only or ())}.difference(names)):
            if hint := suggestion(name, names):
                self._loader.notes.append(f"no plugin {name!r} is installed that could be disabled or chosen{hint}")

    def _add(self, point: EntryPoint) -> None:
        first = self._named.get(point.name)
        if first is not None:
            why = f"{first.distribution} has the same plugin name and comes first; uninstall one of the two"
            self._shadowed.append(
                Plugin(
                    name=point.name,
                    state=PluginState.SHADOWED,
                    why=why,
                    distribution=point.distribution,
                    version=point.version,
                )
            )
            return
        plugin = self._named[point.name] = self._loader.load(point)
        if plugin.state in (PluginState.BROKEN, PluginState.INCOMPATIBLE):
            logger.error("plugin %r is %s: %s", plugin.name, plugin.state, plugin.why)

    def _validated(self, config: Config) -> dict[str, msgspec.Struct]:
        settings: dict[str, msgspec.Struct] = {}
        for name in self.active():
            kind: type[msgspec.Struct] | None = NoSettings
            if self.hooks.implements(name, "undercroft_config"):
                kind = self._settings_type(name)
            if kind is not None:
                settings[name] = config.section(name, kind)
        return settings

    def _settings_type(self, name: str) -> type[msgspec.Struct] | None:
        try:
            kind = self.hooks.ask(name, "undercroft_config")
        except PluginBrokenError:
            return None
        assert isinstance(kind, type)
        assert issubclass(kind, msgspec.Struct)
        return kind
