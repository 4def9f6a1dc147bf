from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from undercroft.config import Config, ConfigError, load
from undercroft.plugins import Installed, PluginState, Registry, RequiredPluginError
from undercroft.plugins.status import plugin_rows
from undercroft_hookspecs import Manifold, NotFoundError, hookspec
from undercroft_hookspecs.hooks import Hooks

if TYPE_CHECKING:
    from core.tests.conftest import Distributions


GOOD = """
    import msgspec
    from undercroft_hookspecs import Manifold, hookimpl

    class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        poll_seconds: float = 60.0

    @hookimpl
    def undercroft_config():
        return Settings

    @hookimpl
    def undercroft_manifolds(agent):
        return {"%s": Manifold(start=lambda context: None)}
"""

Load = Callable[..., Registry]


@pytest.fixture
def registry(distributions: Distributions) -> Load:
    """Load what is in the throw-away folder, and nothing else."""

    def load_registry(config: Config | None = None, hookspecs: type = Hooks) -> Registry:
        installed = Installed.scan([str(distributions.folder)])
        return Registry.load(config or Config(), installed=installed, hookspecs=hookspecs)

    return load_registry


def why(registry: Registry, name: str) -> str:
    """Why a plugin is broken, which it must be."""
    plugin = registry.plugin(name)
    assert plugin.state is PluginState.BROKEN
    return plugin.why


def test_a_good_plugin_is_active(distributions: Distributions, registry: Load) -> None:
    distributions.plugin("good", GOOD % "disks")

    loaded = registry()

    (plugin,) = loaded.plugins
    assert (plugin.name, plugin.state, plugin.why) == ("good", "active", "")
    assert (plugin.distribution, plugin.version) == ("undercroft-good", "1.0")
    assert plugin.requires == "undercroft-hookspecs>=1.0,<2"
    assert plugin.hooks == ("undercroft_config", "undercroft_manifolds")
    assert loaded.active() == ["good"]
    assert loaded.notes == ()


def test_a_plugin_that_raises_on_import_is_broken_and_hides_nobody(
    distributions: Distributions, registry: Load
) -> None:
    distributions.plugin("bad", "import no_such_module_of_ours")
    distributions.plugin("good", GOOD % "disks")

    loaded = registry()

    assert loaded.active() == ["good"]
    assert "ModuleNotFoundError: No module named 'no_such_module_of_ours'" in why(loaded, "bad")
    assert "throwaway_bad of undercroft-bad" in why(loaded, "bad")


def test_the_error_of_a_broken_plugin_is_kept_with_its_traceback(distributions: Distributions, registry: Load) -> None:
    distributions.plugin("bad", "def f():\n    raise ValueError('no')\nf()")

    error = registry().plugin("bad").error

    assert isinstance(error, ValueError)
    assert error.__traceback__ is not None


def test_a_plugin_that_exits_on_import_is_broken(distributions: Distributions, registry: Load) -> None:
    distributions.plugin("bad", "raise SystemExit")

    assert why(registry(), "bad").endswith("failed: SystemExit")


def test_a_plugin_whose_attribute_is_absent_is_broken(distributions: Distributions, registry: Load) -> None:
    distributions.add("acme", modules={"throwaway_empty": ""}, plugins={"acme": "throwaway_empty:hooks"})

    assert "AttributeError" in why(registry(), "acme")


def test_an_object_can_be_a_plugin(distributions: Distributions, registry: Load) -> None:
    source = """
        from undercroft_hookspecs import hookimpl

        class Plugin:
            @hookimpl
            def undercroft_check(self, agent):
                return ["all is well"]

            @staticmethod
            def other(): ...

        plugin = Plugin()
    """
    distributions.add("acme", modules={"throwaway_object": source}, plugins={"acme": "throwaway_object:plugin"})

    assert registry().hooks.ask("acme", "undercroft_check", agent=None) == ["all is well"]


def test_an_unmet_requirement_on_hookspecs_is_found_before_importing(
    distributions: Distributions, registry: Load
) -> None:
    distributions.plugin("new", "raise AssertionError", requires=["undercroft-hookspecs>=1.5,<2"])

    plugin = registry().plugin("new")

    assert plugin.state is PluginState.INCOMPATIBLE
    assert plugin.why.startswith("undercroft-new requires undercroft-hookspecs>=1.5,<2, and 1.0.0 is installed")
    assert plugin.error is None


