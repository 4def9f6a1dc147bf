"""The values of options."""

from __future__ import annotations

import pytest

from undercroft_hookspecs.charm import Charm, OptionSpec
from undercroft_model.charms import values
from undercroft_model.charms.errors import CharmFileError

SECRET = "secret:9m4e2mr0ui3e8a215n4g"

CHARM = Charm(
    name="app",
    sha256="",
    options={
        "text": OptionSpec(default="hello"),
        "count": OptionSpec(type="int", default=1),
        "ratio": OptionSpec(type="float"),
        "flag": OptionSpec(type="boolean", default=False),
        "key": OptionSpec(type="secret"),
    },
)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("text", "", ""),
        ("text", "no", "no"),
        ("count", "-5", -5),
        ("ratio", "1e3", 1000.0),
        ("ratio", "2", 2.0),
        ("flag", "True", True),
        ("flag", "0", False),
        ("key", SECRET, SECRET),
        ("key", "", ""),
    ],
)
def test_text_from_the_command_line_becomes_the_option_s_type(name: str, text: str, value: object) -> None:
    parsed = values.parse(CHARM, {name: text})

    assert parsed == {name: value}
    assert type(parsed[name]) is type(value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("count", "1.5"),
        ("count", ""),
        ("count", " 1"),
        ("count", "99999999999999999999"),
        ("ratio", "x"),
        ("ratio", "nan"),
        ("ratio", "inf"),
        ("flag", "yes"),
        ("flag", ""),
        ("key", "hunter2"),
    ],
)
def test_text_that_is_no_value_of_the_type_is_refused(name: str, text: str) -> None:
    with pytest.raises(values.OptionError, match=f'option "{name}" expected') as caught:
        values.parse(CHARM, {name: text})

    assert caught.value.field == name


def test_an_option_that_the_charm_has_not_got_is_refused() -> None:
    with pytest.raises(values.OptionError, match='unknown option "colour"'):
        values.parse(CHARM, {"colour": "red"})


@pytest.mark.parametrize(
    ("name", "value"), [("text", 1), ("count", True), ("count", "1"), ("ratio", True), ("flag", 1), ("key", 5)]
)
def test_a_value_of_another_type_is_refused(name: str, value: object) -> None:
    with pytest.raises(values.OptionError):
        values.validate(CHARM, {name: value})


def test_nothing_is_a_value_of_any_type_and_a_whole_number_one_of_a_float() -> None:
    assert values.validate(CHARM, {"count": None, "ratio": 2}) == {"count": None, "ratio": 2.0}


def test_a_file_has_values_under_the_application_s_name() -> None:
    data = b"app:\n  text: yes\n  count: '7'\n  flag: true\n  ratio: 1\n"

    found = values.settings(CHARM, data, "c.yaml", application="app")

    assert found == {"text": "yes", "count": 7, "flag": True, "ratio": 1.0}


def test_a_file_may_have_values_alone() -> None:
    assert values.settings(CHARM, b"count: 3", "c.yaml", application="app") == {"count": 3}


def test_what_config_prints_can_be_given_back() -> None:
    data = b"""
application: app
settings:
  count: {default: 1, source: user, type: int, value: 4}
  text: {default: hello, source: default, type: string, value: hello}
  ratio: {source: unset, type: float}
"""

    assert values.settings(CHARM, data, "c.yaml", application="app") == {"count": 4}


def test_a_file_that_is_no_mapping_is_refused() -> None:
    with pytest.raises(CharmFileError, match=r"c\.yaml.*expected a mapping"):
        values.settings(CHARM, b"[1]", "c.yaml", application="app")


def test_a_charm_sees_what_was_set_and_else_the_defaults() -> None:
    seen = values.effective(CHARM, {"count": 5, "forgotten": "x", "text": None})

    assert seen == {"text": "hello", "count": 5, "ratio": None, "flag": False, "key": None}


def test_setting_and_resetting_leave_the_rest_alone() -> None:
    now = values.changed(CHARM, {"count": 5, "text": "a"}, to={"flag": True}, reset=["count"])

    assert now == {"text": "a", "flag": True}


def test_an_option_cannot_be_set_and_reset_at_once() -> None:
    with pytest.raises(values.OptionError, match="at once"):
        values.changed(CHARM, {}, to={"count": 1}, reset=["count"])


def test_only_what_exists_can_be_reset() -> None:
    with pytest.raises(values.OptionError, match="unknown option"):
        values.changed(CHARM, {}, to={}, reset=["colour"])


def test_a_refresh_keeps_what_the_new_charm_can_take() -> None:
    new = Charm(name="app", sha256="", options={"count": OptionSpec(type="string"), "flag": OptionSpec(type="boolean")})

    assert values.carried_over({"count": 5, "flag": True, "text": "x"}, to=new) == {"flag": True}
