from __future__ import annotations

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from undercroft.config import Config
from undercroft.plugins import Installed, PluginBrokenError, PluginState, Registry
from undercroft_hookspecs import NotFoundError, NotValidError

if TYPE_CHECKING:
    from core.tests.conftest import Distributions


Load = Callable[[], Registry]

MANIFOLDS = """
    from undercroft_hookspecs import Manifold, hookimpl

    def start(context): ...

    @hookimpl
    def undercroft_manifolds(agent):
        {body}
"""


@pytest.fixture
def registry(distributions: Distributions) -> Load:
    return lambda: Registry.load(Config(), installed=Installed.scan([str(distributions.folder)]))


def manifolds(body: str) -> str:
    return MANIFOLDS.format(body=body)


def test_every_plugin_is_given_its_own_argument_in_the_order_of_names(
    distributions: Distributions, registry: Load
) -> None:
    for name in ("b", "a"):
        distributions.plugin(name, manifolds("return {agent: Manifold(start=start)}"))

    answers = registry().hooks.collect("undercroft_manifolds", lambda plugin: f"{plugin}-worker")

    assert [(plugin, list(answer)) for plugin, answer in answers] == [("a", ["a-worker"]), ("b", ["b-worker"])]  # type: ignore[call-overload]


def test_who_does_not_implement_the_hook_is_not_asked(distributions: Distributions, registry: Load) -> None:
    distributions.plugin("a", "")
    asked: list[str] = []

    assert registry().hooks.collect("undercroft_manifolds", asked.append) == []
    assert asked == []


def test_one_that_raises_is_broken_and_hides_nobody(distributions: Distributions, registry: Load) -> None:
    distributions.plugin("a", manifolds("raise ValueError('no\\n  luck')"))
    distributions.plugin("b", manifolds("return {}"))
    loaded = registry()

    answers = loaded.hooks.collect("undercroft_manifolds", lambda plugin: None)

    assert answers == [("b", {})]
    assert loaded.plugin("a").why == "undercroft_manifolds raised ValueError: no luck"
    assert isinstance(loaded.plugin("a").error, ValueError)


def test_of_two_that_claim_one_name_the_later_contributes_nothing(distributions: Distributions, registry: Load) -> None:
    distributions.plugin("a", manifolds("return {'x': Manifold(start=start)}"))
    distributions.plugin("b", manifolds("return {'y': Manifold(start=start), 'x': Manifold(start=start)}"))
    distributions.plugin("c", manifolds("return {'y': Manifold(start=start)}"))
    loaded = registry()

    answers = loaded.hooks.collect("undercroft_manifolds", lambda plugin: None)

    assert [plugin for plugin, _ in answers] == ["a", "c"]
    assert loaded.plugin("b").why == "b claims the name 'x', which a has already; rename one of them"


def test_a_name_that_is_taken_already_cannot_be_claimed(distributions: Distributions, registry: Load) -> None:
    distributions.plugin("a", manifolds("return {'store': Manifold(start=start)}"))
    loaded = registry()

    answers = loaded.hooks.collect("undercroft_manifolds", lambda plugin: None, taken={"store": "core"})

    assert answers == []
    assert "which core has already" in loaded.plugin("a").why


def test_a_failure_may_count_for_this_once(
    distributions: Distributions, registry: Load, caplog: pytest.LogCaptureFixture
) -> None:
    distributions.plugin("a", manifolds("return {'x': 1 / agent}"))
    loaded = registry()

    answers = loaded.hooks.collect("undercroft_manifolds", lambda plugin: 0, breaks=False)

    assert answers == []
    assert loaded.active() == ["a"]
    assert "plugin 'a' is left out: undercroft_manifolds raised ZeroDivisionError" in caplog.text


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("return None", "expected a mapping of names to Manifold, not an object of type NoneType"),
        ("return {1: Manifold(start=start)}", "expected names that are strings, and one is 1"),
        ("return {'': Manifold(start=start)}", "expected names that are strings, and one is ''"),
        ("return {'x': start}", "expected a Manifold under 'x', not an object of type function"),
        ("return {'x': Manifold}", "expected a Manifold under 'x', not the class Manifold"),
        ("return later()", "expected a mapping of names to Manifold, not an object of type coroutine"),
    ],
)
def test_an_answer_of_another_kind_breaks_the_plugin(
    distributions: Distributions, registry: Load, body: str, reason: str
) -> None:
    distributions.plugin("a", manifolds(body) + "\n    async def later(): ...\n")
    loaded = registry()

    assert loaded.hooks.collect("undercroft_manifolds", lambda plugin: None) == []
    assert reason in loaded.plugin("a").why


