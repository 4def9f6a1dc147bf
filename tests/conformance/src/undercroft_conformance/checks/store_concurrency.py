"""Invariants of a Store that many write to at once, through two handles."""

from __future__ import annotations

import asyncio
from itertools import count, pairwise

from undercroft_conformance.drive import turns
from undercroft_conformance.rules import store as rules
from undercroft_conformance.stores import NEW, StoreCase, take
from undercroft_conformance.verdict import Check, expect
from undercroft_hookspecs.store import Check as Condition
from undercroft_hookspecs.store import Conflict, Entry, Put, Store

WRITERS = 6
STEPS = 8
ACCOUNTS = tuple(f"account/{number}" for number in range(4))
MONEY = 100


async def _add(store: Store, key: str) -> None:
    """Add 1 to a counter, trying again while others come in between."""
    while True:
        entry = await store.get(key)
        value, revision = (0, NEW) if entry is None else (int(entry.value), entry.revision)
        try:
            await store.transact([Condition(key, revision)], [Put(key, b"%d" % (value + 1))])
        except Conflict:
            continue
        return


async def cas_counter(case: StoreCase) -> None:
    """Increments under a check are never lost and never doubled."""
    async with case.open() as one, case.open() as other:

        async def add_some(store: Store) -> None:
            for _ in range(STEPS):
                await _add(store, "counter")

        await asyncio.gather(*(add_some((one, other)[number % 2]) for number in range(WRITERS)))
        entry = await one.get("counter")
        found = None if entry is None else int(entry.value)
        expect(found == WRITERS * STEPS, f"{WRITERS * STEPS} were added, and the counter is at {found}")


async def cas_bank(case: StoreCase) -> None:
    """Money moves between accounts, and whoever lists them always finds the same sum."""
    async with case.open() as one, case.open() as other:
        await one.transact([], [Put(account, b"%d" % MONEY) for account in ACCOUNTS])
        done = asyncio.Event()

        async def move(number: int) -> None:
            store = (one, other)[number % 2]
            for step in range(STEPS):
                giver = ACCOUNTS[(number + step) % len(ACCOUNTS)]
                taker = ACCOUNTS[(number + 3 * step + 1) % len(ACCOUNTS)]
                if giver != taker:
                    await _move(store, giver, taker, 1 + step)

        async def audit(store: Store) -> None:
            for number in count():
                if done.is_set():
                    return
                entries = (await store.list("account/")).entries
                total = sum(int(entry.value) for entry in entries)
                expect(total == MONEY * len(ACCOUNTS), f"the accounts add up to {total}: {list(entries)}")
                await turns(number % 5)  # So that it never falls into step with those who write.

        audits = [asyncio.ensure_future(audit(store)) for store in (one, other)]
        await asyncio.gather(*(move(number) for number in range(WRITERS)))
        done.set()
        await asyncio.gather(*audits)


async def _move(store: Store, giver: str, taker: str, amount: int) -> None:
    while True:
        accounts = {entry.key: entry for entry in (await store.list("account/")).entries}
        one, other = accounts[giver], accounts[taker]
        try:
            await store.transact(
                [Condition(giver, one.revision), Condition(taker, other.revision)],
                [_changed(one, -amount), _changed(other, amount)],
            )
        except Conflict:
            continue
        return


def _changed(account: Entry, amount: int) -> Put:
    return Put(account.key, b"%d" % (int(account.value) + amount))


async def watch_concurrent(case: StoreCase) -> None:
    """Watchers see every commit of all writers once, in one order, up to the state that is there in the end."""
    async with (
        case.open() as one,
        case.open() as other,
        one.watch("k/", NEW) as first,
        other.watch("k/", NEW) as second,
    ):

        async def write(number: int) -> None:
            for step in range(STEPS):
                store = (one, other)[(number + step) % 2]
                await store.transact([], [Put(f"k/{number}", b"%d" % step), Put(f"elsewhere/{number}", b"")])

        _, seen, seen_too = await asyncio.gather(
            asyncio.gather(*(write(number) for number in range(WRITERS))),
            take(first, WRITERS * STEPS),
            take(second, WRITERS * STEPS),
        )
        expect(seen == seen_too, "two watchers have seen different commits")
        grows = all(earlier.revision < later.revision for earlier, later in pairwise(seen))
        expect(grows, f"the revisions of a watch do not grow: {[commit.revision for commit in seen]}")
        state = {change.key: change.value for commit in seen for change in commit.changes if isinstance(change, Put)}
        there = {entry.key: entry.value for entry in (await one.list("k/")).entries}
        expect(state == there, f"the commits lead to {state}, and there is {there}")


CHECKS: tuple[Check[StoreCase], ...] = (
    Check(rules.CAS_COUNTER, cas_counter),
    Check(rules.CAS_BANK, cas_bank),
    Check(rules.WATCH_CONCURRENT, watch_concurrent),
)
