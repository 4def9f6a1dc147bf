"""Answers, byte for byte as Juju prints them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from types import MappingProxyType

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from undercroft_uniter.jujuc.formats import FORMATS, Ordered, render

plain = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\u2028\u2029\x85\ufeff\ufffe\uffff"))
scalars = st.none() | st.booleans() | st.integers() | plain
values = st.recursive(scalars, lambda inner: st.lists(inner) | st.dictionaries(plain, inner), max_leaves=10)


@pytest.mark.parametrize(
    ("value", "smart", "yaml_text", "json_text"),
    [
        (None, "", "", "null\n"),
        ("", "", '""\n', '""\n'),
        ("text", "text\n", "text\n", '"text"\n'),
        ("two\nlines", "two\nlines\n", "|-\n  two\n  lines\n", '"two\\nlines"\n'),
        ("ended\n", "ended\n\n", "|\n  ended\n", '"ended\\n"\n'),
        (True, "True\n", "true\n", "true\n"),
        (False, "False\n", "false\n", "false\n"),
        (5, "5\n", "5\n", "5\n"),
        (-7, "-7\n", "-7\n", "-7\n"),
        (1.5, "1.5\n", "1.5\n", "1.5\n"),
        (2.0, "2\n", "2\n", "2\n"),
        (1e6, "1e+06\n", "1e+06\n", "1000000\n"),
        (1234567.5, "1.2345675e+06\n", "1.2345675e+06\n", "1234567.5\n"),
        (0.0001, "0.0001\n", "0.0001\n", "0.0001\n"),
        (0.00001, "1e-05\n", "1e-05\n", "0.00001\n"),
        (1e-7, "1e-07\n", "1e-07\n", "1e-7\n"),
        (1e21, "1e+21\n", "1e+21\n", "1e+21\n"),
        (1e20, "1e+20\n", "1e+20\n", "100000000000000000000\n"),
        (-0.0, "-0\n", "-0\n", "-0\n"),
        ([], "", "[]\n", "[]\n"),
        (["a", "b"], "a\nb\n", "- a\n- b\n", '["a","b"]\n'),
        (("a",), "a\n", "- a\n", '["a"]\n'),
        ([1, "a"], "- 1\n- a\n", "- 1\n- a\n", '[1,"a"]\n'),
        ({}, "{}\n", "{}\n", "{}\n"),
        ({"b": 1, "a": None}, "a: null\nb: 1\n", "a: null\nb: 1\n", '{"a":null,"b":1}\n'),
        (Ordered(b=1, a=2), "b: 1\na: 2\n", "b: 1\na: 2\n", '{"b":1,"a":2}\n'),
        (MappingProxyType({"a": "x"}), "a: x\n", "a: x\n", '{"a":"x"}\n'),
        ({"l": ["x", {"k": "v"}]}, "l:\n- x\n- k: v\n", "l:\n- x\n- k: v\n", '{"l":["x",{"k":"v"}]}\n'),
        ({"e": {}, "l": []}, "e: {}\nl: []\n", "e: {}\nl: []\n", '{"e":{},"l":[]}\n'),
        (
            {"t": datetime(2030, 1, 2, 4, tzinfo=timezone(timedelta(hours=1)))},
            "t: 2030-01-02T03:00:00Z\n",
            "t: 2030-01-02T03:00:00Z\n",
            '{"t":"2030-01-02T03:00:00Z"}\n',
        ),
        (
            datetime(2030, 1, 2, 3, 4, 5, 600, tzinfo=UTC),
            "2030-01-02T03:04:05.0006Z\n",
            "2030-01-02T03:04:05.0006Z\n",
            '"2030-01-02T03:04:05.0006Z"\n',
        ),
        ({"k": {"k": "é"}}, "k:\n  k: é\n", "k:\n  k: é\n", '{"k":{"k":"é"}}\n'),
    ],
)
def test_values_are_printed_so(value: object, smart: str, yaml_text: str, json_text: str) -> None:
    assert [render(value, form) for form in ("smart", "yaml", "json")] == [smart, yaml_text, json_text]


@pytest.mark.parametrize(
    "text",
    [
        *("true", "True", "yes", "y", "Y", "no", "n", "off", "null", "~", "12", "0x1f", "0o17", "010", "1_000", "1.5"),
        *(".5", "1e3", "12:30", "2020-01-02", "2020-01-02T03:04:05Z", ".nan", "-.inf", "+1"),
    ],
)
def test_a_string_that_would_read_as_something_else_has_double_quotes(text: str) -> None:
    assert render({"k": text}, "yaml") == f'k: "{text}"\n'


@pytest.mark.parametrize(
    "text", ["a", "10.0.0.1", "1.2.3", "2020-13-01", "yess", "1,000", "db:0", "https://a/b", "a b"]
)
def test_a_string_that_reads_as_itself_has_no_quotes(text: str) -> None:
    assert render({"k": text}, "yaml") == f"k: {text}\n"


@pytest.mark.parametrize("text", ["a: b", "- a", " a", "a ", "#a", "*a", "&a", "{a", "[a", "!a", "%a", "@a", "a #b"])
def test_a_string_that_yaml_would_misread_has_single_quotes(text: str) -> None:
    assert render({"k": text}, "yaml") == f"k: '{text}'\n"


def test_keys_are_in_the_order_of_people_in_yaml_and_of_bytes_in_json() -> None:
    value = dict.fromkeys(["a10", "a2", "ab", "a", "b", "B", "a-1", "1", "10", "2", "a02"], "")

    assert [line.partition(":")[0].strip('"') for line in render(value, "yaml").splitlines()] == (
        ["1", "2", "10", "B", "a", "a-1", "a2", "a02", "a10", "ab", "b"]
    )
    assert list(json.loads(render(value, "json"))) == sorted(value)


def test_json_escapes_what_a_web_page_would_misread() -> None:
    assert render("<a>&\u2028\u2029\x01\t", "json") == '"\\u003ca\\u003e\\u0026\\u2028\\u2029\\u0001\\t"\n'


def test_long_lines_of_yaml_are_folded() -> None:
    assert render({"k": "word " * 20 + "end"}, "yaml").count("\n") == 2


@pytest.mark.parametrize("value", [object(), b"bytes", {"k": object()}, float("nan")])
def test_what_json_has_no_way_to_say_is_a_mistake_of_the_tool(value: object) -> None:
    with pytest.raises(TypeError):
        render(value, "json")


@pytest.mark.parametrize("value", [object(), b"bytes", {"k": {1, 2}}])
def test_what_yaml_has_no_way_to_say_is_a_mistake_of_the_tool(value: object) -> None:
    with pytest.raises(TypeError):
        render(value, "yaml")


@pytest.mark.parametrize(("value", "text"), [(float("nan"), ".nan"), (float("inf"), ".inf"), (float("-inf"), "-.inf")])
def test_yaml_has_words_for_what_is_no_number(value: float, text: str) -> None:
    assert render(value, "yaml") == f"{text}\n"


@given(values)
def test_json_reads_as_what_was_printed(value: object) -> None:
    assert json.loads(render(value, "json")) == value


@given(st.floats(allow_nan=False, allow_infinity=False))
@example(5.960464477539063e-08)  # Its exact decimal expansion rounds to other digits than its shortest form has.
def test_numbers_read_as_what_was_printed(value: float) -> None:
    assert json.loads(render(value, "json")) == value
    assert float(render(value, "yaml")) == value


@given(values.filter(lambda value: value is not None))
def test_yaml_reads_as_what_was_printed(value: object) -> None:
    assert yaml.safe_load(render(value, "yaml")) == value


@given(values)
def test_output_ends_with_a_newline_or_is_none(value: object) -> None:
    assert all(not text or text.endswith("\n") for text in (render(value, form) for form in FORMATS))
