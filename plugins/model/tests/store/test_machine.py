"""The store on SQLite against the one in memory: random operations have the same outcome in both."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from undercroft.testing import FakeClock, MemoryStore
from undercroft_hookspecs import (
    Check,
    Commit,
    Compacted,
    Conflict,
    Delete,
    LeaseId,
    LeaseLost,
    Put,
    Revision,
    Store,
    UndercroftError,
)
from undercroft_model.sqlite_store import open_sqlite

KEYS = st.sampled_from(["a", "a/b", "a/c", "b", "\N{PILE OF POO}", "\uffff"])
PREFIXES = st.sampled_from(["", "a", "a/", "b", "c", "\ud800"])
LEASES = st.integers(1, 4).map(LeaseId)
REVISIONS = st.integers(-1, 25).map(Revision)
WRITES = st.lists(
    st.one_of(
        st.builds(Put, KEYS, st.sampled_from([b"", b"1", b"2" * 5000]), st.none() | LEASES),
        st.builds(Put, KEYS, st.sampled_from([b"", b"1"])),
        st.builds(Delete, KEYS),
    ),
    max_size=4,
    unique_by=lambda write: write.key,
)


class StoreMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.folder = tempfile.TemporaryDirectory()
        self.clock = FakeClock()
        self.memory = MemoryStore(clock=self.clock)
        self.stack = AsyncExitStack()
        self.store: Store = self.runner.run(self._open())

    async def _open(self) -> Store:
        return await self.stack.enter_async_context(
            open_sqlite("sqlite:", data_dir=Path(self.folder.name), clock=self.clock)
        )

    def both(self, ask: Callable[[Store], Awaitable[object]]) -> None:
        """Ask both, and see that they say the same."""
        assert self.runner.run(_outcome(ask, self.store)) == self.runner.run(_outcome(ask, self.memory))

    @rule(writes=WRITES, checked=st.dictionaries(KEYS, st.booleans(), max_size=2))
    def transact(self, writes: list[Put | Delete], checked: dict[str, bool]) -> None:
        async def check(key: str, holds: bool) -> Check:
            entry = await self.memory.get(key)
            present = Revision(0) if entry is None else entry.revision
            return Check(key, present if holds else Revision(present + 1))

        checks = [self.runner.run(check(key, holds)) for key, holds in checked.items()]
        self.both(lambda store: store.transact(checks, writes))

    @rule(key=KEYS)
    def get(self, key: str) -> None:
        self.both(lambda store: store.get(key))

    @rule(prefix=PREFIXES)
    def list(self, prefix: str) -> None:
        self.both(lambda store: store.list(prefix))

    @rule(ttl=st.integers(1, 5))
    def lease(self, ttl: int) -> None:
        self.both(lambda store: store.lease(float(ttl)))

    @rule(lease=LEASES)
    def renew(self, lease: LeaseId) -> None:
        self.both(lambda store: store.renew(lease))

    @rule(lease=LEASES)
    def revoke(self, lease: LeaseId) -> None:
        self.both(lambda store: store.revoke(lease))

    @rule(before=REVISIONS)
    def compact(self, before: Revision) -> None:
        self.both(lambda store: store.compact(before))

    @rule(prefix=PREFIXES, since=REVISIONS)
    def watch(self, prefix: str, since: Revision) -> None:
        async def all_of(store: Store) -> object:
            revision = (await store.list("")).revision
            # One more, so that there is an end to wait for; the machine's own keys do not go up to there.
            last = await store.transact([], [Put(f"{prefix}~".replace("\ud800", ""), b"%d" % revision)])
            found: list[Commit] = []
            async with store.watch(prefix.replace("\ud800", "~"), since) as commits:
                while not found or found[-1].revision < max(last, since):
                    if since >= last:
                        break
                    found.append(await anext(commits))
            return found

        self.both(all_of)

    @rule(seconds=st.integers(1, 4))
    def advance(self, seconds: int) -> None:
        async def settle() -> None:
            await self.clock.advance(seconds)
            await self.clock.advance(0.01)
            # What asks for a write finds ended what is over.
            for store in (self.store, self.memory):
                await store.revoke(LeaseId(10_000))

        self.runner.run(settle())

    @rule()
    def open_again(self) -> None:
        async def again() -> None:
            await self.stack.aclose()
            self.store = await self._open()

        self.runner.run(again())

    @invariant()
    def they_hold_the_same(self) -> None:
        self.both(lambda store: store.list(""))

    def teardown(self) -> None:
        self.runner.run(self.stack.aclose())
        self.runner.close()
        self.folder.cleanup()


async def _outcome(ask: Callable[[Store], Awaitable[object]], store: Store) -> object:
    try:
        return await ask(store)
    except (Conflict, Compacted, LeaseLost) as error:
        return type(error), error.args
    except UndercroftError as error:
        return type(error)


# Other examples in each run: `--hypothesis-seed` repeats one, and CI gives each commit a seed of its own.
StoreMachine.TestCase.settings = settings(
    max_examples=40, stateful_step_count=30, deadline=None, derandomize=False, print_blob=True
)
TestStore = StoreMachine.TestCase
