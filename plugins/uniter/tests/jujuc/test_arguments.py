"""Arguments taken apart as Juju does."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undercroft_hookspecs.hook_tools import Flag, ToolUsageError
from undercroft_uniter.jujuc.arguments import Parsed, invalid_value, parse

FLAGS = (
    Flag(names=("r", "relation"), value="relation", summary="which", default="db:3"),
    Flag(names=("file",), value="file", summary="from where"),
    Flag(names=("application",), summary="of the application"),
    Flag(names=("a", "all"), summary="all of it"),
    Flag(names=("d",), summary="in detail"),
)


def parsed(*arguments: str) -> tuple[list[str], dict[str, str], set[str]]:
    found = parse(arguments, FLAGS)
    assert not found.is_help
    return found.arguments, {key: value for key, value in found.values.items() if value != "db:3"}, found.switches


@pytest.mark.parametrize(
    "arguments",
    [
        ("-r", "db:1", "-", "unit"),
        ("-", "-r", "db:1", "unit"),
        ("-", "unit", "-r", "db:1"),
        ("-rdb:1", "-", "unit"),
        ("--relation", "db:1", "-", "unit"),
        ("--relation=db:1", "-", "unit"),
        ("-r=db:1", "-", "unit"),
        ("-r", "db:0", "-", "--relation=db:1", "unit"),
        ("-r", "db:1", "--", "-", "unit"),
        ("-r", "db:1", "-", "--", "unit"),
    ],
)
def test_flags_may_stand_anywhere_and_in_any_form(arguments: tuple[str, ...]) -> None:
    assert parsed(*arguments) == (["-", "unit"], {"relation": "db:1"}, set())


@pytest.mark.parametrize("value", ["1", "t", "T", "true", "True", "TRUE"])
def test_a_switch_takes_words_for_true(value: str) -> None:
    assert parsed(f"--application={value}") == ([], {}, {"application"})


@pytest.mark.parametrize("value", ["0", "f", "F", "false", "False", "FALSE"])
def test_a_switch_takes_words_for_false(value: str) -> None:
    assert parsed("--application", f"--application={value}") == ([], {}, set())


def test_a_switch_takes_no_word_that_follows() -> None:
    assert parsed("--application", "False") == (["False"], {}, {"application"})


def test_short_switches_may_stand_together() -> None:
    assert parsed("-ad") == ([], {}, {"all", "d"})


def test_a_value_may_end_short_switches() -> None:
    assert parsed("-adrdb:1") == ([], {"relation": "db:1"}, {"all", "d"})


def test_a_flag_that_is_not_given_has_its_default() -> None:
    assert parse((), FLAGS) == Parsed(values={"relation": "db:3"})


def test_a_value_may_look_like_a_flag() -> None:
    assert parsed("--file", "--help") == ([], {"file": "--help"}, set())


def test_a_value_may_be_empty() -> None:
    assert parsed("--file=", "--relation", "") == ([], {"file": "", "relation": ""}, set())


def test_an_empty_word_is_an_argument() -> None:
    assert parsed("") == ([""], {}, set())


def test_after_two_dashes_there_are_no_flags() -> None:
    assert parsed("--", "-r", "--", "--help") == (["-r", "--", "--help"], {}, set())


@pytest.mark.parametrize("arguments", [("--help",), ("-h",), ("x", "--help", "--nope"), ("-ah",)])
def test_help_is_help(arguments: tuple[str, ...]) -> None:
    assert parse(arguments, FLAGS).is_help


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--nope",), "option provided but not defined: --nope"),
        (("--nope=1",), "option provided but not defined: --nope"),
        (("-x",), "option provided but not defined: -x"),
        (("-ax",), "option provided but not defined: -x"),
        (("--nope", "--help"), "option provided but not defined: --nope"),
        (("--file",), "option needs an argument: --file"),
        (("-r",), "option needs an argument: -r"),
        (("-ar",), "option needs an argument: -r"),
        (("--=x",), 'empty option in argument "--=x"'),
        (("--application=maybe",), 'invalid value "maybe" for option --application: it is either true or false'),
    ],
)
def test_misuse_is_named(arguments: tuple[str, ...], message: str) -> None:
    with pytest.raises(ToolUsageError) as caught:
        parse(arguments, FLAGS)

    assert str(caught.value) == message


def test_an_invalid_value_reads_as_charms_expect() -> None:
    assert str(invalid_value("9999", "r", "relation not found")) == (
        'invalid value "9999" for option -r: relation not found'
    )


@given(st.lists(st.text()))
def test_any_words_are_taken_or_misuse(words: list[str]) -> None:
    try:
        found = parse(words, FLAGS)
    except ToolUsageError:
        return

    assert all(word in words for word in found.arguments)


@given(st.lists(st.text()))
def test_all_after_two_dashes_are_arguments(words: list[str]) -> None:
    assert parse(["--", *words], FLAGS).arguments == words
