from __future__ import annotations

import json
import math
from pathlib import Path

from undercroft.agent.plain import fields, plain, text


class Silent(Exception):
    pass


class Rude:
    def __str__(self) -> str:
        raise RuntimeError


def test_jsons_own_types_stay_as_they_are() -> None:
    value = {"a": [1, 2.5, "x", None, True], "b": {}}

    assert plain(value) == value


def test_everything_else_becomes_text() -> None:
    assert plain({1: Path("/x"), (2, 3): b"x"}) == {"1": "/x", "(2, 3)": "b'x'"}


def test_tuples_and_sets_become_lists() -> None:
    assert plain(((1, 2), {3}, frozenset({4}))) == [[1, 2], [3], [4]]


def test_numbers_that_json_has_not_become_text() -> None:
    assert plain([math.nan, math.inf]) == ["nan", "inf"]


def test_a_report_that_holds_itself_ends_somewhere() -> None:
    report: dict[str, object] = {}
    report["self"] = report

    json.dumps(plain(report))


def test_half_a_surrogate_pair_does_not_break_the_answer() -> None:
    json.dumps(plain({"\udc80": "\udc80"})).encode()


def test_text_always_says_something() -> None:
    assert text(Silent()) == "Silent"
    assert text(Rude()) == "Rude"
    assert text(ValueError("why")) == "why"


def test_fields_are_made_plain_one_by_one() -> None:
    assert fields({"path": Path("/x")}) == {"path": "/x"}
