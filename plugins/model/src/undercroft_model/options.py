"""An application's options: values checked against the charm's types, and what they amount to with its defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from undercroft_hookspecs.errors import NotValidError

if TYPE_CHECKING:
    from undercroft_hookspecs.charm import Charm, OptionSpec, Scalar

_TRUTH = {"true": True, "false": False}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigValue:
    """An option as an operator sees it. `value` None: neither set nor with a default."""

    value: Scalar
    default: Scalar
    source: Literal["default", "user", "unset"]
    type: str
    description: str = ""


def typed_options(charm: Charm, values: Mapping[str, object]) -> dict[str, Scalar]:
    """Values with the types of the charm's options; each may be given as text, and None stands for the default.

    Raises:
        NotValidError: an option that the charm does not have, or a value of another type.
    """
    return {name: _typed(name, _option(charm, name), value) for name, value in values.items()}


def effective_options(charm: Charm, values: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """What a charm reads: what was set, else the default; options with neither are left out."""
    found = {name: values.get(name, option.default) for name, option in charm.options.items()}
    return {name: value for name, value in sorted(found.items()) if value is not None}


def describe_options(charm: Charm, values: Mapping[str, Scalar]) -> dict[str, ConfigValue]:
    """All options of a charm with their values, and where those come from."""
    return {name: _described(option, values.get(name)) for name, option in sorted(charm.options.items())}


def _described(option: OptionSpec, value: Scalar) -> ConfigValue:
    source: Literal["default", "user", "unset"] = "user"
    if value is None:
        source = "unset" if option.default is None else "default"
    return ConfigValue(
        value=option.default if value is None else value,
        default=option.default,
        source=source,
        type=option.type,
        description=option.description,
    )


def _option(charm: Charm, name: str) -> OptionSpec:
    option = charm.options.get(name)
    if option is None:
        known = ", ".join(sorted(charm.options)) or "none"
        message = f'unknown option "{name}": charm "{charm.name}" has {known}'
        raise NotValidError(message, field=name)
    return option


def _typed(name: str, option: OptionSpec, value: object) -> Scalar:
    if value is None:
        return None
    typed = _parsed(option.type, value)
    if typed is None:
        shown = f'"{value}"' if isinstance(value, str) else str(value)
        raise NotValidError(f'option "{name}" expected {option.type}, got {shown}', field=name)
    return typed


def _parsed(kind: str, value: object) -> Scalar:
    """The value with that type, or None if it cannot have it."""
    if kind in ("string", "secret"):
        return value if isinstance(value, str) else None
    if kind == "boolean":
        return value if isinstance(value, bool) else _TRUTH.get(str(value).lower())
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    try:
        return float(value) if kind == "float" else _whole(value)
    except ValueError:
        return None


def _whole(value: str | float) -> int:
    if isinstance(value, float) and not value.is_integer():
        raise ValueError(value)
    return int(value)
