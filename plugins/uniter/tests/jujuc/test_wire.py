"""Requests, in pieces and damaged in any way."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from undercroft_uniter.jujuc.wire import (
    LARGEST_REQUEST,
    MAGIC,
    REQUEST_HEADER,
    BadRequest,
    Request,
    RequestReader,
    decode_request,
    encode_request,
)

words = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
some_words = words.filter(bool)
requests = st.builds(
    Request,
    context=some_words,
    tool=some_words,
    folder=words.map(lambda word: f"/{word}"),
    arguments=st.lists(words).map(tuple),
)


def read(pieces: list[bytes]) -> Request | None:
    reader = RequestReader()
    found = None
    for piece in pieces:
        assert found is None
        found = reader.feed(piece)
    return found


@given(requests, st.lists(st.integers(1, 20)))
def test_a_request_arrives_in_any_pieces(request_: Request, sizes: list[int]) -> None:
    data = encode_request(request_)
    pieces = []
    for size in sizes:
        if size < len(data):
            pieces.append(data[:size])
            data = data[size:]

    assert read([*pieces, data]) == request_


@given(requests, st.data())
def test_part_of_a_request_is_none_yet(request_: Request, data: st.DataObject) -> None:
    whole = encode_request(request_)
    length = data.draw(st.integers(0, len(whole) - 1))

    assert read([whole[:length]]) is None


@given(st.binary())
def test_garbage_is_refused_or_waited_on_and_nothing_else(garbage: bytes) -> None:
    try:
        found = read([garbage])
    except BadRequest:
        return

    assert found is None
    assert garbage.startswith(MAGIC[: len(garbage)])


@given(st.binary())
def test_a_body_of_garbage_is_refused_or_a_whole_request(body: bytes) -> None:
    try:
        found = decode_request(body)
    except BadRequest:
        return

    assert found.context
    assert found.tool
    assert found.folder.startswith("/")


@given(requests, st.data())
def test_a_damaged_request_does_no_more_than_be_refused(request_: Request, data: st.DataObject) -> None:
    whole = bytearray(encode_request(request_))
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] = data.draw(st.integers(0, 255))

    try:
        found = read([bytes(whole)])
    except BadRequest:
        return

    assert found is None or isinstance(found, Request)


@given(st.integers(LARGEST_REQUEST + 1, 2**32 - 1))
def test_what_is_too_large_is_refused_as_soon_as_that_is_known(length: int) -> None:
    with pytest.raises(BadRequest, match="are more than"):
        read([REQUEST_HEADER.pack(MAGIC, length)])


def test_how_much_is_missing_is_known_once_the_header_is_there() -> None:
    reader = RequestReader()

    before = (reader.wanted, reader.length)
    reader.feed(REQUEST_HEADER.pack(MAGIC, 10))

    assert before == (REQUEST_HEADER.size, 0)
    assert (reader.wanted, reader.length) == (10, 10)


def test_bytes_that_are_no_text_are_replaced() -> None:
    assert decode_request(b"id\0say\0/\0a\xffb\0").arguments == ("a�b",)


def test_an_empty_argument_is_one() -> None:
    assert decode_request(b"id\0say\0/\0\0").arguments == ("",)
