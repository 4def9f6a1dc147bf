"""The tables of the Store, and the steps that lead from each older version of them to the present one.

`state` (one row: the last revision, the oldest one kept, the last lease), `entries` (keys as bytes, so that they are
ordered by their bytes), `changes` (what each commit changed, for watchers that resume) and `leases` (their ends are on
CLOCK_BOOTTIME, which counts through a suspend; a lease of another boot has ended).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from undercroft_hookspecs.store import StoreUnusable
from undercroft_model.sqlite import StoreDamagedError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from undercroft_model.sqlite import Connection

Steps: TypeAlias = "Sequence[Sequence[str]]"

APPLICATION_ID = 0x756E6463  # "undc": what `file` and a human see in the header.

STEPS: Steps = (
    (
        """CREATE TABLE state (
            id INTEGER PRIMARY KEY CHECK (id = 1),
            revision INTEGER NOT NULL, oldest INTEGER NOT NULL, lease INTEGER NOT NULL
        )""",
        "INSERT INTO state VALUES (1, 0, 0, 0)",
        """CREATE TABLE entries (
            key BLOB PRIMARY KEY, value BLOB NOT NULL, revision INTEGER NOT NULL, lease INTEGER
        ) WITHOUT ROWID""",
        "CREATE INDEX entries_by_lease ON entries (lease) WHERE lease IS NOT NULL",
        """CREATE TABLE changes (
            revision INTEGER NOT NULL, place INTEGER NOT NULL, key BLOB NOT NULL, value BLOB, lease INTEGER,
            PRIMARY KEY (revision, place)
        ) WITHOUT ROWID""",
        "CREATE TABLE leases (id INTEGER PRIMARY KEY, ttl REAL NOT NULL, ends REAL NOT NULL, boot TEXT NOT NULL)",
        "CREATE INDEX leases_by_end ON leases (ends)",
        f"PRAGMA application_id = {APPLICATION_ID}",
    ),
)
"""Step n leads from version n to version n + 1. What a release has written once is never changed: add a step."""


class StoreVersionError(StoreUnusable):
    """The file was written by a newer version; nothing in it was touched."""

    def __init__(self, path: Path, version: int, known: int) -> None:
        super().__init__(path, version, known)
        self.path, self.version, self.known = path, version, known

    def __str__(self) -> str:
        return (
            f"{self.path} has schema version {self.version}, and this undercroft-model knows only those up to "
            f"{self.known}: upgrade undercroft-model"
        )


def prepare(connection: Connection, path: Path, *, steps: Steps = STEPS) -> None:
    """Make the tables, or bring those of an older version up to date: all in one transaction.

    Raises:
        StoreDamagedError: they are another program's.
        StoreVersionError: they are a newer version's. In neither case was anything touched.
    """
    with connection.reading():  # In one moment: somebody else may be making the tables at this one.
        version = version_of(connection, path, known=len(steps))
    connection.execute("PRAGMA journal_mode = WAL")
    if version == len(steps):
        return
    with connection.writing():
        version = version_of(connection, path, known=len(steps))  # Somebody else may have been faster.
        for step in steps[version:]:
            for statement in step:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(steps)}")


def version_of(connection: Connection, path: Path, *, known: int = len(STEPS)) -> int:
    """The version of the tables; 0 where there are none.

    Raises:
        StoreDamagedError: they are another program's.
        StoreVersionError: they are newer than version `known`.
    """
    application = connection.number("PRAGMA application_id")
    version = connection.number("PRAGMA user_version")
    if application == 0 and version == 0 and connection.number("SELECT count(*) FROM sqlite_schema") == 0:
        return 0
    if application != APPLICATION_ID or version == 0:
        raise StoreDamagedError(path, "it is a database of another program")
    if version > known:
        raise StoreVersionError(path, version, known)
    return version