@pytest.mark.parametrize(
    "requires",
    [[], ["undercroft>=1"], ["undercroft-hookspecs>=1; extra == 'x'"], ["not a requirement!"]],
)
def test_an_absent_requirement_on_hookspecs_is_incompatible(
    distributions: Distributions, registry: Load, requires: Sequence[str]
) -> None:
    distributions.plugin("old", "raise AssertionError", requires=requires)

    plugin = registry().plugin("old")

    assert plugin.state is PluginState.INCOMPATIBLE
    assert "undercroft-old does not require undercroft-hookspecs" in plugin.why


def test_a_requirement_is_found_however_it_is_spelt(distributions: Distributions, registry: Load) -> None:
    distributions.plugin("good", GOOD % "disks", requires=["Undercroft.Hookspecs >= 1.0; python_version > '3'"])

    assert registry().active() == ["good"]


def test_without_metadata_of_hookspecs_nothing_fits(tmp_path: Path, make_distributions: type[Distributions]) -> None:
    made = make_distributions(tmp_path / "other")
    made.plugin("acme", "")

    loaded = Registry.load(Config(), installed=Installed.scan([str(made.folder)]))

    assert loaded.plugin("acme").state is PluginState.INCOMPATIBLE
    assert "has no metadata" in loaded.plugin("acme").why


def test_a_disabled_plugin_is_not_imported(distributions: Distributions, registry: Load) -> None:
    distributions.plugin("bad", "raise AssertionError")

    plugin = registry(Config(disabled=("bad",))).plugin("bad")

    assert plugin.state is PluginState.DISABLED
    assert "UNDERCROFT_DISABLED" in plugin.why


def test_a_name_to_disable_that_is_nearly_installed_is_noted(distributions: Distributions, registry: Load) -> None:
    distributions.plugin("disks", "")

    loaded = registry(Config(disabled=("diskss", "zzz"), only=("disks", "diks")))

    assert loaded.notes == (
        "no plugin 'diks' is installed that could be disabled or chosen (did you mean \"disks\"?)",
        "no plugin 'diskss' is installed that could be disabled or chosen (did you mean \"disks\"?)",
    )


def test_the_second_distribution_with_a_name_is_shadowed_and_not_imported(
    distributions: Distributions, registry: Load
) -> None:
    distributions.plugin("disks", GOOD % "disks", distribution="a-disks")
    distributions.plugin("disks", "raise AssertionError", distribution="b-disks")

    first, second = registry().plugins

    assert (first.distribution, first.state) == ("a-disks", "active")
    assert (second.distribution, second.state) == ("b-disks", "shadowed")
    assert second.why.startswith("a-disks has the same plugin name")


@pytest.mark.parametrize("name", ["Bad", "../x", "a b", "1a", "a-"])
def test_a_name_that_cannot_be_a_folder_and_a_metric_is_broken(
    distributions: Distributions, registry: Load, name: str
) -> None:
    distributions.add("acme", modules={"throwaway_name": "raise AssertionError"}, plugins={name: "throwaway_name"})

    assert "lower-case letters" in why(registry(), name)


def test_a_coroutine_hook_is_refused(distributions: Distributions, registry: Load) -> None:
    distributions.plugin(
        "bad",
        """
        from undercroft_hookspecs import hookimpl

        @hookimpl
        async def undercroft_manifolds(agent):
            return {}
        """,
    )

    assert "the hook undercroft_manifolds is a coroutine function" in why(registry(), "bad")


def test_a_hook_wrapper_is_refused(distributions: Distributions, registry: Load) -> None:
    distributions.plugin(
        "bad",
        """
        from undercroft_hookspecs import hookimpl

        @hookimpl(wrapper=True)
        def undercroft_manifolds(agent):
            return (yield)
        """,
    )

    assert "is a wrapper" in why(registry(), "bad")


def test_a_misspelt_hook_is_refused_with_what_was_meant(distributions: Distributions, registry: Load) -> None:
    distributions.plugin(
        "bad",
        """
        from undercroft_hookspecs import hookimpl

        @hookimpl
        def undercroft_manifold(agent):
            return {}
        """,
    )
    distributions.plugin("good", GOOD % "disks")

    loaded = registry()

    assert 'there is no such hook: undercroft_manifold (did you mean "undercroft_manifolds"?)' in why(loaded, "bad")
    assert loaded.active() == ["good"]


