from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import msgspec
import pytest

from undercroft.config import Config, ConfigError, RestartLimit, config_file, data_folder, load
from undercroft_hookspecs import UndercroftError


class Inner(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    size: int = 1


class Box(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="box"):
    size: int = 1


class Ball(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind", tag="ball"):
    colour: str


class Disks(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    poll_seconds: Annotated[float, msgspec.Meta(gt=0)] = 60.0
    names: list[str] = []
    inner: Inner = Inner()
    many: dict[str, Inner] = {}
    some: list[Inner] = []
    maybe: Inner | None = None
    either: str | int = 1
    counts: dict[str, int] = {}
    kinds: dict[str, Box | Ball] = {}
    word: Annotated[str, msgspec.Meta(pattern="^[a-z]+$", description="one lower-case word")] = "a"
    bare: Annotated[str, msgspec.Meta(pattern="^[a-z]+$")] = "a"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "undercroft.toml"


def refusal(file: Path, text: str) -> ConfigError:
    """What is said of a file with this text."""
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(file, {}).section("disks", Disks)
    return caught.value


def test_no_file_gives_the_defaults() -> None:
    config = load(None, {})

    assert config == Config()
    assert config.store == "sqlite:"
    assert config.restart_limit == RestartLimit(failures=10, seconds=600.0)
    assert config.allow_reboot is False


def test_every_top_level_key_is_read(file: Path) -> None:
    file.write_text(
        'store = "etcd://a:2379,b:2379"\nrequired = ["disks"]\ndisabled = ["meter"]\nallow_reboot = true\n'
        "restart_limit = { failures = 3, seconds = 60 }\n[plugins.disks]\npoll_seconds = 5\n"
    )

    config = load(file, {})

    assert config.file == file
    assert config.store == "etcd://a:2379,b:2379"
    assert (config.required, config.disabled, config.allow_reboot) == (("disks",), ("meter",), True)
    assert config.restart_limit == RestartLimit(failures=3, seconds=60.0)
    assert config.section("disks", Disks) == Disks(poll_seconds=5.0)


def test_a_section_that_is_not_there_is_all_defaults() -> None:
    assert load(None, {}).section("disks", Disks) == Disks()


def test_an_error_is_one_of_the_projects_and_has_fields(file: Path) -> None:
    error = refusal(file, 'allow_reboot = "yes"')

    assert isinstance(error, UndercroftError)
    assert (error.file, error.key) == (file, "allow_reboot")
    assert (error.expected, error.found) == ("true or false", "is 'yes'")
    assert str(error) == f"{file}: allow_reboot is 'yes'; expected true or false"


@pytest.mark.parametrize(
    ("text", "key", "found", "expected"),
    [
        ('stor = "x"', "stor", 'is not a known key (did you mean "store"?)', "one of: store, required, disabled"),
        ('store = "x"', "store", "is 'x'", 'a URL such as "sqlite:"'),
        ('store = ["sqlite:"]', "store", "is a list", "a string"),
        ('required = "x"', "required", "is 'x'", "a list"),
        ("required = [1]", "required[0]", "is 1", "a string"),
        ("restart_limit = 3", "restart_limit", "is 3", "a table"),
        ("restart_limit = {failure = 3}", "restart_limit.failure", '"failures"', "one of: failures, seconds"),
        ("restart_limit = {failures = 0}", "restart_limit.failures", "is 0", "a whole number >= 1"),
        ("restart_limit = {seconds = true}", "restart_limit.seconds", "is true", "a number"),
        ("plugins = 3", "plugins", "is 3", "a table"),
        ("[plugins]\ndisks = 3", "plugins.disks", "is 3", "a section [plugins.disks]"),
        ("[plugins.disks]\npoll_second = 3", "plugins.disks.poll_second", '"poll_seconds"', "one of: poll_seconds"),
        ("[plugins.disks]\nzzz = 3", "plugins.disks.zzz", "is not a known key", "one of: poll_seconds"),
        ("[plugins.disks]\npoll_seconds = 0", "plugins.disks.poll_seconds", "is 0", "a number > 0.0"),
        ("[plugins.disks]\nnames = ['a', 2]", "plugins.disks.names[1]", "is 2", "a string"),
        ("[plugins.disks.inner]\nsizes = 1", "plugins.disks.inner.sizes", '"size"', "one of: size"),
        ("[plugins.disks.many.a]\nsizes = 1", "plugins.disks.many.a.sizes", '"size"', "one of: size"),
        ("[[plugins.disks.some]]\nsizes = 1", "plugins.disks.some[0].sizes", '"size"', "one of: size"),
        ("[plugins.disks.maybe]\nsizes = 1", "plugins.disks.maybe.sizes", '"size"', "one of: size"),
        ("[plugins.disks]\neither = 1.5", "plugins.disks.either", "is 1.5", "a whole number or a string"),
        ("[plugins.disks.counts]\na = 'x'", "plugins.disks.counts.a", "is 'x'", "a whole number"),
        ("[plugins.disks.counts]\nb = 1\na = 'x'\nc = 2", "plugins.disks.counts.a", "is 'x'", "a whole number"),
        ("[plugins.disks.kinds.a]\nkind = 'bok'", "plugins.disks.kinds.a.kind", '"box"', "one of: box, ball"),
        ("[plugins.disks.kinds.a]\nsize = 1", "plugins.disks.kinds.a.kind", "is missing", "one of: box, ball"),
        ("[plugins.disks.kinds.a]\nkind = 'ball'", "plugins.disks.kinds.a.colour", "is missing", "a value"),
        (
            "[plugins.disks.kinds.b]\nkind = 'box'\n[plugins.disks.kinds.a]\nkind = 'ball'\ncolour = 'x'\ncolor = 'y'",
            *("plugins.disks.kinds.a.color", '"colour"', "one of: colour"),
        ),
        (f"[plugins.disks]\npoll_seconds = '{'x' * 99}'", "plugins.disks.poll_seconds", "xxx...", "a number"),
    ],
)
def test_a_refusal_names_the_key_what_stands_there_and_what_was_expected(
    file: Path, text: str, key: str, found: str, expected: str
) -> None:
    error = refusal(file, text)

    assert error.key == key
    assert found in error.found
    assert expected in error.expected
    assert str(error).startswith(f"{file}: {key} ")


def test_a_pattern_is_told_in_the_words_that_the_struct_has_for_it(file: Path) -> None:
    described, bare = refusal(file, '[plugins.disks]\nword = "A"\n'), refusal(file, '[plugins.disks]\nbare = "A"\n')

    assert described.key == "plugins.disks.word"
    assert described.expected == "one lower-case word"
    assert bare.expected == "a string matching regex '^[a-z]+$'"


def test_a_plugin_without_settings_takes_no_key(file: Path) -> None:
    class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
        pass

    file.write_text("[plugins.disks]\nx = 1")

    with pytest.raises(ConfigError, match=r"plugins\.disks\.x is not a known key; expected no key at all"):
        load(file, {}).section("disks", Nothing)


def test_bad_toml_is_named_with_its_line(file: Path) -> None:
    error = refusal(file, 'store = "sqlite:"\n\nrequired = = 3\n')

    assert str(error).startswith(f"{file} is not TOML: ")
    assert "line 3" in str(error)


def test_a_file_that_is_not_utf8_is_refused(file: Path) -> None:
    file.write_bytes(b'store = "\xff"')

    with pytest.raises(ConfigError, match="is not UTF-8 at byte 9"):
        load(file, {})


def test_a_file_that_is_absent_is_refused(file: Path) -> None:
    with pytest.raises(ConfigError, match=r"undercroft\.toml cannot be read: No such file"):
        load(file, {})


def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load(tmp_path, {})


def test_a_section_for_a_plugin_that_is_not_installed_is_refused(file: Path) -> None:
    file.write_text("[plugins.disk]\n")
    config = load(file, {})

    with pytest.raises(ConfigError) as caught:
        config.check_names(["disks", "meter"])

    assert str(caught.value) == (
        f'{file}: plugins.disk is for a plugin that is not installed (did you mean "disks"?); '
        "expected one of: disks, meter"
    )


def test_a_remedy_is_the_last_word() -> None:
    error = ConfigError(found="is 3", expected="a string", key="store", remedy="change it")

    assert str(error) == "config: store is 3; expected a string; change it"


def test_disabled_in_the_environment_is_added_to_the_files(file: Path) -> None:
    file.write_text('disabled = ["a", "b"]')

    config = load(file, {"UNDERCROFT_DISABLED": "b, c,,"})

    assert config.disabled == ("a", "b", "c")
    assert "disabled" in config.why_disabled("c")
    assert config.why_disabled("d") == ""


def test_an_allow_list_in_the_environment_disables_the_rest() -> None:
    config = load(None, {"UNDERCROFT_PLUGINS": "a,b"})

    assert config.only == ("a", "b")
    assert config.why_disabled("a") == ""
    assert "$UNDERCROFT_PLUGINS" in config.why_disabled("c")


def test_an_empty_allow_list_is_none() -> None:
    assert load(None, {"UNDERCROFT_PLUGINS": ""}).only is None


def test_other_variables_are_no_settings() -> None:
    assert load(None, {"UNDERCROFT_STORE": "etcd:", "UNDERCROFT_ALLOW_REBOOT": "1"}) == Config()


def test_the_data_folder_is_the_option_first(tmp_path: Path) -> None:
    assert data_folder(str(tmp_path), {"UNDERCROFT_DATA": "/elsewhere"}) == tmp_path
    assert data_folder(None, {"UNDERCROFT_DATA": "/elsewhere"}) == Path("/elsewhere")


def test_a_relative_data_folder_is_made_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert data_folder("here", {}) == tmp_path / "here"


def test_the_usual_data_folder_of_root_is_the_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)

    assert data_folder(None, {"XDG_STATE_HOME": "/state"}) == Path("/var/lib/undercroft")


def test_the_usual_data_folder_of_others_is_in_their_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", str(tmp_path))

    assert data_folder(None, {"XDG_STATE_HOME": "/state"}) == Path("/state/undercroft")
    assert data_folder(None, {"XDG_STATE_HOME": "relative"}) == tmp_path / ".local/state/undercroft"
    assert data_folder(None, {}) == tmp_path / ".local/state/undercroft"


def test_the_config_is_the_option_first(tmp_path: Path) -> None:
    named = {"UNDERCROFT_CONFIG": str(tmp_path / "b.toml")}

    assert config_file(str(tmp_path / "a.toml"), named, tmp_path) == tmp_path / "a.toml"
    assert config_file(None, named, tmp_path) == tmp_path / "b.toml"


def test_the_usual_config_is_in_the_data_folder_if_it_is_there(tmp_path: Path, file: Path) -> None:
    assert config_file(None, {}, tmp_path) is None
    assert config_file(None, {}, tmp_path / "absent" / "folder") is None

    file.write_text("")

    assert config_file(None, {}, tmp_path) == file


def test_a_config_that_cannot_be_looked_for_is_not_taken_for_absent(tmp_path: Path) -> None:
    """As with a folder that is closed to us, which root cannot have: here the name is too long to be looked up."""
    found = config_file(None, {}, tmp_path / ("x" * 300))

    assert found is not None
    with pytest.raises(ConfigError, match="cannot be read: File name too long"):
        load(found, {})
