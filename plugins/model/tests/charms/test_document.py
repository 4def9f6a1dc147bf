"""YAML that nobody vouches for."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from undercroft_model.charms.document import MAX_BYTES, MAX_DEPTH, Entry, read
from undercroft_model.charms.errors import CharmFileError

TOKENS = (
    *("{", "}", "[", "]", ": ", "- ", "? ", "|", ">", "\n", "\n  ", "\n- ", "'", '"', "#", ","),
    *("&a ", "*a", "<<: ", "!!binary ", "!!set ", "!x ", "---\n", "%YAML 1.1\n", "\t", "\0"),
    *("key", "no", "~", "0o8", "0x", "1_0", "1:2:3", ".inf", "1e9", "=", "-", "2001-01-01", "9" * 5000),
)


def _read(text: str) -> Entry:
    return read(text.encode(), "config.yaml")


def _laughs(levels: int) -> str:
    lines = ["a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize("word", ["no", "yes", "on", "off", "1.10", "12:30", "0777", "2024-01-01", "~x", "true"])
def test_text_is_what_was_written_whatever_yaml_makes_of_it(word: str) -> None:
    assert _read(f"key: {word}").mapping()["key"].text() == word


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("yes", True),
        ("Off", False),
        ("12", 12),
        ("-0x1f", -31),
        ("0777", 511),
        ("1_000", 1000),
        ("1.5", 1.5),
        ("12:30", "12:30"),
        ("2024-01-01", "2024-01-01"),
        ("'no'", "no"),
        ("", None),
        ("~", None),
    ],
)
def test_a_scalar_is_what_juju_takes_it_for(written: str, meant: object) -> None:
    assert _read(f"key: {written}").mapping()["key"].scalar() == meant


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2", r"line 2\): expected each key once, found 'a' again"),
        ("deep:\n  b: 1\n  b: 2", r"config\.yaml: deep \(line 3\): expected each key once, found 'b' again"),
        ("1: x", "expected keys that are text, found the number 1 as a key"),
        ("[a, b]: x", "expected keys that are text, found a list as a key"),
        ("a: [", "config.yaml"),
        ("a: !!python/object/apply:os.system [ls]", "with the tag"),
        ("a: 1\n---\nb: 2", "expected one YAML document"),
        ("a: &x [*x]", "found one that contains itself"),
        ("a: *unknown", "undefined alias"),
        ("a: b: c", "mapping values"),
        ("a: \tb\n\tc: d", "config.yaml"),
        ("a: \x01", "control characters"),
    ],
)
def test_what_is_no_plain_yaml_is_refused(text: str, message: str) -> None:
    with pytest.raises(CharmFileError, match=message):
        _read(text).mapping()["a"].plain()


def test_aliases_that_would_become_too_much_are_refused_before_they_are_spread_out() -> None:
    with pytest.raises(CharmFileError, match="once its aliases are spread out"):
        _read(_laughs(levels=30))


def test_aliases_that_stay_small_are_fine() -> None:
    entry = _read(_laughs(levels=3))

    assert len(entry.mapping()["a2"].items()) == 10


def test_merged_keys_give_way_to_those_that_are_written() -> None:
    text = "base: &base {type: int, default: 1}\noption:\n  <<: *base\n  default: 2\n"

    assert _read(text).mapping()["option"].plain() == {"default": 2, "type": "int"}


def test_what_is_too_deep_is_refused_and_not_recursed_into() -> None:
    with pytest.raises(CharmFileError, match=f"at most {MAX_DEPTH} levels"):
        _read("[" * 100_000)


def test_what_is_too_large_is_refused_unread() -> None:
    with pytest.raises(CharmFileError, match="bytes"):
        read(b"#" * (MAX_BYTES + 1), "config.yaml")


def test_what_is_not_utf_8_is_refused() -> None:
    with pytest.raises(CharmFileError, match="expected UTF-8 text, found other bytes at offset 3"):
        read(b"a: \xff\xfe", "config.yaml")


def test_a_byte_order_mark_is_passed_over() -> None:
    assert read(b"\xef\xbb\xbfa: 1", "config.yaml").plain() == {"a": 1}


@pytest.mark.parametrize("number", ["9223372036854775808", "1" * 5000, ".inf", ".nan", "1.0e+400"])
def test_a_number_that_nothing_can_hold_is_refused(number: str) -> None:
    with pytest.raises(CharmFileError, match="number"):
        _read(f"a: {number}").mapping()["a"].scalar()


def test_an_error_says_the_file_the_key_the_line_what_is_expected_and_what_there_is() -> None:
    with pytest.raises(CharmFileError) as caught:
        _read("options:\n  a:\n    type: [1]\n").mapping()["options"].mapping()["a"].mapping()["type"].text()

    assert str(caught.value) == "config.yaml: options.a.type (line 3): expected text, found a list"
    assert (caught.value.file, caught.value.key) == ("config.yaml", "options.a.type")
    assert caught.value.line == 3


def test_an_empty_file_is_nothing_and_an_empty_mapping() -> None:
    assert _read("").is_null
    assert _read("# nothing\n").mapping() == {}


@given(st.lists(st.sampled_from([*TOKENS]), max_size=40))
@settings(max_examples=300, deadline=None)
def test_whatever_is_written_is_read_or_refused(tokens: list[str]) -> None:
    with contextlib.suppress(CharmFileError):
        _read("".join(tokens)).plain()