def test_a_hook_with_an_unknown_argument_is_refused(distributions: Distributions, registry: Load) -> None:
    distributions.plugin(
        "bad",
        """
        from undercroft_hookspecs import hookimpl

        @hookimpl
        def undercroft_manifolds(agnet):
            return {}
        """,
    )

    assert "agnet" in why(registry(), "bad")


def test_a_hook_that_is_not_marked_is_noted(
    distributions: Distributions, registry: Load, caplog: pytest.LogCaptureFixture
) -> None:
    distributions.plugin("odd", "def undercroft_manifolds(agent):\n    return {}")

    loaded = registry()

    assert loaded.active() == ["odd"]
    assert loaded.notes == ("plugin 'odd': undercroft_manifolds is not marked with @hookimpl, so it is no hook",)
    assert "not marked with @hookimpl" in caplog.text


class RetiringHooks(Hooks, Protocol):
    """Hook specifications of a later version, in which an argument is about to go."""

    @hookspec(warn_on_impl_args={"folder": DeprecationWarning("`folder` is going: ask the agent for data_dir")})
    def undercroft_check(self, agent: object, folder: object) -> Sequence[str]:  # type: ignore[override]
        """As before."""
        ...


def test_a_retired_argument_still_loads_with_a_warning(distributions: Distributions, registry: Load) -> None:
    distributions.plugin(
        "old",
        """
        from undercroft_hookspecs import hookimpl

        @hookimpl
        def undercroft_check(agent, folder):
            return [f"{agent} {folder}"]
        """,
    )

    loaded = registry(hookspecs=RetiringHooks)

    assert loaded.active() == ["old"]
    (note,) = loaded.notes
    assert note.startswith("plugin 'old': `folder` is going: ask the agent for data_dir (")
    assert "throwaway_old.py:" in note
    assert loaded.hooks.collect("undercroft_check", lambda plugin: plugin) == [("old", ["old None"])]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("return dict", "expected a msgspec.Struct class, not the class dict"),
        ("return Loose", "expected that Loose has frozen=True and forbid_unknown_fields=True"),
        ("return Strict", "expected a default for the field 'size' of Strict"),
        ("raise OSError('no disk')", "undercroft_config raised OSError: no disk"),
    ],
)
def test_settings_that_break_the_rules_break_the_plugin(
    distributions: Distributions, registry: Load, body: str, reason: str
) -> None:
    distributions.plugin(
        "bad",
        f"""
        import msgspec
        from undercroft_hookspecs import hookimpl

        class Loose(msgspec.Struct):
            size: int = 1

        class Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
            size: int

        @hookimpl
        def undercroft_config():
            {body}
        """,
    )

    loaded = registry()

    assert reason in why(loaded, "bad")
    with pytest.raises(NotFoundError):
        loaded.section("bad")


def test_a_section_is_validated_when_the_plugin_is_loaded(
    distributions: Distributions, registry: Load, tmp_path: Path
) -> None:
    distributions.plugin("good", GOOD % "disks")
    file = tmp_path / "undercroft.toml"
    file.write_text("[plugins.good]\npoll_second = 3")

    with pytest.raises(ConfigError, match=r"plugins\.good\.poll_second is not a known key"):
        registry(load(file, {}))


def test_a_section_of_a_plugin_that_is_not_active_is_let_be(distributions: Distributions, registry: Load) -> None:
    distributions.plugin("bad", "raise ValueError")

    assert registry(Config(sections={"bad": {"whatever": 1}})).active() == []


def test_a_section_for_nobody_is_refused(registry: Load) -> None:
    with pytest.raises(ConfigError, match=r"plugins\.ghost is for a plugin that is not installed"):
        registry(Config(sections={"ghost": {}}))


def test_a_plugin_without_settings_has_an_empty_section(distributions: Distributions, registry: Load) -> None:
    distributions.plugin("plain", "")

    assert registry().section("plain").__struct_fields__ == ()
    with pytest.raises(ConfigError, match="it has no settings"):
        registry(Config(sections={"plain": {"x": 1}}))


