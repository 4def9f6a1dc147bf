"""Call hooks, plugin by plugin: what one raises is kept against that plugin and hides nobody else's answer."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, cast

from undercroft.plugins.answers import check_answer
from undercroft.plugins.plugin import PluginBrokenError
from undercroft.settings import suggestion
from undercroft_hookspecs.errors import NotFoundError, NotValidError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pluggy import HookImpl

    from undercroft.plugins.loader import Loader

logger = logging.getLogger(__name__)


class HookCalls:
    """The way to the hooks of a registry's active plugins; a hook that does not exist is a NotValidError everywhere."""

    def __init__(
        self, loader: Loader, *, active: Callable[[], Sequence[str]], on_broken: Callable[[str, str, Exception], None]
    ) -> None:
        self._loader = loader
        self._active = active
        self._on_broken = on_broken

    def implements(self, plugin: str, hook: str) -> bool:
        """Whether this plugin is active and has an implementation of the hook."""
        return self._implementation(plugin, hook) is not None

    def ask(self, plugin: str, hook: str, **arguments: object) -> object:
        """One plugin's answer to a hook that it implements, checked to be of the hook's kind.

        Raises:
            PluginBrokenError: it raised or answered something else, and is broken from now on.
            NotFoundError: the plugin is not active, or does not implement the hook.
        """
        implementation = self._implementation(plugin, hook)
        if implementation is None:
            raise NotFoundError(hook, f"plugin {plugin!r} is not active or has no {hook}")
        try:
            return _call(implementation, hook, arguments)
        # This is the edge to code of others: the error is that plugin's, whatever it is.
        except Exception as error:
            why = failure(hook, error)
            self._on_broken(plugin, why, error)
            raise PluginBrokenError(plugin, why) from error

    def collect(
        self,
        hook: str,
        argument: Callable[[str], object],
        *,
        taken: Mapping[str, str] | None = None,
        breaks: bool = True,
    ) -> list[tuple[str, object]]:
        """Ask every active plugin that implements the hook: (plugin, its answer), in the order of their names.

        `argument` makes what a plugin's hook is given. Of two plugins that claim one name, or of a plugin and an owner
        in `taken` (name -> who has it), the later contributes nothing. A plugin that fails is broken from now on; with
        `breaks=False` the failure is logged, and the plugin is left out of this answer only.
        """
        parameter = self._parameters(hook)[0]
        owners = dict(taken or {})
        answers: list[tuple[str, object]] = []
        for name, implementation in self._implementations(hook):
            given = argument(name)
            try:
                answer = _call(implementation, hook, {parameter: given})
                _claim(answer, name, owners)
            # This is the edge to code of others: the error is that plugin's, and the others are asked all the same.
            except Exception as error:
                self._failed(name, error if isinstance(error, _Claimed) else failure(hook, error), error, breaks)
            else:
                answers.append((name, answer))
        return answers

    def tell(self, hook: str, **arguments: object) -> None:
        """Call a hook that observes, in every active plugin that has it; errors are logged and dropped."""
        for name, implementation in self._implementations(hook):
            try:
                _call(implementation, hook, arguments)
            # This is the edge to code of others: an observer never disturbs what it observes.
            except Exception:
                logger.exception("plugin %r failed in %s", name, hook)

    def check(self, name: str, agent: object) -> Sequence[str]:
        """The sentences of a plugin's `undercroft_check`; an error in it is a sentence too."""
        implementation = self._implementation(name, "undercroft_check")
        if implementation is None:
            return ()
        try:
            answer = _call(implementation, "undercroft_check", {"agent": agent})
        # This is the edge to code of others: a check that fails is something to show.
        except Exception as error:
            return (failure("undercroft_check", error),)
        return tuple(cast("Sequence[str]", answer))

    def _implementations(self, hook: str) -> Iterator[tuple[str, HookImpl]]:
        self._parameters(hook)
        caller = getattr(self._loader.manager.hook, hook)
        found = {each.plugin_name: each for each in caller.get_hookimpls()}
        if found:
            yield from ((name, found[name]) for name in self._active() if name in found)

    def _implementation(self, plugin: str, hook: str) -> HookImpl | None:
        self._parameters(hook)
        caller = getattr(self._loader.manager.hook, hook)
        return next((each for each in caller.get_hookimpls() if each.plugin_name == plugin), None)

    def _parameters(self, hook: str) -> Sequence[str]:
        if hook not in self._loader.hooks:
            hint = suggestion(hook, self._loader.hooks)
            raise NotValidError(f"there is no hook called {hook!r}{hint}", field="hook")
        spec = getattr(self._loader.manager.hook, hook).spec
        return tuple(spec.argnames)

    def _failed(self, name: str, why: object, error: Exception, breaks: bool) -> None:
        if breaks:
            self._on_broken(name, str(why), error)
        else:
            logger.error("plugin %r is left out: %s", name, why, exc_info=error)


class _Claimed(Exception):
    """A name is someone else's already."""


def _call(implementation: HookImpl, hook: str, arguments: Mapping[str, object]) -> object:
    # A retired argument is not passed by anyone any more: who still asks for it gets None.
    positional = [arguments.get(name) for name in implementation.argnames]
    keywords = {name: arguments[name] for name in implementation.kwargnames if name in arguments}
    answer: object = implementation.function(*positional, **keywords)
    check_answer(hook, answer)
    return answer


def _claim(answer: object, plugin: str, owners: dict[str, str]) -> None:
    names = list(answer) if isinstance(answer, Mapping) else []
    for name in names:
        if name in owners:
            raise _Claimed(f"{plugin} claims the name {name!r}, which {owners[name]} has already; rename one of them")
    owners.update(dict.fromkeys(names, plugin))


def failure(hook: str, error: BaseException) -> str:
    said = " ".join(str(error).split())
    return f"{hook} raised {type(error).__name__}" + (f": {said}" if said else "")
