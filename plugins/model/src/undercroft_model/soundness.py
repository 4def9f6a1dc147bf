"""Whether a store's file is sound: SQLite's own check, and what the Store relies on between its tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from undercroft_hookspecs.store import StoreUnusable
from undercroft_model.schema import APPLICATION_ID, version_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from undercroft_model.sqlite import Connection

SHOWN = 20
"""How many instances of one problem are named: a damaged file may have millions."""

# With max(), SQLite takes the other columns from the row that has it.
_TERMS = """WITH
    now AS (SELECT revision AS present, oldest FROM state),
    kept AS (SELECT DISTINCT revision FROM changes, now WHERE revision > oldest),
    last AS (
        SELECT key, value, lease, max(revision) AS revision FROM changes, now WHERE revision > oldest GROUP BY key
    )
"""
_RULES: Sequence[tuple[str, str]] = (
    ("lease {} is newer than the last one granted", "SELECT id FROM leases WHERE id > (SELECT lease FROM state)"),
    ("lease {} lasts for no time", "SELECT id FROM leases WHERE NOT ttl > 0"),
    ("key {} has too many bytes, or none", "SELECT key FROM entries WHERE length(key) NOT BETWEEN 1 AND 1024"),
    ("key {} was written by no revision", "SELECT key FROM entries WHERE revision < 1"),
    (
        "key {} was written by a revision that is yet to come",
        "SELECT key FROM entries, now WHERE revision > present",
    ),
    (
        "key {} hangs on a lease that is not there",
        "SELECT key FROM entries WHERE lease IS NOT NULL AND lease NOT IN (SELECT id FROM leases)",
    ),
    ("revision {} should have been forgotten", "SELECT DISTINCT revision FROM changes, now WHERE revision <= oldest"),
    ("revision {} is yet to come", "SELECT DISTINCT revision FROM changes, now WHERE revision > present"),
    (
        "revision {} has lost some of its changes",
        "SELECT revision FROM changes GROUP BY revision HAVING min(place) <> 0 OR max(place) <> count(*) - 1",
    ),
    (
        "the revision before {} has lost all of its changes",
        """SELECT revision FROM (
            SELECT revision, lag(revision, 1, oldest) OVER (ORDER BY revision) AS before
            FROM (SELECT revision FROM kept UNION SELECT present + 1 FROM now), now
        ) WHERE revision <> before + 1""",
    ),
    (
        "key {} is not what its last change made it",
        """SELECT last.key FROM last LEFT JOIN entries USING (key)
            WHERE (last.value IS NULL) <> (entries.key IS NULL) OR (last.value IS NOT NULL AND (
                last.value <> entries.value OR last.revision <> entries.revision OR last.lease IS NOT entries.lease
            ))""",
    ),
    (
        "key {} was written by a revision that does not tell of it",
        """SELECT key FROM entries, now WHERE revision > oldest AND NOT EXISTS (
            SELECT 1 FROM changes WHERE changes.revision = entries.revision AND changes.key = entries.key
        )""",
    ),
)
"""What is said of each row that a statement finds: none, in a store that is sound."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is wrong with a store, if anything, and how much it holds."""

    problems: Sequence[str]
    revision: int = 0
    entries: int = 0
    leases: int = 0


def judge(connection: Connection, path: Path) -> Verdict:
    """Look at everything, as it is at one moment."""
    try:
        with connection.reading():
            version_of(connection, path)
            if connection.number("PRAGMA application_id") != APPLICATION_ID:
                return Verdict(problems=["it is empty: there are no tables of a store in it"])
            problems = [f"SQLite says: {row[0]}" for row in connection.rows(f"PRAGMA integrity_check({SHOWN})")]
            if problems != ["SQLite says: ok"]:
                return Verdict(problems=problems)
            return _judge_tables(connection)
    except StoreUnusable as error:
        return Verdict(problems=[getattr(error, "reason", str(error))])


def _judge_tables(connection: Connection) -> Verdict:
    if connection.number("SELECT count(*) FROM state WHERE 0 <= oldest AND oldest <= revision AND lease >= 0") != 1:
        return Verdict(problems=["the table `state` does not say where the store stands"])
    return Verdict(
        problems=[*_broken_rules(connection), *_unreadable_keys(connection)],
        revision=connection.number("SELECT revision FROM state"),
        entries=connection.number("SELECT count(*) FROM entries"),
        leases=connection.number("SELECT count(*) FROM leases"),
    )


def _broken_rules(connection: Connection) -> Iterator[str]:
    for problem, statement in _RULES:
        for (found,) in connection.rows(f"{_TERMS} {statement} LIMIT {SHOWN}"):
            yield problem.format(_shown(found))


def _unreadable_keys(connection: Connection) -> Iterator[str]:
    for (key,) in connection.rows("SELECT key FROM entries UNION SELECT key FROM changes"):
        try:
            is_sound = "\0" not in cast("bytes", key).decode()
        except (UnicodeDecodeError, AttributeError):
            is_sound = False
        if not is_sound:
            yield f"key {_shown(key)} is not one: keys are UTF-8 without NUL"


def _shown(found: object) -> str:
    return repr(found.decode(errors="replace")) if isinstance(found, bytes) else str(found)
