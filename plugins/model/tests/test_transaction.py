"""Changes of the model: read, decided and written as one, or made again."""

from __future__ import annotations

import asyncio
import random

import pytest

from undercroft.clock import SystemClock
from undercroft_hookspecs import Conflict, NotFoundError, Put, Store
from undercroft_hookspecs.identity import ModelId
from undercroft_hookspecs.state import Settings
from undercroft_model.table import ModelTable, RecordDamagedError, Table
from undercroft_model.transaction import Transaction, change

THINGS = Table("/things/", Settings)


def thing(**values: str) -> Settings:
    return Settings(values=values)


async def make(store: Store, *parts: str, record: Settings) -> None:
    tx = Transaction(store)
    tx.put(THINGS, *parts, record=record)
    await tx.commit()


async def test_a_change_reads_what_it_has_written(store: Store) -> None:
    await make(store, "a", "1", record=thing(x="1"))
    tx = Transaction(store)

    tx.put(THINGS, "a", "2", record=thing(x="2"))
    tx.delete(THINGS, "a", "1")

    assert await tx.get(THINGS, "a", "1") is None
    assert await tx.get(THINGS, "a", "2") == thing(x="2")
    assert await tx.list(THINGS, "a") == {("a", "2"): thing(x="2")}
    assert await tx.look(THINGS, "a") == {("a", "2"): thing(x="2")}


async def test_what_was_read_is_checked(store: Store) -> None:
    tx = Transaction(store)
    await tx.get(THINGS, "a")
    tx.put(THINGS, "b", record=thing())
    await make(store, "a", record=thing())

    with pytest.raises(Conflict):
        await tx.commit()


async def test_what_was_listed_is_checked(store: Store) -> None:
    await make(store, "a", "1", record=thing())
    tx = Transaction(store)
    await tx.list(THINGS, "a")
    tx.put(THINGS, "b", record=thing())
    await make(store, "a", "1", record=thing(x="new"))

    with pytest.raises(Conflict):
        await tx.commit()


async def test_what_was_looked_at_is_not_checked(store: Store) -> None:
    await make(store, "a", "1", record=thing())
    tx = Transaction(store)
    await tx.look(THINGS, "a")
    tx.put(THINGS, "b", record=thing())
    await make(store, "a", "1", record=thing(x="new"))

    assert await tx.commit() is not None


async def test_the_same_again_writes_nothing(store: Store) -> None:
    await make(store, "a", record=thing(x="1"))
    tx = Transaction(store)
    await tx.get(THINGS, "a")

    tx.put(THINGS, "a", record=thing(x="1"))

    assert await tx.commit() is None


async def test_a_change_there_and_back_writes_nothing(store: Store) -> None:
    await make(store, "a", record=thing(x="1"))
    tx = Transaction(store)
    await tx.get(THINGS, "a")
    tx.put(THINGS, "a", record=thing(x="2"))

    tx.put(THINGS, "a", record=thing(x="1"))

    assert await tx.commit() is None


async def test_what_is_needed_and_missing_is_named(store: Store) -> None:
    with pytest.raises(NotFoundError, match='thing "a/b" not found'):
        await Transaction(store).need(THINGS, "a", "b", what="thing")


async def test_a_change_is_made_again_on_what_is_there_then(store: Store) -> None:
    await make(store, "count", record=thing(n="0"))

    async def count(tx: Transaction) -> None:
        record = await tx.need(THINGS, "count", what="thing")
        tx.put(THINGS, "count", record=thing(n=str(int(record.values["n"]) + 1)))

    rng = random.Random(1)
    await asyncio.gather(*(change(store, count, clock=SystemClock(), rng=rng) for _ in range(20)))

    assert await Transaction(store).get(THINGS, "count") == thing(n="20")


async def test_an_error_in_a_change_writes_nothing(store: Store) -> None:
    async def fail(tx: Transaction) -> None:
        tx.put(THINGS, "a", record=thing())
        raise NotFoundError("b")

    with pytest.raises(NotFoundError):
        await change(store, fail, clock=SystemClock(), rng=random.Random(1))

    assert await store.get("/things/a") is None


async def test_a_damaged_record_is_named_by_its_key(store: Store) -> None:
    await store.transact([], [Put("/things/a", b"not json")])

    with pytest.raises(RecordDamagedError, match="the record /things/a cannot be read"):
        await Transaction(store).get(THINGS, "a")


@pytest.mark.parametrize("parts", [("a", "b"), ("a/b",), ("..", "%2F"), ("ü b",)])
def test_a_key_gives_back_the_id_that_it_is_made_of(parts: tuple[str, ...]) -> None:
    table = ModelTable("things", Settings).of(ModelId.parse("0b2ff3a6-5c12-4f0c-8a70-5d4b3b5d1e0f"))

    key = table.key(*parts)

    assert table.parts(key) == parts
    assert key.count("/") == table.prefix.count("/") + len(parts) - 1
