"""The hook specifications, as pluggy sees them."""

from __future__ import annotations

import inspect

import pluggy

from undercroft_hookspecs import Hooks, hookimpl


def names() -> list[str]:
    return [name for name in vars(Hooks) if name.startswith("undercroft_")]


def test_every_hook_is_a_specification_that_says_who_calls_it_and_what_an_error_does() -> None:
    manager = pluggy.PluginManager("undercroft")
    manager.add_hookspecs(Hooks)

    for name in names():
        assert getattr(manager.hook, name).spec is not None
        text = inspect.getdoc(getattr(Hooks, name)) or ""
        assert "Called by" in text or "Observe" in text
        assert "rror" in text


def test_an_implementation_may_leave_arguments_out() -> None:
    class Plugin:
        @hookimpl
        def undercroft_manifolds(self) -> dict[str, object]:
            return {"quiet": 1}

    manager = pluggy.PluginManager("undercroft")
    manager.add_hookspecs(Hooks)
    manager.register(Plugin())
    manager.check_pending()

    assert manager.hook.undercroft_manifolds(agent=None) == [{"quiet": 1}]
