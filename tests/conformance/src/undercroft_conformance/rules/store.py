"""The rules for a Store: every sentence of the contract that a test can hold a backend to."""

from __future__ import annotations

from undercroft_conformance.rules.rule import Rule

_STORE = "undercroft_hookspecs.store"
_KEYS = "are 1 to 1024 bytes of UTF-8 without NUL, ordered by their bytes."
_TRANSACTION = "Write all of `writes` if all of `checks` hold, else nothing; durable when it returns."
_NOTHING = (
    "Returns the commit's revision; a transaction that changes nothing makes no commit and gives the present revision."
)
_WATCH = "Every commit after `since` that touches `prefix`, in order, none lost and none doubled."
_LIMITS = "At most `MAX_OPERATIONS` checks and writes together, and `MAX_BYTES` of keys and values: `TooLarge` beyond."
_LINEARIZABLE = "`get` and `list` are linearizable."
_LEASE_END = "Its end shows as `Delete`s of its keys in one commit."
_COMPACTED = "from entering or from iterating, when `since` is no longer kept."


def _rule(name: str, sentence: str) -> Rule:
    return Rule(name, sentence, _STORE)


STORE_PROTOCOL = _rule("store-protocol", "The state that agents and commands share.")
GET_ABSENT = _rule("get-absent", "The entry of `key`, or None.")
GET_ENTRY = _rule("get-entry", "A key's present value, the revision that wrote it, and the lease that it dies with.")
LIST_PREFIX = _rule("list-prefix", "All entries whose key begins with `prefix` (any string; empty: all).")
LIST_ORDER = _rule(
    "list-order", "All entries under a prefix, in the order of their keys, as they were at one revision."
)
LIST_REVISION = _rule(
    "list-revision", "All entries under a prefix, in the order of their keys, as they were at one revision."
)
KEY_LENGTH = _rule("key-length", _KEYS)
KEY_FORM = _rule("key-form", _KEYS)
VALUE_BYTES = _rule(
    "value-bytes", "The Store contract: an ordered map of keys to bytes with transactions, watches and leases."
)
READ_OWN_WRITE = _rule("read-own-write", _LINEARIZABLE)
TRANSACT_ALL = _rule("transact-all", _TRANSACTION)
TRANSACT_NOTHING = _rule("transact-nothing", _TRANSACTION)
TRANSACT_CHECK_ABSENT = _rule(
    "transact-check-absent", "The condition that `key` was last written at `revision`; 0: that it is absent."
)
TRANSACT_CONFLICT = _rule(
    "transact-conflict",
    "A check did not hold: `key` is at revision `actual` (0: absent), not at `expected`. Nothing was written.",
)
TRANSACT_CHECKS_ONLY = _rule("transact-checks-only", _NOTHING)
TRANSACT_UNCHANGED = _rule("transact-unchanged", _NOTHING)
TRANSACT_TWICE = _rule("transact-twice", "A key written twice in it: `NotValidError`.")
TRANSACT_REVISIONS = _rule("transact-revisions", "is one revision and one `Commit`, never split:")
DELETE_ABSENT = _rule("delete-absent", "Remove the key; nothing if it is absent.")
LIMIT_OPERATIONS = _rule("limit-operations", _LIMITS)
LIMIT_BYTES = _rule("limit-bytes", _LIMITS)
CAS_COUNTER = _rule("cas-counter", _TRANSACTION)
CAS_BANK = _rule("cas-bank", _LINEARIZABLE)
WATCH_ALL = _rule("watch-all", _WATCH)
WATCH_PREFIX = _rule("watch-prefix", "What one transaction changed under the watched prefix.")
WATCH_WHOLE = _rule("watch-whole", "is one revision and one `Commit`, never split:")
WATCH_RESUME = _rule("watch-resume", "`watch(prefix, commit.revision)` resumes exactly behind it.")
WATCH_WAITS = _rule("watch-waits", _WATCH)
WATCH_CANCELLED = _rule("watch-cancelled", _WATCH)
WATCH_MANY = _rule("watch-many", _WATCH)
WATCH_CONCURRENT = _rule("watch-concurrent", _WATCH)
COMPACT_WATCH = _rule("compact-watch", _COMPACTED)
COMPACT_OLDEST = _rule(
    "compact-oldest",
    "The revision asked for is no longer kept; `oldest` is the oldest one to watch from.",
)
COMPACT_KEEPS = _rule("compact-keeps", "Forget the history before `before`; present entries stay.")
LEASE_ENDS = _rule("lease-ends", "Grant a lease that ends `ttl` seconds after its last renewal.")
LEASE_DELETES = _rule("lease-deletes", _LEASE_END)
LEASE_WATCH = _rule("lease-watch", _LEASE_END)
LEASE_RENEWED = _rule("lease-renewed", "Let the lease's time begin anew. Raises LeaseLost.")
LEASE_RENEW_LOST = _rule("lease-renew-lost", "Let the lease's time begin anew. Raises LeaseLost.")
LEASE_PUT_LOST = _rule("lease-put-lost", "a `Put` names a lease that has ended.")
LEASE_REVOKED = _rule("lease-revoked", "End the lease and delete its keys in one commit; nothing if it has ended.")
LEASE_REVOKED_TWICE = _rule(
    "lease-revoked-twice", "End the lease and delete its keys in one commit; nothing if it has ended."
)
LEASE_MOVED = _rule("lease-moved", "Write `value`; with a lease, the key goes when the lease ends.")
