"""An application's options as operators see and set them; `charms.values` knows what each type takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from undercroft_model.charms import values as charm_values

if TYPE_CHECKING:
    from undercroft_hookspecs.charm import Charm, OptionSpec, Scalar


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigValue:
    """An option as an operator sees it. `value` None: neither set nor with a default."""

    value: Scalar
    default: Scalar
    source: Literal["default", "user", "unset"]
    type: str
    description: str = ""


def typed(charm: Charm, values: Mapping[str, object]) -> dict[str, Scalar]:
    """Values in the types of the charm's options, whether they come as text or typed already.

    Raises:
        NotValidError: an option that the charm does not have, or a value of another type.
    """
    found: dict[str, Scalar] = {}
    for name, value in values.items():
        if isinstance(value, str):
            found |= charm_values.parse(charm, {name: value})
        else:
            found |= charm_values.validate(charm, {name: value})
    return found


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
