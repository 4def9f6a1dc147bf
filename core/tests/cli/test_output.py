from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from undercroft.cli.output import rendered, rows_table


class Disk(msgspec.Struct):
    name: str
    size: int | None = None
    links: tuple[str, ...] = ()


@dataclass
class Place:
    path: Path


ROWS = [Disk("sda", 10, ("a", "b")), Disk("nvme0n1")]


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.delenv("NO_COLOR", raising=False)


def test_rows_are_a_table_with_a_line_each() -> None:
    assert rendered(ROWS, "table") == "NAME     SIZE  LINKS\nsda      10    a, b\nnvme0n1"


def test_a_cell_stays_on_its_line() -> None:
    assert (
        rows_table([{"why": "one\n  two", "is_up": True, "is_down": False}])
        == "WHY      IS UP  IS DOWN\none two  yes    no"
    )


def test_columns_are_chosen_and_ordered() -> None:
    assert rows_table([{"a": 1, "b": 2, "c": 3}], ("c", "a")) == "C  A\n3  1"


def test_rows_of_different_keys_share_a_table() -> None:
    assert rows_table([{"a": 1}, {"b": 2}]) == "A  B\n1\n   2"


def test_no_rows_are_an_empty_list() -> None:
    assert rendered([], "json") == "[]"
    assert rendered([], "table") == ""


def test_json_is_one_line_of_json() -> None:
    assert rendered(ROWS[:1], "json") == '[{"name":"sda","size":10,"links":["a","b"]}]'


def test_yaml_keeps_the_order_of_keys() -> None:
    assert rendered({"b": 1, "a": ["é"]}, "yaml") == "b: 1\na:\n- é"


def test_a_scalar_is_yaml_without_an_end_mark() -> None:
    assert rendered("yes", "yaml") == "'yes'"
    assert rendered(3, "table") == "3"


def test_what_is_deep_is_shown_as_yaml_to_people_too() -> None:
    assert rendered({"a": {"b": 1}}, "table") == "a:\n  b: 1"
    assert rendered([{"a": {"b": 1}}], "table") == "- a:\n    b: 1"


def test_a_table_of_the_commands_own_is_taken_for_people_alone() -> None:
    assert rendered({"a": 1}, "table", lambda: "one a") == "one a"
    assert rendered({"a": 1}, "json", lambda: "one a") == '{"a":1}'


def test_values_of_all_kinds_are_written() -> None:
    document: Mapping[object, object] = {
        "place": Place(Path("/x")),
        "at": datetime(2026, 1, 2, tzinfo=UTC),
        "set": {1},
        "error": ValueError("no"),
        3: None,
    }

    text = rendered(document, "json")

    assert text == '{"place":{"path":"/x"},"at":"2026-01-02T00:00:00Z","set":[1],"error":"no","3":null}'


@pytest.mark.usefixtures("terminal")
def test_a_terminals_table_has_a_bold_head() -> None:
    text = rendered(ROWS, "table")

    assert "\x1b[1mNAME" in text
    assert "sda" in text
    assert not text.endswith("\n")


@pytest.mark.usefixtures("terminal")
def test_a_terminals_table_wraps_what_is_too_long_and_loses_nothing() -> None:
    text = rows_table([{"name": "a", "why": "x" * 100}])

    assert text.count("x") == 100
    assert all(len(line) <= 80 for line in text.splitlines()[1:])


@pytest.mark.usefixtures("terminal")
def test_a_terminals_table_takes_markup_for_text() -> None:
    assert "[red]x[/red]" in rows_table([{"name": "[red]x[/red]"}])
