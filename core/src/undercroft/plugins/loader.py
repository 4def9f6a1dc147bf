"""Import one plugin and register its hooks with pluggy, or say why that cannot be.

pluggy's own loading stops at the first plugin that fails, lets a misspelt hook pass in silence and would call a
coroutine function without awaiting it; so each plugin is loaded on its own here, and checked right after.
"""

from __future__ import annotations

import inspect
import re
import warnings
from typing import TYPE_CHECKING

import pluggy

from undercroft.plugins.compatibility import HOOKSPECS, hookspecs_requirement, incompatibility
from undercroft.plugins.plugin import Plugin, PluginState
from undercroft.settings import suggestion

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from undercroft.config import Config
    from undercroft.plugins.discovery import EntryPoint, Installed

PROJECT = "undercroft"

_NAME = re.compile(r"[a-z][a-z0-9]*(?:[_-][a-z0-9]+)*")


class Loader:
    """Loads plugins into one pluggy manager. `notes` collects what is odd about them but not wrong."""

    def __init__(self, config: Config, installed: Installed, hookspecs: type) -> None:
        self.manager = pluggy.PluginManager(PROJECT)
        self.manager.add_hookspecs(hookspecs)
        self.hooks = frozenset(name for name in dir(hookspecs) if name.startswith(f"{PROJECT}_"))
        self.notes: list[str] = []
        self._config = config
        self._installed = installed
        self._running = installed.version(HOOKSPECS)

    def load(self, point: EntryPoint) -> Plugin:
        """Import and register the plugin, unless it is disabled or does not fit; never raises for what it does."""
        requires = hookspecs_requirement(self._installed.requires(point.distribution))
        state, why = PluginState.ACTIVE, ""
        error: BaseException | None = None
        hooks: tuple[str, ...] = ()
        if disabled := self._config.why_disabled(point.name):
            state, why = PluginState.DISABLED, disabled
        elif misfit := incompatibility(point.distribution, requires, self._running):
            state, why = PluginState.INCOMPATIBLE, misfit
        elif not _NAME.fullmatch(point.name):
            state, why = PluginState.BROKEN, "its name is not lower-case letters, digits and single dashes"
        else:
            try:
                hooks = self._register(point)
            # This is the edge to code of others: whatever its import raises is that plugin's fault alone.
            except (Exception, SystemExit) as raised:
                self.manager.unregister(name=point.name)
                state, error, why = PluginState.BROKEN, raised, _reason(point, raised)
        return Plugin(
            name=point.name,
            state=state,
            why=why,
            distribution=point.distribution,
            version=point.version,
            requires=requires,
            hooks=hooks,
            error=error,
        )

    def _register(self, point: EntryPoint) -> tuple[str, ...]:
        plugin = point.load()
        self._check_implementations(point.name, plugin)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            self.manager.register(plugin, name=point.name)
        self.notes += [f"plugin {point.name!r}: {each.message} ({each.filename}:{each.lineno})" for each in caught]
        self._refuse_unknown_hooks(point.name, plugin)
        return tuple(sorted(caller.name for caller in self.manager.get_hookcallers(plugin) or ()))

    def _check_implementations(self, name: str, plugin: object) -> None:
        for attribute, function in _functions(plugin):
            options = self.manager.parse_hookimpl_opts(plugin, attribute)
            if options is None:
                if attribute in self.hooks:
                    self.notes.append(f"plugin {name!r}: {attribute} is not marked with @hookimpl, so it is no hook")
            elif inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
                raise TypeError(f"the hook {attribute} is a coroutine function; hooks are synchronous: write `def`")
            elif options.get("wrapper") or options.get("hookwrapper"):
                raise TypeError(f"the hook {attribute} is a wrapper; each plugin is asked on its own, so none can wrap")

    def _refuse_unknown_hooks(self, name: str, plugin: object) -> None:
        try:
            self.manager.check_pending()
        except pluggy.PluginValidationError as error:
            callers = self.manager.get_hookcallers(plugin) or ()
            unknown: Sequence[str] = sorted({caller.name for caller in callers} - self.hooks)
            hints = ", ".join(hook + suggestion(hook, self.hooks) for hook in unknown)
            raise LookupError(f"there is no such hook: {hints}") from error


def _functions(plugin: object) -> Iterator[tuple[str, object]]:
    for attribute in dir(plugin):
        function = inspect.getattr_static(plugin, attribute, None)
        if isinstance(function, (staticmethod, classmethod)):
            function = function.__func__
        if inspect.isroutine(function):
            yield attribute, function


def _reason(point: EntryPoint, error: BaseException) -> str:
    said = " ".join(str(error).split())
    what = f"{type(error).__name__}: {said}" if said else type(error).__name__
    return f"loading {point.value} of {point.distribution} failed: {what}"