def test_asking_one_that_raises_says_so_and_breaks_it(distributions: Distributions, registry: Load) -> None:
    distributions.plugin("a", manifolds("raise ValueError"))
    loaded = registry()

    with pytest.raises(PluginBrokenError) as caught:
        loaded.hooks.ask("a", "undercroft_manifolds", agent=None)

    assert (caught.value.name, caught.value.why) == ("a", "undercroft_manifolds raised ValueError")
    assert str(caught.value) == "plugin 'a' is broken: undercroft_manifolds raised ValueError"
    assert loaded.plugin("a").state is PluginState.BROKEN


def test_asking_for_what_a_plugin_does_not_have_is_the_askers_mistake(
    distributions: Distributions, registry: Load
) -> None:
    distributions.plugin("a", "")
    loaded = registry()

    with pytest.raises(NotFoundError, match="'a' is not active or has no undercroft_manifolds"):
        loaded.hooks.ask("a", "undercroft_manifolds", agent=None)

    assert loaded.active() == ["a"]


def test_a_hooks_own_not_found_is_the_plugins(distributions: Distributions, registry: Load) -> None:
    distributions.plugin(
        "a", manifolds("from undercroft_hookspecs import NotFoundError; raise NotFoundError('smartctl')")
    )
    loaded = registry()

    with pytest.raises(PluginBrokenError, match="raised NotFoundError: 'smartctl' was not found"):
        loaded.hooks.ask("a", "undercroft_manifolds", agent=None)


@pytest.mark.parametrize("ask", ["ask", "implements", "collect", "tell"])
def test_a_hook_that_does_not_exist_is_refused(distributions: Distributions, registry: Load, ask: str) -> None:
    distributions.plugin("a", "")
    hooks = registry().hooks
    calls: dict[str, Callable[[], object]] = {
        "ask": lambda: hooks.ask("a", "undercroft_manifold"),
        "implements": lambda: hooks.implements("a", "undercroft_manifold"),
        "collect": lambda: hooks.collect("undercroft_manifold", lambda plugin: None),
        "tell": lambda: hooks.tell("undercroft_manifold"),
    }

    with pytest.raises(NotValidError, match="did you mean") as caught:
        calls[ask]()

    assert caught.value.field == "hook"


def test_what_an_observer_raises_is_logged_and_dropped(
    distributions: Distributions, registry: Load, caplog: pytest.LogCaptureFixture
) -> None:
    observer = """
        from undercroft_hookspecs import hookimpl

        @hookimpl
        def undercroft_worker_event(event):
            event.append({name!r})
            raise ValueError("no")
    """
    distributions.plugin("a", observer.format(name="a"))
    distributions.plugin("b", observer.format(name="b"))
    distributions.plugin("c", "")
    loaded = registry()
    seen: list[str] = []

    loaded.hooks.tell("undercroft_worker_event", event=seen)

    assert seen == ["a", "b"]
    assert loaded.active() == ["a", "b", "c"]
    assert [record.levelno for record in caplog.records] == [logging.ERROR] * 2


@pytest.mark.parametrize(
    ("body", "sentences"),
    [
        ("return ['smartctl is missing; install smartmontools']", ("smartctl is missing; install smartmontools",)),
        ("raise OSError('no /dev')", ("undercroft_check raised OSError: no /dev",)),
        (
            "return 'one'",
            ("undercroft_check raised TypeError: expected a sequence of sentences, not an object of type str",),
        ),
        (
            "return [1]",
            ("undercroft_check raised TypeError: expected a sequence of sentences, not an object of type list",),
        ),
        ("return ()", ()),
    ],
)
def test_a_check_that_fails_is_a_sentence(
    distributions: Distributions, registry: Load, body: str, sentences: tuple[str, ...]
) -> None:
    distributions.plugin(
        "a",
        f"""
        from undercroft_hookspecs import hookimpl

        @hookimpl
        def undercroft_check(agent):
            {body}
        """,
    )
    loaded = registry()

    assert loaded.hooks.check("a", None) == sentences
    assert loaded.active() == ["a"]


def test_a_plugin_without_a_check_has_nothing_to_say(distributions: Distributions, registry: Load) -> None:
    distributions.plugin("a", "")

    assert registry().hooks.check("a", None) == ()


def test_an_argument_with_a_default_is_passed_all_the_same(distributions: Distributions, registry: Load) -> None:
    distributions.plugin(
        "a",
        """
        from undercroft_hookspecs import hookimpl

        @hookimpl
        def undercroft_check(agent=None):
            return [str(agent)]
        """,
    )

    assert registry().hooks.ask("a", "undercroft_check", agent=3) == ["3"]
