"""`key=value` arguments and files of settings."""

from __future__ import annotations

import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undercroft_hookspecs import UndercroftError
from undercroft_hookspecs.hook_tools import ToolUsageError
from undercroft_uniter.jujuc.settings import key_values, read_settings


def test_arguments_are_taken_apart_at_the_first_equals_sign_and_trimmed() -> None:
    assert key_values(["a=b", "c=d=e", " f = g h ", "i=", "j=[1]"]) == {
        "a": "b",
        "c": "d=e",
        "f": "g h",
        "i": "",
        "j": "[1]",
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["haha"], 'expected "key=value", got "haha"'),
        (["=x"], 'expected "key=value", got "=x"'),
        ([" = x"], 'expected "key=value", got "=x"'),
        (["a=1", "a=2"], 'key "a" specified more than once'),
        ([""], 'expected "key=value", got ""'),
    ],
)
def test_arguments_that_are_no_pairs_are_misuse(arguments: list[str], message: str) -> None:
    with pytest.raises(ToolUsageError) as caught:
        key_values(arguments)

    assert str(caught.value) == message


def test_an_empty_value_is_misuse_where_it_is_not_allowed() -> None:
    with pytest.raises(ToolUsageError, match='expected "key=value", got "a="'):
        key_values(["a="], allow_empty=False)


@pytest.mark.parametrize(
    ("content", "settings"),
    [
        (b"", {}),
        (b"\n# nothing\n", {}),
        (b"{}", {}),
        (b"~", {}),
        (b"a: b\nc: d\n", {"a": "b", "c": "d"}),
        (b"{a: b, c: d}", {"a": "b", "c": "d"}),
        (b"a: |\n  two\n  lines\n", {"a": "two\nlines\n"}),
        (b"a: >\n  two\n  lines\n", {"a": "two lines\n"}),
        (b"a: 010\nb: True\nc: 1.50\nd: 2020-01-01", {"a": "010", "b": "True", "c": "1.50", "d": "2020-01-01"}),
        (b"a:\nb: ~\nc: null\nd: ''\ne: 'null'", {"a": "", "b": "", "c": "", "d": "", "e": "null"}),
        (b'{"a": "b", "c": null}', {"a": "b", "c": ""}),
        (b'{"a": "\\ud83d\\ude00"}', {"a": "\U0001f600"}),
        (b'{"a": 1}', {"a": "1"}),
        ("ä: ö".encode(), {"ä": "ö"}),
        ("a: b".encode("utf-16"), {"a": "b"}),
        (b"---\na: b\n...\n", {"a": "b"}),
    ],
)
def test_files_are_read(content: bytes, settings: dict[str, str]) -> None:
    assert read_settings(content) == settings


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"just text", "expected a map of keys and values, got a string"),
        (b"- a\n- b", "expected a map of keys and values, got a list"),
        (b"a: [b]", 'the value of "a" is a list, not a string'),
        (b"a: {b: c}", 'the value of "a" is a map, not a string'),
        (b"? [a]\n: b", "a key is a list, not a string"),
        (b"a: &x b\nc: *x", 'the value of "c" is a reference to another place, not a string'),
        (b"a: b\na: c", 'key "a" specified more than once'),
        (b"a: b\n---\nc: d", "expected one document, got several"),
        (b"{a: b}\n{c: d}", "did not find expected <document start> at line 2, column 1"),
        (b"a: b: c", "mapping values are not allowed in this context at line 1, column 5"),
        (b"a: 'b", "found unexpected end of stream at line 1, column 6"),
        (b"a: \x01", "control characters are not allowed"),
        (b"a: \xff", "invalid leading UTF-8 octet"),
    ],
)
def test_files_that_are_no_map_of_strings_are_refused(content: bytes, message: str) -> None:
    with pytest.raises(UndercroftError) as caught:
        read_settings(content)

    assert str(caught.value) == f"cannot parse the settings: {message}"


def test_the_content_is_not_repeated_for_it_may_be_secret() -> None:
    with pytest.raises(UndercroftError) as caught:
        read_settings(b"password: s3cret: [")

    assert "s3cret" not in str(caught.value)


def test_a_bomb_is_refused_where_it_begins() -> None:
    bomb = b"a: &a [x,x,x]\n" + b"".join(b"b%d: &b%d [*a,*a,*a]\n" % (n, n) for n in range(1000))

    with pytest.raises(UndercroftError, match='the value of "a" is a list'):
        read_settings(bomb)


def test_depth_is_refused_where_it_begins() -> None:
    with pytest.raises(UndercroftError, match='the value of "a" is a list'):
        read_settings(b"a: " + b"[" * 100_000)


@given(st.dictionaries(st.text(), st.text().filter(bool)))
def test_what_is_written_as_json_is_read(settings: dict[str, str]) -> None:
    assert read_settings(json.dumps(settings).encode()) == settings


@given(st.binary() | st.text(string.punctuation + " \nab").map(str.encode))
def test_anything_is_read_or_refused(content: bytes) -> None:
    try:
        settings = read_settings(content)
    except UndercroftError:
        return

    assert all(isinstance(value, str) for value in settings.values())
