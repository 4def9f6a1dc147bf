"""The wire format, against bytes that other implementations wrote."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undercroft_etcd.wire import MalformedMessageError, chunk, fields, number

SIGNED = st.integers(-(1 << 63), (1 << 63) - 1)
NUMBERS = st.integers(1, (1 << 29) - 1)


@pytest.mark.parametrize(
    ("value", "written"),
    [(1, "0801"), (127, "087f"), (128, "088001"), (150, "089601"), (-1, "08ffffffffffffffffff01"), (0, "")],
)
def test_integers_are_written_as_the_format_has_them(value: int, written: str) -> None:
    assert number(1, value).hex() == written


def test_bytes_are_written_with_their_length() -> None:
    assert chunk(2, b"testing").hex() == "120774657374696e67"


@given(NUMBERS, SIGNED.filter(bool))
def test_an_integer_is_read_as_it_was_written(field: int, value: int) -> None:
    assert list(fields(number(field, value))) == [(field, value, b"")]


@given(NUMBERS, st.binary(max_size=300))
def test_bytes_are_read_as_they_were_written(field: int, value: bytes) -> None:
    assert list(fields(chunk(field, value))) == [(field, 0, value)]


def test_fields_of_a_fixed_size_are_passed_over() -> None:
    message = bytes.fromhex("0d01020304" + "11" + "0102030405060708") + number(3, 7)

    assert list(fields(message))[-1] == (3, 7, b"")


@pytest.mark.parametrize("torn", ["08", "0880", "0a05616263", "08ffffffffffffffffffff01", "0b", "0d0102"])
def test_what_is_no_message_is_refused(torn: str) -> None:
    with pytest.raises(MalformedMessageError):
        list(fields(bytes.fromhex(torn)))


@given(st.binary(max_size=60))
def test_whatever_comes_is_read_or_refused(message: bytes) -> None:
    try:
        list(fields(message))
    except MalformedMessageError:
        pass
