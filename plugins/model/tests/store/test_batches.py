"""Requests that share a batch see one another, as if each had been carried out alone."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from undercroft_hookspecs import Check, Commit, Conflict, Delete, LeaseId, LeaseLost, Put, Revision, Store
from undercroft_model.database import Database, Place, open_writer
from undercroft_model.sqlite import Connection

NEW = Revision(0)
Step: TypeAlias = "Callable[[Database], object]"

KEYS = st.sampled_from(["a", "b", "c/\N{PILE OF POO}"])
LEASES = st.integers(1, 3).map(LeaseId)
WRITES = st.lists(
    st.builds(Put, KEYS, st.sampled_from([b"", b"1"]), st.none() | LEASES) | st.builds(Delete, KEYS),
    max_size=3,
    unique_by=lambda write: write.key,
)
CHECKS = st.lists(st.builds(Check, KEYS, st.integers(0, 5).map(Revision)), max_size=2)
TABLES = ("entries", "changes", "leases", "state")


def _transact(checks: Sequence[Check], writes: Sequence[Put | Delete]) -> Step:
    return lambda database: database.transact(checks, writes)


STEPS: st.SearchStrategy[Step] = st.one_of(
    st.builds(_transact, st.just([]), WRITES),
    st.builds(_transact, CHECKS, WRITES),
    st.just(lambda database: database.leases.grant(5.0)),
    LEASES.map(lambda lease: lambda database: database.leases.renew(lease)),
    LEASES.map(lambda lease: lambda database: database.leases.revoke(lease)),
    st.integers(1, 8).map(lambda before: lambda database: database.history.compact(Revision(before))),
)


def _open(folder: Path) -> Database:
    folder.mkdir()
    return open_writer(Place(path=folder / "store.db", now=lambda: 100.0, boot="this", kept_commits=5))


def _told(answer: object) -> object:
    return (type(answer), answer.args) if isinstance(answer, Exception) else answer


def _rows(path: Path) -> list[list[tuple[object, ...]]]:
    with closing(Connection(path, is_reader=True)) as connection:
        return [list(connection.rows(f"SELECT * FROM {table}")) for table in TABLES]


@given(st.lists(STEPS, max_size=15))
@settings(max_examples=60, deadline=None, derandomize=False, print_blob=True)
def test_a_batch_comes_to_the_same_as_its_requests_one_after_the_other(steps: list[Step]) -> None:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        together = stack.enter_context(closing(_open(folder / "together")))
        alone = stack.enter_context(closing(_open(folder / "alone")))

        answers = together.run(steps)
        commits = together.history.told()[1].commits
        one_by_one: list[object] = []
        seen: list[object] = []
        for step in steps:
            one_by_one.extend(alone.run([step]))
            seen.extend(alone.history.told()[1].commits)

        assert list(map(_told, answers)) == list(map(_told, one_by_one))
        assert list(commits) == seen
        assert _rows(folder / "together" / "store.db") == _rows(folder / "alone" / "store.db")


async def test_transactions_that_wait_together_are_checked_against_one_another(store: Store) -> None:
    async def take_over(number: int) -> Revision:
        return await store.transact([Check("a", Revision(number))], [Put("a", b"%d" % number)])

    answers = await asyncio.gather(*map(take_over, [0, 1, 1, 2, 7]), return_exceptions=True)

    assert [answer if isinstance(answer, int) else type(answer) for answer in answers] == [1, 2, Conflict, 3, Conflict]
    entry = await store.get("a")
    assert entry is not None
    assert (entry.value, entry.revision) == (b"2", 3)


async def test_keys_that_were_written_in_the_batch_that_ends_their_lease_go_with_it(store: Store) -> None:
    lease = await store.lease(60)
    async with store.watch("", NEW) as commits:
        answers = await asyncio.gather(
            store.transact([], [Put("a", b"1", lease)]),
            store.revoke(lease),
            store.transact([], [Put("b", b"1", lease)]),
            return_exceptions=True,
        )
        seen = [await anext(commits), await anext(commits)]

    assert (answers[0], answers[1], type(answers[2])) == (1, None, LeaseLost)
    assert seen == [
        Commit(Revision(1), (Put("a", b"1", lease),)),
        Commit(Revision(2), (Delete("a"),)),
    ]
    assert await store.get("a") is None
