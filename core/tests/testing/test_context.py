"""StubContext: what a start function sees, made of a mapping."""

from __future__ import annotations

import asyncio
from typing import Protocol, runtime_checkable

import pytest

from undercroft import Context, NotFoundError
from undercroft.dependency import Missing, OutputError
from undercroft.testing import StubContext


@runtime_checkable
class Purring(Protocol):
    def purr(self) -> str: ...


class Barking(Protocol):
    def bark(self) -> str: ...


class Cat:
    def purr(self) -> str:
        return "prr"


class Dog:
    def bark(self) -> str:
        return "woof"


def test_is_a_context() -> None:
    context: Context = StubContext({}, name="cats")

    assert context.name == "cats"
    assert StubContext({}).name == "stub"


async def test_abort_never_fires_unless_given() -> None:
    abort = asyncio.Event()
    abort.set()

    assert not StubContext({}).abort.is_set()
    assert StubContext({}, abort=abort).abort is abort


def test_gives_what_is_of_the_kind() -> None:
    cat = Cat()

    assert StubContext({"pet": cat}).get("pet", Purring) is cat
    assert StubContext({"pet": cat}).get("pet", Cat) is cat


def test_without_a_kind_it_is_only_there() -> None:
    context = StubContext({"pet": Cat(), "many": [1, 2], "none": None})

    assert [context.get(name) for name in ("pet", "many", "none")] == [None] * 3


def test_exception_as_the_value_is_raised() -> None:
    context = StubContext({"pet": Missing("pet", "stopped")})

    with pytest.raises(Missing):
        context.get("pet")
    with pytest.raises(Missing):
        context.get("pet", Purring)


def test_list_offers_candidates() -> None:
    cat, dog = Cat(), Dog()
    context = StubContext({"pet": [dog, cat, Cat()]})

    assert context.get("pet", Purring) is cat
    assert context.get("pet", Dog) is dog


def test_protocol_that_cannot_be_checked_takes_the_first() -> None:
    cat, dog = Cat(), Dog()

    first: object = StubContext({"pet": [cat, dog]}).get("pet", Barking)
    only: object = StubContext({"pet": dog}).get("pet", Barking)

    assert first is cat
    assert only is dog


@pytest.mark.parametrize("value", [Dog(), [Dog(), 3], []])
def test_nothing_of_the_kind_is_an_output_error(value: object) -> None:
    with pytest.raises(OutputError, match=r"'pet'.*Purring"):
        StubContext({"pet": value}).get("pet", Purring)


def test_unknown_name_is_not_found() -> None:
    with pytest.raises(NotFoundError) as caught:
        StubContext({"pet": Cat()}).get("pest", Cat)

    assert caught.value.name == "pest"
