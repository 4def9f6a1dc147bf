from __future__ import annotations

from collections.abc import Mapping
from typing import cast

import pytest
from core.tests.cli.conftest import CommandLine, Ran
from core.tests.conftest import Distributions

MANIFOLDS = """
    from undercroft_hookspecs import Manifold, hookimpl

    def start(context): ...

    @hookimpl
    def undercroft_manifolds(agent):
        return {%s}
"""

UNIT = """
    @hookimpl
    def undercroft_unit_manifolds(unit):
        return {"meter": Manifold(start=start)}
"""

MISSPELT = """
    from undercroft_hookspecs import hookimpl

    @hookimpl
    def undercroft_manifold(agent): ...
"""

ASYNC = """
    from undercroft_hookspecs import hookimpl

    @hookimpl
    async def undercroft_manifolds(agent): ...
"""


def one(name: str, *inputs: str) -> str:
    """The source of a plugin with one manifold."""
    return MANIFOLDS % f'"{name}": Manifold(start=start, inputs={inputs!r})'


@pytest.fixture
def added(undercroft: CommandLine, distributions: Distributions) -> CommandLine:
    """The command line, with the throw-away distributions on its path."""
    undercroft.path = [distributions.folder]
    return undercroft


def row(ran: Ran, name: str, distribution: str = "") -> Mapping[str, object]:
    """What is said of one plugin."""
    rows = cast("list[dict[str, object]]", ran.document)
    (found,) = [each for each in rows if each["name"] == name and distribution in str(each["distribution"])]
    return found


def test_a_good_plugin_is_described_whole(added: CommandLine, distributions: Distributions) -> None:
    distributions.plugin("good", one("pump") + UNIT)

    ran = added("plugins", "--format", "json")

    assert ran.code == 0
    assert row(ran, "good") == {
        "name": "good",
        "state": "active",
        "why": "",
        "distribution": "undercroft-good",
        "version": "1.0",
        "requires": "undercroft-hookspecs>=1.0,<2",
        "manifolds": ["pump", "meter"],
        "hooks": ["undercroft_manifolds", "undercroft_unit_manifolds"],
    }


def test_every_state_is_told_and_the_exit_is_0(added: CommandLine, distributions: Distributions) -> None:
    distributions.plugin("good", one("pump"))
    distributions.plugin("good", one("pump"), distribution="undercroft-later")
    distributions.plugin("raising", "raise ValueError('no luck')")
    distributions.plugin("future", "", requires=["undercroft-hookspecs>=7"])
    distributions.plugin("unwanted", "")
    distributions.plugin("misspelt", MISSPELT)
    distributions.plugin("eager", ASYNC)
    added.environ["UNDERCROFT_DISABLED"] = "unwanted"

    ran = added("plugins", "--format", "json")

    assert (ran.code, ran.err) == (0, "")
    assert row(ran, "good", "undercroft-good")["state"] == "active"
    assert row(ran, "good", "undercroft-later")["state"] == "shadowed"
    assert row(ran, "raising")["state"] == "broken"
    assert "ValueError: no luck" in str(row(ran, "raising")["why"])
    assert row(ran, "future")["state"] == "incompatible"
    assert row(ran, "unwanted")["state"] == "disabled"
    assert 'did you mean "undercroft_manifolds"?' in str(row(ran, "misspelt")["why"])
    assert "is a coroutine function" in str(row(ran, "eager")["why"])


@pytest.mark.parametrize("source", ["raise ValueError('no luck')", MISSPELT, ASYNC])
def test_strict_makes_a_broken_plugin_a_failure(added: CommandLine, distributions: Distributions, source: str) -> None:
    distributions.plugin("bad", source)

    assert added("plugins", "--strict").code == 1


def test_strict_lets_a_disabled_plugin_be(added: CommandLine, distributions: Distributions) -> None:
    distributions.plugin("bad", "raise ValueError")
    added.environ["UNDERCROFT_DISABLED"] = "bad"

    assert added("plugins", "--strict").code == 0


def test_two_that_claim_one_manifold_are_both_named(added: CommandLine, distributions: Distributions) -> None:
    distributions.plugin("a", one("pump"))
    distributions.plugin("b", one("pump"))

    ran = added("plugins", "--format", "json")

    assert row(ran, "a")["state"] == "active"
    assert row(ran, "b")["state"] == "broken"
    assert "'pump'" in str(row(ran, "b")["why"])
    assert "'a'" in str(row(ran, "b")["why"])


def test_a_claim_on_cores_manifold_is_refused(added: CommandLine, distributions: Distributions) -> None:
    distributions.plugin("greedy", one("store"))

    assert "'store', which core has" in str(row(added("plugins", "--format", "json"), "greedy")["why"])


def test_a_circle_among_manifolds_names_its_members(added: CommandLine, distributions: Distributions) -> None:
    distributions.plugin("a", one("chicken", "egg"))
    distributions.plugin("b", one("egg", "chicken"))

    ran = added("plugins", "--format", "json")

    assert row(ran, "a")["state"] == "active"
    assert row(ran, "b")["state"] == "broken"
    assert "chicken" in str(row(ran, "b")["why"])
    assert "egg" in str(row(ran, "b")["why"])


def test_debug_shows_where_a_plugin_broke(added: CommandLine, distributions: Distributions) -> None:
    distributions.plugin("bad", "def f():\n    raise ValueError('no luck')\nf()")

    assert "Traceback" not in added("plugins").err
    ran = added("plugins", "--debug")
    assert "plugin 'bad' is broken:\nTraceback" in ran.err
    assert "throwaway_bad.py" in ran.err


