"""The class that judges a Store backend."""

from __future__ import annotations

from typing import ClassVar

import pytest

from undercroft_conformance.checks import store_concurrency, store_data, store_leases, store_watches
from undercroft_conformance.doors import LOOPS, judge_or_skip, parameters
from undercroft_conformance.stores import OpenStore, StoreCase
from undercroft_conformance.verdict import Check

CHECKS: tuple[Check[StoreCase], ...] = (
    *store_data.CHECKS,
    *store_concurrency.CHECKS,
    *store_watches.CHECKS,
    *store_leases.CHECKS,
)


class StoreConformance:
    """Judge a Store: subclass it, and give it the fixture `open_store`.

    The fixture gives a function of a clock that opens the store; the first call finds it empty, each further one opens
    the same state once more. `real_time` says that leases do not run on the clock which the store is given (a server
    has its own): the kit then waits for as long as it takes.
    """

    real_time: ClassVar[bool] = False

    @pytest.fixture
    def open_store(self) -> OpenStore:
        """How to open the store; to be overridden."""
        raise NotImplementedError("a subclass of StoreConformance has a fixture `open_store`")

    @pytest.mark.parametrize("loop", LOOPS)
    @pytest.mark.parametrize("check", parameters(CHECKS))
    def test_store(self, check: Check[StoreCase], loop: str, open_store: OpenStore) -> None:
        """The store keeps one rule on one loop."""
        judge_or_skip(check, lambda bench: StoreCase(open_store, self.real_time, bench), loop=loop)