def test_required_plugins_that_are_not_active_are_named_with_what_is_the_matter(
    distributions: Distributions, registry: Load
) -> None:
    distributions.plugin("good", GOOD % "disks")
    distributions.plugin("bad", "raise ValueError('no')")
    loaded = registry(Config(required=("good", "bad", "goud")))

    with pytest.raises(RequiredPluginError) as caught:
        loaded.check_required()

    assert set(caught.value.problems) == {"bad", "goud"}
    assert "bad is broken (loading" in str(caught.value)
    assert 'goud is not installed (did you mean "good"?)' in str(caught.value)


def test_required_plugins_that_are_active_are_no_matter(distributions: Distributions, registry: Load) -> None:
    distributions.plugin("good", GOOD % "disks")

    registry(Config(required=("good",))).check_required()


def test_a_plugin_that_breaks_later_fails_the_requirement(distributions: Distributions, registry: Load) -> None:
    distributions.plugin("good", GOOD % "disks")
    loaded = registry(Config(required=("good",)))

    loaded.break_plugin("good", "its worker went mad")

    with pytest.raises(RequiredPluginError, match="went mad"):
        loaded.check_required()


def test_the_first_reason_for_being_broken_stays(
    distributions: Distributions, registry: Load, caplog: pytest.LogCaptureFixture
) -> None:
    distributions.plugin("good", GOOD % "disks")
    loaded = registry()
    error = ValueError("first")

    loaded.break_plugin("good", "the first", error)
    loaded.break_plugin("good", "the second")

    assert (why(loaded, "good"), loaded.plugin("good").error) == ("the first", error)
    assert not loaded.hooks.implements("good", "undercroft_manifolds")
    assert [r.levelno for r in caplog.records] == [logging.ERROR]


def test_an_unknown_plugin_is_not_found(distributions: Distributions, registry: Load) -> None:
    distributions.plugin("good", "")

    with pytest.raises(NotFoundError, match=r"no plugin called 'goof' is installed \(did you mean \"good\"\?\)"):
        registry().plugin("goof")


def test_a_reload_names_the_plugins_whose_section_has_changed(distributions: Distributions, registry: Load) -> None:
    distributions.plugin("a", GOOD % "a")
    distributions.plugin("b", GOOD % "b")
    loaded = registry(Config(sections={"a": {"poll_seconds": 5}}))

    changed = loaded.reload(Config(sections={"a": {"poll_seconds": 5.0}, "b": {"poll_seconds": 7}}))

    assert changed == ["b"]
    assert loaded.section("b") == type(loaded.section("b"))(7.0)


def test_a_reload_that_does_not_validate_changes_nothing(distributions: Distributions, registry: Load) -> None:
    distributions.plugin("a", GOOD % "a")
    distributions.plugin("b", GOOD % "b")
    loaded = registry()
    before = loaded.section("a"), loaded.config

    with pytest.raises(ConfigError):
        loaded.reload(Config(sections={"a": {"poll_seconds": 5}, "b": {"poll_seconds": "x"}}))

    assert (loaded.section("a"), loaded.config) == before
    assert loaded.active() == ["a", "b"]


def test_stores_are_found_by_their_scheme_and_not_imported(distributions: Distributions, registry: Load) -> None:
    distributions.add("b-store", stores={"b": "throwaway_absent:open", "c": "b:open"})
    distributions.add("a-store", stores={"b": "a:open"})

    points = registry().store_entry_points()

    assert {scheme: point.distribution for scheme, point in points.items()} == {"b": "a-store", "c": "b-store"}


def test_rows_are_what_people_and_programs_are_shown(distributions: Distributions, registry: Load) -> None:
    distributions.plugin("bad", "raise ValueError('no')")
    distributions.plugin("good", GOOD % "disks")

    bad, good = plugin_rows(registry(), {"good": ["disks"], "bad": ["ghost"]})

    assert good == {
        "name": "good",
        "state": "active",
        "why": "",
        "distribution": "undercroft-good",
        "version": "1.0",
        "requires": "undercroft-hookspecs>=1.0,<2",
        "manifolds": ["disks"],
        "hooks": ["undercroft_config", "undercroft_manifolds"],
    }
    assert (bad["state"], bad["manifolds"], bad["hooks"]) == ("broken", [], [])


def test_a_manifold_is_what_the_contract_says(distributions: Distributions, registry: Load) -> None:
    distributions.plugin("good", GOOD % "disks")

    answer = registry().hooks.ask("good", "undercroft_manifolds", agent=None)

    assert isinstance(answer, dict)
    assert isinstance(answer["disks"], Manifold)
