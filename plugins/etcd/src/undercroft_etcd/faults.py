"""What a call's failure means: whether it may have been carried out all the same, and what can be done about it."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

from undercroft_hookspecs.store import StoreUnavailable

if TYPE_CHECKING:
    from types import TracebackType


class Meaning(Enum):
    """What follows from a fault."""

    ELSEWHERE = "not carried out; another member, or the same one later, may do it"
    UNRECOGNISED = "not carried out; with a new token it may be"
    UNKNOWN = "may or may not have been carried out"
    REFUSED = "not carried out, and will not be"


class Fault(Exception):
    """A call that failed, with gRPC's code and whatever text came with it, and whether it had left this process."""

    def __init__(self, code: str, details: str, *, is_sent: bool = True) -> None:
        super().__init__(code, details)
        self.code, self.details, self.is_sent = code, details, is_sent

    def __str__(self) -> str:
        return f"{self.details.removeprefix('etcdserver: ') or 'no reason given'} ({self.code})"

    @property
    def meaning(self) -> Meaning:
        """What follows from it. A text that is not known is taken for the worst that its code can mean."""
        text = self.details.removeprefix("etcdserver: ")
        if not self.is_sent or text in NEVER_TAKEN_UP:
            return Meaning.ELSEWHERE
        if self.code == "UNAUTHENTICATED" or text in STALE:
            return Meaning.UNRECOGNISED
        return Meaning.UNKNOWN if self.code in OPEN_ENDED else Meaning.REFUSED

    @property
    def is_lease_lost(self) -> bool:
        """Whether the lease has ended."""
        return self.code == "NOT_FOUND" and "lease not found" in self.details

    @property
    def is_compacted(self) -> bool:
        """Whether the revision that was asked for is no longer kept."""
        return self.code == "OUT_OF_RANGE" and "compacted" in self.details

    @property
    def is_future(self) -> bool:
        """Whether the revision that was asked for has not come yet."""
        return self.code == "OUT_OF_RANGE" and "future revision" in self.details


# etcd looks for these before it takes a request up.
NEVER_TAKEN_UP = frozenset({"no leader", "too many requests"})

STALE = frozenset({"invalid auth token", "revision of auth store is old", "auth: revision in header is old"})

OPEN_ENDED = frozenset({"UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED", "UNKNOWN", "INTERNAL", "ABORTED"})


class Refusals:
    """Turns a fault that nobody has taken for an answer into the error that the Store contract has for it."""

    __slots__ = ()

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, Fault):
            raise StoreUnavailable(f"etcd refuses: {error}") from None
