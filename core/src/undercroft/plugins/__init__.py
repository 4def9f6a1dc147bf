"""Which plugins there are, what became of each, and their hooks: the only place, besides hookspecs, that knows pluggy.

    installed = Installed.scan()                      # discovery.py: reads metadata folders, imports nothing
    registry = Registry.load(config)                  # imports and registers; a broken plugin is only reported
    registry.check_required()                         # raises RequiredPluginError; call again once all is collected

    registry.plugins                                  # Sequence[Plugin], every one found, by name and distribution
    registry.notes                                    # Sequence[str]: what is odd but not wrong (retired arguments ...)
    registry.active()                                 # Sequence[str], the active plugins' names in their order
    registry.plugin(name)                             # Plugin; NotFoundError
    registry.hooks.implements(name, hook)             # bool; False for a plugin that is not active
    registry.hooks.ask(name, hook, **arguments)       # one plugin's answer, type-checked; an error breaks the plugin
                                                      # and is raised as PluginBrokenError
    registry.hooks.collect(hook, argument, taken=..., breaks=True)
                                                      # [(plugin, answer)]; argument(plugin) makes its Agent; the rule
                                                      # for duplicate names applied; breaks=False: an error is logged
                                                      # and only this collection goes without the plugin
    registry.hooks.tell(hook, **arguments)            # every active plugin; errors are logged and dropped
    registry.hooks.check(name, agent)                 # the sentences of undercroft_check, an error as a sentence
    registry.break_plugin(name, why, error=None)      # from now on it contributes nothing
    registry.section(name)                            # its validated section; its type is the plugin's struct
    registry.reload(config)                           # names whose section has changed; ConfigError changes nothing
    registry.store_entry_points()                     # {scheme: EntryPoint}; load() imports the factory
    plugin_rows(registry, {name: manifolds})          # what `undercroft plugins` prints, and the agent answers
                                                      # (undercroft.plugins.status)

Without disk: `Registry.load(config, installed=Installed((Distribution("undercroft-hookspecs", "1.0.0"), acme)))`;
acme is `Distribution("acme", "1", (EntryPoint(PLUGINS, "acme", "module"),), stated=("undercroft-hookspecs>=1,<2",))`.

A `Plugin` is a frozen snapshot; after `break_plugin` ask for it again. Hook names that do not exist: NotValidError.
The names here are imported when they are first asked for: the command line reads metadata without paying for pluggy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from undercroft_hookspecs.lazy import exports, getter

if TYPE_CHECKING:
    from undercroft.plugins.discovery import Distribution, EntryPoint, Installed
    from undercroft.plugins.plugin import Plugin, PluginBrokenError, PluginState, RequiredPluginError
    from undercroft.plugins.registry import Registry

_NAMES = exports(
    {
        "undercroft.plugins.discovery": ("Distribution", "EntryPoint", "Installed"),
        "undercroft.plugins.plugin": ("Plugin", "PluginBrokenError", "PluginState", "RequiredPluginError"),
        "undercroft.plugins.registry": ("Registry",),
    }
)

__all__ = [
    "Distribution",
    "EntryPoint",
    "Installed",
    "Plugin",
    "PluginBrokenError",
    "PluginState",
    "Registry",
    "RequiredPluginError",
]

if not TYPE_CHECKING:
    __getattr__ = getter(__name__, globals(), _NAMES)


def __dir__() -> list[str]:
    return __all__
