"""Keys, values, transactions and limits of a Store."""

from __future__ import annotations

from collections.abc import Sequence

from undercroft_conformance.rules import store as rules
from undercroft_conformance.stores import NEW, StoreCase
from undercroft_conformance.verdict import Broken, Check, describe, expect
from undercroft_hookspecs.errors import NotValidError
from undercroft_hookspecs.store import (
    MAX_BYTES,
    MAX_OPERATIONS,
    Conflict,
    Delete,
    Entry,
    Put,
    Revision,
    Store,
    TooLarge,
)
from undercroft_hookspecs.store import Check as Condition

ODD_KEYS = (
    "/",
    "..",
    "../x",
    "a b",
    "a\nb",
    "'",
    '"',
    "%00",
    "%",
    "_",
    "*",
    "[a]",
    "\\",
    "é",
    "日本",
    "\U0001d11e",
    "\uffff",
)


async def refuses(
    store: Store, kind: type[Exception], checks: Sequence[Condition], writes: Sequence[Put | Delete]
) -> None:
    """A transaction is refused with an error of this kind, and has written nothing.

    Raises:
        Broken: it is not.
    """
    before = await store.list("")
    try:
        await store.transact(checks, writes)
    except kind:
        after = await store.list("")
        expect(
            before.entries == after.entries, f"a transaction that was refused ({kind.__name__}) has written something"
        )
    except Exception as error:  # Whatever the backend raises, it is not what it should.
        raise Broken(f"a transaction that has to raise {kind.__name__} raises {describe(error)}") from error
    else:
        what = (
            f"{len(checks)} checks and {len(writes)} writes, the first of {writes[0]!r:.60}"
            if writes
            else f"{checks!r:.60}"
        )
        raise Broken(f"a transaction that has to raise {kind.__name__} went through: {what}")


async def store_protocol(case: StoreCase) -> None:
    """What is opened has all methods of a Store."""
    async with case.open() as store:
        expect(isinstance(store, Store), f"{type(store).__name__} lacks a method of Store")


async def get_absent(case: StoreCase) -> None:
    """A key that was never written, or was deleted, is None."""
    async with case.open() as store:
        expect(await store.get("never") is None, "a key that was never written is not None")
        await store.transact([], [Put("a", b"1")])
        await store.transact([], [Delete("a")])
        expect(await store.get("a") is None, "a key that was deleted is not None")


async def get_entry(case: StoreCase) -> None:
    """An entry has the last value and the revision that wrote it."""
    async with case.open() as store:
        await store.transact([], [Put("a", b"1")])
        written = await store.transact([], [Put("a", b"2")])
        await store.transact([], [Put("b", b"3")])
        found = await store.get("a")
        expect(found == Entry("a", b"2", written), f"expected b'2' of revision {written}, found {found}")


async def list_prefix(case: StoreCase) -> None:
    """A prefix is a prefix: no pattern, no folder, no case folded."""
    keys = {"a", "a/1", "a/2", "ab", "A", "b", "a%b", "a_b", "a*b", "a\uffff", "a\U0010ffff", "é", "%"}
    async with case.open() as store:
        await store.transact([], [Put(key, b"") for key in sorted(keys)])
        for prefix in (
            "",
            "a",
            "a/",
            "a/1",
            "ab",
            "a%",
            "a_",
            "a*",
            "a\uffff",
            "a\U0010ffff",
            "A",
            "é",
            "%",
            "none",
            "a/12",
        ):
            found = {entry.key for entry in (await store.list(prefix)).entries}
            wanted = {key for key in keys if key.startswith(prefix)}
            expect(found == wanted, f"under {prefix!r} there should be {sorted(wanted)}, not {sorted(found)}")


async def list_order(case: StoreCase) -> None:
    """Entries come in the order of their keys' bytes."""
    keys = ["z", "a0", "a", "B", "a/", "é", "\uffff", "\U0001d11e", "~", "日"]
    async with case.open() as store:
        for key in keys:
            await store.transact([], [Put(key, b"")])
        found = [entry.key for entry in (await store.list("")).entries]
        wanted = sorted(keys, key=str.encode)
        expect(found == wanted, f"the order is {found}, not {wanted}")


async def list_revision(case: StoreCase) -> None:
    """A snapshot's revision is the present one: that of the last commit, even if that was elsewhere."""
    async with case.open() as store:
        await store.transact([], [Put("a/1", b"")])
        last = await store.transact([], [Put("b", b"")])
        snapshot = await store.list("a/")
        expect(snapshot.revision >= last, f"the snapshot is of revision {snapshot.revision}, after {last} was written")
        later = await store.transact([], [Put("a/1", b"2")])
        expect(later > snapshot.revision, f"revision {later} came after a snapshot of {snapshot.revision}")


