"""The messages, against bytes that etcd itself wrote and what its definition says."""

from __future__ import annotations

from undercroft_etcd import messages
from undercroft_etcd.messages import Event, KeyValue
from undercroft_etcd.wire import chunk, number

# What etcd 3.4 answered to the creation of a watch: two ids of ten bytes each, revision 1, term 2, created.
CREATED = bytes.fromhex("0a1a08b298eaf1948386fccd0110cdd2918bd2b881cf8e01180120021801")
HEADER = CREATED[:28]


def _kv(key: bytes, revision: int, value: bytes = b"", lease: int = 0) -> bytes:
    return chunk(1, key) + number(2, 1) + number(3, revision) + number(4, 9) + chunk(5, value) + number(6, lease)


def test_the_revision_is_found_in_a_header_of_etcds_own() -> None:
    answer = messages.watch_answer(CREATED)

    assert (answer.revision, answer.is_created, answer.is_cancelled, answer.events) == (1, True, False, [])


def test_a_header_without_a_revision_means_none() -> None:
    assert messages.range_answer(chunk(1, number(1, 5) + number(4, 24))).revision == 0


def test_a_term_that_looks_like_the_tag_of_a_revision_is_none() -> None:
    header = number(1, 24) + number(2, 24) + number(3, 77) + number(4, 24)

    assert messages.range_answer(chunk(1, header)).revision == 77


def test_a_comparison_with_an_absent_key_says_so() -> None:
    assert messages.comparison(b"k", 0).hex() == "1002" + "1a016b" + "3000"
    assert messages.comparison(b"k", 5).hex() == "1002" + "1a016b" + "3005"


def test_a_transaction_has_its_three_parts_in_place() -> None:
    request = messages.txn_request([b"c"], [b"t"], [b"o"])

    assert request == chunk(1, b"c") + chunk(2, b"t") + chunk(3, b"o")


def test_the_ranges_of_an_answer_are_kept_and_the_rest_is_not() -> None:
    looked = chunk(3, chunk(1, HEADER + chunk(2, _kv(b"a", 3))))
    absent = chunk(3, chunk(1, HEADER))
    put = chunk(3, chunk(2, HEADER))

    answer = messages.txn_answer(HEADER + looked + put + absent)

    assert not answer.succeeded
    assert [[kv.revision for kv in kvs] for kvs in answer.ranges] == [[3], []]


def test_keys_are_read_with_all_that_matters() -> None:
    answer = messages.range_answer(HEADER + chunk(2, _kv(b"a", 3, b"v", 1 << 62)) + number(3, 1) + number(4, 2))

    assert answer.kvs == [KeyValue(b"a", 3, b"v", 1 << 62)]
    assert answer.has_more


def test_events_are_read_as_writes_and_deletions() -> None:
    put, deletion = chunk(2, _kv(b"a", 3, b"v")), number(1, 1) + chunk(2, _kv(b"b", 4))

    answer = messages.watch_answer(HEADER + number(7, 1) + chunk(11, put) + chunk(11, deletion))

    assert answer.events == [Event(False, KeyValue(b"a", 3, b"v", 0)), Event(True, KeyValue(b"b", 4, b"", 0))]
    assert answer.is_fragment


def test_a_cancelled_watch_says_why() -> None:
    compacted = messages.watch_answer(HEADER + number(4, 1) + number(5, 12))
    refused = messages.watch_answer(HEADER + number(4, 1) + chunk(6, b"permission denied"))

    assert (compacted.is_cancelled, compacted.compacted) == (True, 12)
    assert (refused.is_cancelled, refused.compacted, refused.reason) == (True, 0, "permission denied")


def test_a_lease_that_has_ended_has_no_time_to_live() -> None:
    ended = messages.lease_answer(HEADER + number(2, 7) + number(3, -1))

    assert (ended.lease, ended.ttl) == (7, -1)
