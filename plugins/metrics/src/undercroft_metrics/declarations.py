"""What a charm may record: the rules for names, values and labels, stricter than Juju's where those were unsafe.

Every rule answers with an error in one sentence; nothing here reads or writes anything.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from undercroft_hookspecs.errors import NotValidError

if TYPE_CHECKING:
    from undercroft_hookspecs.charm import Charm
    from undercroft_hookspecs.metrics import MetricKind

RESERVED: Final = "juju"
"""What the names of built-in metrics begin with; a charm may declare them, but not add them."""
UNITS: Final = "juju-units"
"""The built-in metric that each collection adds where it is declared."""

MOST_LABELS: Final = 16
_LONGEST_VALUE: Final = 30
_LONGEST_LABEL: Final = 256
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,127}", re.ASCII)
_LABEL = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,63}", re.ASCII)
# Not float() alone: that takes `1_0`, other alphabets' digits, `nan` and spaces.
_NUMBER = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)


def declared(charm: Charm) -> Mapping[str, MetricKind]:
    """The metrics that a charm declares under names that can be used, and their kinds; built-in ones are among them."""
    return {name: spec.type for name, spec in charm.metrics.items() if _NAME.fullmatch(name)}


def unusable(charm: Charm) -> tuple[str, ...]:
    """The names among a charm's metrics that cannot be used, sorted."""
    return tuple(sorted(name for name in charm.metrics if _NAME.fullmatch(name) is None))


def check_metric(declarations: Mapping[str, MetricKind], key: str, value: str) -> MetricKind:
    """The kind of the metric that a charm adds.

    Raises:
        NotValidError: it is built in, not declared, or its value is no number that a metric can have.
    """
    if key.startswith(RESERVED):
        raise NotValidError(f'"{shown(key)}" uses the reserved prefix "{RESERVED}"', field="metric")
    kind = declarations.get(key)
    if kind is None:
        raise NotValidError(f'metric "{shown(key)}" not defined', field="metric")
    check_value(value)
    return kind


def check_value(value: str) -> None:
    """Raise NotValidError unless this is a finite decimal number that is not negative, of 30 bytes at the most."""
    if len(value.encode("utf-8", "surrogatepass")) > _LONGEST_VALUE:
        raise NotValidError("metric value is too large", field="value")
    if _NUMBER.fullmatch(value) is None or not math.isfinite(float(value)):
        raise NotValidError(f'invalid value type: expected float, got "{shown(value)}"', field="value")
    if float(value) < 0:
        raise NotValidError(f"invalid value: value must be greater or equal to zero, got {value}", field="value")


def check_labels(labels: Mapping[str, str]) -> None:
    """Raise NotValidError where there are too many labels, or one has a name or a value that it cannot have."""
    if len(labels) > MOST_LABELS:
        raise NotValidError(f"a metric has {MOST_LABELS} labels at the most, not {len(labels)}", field="labels")
    for name, value in labels.items():
        if _LABEL.fullmatch(name) is None:
            raise NotValidError(f'label "{shown(name)}" is not a name: letters, digits, _ and -', field="labels")
        if name.startswith(("__", RESERVED)):
            raise NotValidError(f'label "{name}" uses a reserved prefix', field="labels")
        if not value.isprintable():
            raise NotValidError(f'the value of label "{name}" has characters that cannot be shown', field="labels")
        if len(value.encode()) > _LONGEST_LABEL:
            raise NotValidError(f'the value of label "{name}" is longer than {_LONGEST_LABEL} bytes', field="labels")


def shown(text: str) -> str:
    """Text from outside as messages show it: short and harmless."""
    safe = "".join(char if char.isprintable() else f"\\x{ord(char):02x}" for char in text[:80])
    return safe + ("..." if len(text) > 80 else "")
