"""What is tried again, and where, and what never is."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from plugins.etcd.tests.fakes import (
    BAD_TOKEN,
    LATE,
    LOST,
    NO_LEADER,
    UNREACHABLE,
    FakeConnection,
    FakeStream,
    token,
)

from undercroft.testing import FakeClock
from undercroft_etcd.client import TOTAL_SECONDS, Client, Login
from undercroft_etcd.faults import Fault, Meaning
from undercroft_hookspecs import NotValidError, StoreUnavailable

REFUSED = Fault("PERMISSION_DENIED", "etcdserver: permission denied")


class HastyClock(FakeClock):
    """A clock on which whoever sleeps wakes up at once, so much later."""

    def __init__(self) -> None:
        super().__init__()
        self.slept = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.slept

    async def sleep(self, delay: float) -> None:
        self.slept += delay


def client(members: Sequence[FakeConnection], login: Login | None = None) -> Client:
    """A client of those members."""
    return Client(members, clock=HastyClock(), login=login)


def login(*passwords: str) -> Login:
    """A user whose password is another one each time."""
    left = iter(passwords)

    async def password() -> str:
        return next(left)

    return Login("somebody", password)


@pytest.mark.parametrize("fault", [UNREACHABLE, NO_LEADER])
async def test_what_was_not_carried_out_goes_to_the_next_member(fault: Fault) -> None:
    first, second = FakeConnection(fault), FakeConnection(b"done")

    answer = await client([first, second]).call("/KV/Txn", b"", repeatable=False)

    assert answer == b"done"
    assert (len(first.calls), len(second.calls)) == (1, 1)


async def test_a_member_that_cannot_be_reached_is_passed_over() -> None:
    first, second = FakeConnection(b"no"), FakeConnection(b"done")
    first.is_reachable = False

    answer = await client([first, second]).call("/KV/Txn", b"", repeatable=False)

    assert answer == b"done"
    assert first.calls == []


@pytest.mark.parametrize("fault", [LOST, LATE])
async def test_a_write_whose_outcome_is_unknown_is_not_repeated(fault: Fault) -> None:
    first, second = FakeConnection(fault), FakeConnection(b"done")
    asking = client([first, second])

    with pytest.raises(StoreUnavailable, match="may or may not") as raised:
        await asking.call("/KV/Txn", b"1", repeatable=False)

    assert raised.value.outcome_unknown
    assert await asking.call("/KV/Txn", b"2", repeatable=False) == b"done"
    assert (first.requests, second.requests) == ([b"1"], [b"2"])


async def test_a_read_is_repeated_elsewhere() -> None:
    first, second = FakeConnection(LOST), FakeConnection(b"done")
    asking = client([first, second])

    answers = [await asking.call("/KV/Range", b"", repeatable=True) for _ in range(2)]

    assert answers == [b"done", b"done"]
    assert (len(first.calls), len(second.calls)) == (1, 2)


@pytest.mark.parametrize(("fault", "times"), [(LATE, 1), (LOST, 0), (UNREACHABLE, 0)])
async def test_streams_on_a_member_that_is_silent_are_broken_off(fault: Fault, times: int) -> None:
    first, second = FakeConnection(fault), FakeConnection(b"done")

    await client([first, second]).call("/KV/Range", b"", repeatable=True)

    assert (first.broken_off, second.broken_off) == (times, 0)


@pytest.mark.parametrize("repeatable", [True, False])
async def test_it_gives_up_after_a_bounded_time_and_says_that_nothing_happened(repeatable: bool) -> None:
    members = [FakeConnection(NO_LEADER, name="a"), FakeConnection(NO_LEADER, name="b")]
    clock = HastyClock()

    with pytest.raises(StoreUnavailable, match=r"a:2379, b:2379.*not answered.*no leader") as raised:
        await Client(members, clock=clock).call("/KV/Txn", b"", repeatable=repeatable)

    assert not raised.value.outcome_unknown
    assert TOTAL_SECONDS <= clock.slept <= TOTAL_SECONDS + 1


async def test_a_refusal_is_final() -> None:
    first, second = FakeConnection(REFUSED), FakeConnection(b"done")

    with pytest.raises(Fault, match="permission denied"):
        await client([first, second]).call("/KV/Txn", b"", repeatable=True)

    assert second.calls == []


async def test_a_token_is_asked_for_once_and_goes_with_every_call() -> None:
    member = FakeConnection(token("t1"), b"done")
    asking = client([member], login("secret"))

    for _ in range(2):
        await asking.call("/KV/Txn", b"", repeatable=False)

    assert member.calls == [("Authenticate", ""), ("Txn", "t1"), ("Txn", "t1")]


async def test_a_token_that_has_run_out_is_replaced_with_the_password_of_the_day() -> None:
    member = FakeConnection(token("t1"), BAD_TOKEN, token("t2"), b"done")

    answer = await client([member], login("old", "new")).call("/KV/Txn", b"", repeatable=False)

    assert answer == b"done"
    assert member.calls == [("Authenticate", ""), ("Txn", "t1"), ("Authenticate", ""), ("Txn", "t2")]
    assert member.requests[0].endswith(b"old")
    assert member.requests[2].endswith(b"new")


async def test_whoever_has_no_user_is_told_to_name_one() -> None:
    with pytest.raises(StoreUnavailable, match="password_file=FILE"):
        await client([FakeConnection(BAD_TOKEN)]).call("/KV/Txn", b"", repeatable=False)


async def test_a_wrong_password_is_said_at_once() -> None:
    wrong = Fault("INVALID_ARGUMENT", "etcdserver: authentication failed, invalid user ID or password")
    member = FakeConnection(wrong)

    with pytest.raises(StoreUnavailable, match="does not let the user 'somebody' in: authentication failed") as raised:
        await client([member], login("secret")).call("/KV/Txn", b"", repeatable=False)

    assert not raised.value.outcome_unknown
    assert len(member.calls) == 1


async def test_a_write_is_not_in_doubt_when_its_authentication_was_lost() -> None:
    first, second = FakeConnection(LOST), FakeConnection(token("t"), b"done")

    assert await client([first, second], login("a", "b")).call("/KV/Txn", b"", repeatable=False) == b"done"


async def test_a_password_that_is_gone_makes_the_store_unavailable() -> None:
    async def password() -> str:
        raise NotValidError("the file is gone", field="store")

    with pytest.raises(StoreUnavailable, match="the file is gone"):
        await client([FakeConnection(b"")], Login("somebody", password)).call("/KV/Txn", b"", repeatable=False)


async def test_an_exchange_ends_its_stream() -> None:
    stream = FakeStream([b"pong"])

    answer = await client([FakeConnection(b"", streams=[stream])]).exchange("/Lease/LeaseKeepAlive", b"ping")

    assert answer == b"pong"
    assert (stream.written, stream.is_cancelled) == ([b"ping"], True)


async def test_an_exchange_is_repeated_when_the_stream_fails() -> None:
    streams = [FakeStream([LOST]), FakeStream([b"pong"])]

    answer = await client([FakeConnection(b"", streams=streams)]).exchange("/Lease/LeaseKeepAlive", b"ping")

    assert answer == b"pong"


async def test_a_closed_client_says_so() -> None:
    closed = client([FakeConnection(b"")])
    await closed.close()

    with pytest.raises(StoreUnavailable, match="has been closed"):
        await closed.call("/KV/Range", b"", repeatable=True)


@pytest.mark.parametrize(
    ("code", "details", "meaning"),
    [
        ("UNAVAILABLE", "etcdserver: no leader", Meaning.ELSEWHERE),
        ("RESOURCE_EXHAUSTED", "etcdserver: too many requests", Meaning.ELSEWHERE),
        ("UNAVAILABLE", "etcdserver: request timed out", Meaning.UNKNOWN),
        ("UNAVAILABLE", "etcdserver: leader changed", Meaning.UNKNOWN),
        ("UNKNOWN", "raft proposal dropped", Meaning.UNKNOWN),
        ("CANCELLED", "the connection was closed", Meaning.UNKNOWN),
        ("INVALID_ARGUMENT", "etcdserver: revision of auth store is old", Meaning.UNRECOGNISED),
        ("RESOURCE_EXHAUSTED", "etcdserver: mvcc: database space exceeded", Meaning.REFUSED),
        ("UNIMPLEMENTED", "", Meaning.REFUSED),
    ],
)
def test_a_fault_means_what_etcd_means_by_it(code: str, details: str, meaning: Meaning) -> None:
    assert Fault(code, details).meaning is meaning
