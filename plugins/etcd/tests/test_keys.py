"""How keys and ranges of keys are written."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from undercroft_etcd.keys import Keys

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(TEXT, TEXT, TEXT)
def test_a_range_holds_exactly_the_keys_that_begin_so(below: str, prefix: str, key: str) -> None:
    keys = Keys(below)
    begin, end = keys.range(prefix)

    for written in (key, prefix + key):
        encoded = keys.encoded(written)
        if encoded and (begin, end) != (b"\0", b"\0"):
            assert (begin <= encoded < end) is written.startswith(prefix)


@given(TEXT, TEXT)
def test_a_key_is_read_as_it_was_written(below: str, key: str) -> None:
    keys = Keys(below)

    assert keys.decoded(keys.encoded(key)) == key


def test_everything_has_a_name_of_its_own() -> None:
    assert Keys("").range("") == (b"\0", b"\0")


def test_a_prefix_that_is_no_text_finds_nothing_and_breaks_nothing() -> None:
    begin, end = Keys("").range("\ud800")

    assert begin < end


def test_a_key_of_others_that_is_no_text_can_be_read() -> None:
    assert Keys("").decoded(b"\xff") == "\udcff"