def test_what_is_odd_is_a_note(added: CommandLine, distributions: Distributions) -> None:
    distributions.plugin("odd", "def undercroft_check(agent): ...")

    assert added("plugins").err == (
        "Note: plugin 'odd': undercroft_check is not marked with @hookimpl, so it is no hook\n"
    )


def test_an_allow_list_leaves_the_rest_disabled(added: CommandLine, distributions: Distributions) -> None:
    distributions.plugin("a", one("pump"))
    distributions.plugin("b", "raise ValueError")
    added.environ["UNDERCROFT_PLUGINS"] = "a"

    ran = added("plugins", "--strict", "--format", "json")

    assert ran.code == 0
    assert (row(ran, "a")["state"], row(ran, "b")["state"]) == ("active", "disabled")


def test_looking_leaves_no_trace(added: CommandLine, distributions: Distributions) -> None:
    distributions.plugin("good", one("pump"))

    added("plugins")
    added("check")

    assert not added.data.exists()


def test_people_are_shown_a_table(added: CommandLine, distributions: Distributions) -> None:
    distributions.plugin("good", one("pump"))

    lines = added("plugins").out.splitlines()

    assert lines[0].split() == ["NAME", "STATE", "DISTRIBUTION", "VERSION", "MANIFOLDS", "WHY"]
    assert ["good", "active", "undercroft-good", "1.0", "pump"] in [line.split() for line in lines]


def test_check_is_content_with_defaults(added: CommandLine) -> None:
    ran = added("check")

    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith(f"config: none, so all is at its default\ndata: {added.data}\n")


def test_check_says_what_the_host_lacks(added: CommandLine, distributions: Distributions) -> None:
    source = """
        from undercroft_hookspecs import hookimpl

        @hookimpl
        def undercroft_check(agent):
            assert agent.data_dir.name == "good"
            return ["smartctl is missing: apt-get install smartmontools"]
    """
    distributions.plugin("good", source)

    assert "\ngood: smartctl is missing: apt-get install smartmontools\n" in added("check").out
    document = cast("dict[str, list[object]]", added("check", "--format", "json").document)
    assert {"plugin": "good", "what": "smartctl is missing: apt-get install smartmontools"} in document["lacks"]


def test_check_names_a_broken_plugin_and_goes_on(added: CommandLine, distributions: Distributions) -> None:
    distributions.plugin("bad", "raise ValueError('no luck')")

    ran = added("check")

    assert ran.code == 0
    assert "ValueError: no luck" in ran.out
    assert "Traceback" not in ran.out + ran.err
    assert "Traceback" in added("check", "--debug").err


def test_check_fails_on_a_broken_plugin_that_is_required(added: CommandLine, distributions: Distributions) -> None:
    distributions.plugin("bad", "raise ValueError('no luck')")
    added.config('required = ["bad", "ghost"]')

    ran = added("check")

    assert ran.code == 1
    assert ran.err.startswith("Error: `required` in the config is not met: bad is broken (")
    assert "ghost is not installed" in ran.err


def test_check_fails_on_a_required_plugin_whose_manifold_is_anothers(
    added: CommandLine, distributions: Distributions
) -> None:
    distributions.plugin("a", one("pump"))
    distributions.plugin("b", one("pump"))
    added.config('required = ["b"]')

    assert added("check").code == 1


SECTION = """
    import msgspec
    from undercroft_hookspecs import hookimpl

    class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        poll_seconds: float = 60.0

    @hookimpl
    def undercroft_config():
        return Settings
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("stor = 3", 'stor is not a known key (did you mean "store"?)'),
        ("allow_reboot = 'yes'", "allow_reboot is 'yes'; expected true or false"),
        (
            "[plugins.good]\npoll_second = 3",
            'plugins.good.poll_second is not a known key (did you mean "poll_seconds"?)',
        ),
        ("[plugins.good]\npoll_seconds = 'x'", "plugins.good.poll_seconds is 'x'; expected a number"),
        ("[plugins.goof]", 'plugins.goof is for a plugin that is not installed (did you mean "good"?)'),
    ],
)
@pytest.mark.parametrize("command", ["check", "plugins"])
def test_a_bad_config_names_the_file_and_the_key(
    added: CommandLine, distributions: Distributions, command: str, text: str, message: str
) -> None:
    distributions.plugin("good", SECTION)
    file = added.config(text)

    ran = added(command)

    assert (ran.code, ran.out) == (78, "")
    assert ran.err.startswith(f"Error: {file}: {message}")
    assert ran.err.count("\n") == 1


def test_toml_that_is_none_names_the_line(added: CommandLine) -> None:
    file = added.config("a = = b")

    ran = added("check")

    assert ran.code == 78
    assert ran.err.startswith(f"Error: {file} is not TOML: ")
    assert "line 1" in ran.err


def test_a_config_that_is_named_must_be_there(added: CommandLine) -> None:
    ran = added("check", "-c", "absent.toml")

    assert ran.code == 78
    assert ran.err.startswith(f"Error: {added.folder}/absent.toml cannot be read: No such file or directory")


def test_a_store_that_nobody_opens_is_a_bad_config(added: CommandLine, distributions: Distributions) -> None:
    distributions.plugin("model", one("model"))
    added.config('store = "nowhere://host"')

    ran = added("check")

    assert ran.code == 78
    assert "store is 'nowhere://host', which nothing that is installed opens" in ran.err
