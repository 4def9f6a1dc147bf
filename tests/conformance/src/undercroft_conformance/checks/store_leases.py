"""Leases of a Store."""

from __future__ import annotations

import asyncio

from undercroft_conformance.checks.store_data import refuses
from undercroft_conformance.drive import turns
from undercroft_conformance.rules import store as rules
from undercroft_conformance.stores import StoreCase, gone, take
from undercroft_conformance.verdict import Broken, Check, expect
from undercroft_hookspecs.store import Commit, Delete, Entry, LeaseId, LeaseLost, Put, Revision, Store

TTL = 4.0
EARLY = 0.6 * TTL
LATE = 1.5 * TTL
KEYS = ("a/1", "a/2", "b/1")
NOBODY = LeaseId(999_999_999)


async def _leased(store: Store) -> tuple[LeaseId, Revision]:
    """A lease, with keys that hang on it, and the revision that wrote them."""
    lease = await store.lease(TTL)
    return lease, await store.transact([], [Put(key, b"1", lease) for key in KEYS])


def _all_at_once(commit: Commit) -> None:
    keys = sorted(change.key for change in commit.changes if isinstance(change, Delete))
    expect(keys == list(KEYS), f"a lease with {list(KEYS)} has ended, and the commit is {commit}")


async def _first_after(store: Store, since: Revision) -> Commit:
    async with store.watch("", since) as commits:
        (commit,) = await take(commits, 1)
    return commit


async def lease_ends(case: StoreCase) -> None:
    """A lease lasts for its time, and not much longer."""
    async with case.open() as store:
        lease = await store.lease(TTL)
        written = await store.transact([], [Put("a", b"1", lease)])
        await case.pass_time(EARLY)
        found = await store.get("a")
        expect(found == Entry("a", b"1", written, lease), f"{EARLY} s into a lease of {TTL} s there is {found}")
        await case.pass_time(LATE - EARLY)
        await gone(store, "a")


async def lease_deletes(case: StoreCase) -> None:
    """The end of a lease deletes its keys in one commit, and nobody else's."""
    async with case.open() as store:
        await store.transact([], [Put("kept", b"")])
        _, written = await _leased(store)
        await case.pass_time(LATE)
        for key in KEYS:
            await gone(store, key)
        _all_at_once(await _first_after(store, written))
        expect(await store.get("kept") is not None, "a key without a lease went with one")


async def lease_watch(case: StoreCase) -> None:
    """Who watches is woken by the end of a lease, though nobody calls the store."""
    async with case.open() as store:
        _, written = await _leased(store)
        async with store.watch("", written) as commits:
            waiting = asyncio.ensure_future(take(commits, 1))
            await turns(10)
            await case.pass_time(EARLY)
            if waiting.done():
                raise Broken(f"{EARLY} s into a lease of {TTL} s there came {await waiting}")
            await case.pass_time(LATE - EARLY)
            (commit,) = await waiting
        _all_at_once(commit)


async def lease_renewed(case: StoreCase) -> None:
    """A renewal begins the time anew, again and again."""
    async with case.open() as store:
        lease, _ = await _leased(store)
        for _ in range(3):
            await case.pass_time(EARLY)
            await store.renew(lease)
        await case.pass_time(EARLY)
        expect(await store.get(KEYS[0]) is not None, f"a lease of {TTL} s ended {EARLY} s after it was renewed")
        await case.pass_time(LATE)
        await gone(store, KEYS[0])


async def _lost(store: Store, lease: LeaseId) -> None:
    try:
        await store.renew(lease)
    except LeaseLost as error:
        expect(error.lease == lease, f"lease {lease} was lost, and the error speaks of {error.lease}")
    else:
        raise Broken(f"lease {lease} has ended or never was, and can be renewed")


async def lease_renew_lost(case: StoreCase) -> None:
    """What has ended, was revoked or never was cannot be renewed."""
    async with case.open() as store:
        lease, _ = await _leased(store)
        await case.pass_time(LATE)
        await gone(store, KEYS[0])
        await _lost(store, lease)
        revoked = await store.lease(TTL)
        await store.revoke(revoked)
        await _lost(store, revoked)
        await _lost(store, NOBODY)


async def lease_put_lost(case: StoreCase) -> None:
    """Nothing can be hung on what has ended; the rest of the transaction is not written either."""
    async with case.open() as store:
        lease = await store.lease(TTL)
        await store.revoke(lease)
        for lost in (lease, NOBODY):
            await refuses(store, LeaseLost, [], [Put("a", b"1"), Put("b", b"1", lost)])


async def lease_revoked(case: StoreCase) -> None:
    """A revocation deletes the keys in one commit, before it returns."""
    async with case.open() as store:
        lease, written = await _leased(store)
        await store.revoke(lease)
        left = [entry.key for entry in (await store.list("")).entries]
        expect(not left, f"the lease was revoked, and {left} are there")
        _all_at_once(await _first_after(store, written))


async def lease_revoked_twice(case: StoreCase) -> None:
    """Revoking what has ended does nothing."""
    async with case.open() as store:
        lease, _ = await _leased(store)
        await store.revoke(lease)
        present = (await store.list("")).revision
        await store.revoke(lease)
        await store.revoke(NOBODY)
        after = (await store.list("")).revision
        expect(after == present, f"a lease that had ended was revoked, and revision {present} became {after}")


async def lease_moved(case: StoreCase) -> None:
    """The last write says which lease a key dies with, if any."""
    async with case.open() as store:
        lease, other = await store.lease(TTL), await store.lease(10 * TTL)
        await store.transact([], [Put(key, b"1", lease) for key in ("freed", "moved", "left", "deleted")])
        await store.transact([], [Put("freed", b"2"), Put("moved", b"2", other), Delete("deleted")])
        await store.transact([], [Put("deleted", b"2")])
        await store.revoke(lease)
        found = {entry.key: entry.lease for entry in (await store.list("")).entries}
        wanted = {"deleted": None, "freed": None, "moved": other}
        expect(found == wanted, f"after the first lease has ended there should be {wanted}, and is {found}")


CHECKS: tuple[Check[StoreCase], ...] = (
    Check(rules.LEASE_ENDS, lease_ends),
    Check(rules.LEASE_DELETES, lease_deletes),
    Check(rules.LEASE_WATCH, lease_watch),
    Check(rules.LEASE_RENEWED, lease_renewed),
    Check(rules.LEASE_RENEW_LOST, lease_renew_lost),
    Check(rules.LEASE_PUT_LOST, lease_put_lost),
    Check(rules.LEASE_REVOKED, lease_revoked),
    Check(rules.LEASE_REVOKED_TWICE, lease_revoked_twice),
    Check(rules.LEASE_MOVED, lease_moved),
)
