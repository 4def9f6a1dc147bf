"""What the constructors refuse."""

from __future__ import annotations

import math

import pytest

from undercroft.worker.validation import require_callable, require_name, require_number
from undercroft_hookspecs import NotValidError


def test_callables_pass_and_none_only_if_optional() -> None:
    require_callable("call", print)
    require_callable("call", None, optional=True)

    with pytest.raises(NotValidError, match="call must be callable"):
        require_callable("call", None)


@pytest.mark.parametrize("name", ["", None, 3, b"x"])
def test_a_name_is_a_string_that_is_not_empty(name: object) -> None:
    require_name("id", "disk")

    with pytest.raises(NotValidError) as caught:
        require_name("id", name)

    assert caught.value.field == "id"


@pytest.mark.parametrize("value", [-0.1, math.nan, True, "1", None])
def test_a_number_has_a_range(value: object) -> None:
    require_number("delay", 0)
    require_number("delay", math.inf)

    with pytest.raises(NotValidError) as caught:
        require_number("delay", value)

    assert caught.value.field == "delay"


def test_a_range_may_have_an_end_and_a_number_may_be_optional() -> None:
    require_number("jitter", 0.99, below=1)
    require_number("max_delay", None, optional=True)

    with pytest.raises(NotValidError, match="less than 1"):
        require_number("jitter", 1, below=1)
