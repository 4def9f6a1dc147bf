"""The instruments of all plugins, and their present values.

What it is not: an exposition format or a time series. Whoever exposes the values (the introspection plugin, the metrics
plugin) reads `Samples.samples()`.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeAlias

from undercroft_hookspecs import NotValidError, Sample

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Kind: TypeAlias = Literal["gauge", "counter"]

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_UNIT_LABELS = ("model", "unit")


@dataclass(slots=True)
class Series:
    """One instrument's declaration, with a value for each set of label values."""

    name: str
    kind: Kind
    summary: str
    labels: tuple[str, ...]
    values: dict[tuple[str, ...], float] = field(default_factory=dict)


class Instruments:
    """The agent's one register of instruments (the `Samples` that the manifold `agent` puts out)."""

    def __init__(self) -> None:
        self._series: dict[str, Series] = {}

    def samples(self) -> Sequence[Sample]:
        """The present values, sorted by name and labels."""
        return [
            Sample(
                name=series.name,
                kind=series.kind,
                summary=series.summary,
                value=value,
                labels=dict(zip(series.labels, labels, strict=True)),
            )
            for _, series in sorted(self._series.items())
            for labels, value in sorted(series.values.items())
        ]

    def meter(self, plugin: str, *, unit: tuple[str, str] | None = None) -> PluginMeter:
        """The meter of one plugin; for one unit (its model and name) with the labels `model` and `unit` added."""
        return PluginMeter(self, plugin, unit=unit)

    def series(self, declared: Series) -> Series:
        """The series of that name, made if it is new.

        Raises:
            NotValidError: the name stands for something else already.
        """
        known = self._series.setdefault(declared.name, declared)
        if (known.kind, known.labels) != (declared.kind, declared.labels):
            message = f"{declared.name} is a {known.kind} with labels {list(known.labels)} already"
            raise NotValidError(message, field="name")
        return known

    def forget_unit(self, model: str, unit: str) -> None:
        """Drop the values of a unit that has gone."""
        for series in self._series.values():
            if series.labels[:2] == _UNIT_LABELS:
                for labels in [key for key in series.values if key[:2] == (model, unit)]:
                    del series.values[labels]


class PluginMeter:
    """A plugin's own way to the register: its names get the plugin's prefix, and a unit's its labels."""

    def __init__(self, instruments: Instruments, plugin: str, *, unit: tuple[str, str] | None = None) -> None:
        self._instruments, self._plugin = instruments, plugin
        self._unit = unit if unit is not None else ()

    def gauge(self, name: str, summary: str, labels: Sequence[str] = ()) -> UnitGauge:
        """A gauge with these label names."""
        return UnitGauge(self._declare(name, "gauge", summary, labels), self._unit)

    def counter(self, name: str, summary: str, labels: Sequence[str] = ()) -> UnitCounter:
        """A counter with these label names."""
        return UnitCounter(self._declare(name, "counter", summary, labels), self._unit)

    def _declare(self, name: str, kind: Kind, summary: str, labels: Sequence[str]) -> Series:
        _check_name(name, "name")
        if isinstance(labels, str):
            raise NotValidError(f"the labels of {name} are one string; give a list of names", field="labels")
        for label in labels:
            _check_name(label, "labels")
        own = _UNIT_LABELS if self._unit else ()
        every = (*own, *labels)
        if len(set(every)) != len(every):
            raise NotValidError(f"the labels of {name} have a name twice: {list(every)}", field="labels")
        plugin = re.sub(r"[^a-z0-9_]", "_", self._plugin.lower())
        return self._instruments.series(Series(f"undercroft_{plugin}_{name}", kind, summary, every))


class UnitGauge:
    """A gauge, seen from the top engine or from one unit."""

    def __init__(self, series: Series, unit: tuple[str, ...]) -> None:
        self._series, self._unit = series, unit

    def set(self, value: float, *labels: str) -> None:
        """Set the value for these label values."""
        self._series.values[_key(self._series, self._unit, labels)] = float(value)

    def replace(self, values: Mapping[tuple[str, ...], float]) -> None:
        """Set the values for these label values, and forget all others (of this unit, if it is a unit's gauge)."""
        fresh = {_key(self._series, self._unit, labels): float(value) for labels, value in values.items()}
        kept = self._series.values
        for key in [key for key in kept if key[: len(self._unit)] == self._unit and key not in fresh]:
            del kept[key]
        kept.update(fresh)


class UnitCounter:
    """A counter, seen from the top engine or from one unit."""

    def __init__(self, series: Series, unit: tuple[str, ...]) -> None:
        self._series, self._unit = series, unit

    def add(self, amount: float = 1, *labels: str) -> None:
        """Add to the value for these label values.

        Raises:
            NotValidError: the amount is negative or no number.
        """
        if not amount >= 0 or math.isinf(amount):
            raise NotValidError(f"{self._series.name} only grows: cannot add {amount}", field="amount")
        key = _key(self._series, self._unit, labels)
        self._series.values[key] = self._series.values.get(key, 0.0) + amount


def _key(series: Series, unit: tuple[str, ...], labels: Iterable[str]) -> tuple[str, ...]:
    key = (*unit, *(str(label) for label in labels))
    if len(key) != len(series.labels):
        expected = list(series.labels[len(unit) :])
        raise NotValidError(f"{series.name} takes values for the labels {expected}", field="labels")
    return key


def _check_name(name: str, which: str) -> None:
    if _NAME.fullmatch(name) is None:
        raise NotValidError(f"{name!r} is not a name: lower-case letters, digits and _, a letter first", field=which)