async def key_length(case: StoreCase) -> None:
    """1 to 1024 bytes, not characters."""
    async with case.open() as store:
        for key in ("k", "k" * 1024, "é" * 512):
            await store.transact([], [Put(key, b"v")])
            found = await store.get(key)
            expect(found is not None and found.value == b"v", f"a key of {len(key.encode())} bytes is not kept")
        for key in ("", "k" * 1025, "é" * 513):
            for writes in ([Put(key, b"")], [Delete(key)]):
                await refuses(store, NotValidError, [], writes)
            await refuses(store, NotValidError, [Condition(key, NEW)], [])


async def key_form(case: StoreCase) -> None:
    """Every text without NUL is a key and is given back as it was."""
    async with case.open() as store:
        for key in ("a\0b", "\0", "\ud800"):
            await refuses(store, NotValidError, [], [Put(key, b"")])
        await store.transact([], [Put(key, key.encode()) for key in ODD_KEYS])
        for key in ODD_KEYS:
            found = await store.get(key)
            expect(
                found is not None and (found.key, found.value) == (key, key.encode()), f"{key!r} comes back as {found}"
            )


async def value_bytes(case: StoreCase) -> None:
    """Every value comes back as it was, as bytes."""
    values = {"none": b"", "all": bytes(range(256)), "text": "é".encode(), "large": b"\0x" * 50_000}
    async with case.open() as store:
        await store.transact([], [Put(key, value) for key, value in values.items()])
        for key, value in values.items():
            found = await store.get(key)
            expect(found is not None, f"a value of {len(value)} bytes is not kept")
            assert found is not None
            fine = type(found.value) is bytes and found.value == value
            expect(
                fine, f"a value of {len(value)} bytes comes back as {type(found.value).__name__} {found.value[:40]!r}"
            )


async def read_own_write(case: StoreCase) -> None:
    """What is written through one handle is read through another as soon as the write has returned."""
    async with case.open() as one, case.open() as other:
        for number in range(20):
            writer, reader = (one, other) if number % 2 else (other, one)
            value = b"%d" % number
            await writer.transact([], [Put("a", value)])
            found = await reader.get("a")
            expect(
                found is not None and found.value == value, f"{value!r} was written, and another handle reads {found}"
            )
            listed = (await reader.list("")).entries
            expect(
                [entry.value for entry in listed] == [value],
                f"{value!r} was written, and another handle lists {listed}",
            )


async def transact_all(case: StoreCase) -> None:
    """All writes of a transaction take effect, at one revision."""
    async with case.open() as store:
        await store.transact([], [Put("old", b"")])
        written = await store.transact([], [Put("a", b"1"), Put("b", b"2"), Delete("old")])
        entries = list((await store.list("")).entries)
        wanted = [Entry("a", b"1", written), Entry("b", b"2", written)]
        expect(entries == wanted, f"expected {wanted}, found {entries}")


async def transact_nothing(case: StoreCase) -> None:
    """One check of several that does not hold, and nothing is written."""
    async with case.open() as store:
        written = await store.transact([], [Put("a", b"1"), Put("b", b"1")])
        checks = [Condition("a", written), Condition("b", Revision(written + 1000))]
        await refuses(store, Conflict, checks, [Put("a", b"2"), Put("c", b"2"), Delete("b")])
        again = (await store.list("")).revision
        expect(again >= written, "the revision went back")


async def transact_check_absent(case: StoreCase) -> None:
    """Revision 0 means that the key is absent: never written, or deleted."""
    async with case.open() as store:
        await store.transact([Condition("a", NEW)], [Put("a", b"1")])
        await refuses(store, Conflict, [Condition("a", NEW)], [Put("a", b"2")])
        await store.transact([], [Delete("a")])
        await store.transact([Condition("a", NEW)], [Put("a", b"3")])


async def transact_conflict(case: StoreCase) -> None:
    """A conflict says which key, what was expected and what is there."""
    async with case.open() as store:
        first = await store.transact([], [Put("a", b"1"), Put("b", b"1")])
        second = await store.transact([], [Put("b", b"2")])
        cases = [
            (Condition("b", first), ("b", first, second)),
            (Condition("c", first), ("c", first, NEW)),
            (Condition("a", NEW), ("a", NEW, first)),
        ]
        for check, wanted in cases:
            try:
                await store.transact([Condition("a", first), check] if check.key != "a" else [check], [Put("d", b"")])
            except Conflict as conflict:
                said = (conflict.key, conflict.expected, conflict.actual)
                expect(said == wanted, f"the conflict says {said}; it is {wanted}")
            else:
                raise Broken(f"{check} does not hold, and the transaction went through")


