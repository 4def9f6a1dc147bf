"""The module of a plugin, and its hooks, seen without loading it into an agent."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

from undercroft.plugins.discovery import PLUGINS, Installed
from undercroft_hookspecs.errors import NotFoundError
from undercroft_hookspecs.hooks import Hooks

PREFIX = "undercroft_"

_IMPLEMENTED = "undercroft_impl"  # What pluggy's marker for this project leaves on a function.
_SPECIFIED = "undercroft_spec"


@dataclass(frozen=True, slots=True)
class PluginModule:
    """A plugin's module. `hooks` are its implementations by the hook's name."""

    name: str
    module: ModuleType
    hooks: Mapping[str, Callable[..., object]]

    @property
    def look_alikes(self) -> tuple[str, ...]:
        """Functions that are named like a hook and are not marked as one."""
        known = specifications()
        return tuple(
            name
            for name, value in sorted(vars(self.module).items())
            if name in known and inspect.isroutine(value) and not hasattr(value, _IMPLEMENTED)
        )

    def ask(self, hook: str, **given: object) -> object:
        """Call a hook with those of `given` that it takes."""
        function = self.hooks[hook]
        taken = inspect.signature(function).parameters
        return function(**{name: value for name, value in given.items() if name in taken})


def specifications() -> dict[str, tuple[str, ...]]:
    """Every hook that there is, with the names of its arguments."""
    return {
        name: tuple(inspect.signature(function).parameters)[1:]
        for name, function in vars(Hooks).items()
        if hasattr(function, _SPECIFIED)
    }


def module_name(plugin: str) -> str:
    """The module of an installed plugin; a name with a dot is a module already.

    Raises:
        NotFoundError: no distribution has a plugin of that name.
    """
    if "." in plugin:
        return plugin
    for point in Installed.scan().entry_points(PLUGINS):
        if point.name == plugin:
            return point.module
    raise NotFoundError(plugin, f"no installed distribution has a plugin called {plugin!r} (group {PLUGINS!r})")


def load(plugin: str | ModuleType) -> PluginModule:
    """Import a plugin: by its name, by its module's name, or the module itself."""
    module = plugin if isinstance(plugin, ModuleType) else import_module(module_name(plugin))
    name = plugin if isinstance(plugin, str) else module.__name__
    return PluginModule(name, module, _hooks(module))


def _hooks(module: ModuleType) -> dict[str, Callable[..., object]]:
    found: dict[str, Callable[..., object]] = {}
    for name, value in vars(module).items():
        options = getattr(value, _IMPLEMENTED, None)
        if options is not None and callable(value):
            found[options.get("specname") or name] = value
    return found
