"""The engine's settings."""

from __future__ import annotations

from typing import Any

import pytest

from undercroft.dependency import Engine, EngineConfig
from undercroft_hookspecs import NotValidError

BROKEN: list[tuple[str, Any]] = [  # Any: values of the wrong type are the point.
    ("is_fatal", None),
    ("worst_error", None),
    ("filter", 1),
    ("error_delay", -1),
    ("error_delay", float("nan")),
    ("bounce_delay", -0.1),
    ("backoff_factor", 0.99),
    ("backoff_reset_time", -1),
    ("max_delay", -1),
    ("jitter", 1),
    ("jitter", -0.1),
    ("events", "nobody"),
    ("start_timeout", -1),
    ("kill_timeout", -1),
    ("shutdown", "sideways"),
]


@pytest.mark.parametrize(("field", "value"), BROKEN)
async def test_a_setting_out_of_its_range_makes_no_engine(field: str, value: Any) -> None:  # Any: as above.
    """juju: TestConfigValidate."""
    config = EngineConfig(**{field: value})

    with pytest.raises(NotValidError) as refused:
        config.validate()
    assert refused.value.field == field
    with pytest.raises(NotValidError):
        Engine(config)


def test_the_defaults_are_valid_and_make_nothing_fatal() -> None:
    config = EngineConfig()

    config.validate()

    assert not config.is_fatal(ValueError())
    first, second = ValueError(), ValueError()
    assert config.worst_error(first, None) is first
    assert config.worst_error(second, first) is first


def test_the_limits_themselves_are_valid() -> None:
    EngineConfig(error_delay=0, bounce_delay=0, backoff_factor=1, max_delay=None, jitter=0).validate()


async def test_an_engine_needs_a_name() -> None:
    with pytest.raises(NotValidError) as refused:
        Engine(name="")

    assert refused.value.field == "name"


def test_an_engine_needs_a_running_loop() -> None:
    with pytest.raises(RuntimeError):
        Engine()