async def transact_checks_only(case: StoreCase) -> None:
    """Checks alone are judged, make no commit, and give the present revision."""
    async with case.open() as store:
        written = await store.transact([], [Put("a", b"1")])
        present = (await store.list("")).revision
        given = await store.transact([Condition("a", written)], [])
        expect(given == present, f"the present revision is {present}; a transaction of checks alone gives {given}")
        after = (await store.list("")).revision
        expect(after == present, f"a transaction of checks alone went from revision {present} to {after}")
        await refuses(store, Conflict, [Condition("a", NEW)], [])


async def transact_unchanged(case: StoreCase) -> None:
    """Nothing to write, or only what is absent to delete, makes no commit."""
    async with case.open() as store:
        await store.transact([], [Put("a", b"1")])
        present = (await store.list("")).revision
        for writes in ([], [Delete("never")]):
            given = await store.transact([], writes)
            after = (await store.list("")).revision
            expect(given == after == present, f"{writes} gave {given} and went from revision {present} to {after}")


async def transact_twice(case: StoreCase) -> None:
    """A key is written once in a transaction."""
    async with case.open() as store:
        await store.transact([], [Put("a", b"0")])
        for pair in ([Put("a", b"1"), Put("a", b"2")], [Put("a", b"1"), Delete("a")], [Delete("a"), Delete("a")]):
            await refuses(store, NotValidError, [], [Put("b", b""), *pair])


async def transact_revisions(case: StoreCase) -> None:
    """Revisions are positive and grow from commit to commit."""
    async with case.open() as store:
        revisions = [await store.transact([], [Put("a", b"%d" % number), Put("b", b"")]) for number in range(5)]
        expect(revisions[0] > 0, f"the first revision is {revisions[0]}")
        expect(sorted(set(revisions)) == revisions, f"the revisions of one commit after the other are {revisions}")


async def delete_absent(case: StoreCase) -> None:
    """Deleting what is absent does nothing, and keeps nobody from writing the rest."""
    async with case.open() as store:
        await store.transact([], [Delete("never"), Put("a", b"1")])
        await store.transact([], [Delete("a")])
        await store.transact([], [Delete("a")])
        expect(not (await store.list("")).entries, "a key that was deleted twice is there")


async def limit_operations(case: StoreCase) -> None:
    """100 operations fit, 101 do not, however they are divided."""
    async with case.open() as store:
        writes = [Put(f"k{number:03}", b"") for number in range(MAX_OPERATIONS + 1)]
        await store.transact([], writes[:MAX_OPERATIONS])
        await refuses(store, TooLarge, [], writes)
        checks = [Condition(f"x{number:03}", NEW) for number in range(MAX_OPERATIONS)]
        await store.transact(checks[1:], [Put("y", b"")])
        await refuses(store, TooLarge, checks, [Put("z", b"")])


async def limit_bytes(case: StoreCase) -> None:
    """A MiB of keys and values together fits, one byte more does not."""
    async with case.open() as store:
        await store.transact([], [Put("k", bytes(MAX_BYTES - 1))])
        await refuses(store, TooLarge, [], [Put("k", bytes(MAX_BYTES))])
        half = bytes(MAX_BYTES // 2)
        await refuses(store, TooLarge, [], [Put("a", half), Put("b", half)])


CHECKS: tuple[Check[StoreCase], ...] = (
    Check(rules.STORE_PROTOCOL, store_protocol),
    Check(rules.GET_ABSENT, get_absent),
    Check(rules.GET_ENTRY, get_entry),
    Check(rules.LIST_PREFIX, list_prefix),
    Check(rules.LIST_ORDER, list_order),
    Check(rules.LIST_REVISION, list_revision),
    Check(rules.KEY_LENGTH, key_length),
    Check(rules.KEY_FORM, key_form),
    Check(rules.VALUE_BYTES, value_bytes),
    Check(rules.READ_OWN_WRITE, read_own_write),
    Check(rules.TRANSACT_ALL, transact_all),
    Check(rules.TRANSACT_NOTHING, transact_nothing),
    Check(rules.TRANSACT_CHECK_ABSENT, transact_check_absent),
    Check(rules.TRANSACT_CONFLICT, transact_conflict),
    Check(rules.TRANSACT_CHECKS_ONLY, transact_checks_only),
    Check(rules.TRANSACT_UNCHANGED, transact_unchanged),
    Check(rules.TRANSACT_TWICE, transact_twice),
    Check(rules.TRANSACT_REVISIONS, transact_revisions),
    Check(rules.DELETE_ABSENT, delete_absent),
    Check(rules.LIMIT_OPERATIONS, limit_operations),
    Check(rules.LIMIT_BYTES, limit_bytes),
)
