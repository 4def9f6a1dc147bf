from __future__ import annotations

import math

import pytest

from undercroft.agent.meter import Instruments
from undercroft_hookspecs import NotValidError


def shown(instruments: Instruments) -> list[tuple[str, dict[str, str], float]]:
    return [(sample.name, dict(sample.labels), sample.value) for sample in instruments.samples()]


def test_a_gauge_shows_its_last_value_for_each_set_of_labels() -> None:
    instruments = Instruments()
    gauge = instruments.meter("smart").gauge("healthy", "1 if well", ["device"])

    gauge.set(1, "sda")
    gauge.set(0, "sdb")
    gauge.set(1, "sdb")

    assert shown(instruments) == [
        ("undercroft_smart_healthy", {"device": "sda"}, 1.0),
        ("undercroft_smart_healthy", {"device": "sdb"}, 1.0),
    ]


def test_replace_forgets_what_it_does_not_name() -> None:
    instruments = Instruments()
    gauge = instruments.meter("smart").gauge("healthy", "1 if well", ["device"])
    gauge.set(1, "sda")

    gauge.replace({("sdb",): 1})

    assert shown(instruments) == [("undercroft_smart_healthy", {"device": "sdb"}, 1.0)]


def test_replace_in_a_unit_forgets_only_that_units() -> None:
    instruments = Instruments()
    one = instruments.meter("metrics", unit=("m", "a/0")).gauge("size", "bytes")
    two = instruments.meter("metrics", unit=("m", "a/1")).gauge("size", "bytes")
    one.set(1)
    two.set(2)

    one.replace({})

    assert shown(instruments) == [("undercroft_metrics_size", {"model": "m", "unit": "a/1"}, 2.0)]


def test_a_units_values_go_with_the_unit() -> None:
    instruments = Instruments()
    instruments.meter("metrics", unit=("m", "a/0")).gauge("size", "bytes").set(1)
    instruments.meter("metrics").gauge("other", "bytes").set(2)

    instruments.forget_unit("m", "a/0")

    assert shown(instruments) == [("undercroft_metrics_other", {}, 2.0)]


def test_a_counter_only_grows() -> None:
    instruments = Instruments()
    counter = instruments.meter("acme").counter("calls", "calls")

    counter.add()
    counter.add(2.5)

    assert shown(instruments) == [("undercroft_acme_calls", {}, 3.5)]
    assert instruments.samples()[0].kind == "counter"


@pytest.mark.parametrize("amount", [-1, math.nan, math.inf])
def test_a_counter_refuses_what_is_not_growth(amount: float) -> None:
    counter = Instruments().meter("acme").counter("calls", "calls")

    with pytest.raises(NotValidError) as caught:
        counter.add(amount)

    assert caught.value.field == "amount"


def test_the_same_name_gives_the_same_instrument() -> None:
    instruments = Instruments()
    meter = instruments.meter("acme")

    meter.counter("calls", "calls").add()
    meter.counter("calls", "calls").add()

    assert shown(instruments) == [("undercroft_acme_calls", {}, 2.0)]


def test_a_name_cannot_stand_for_two_things() -> None:
    meter = Instruments().meter("acme")
    meter.counter("calls", "calls")

    with pytest.raises(NotValidError, match="is a counter"):
        meter.gauge("calls", "calls")
    with pytest.raises(NotValidError, match="labels"):
        meter.counter("calls", "calls", ["more"])


@pytest.mark.parametrize("name", ["", "Upper", "1st", "with-dash", "é"])
def test_a_malformed_name_is_refused(name: str) -> None:
    with pytest.raises(NotValidError) as caught:
        Instruments().meter("acme").gauge(name, "")

    assert caught.value.field == "name"


@pytest.mark.parametrize("labels", ["device", ["Bad"], ["a", "a"]])
def test_malformed_labels_are_refused(labels: list[str]) -> None:
    with pytest.raises(NotValidError) as caught:
        Instruments().meter("acme").gauge("size", "", labels)

    assert caught.value.field == "labels"


def test_a_units_instrument_has_labels_of_its_own_that_a_plugin_cannot_take() -> None:
    with pytest.raises(NotValidError, match="twice"):
        Instruments().meter("acme", unit=("m", "a/0")).gauge("size", "", ["unit"])


def test_too_few_label_values_are_refused() -> None:
    gauge = Instruments().meter("acme").gauge("size", "", ["device"])

    with pytest.raises(NotValidError, match="device"):
        gauge.set(1)


def test_a_plugins_name_becomes_a_name_for_metrics() -> None:
    instruments = Instruments()
    instruments.meter("acme-disks").gauge("size", "").set(1)

    assert shown(instruments) == [("undercroft_acme_disks_size", {}, 1.0)]
