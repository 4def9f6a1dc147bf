"""A connection to an SQLite file whose errors are the Store's. The only module that knows of sqlite3.

The file is in WAL mode with `synchronous=FULL`: once COMMIT has returned, not even a power cut undoes it. Several
processes may write at once; each takes its turn at `BEGIN IMMEDIATE`. The file and those that SQLite keeps beside it
are for their owner alone, whatever the umask.

A connection is used by one thread at a time, which need not be the one that made it.
"""

from __future__ import annotations

import os
import sqlite3
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeAlias, cast

from undercroft.files import sync
from undercroft_hookspecs.store import StoreUnavailable, StoreUnusable

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence
    from pathlib import Path

BUSY_SECONDS = 10.0
LARGEST_LOG_BYTES = 64 * 1024 * 1024
"""What the write-ahead log is cut down to, once it has been larger."""

# Any would be as true: a row has the types that its statement gives it.
Row: TypeAlias = "tuple[object, ...]"

_PRIVATE = 0o600
_OTHERS = 0o077
_PRIMARY = 0xFF
_UNREAD_PAGE = "error code="
_REMEDIES = {
    sqlite3.SQLITE_BUSY: "another process holds it; see who with `fuser`",
    sqlite3.SQLITE_FULL: "free some space on its file system",
    sqlite3.SQLITE_IOERR: "see the kernel's log for errors of the disk",
    sqlite3.SQLITE_IOERR_SHMSIZE: "free some space on its file system",
    sqlite3.SQLITE_READONLY: "see that this user may write to it and its folder",
    sqlite3.SQLITE_CANTOPEN: "see that this user may read and write it and its folder",
    sqlite3.SQLITE_PERM: "see that this user may read and write it and its folder",
}


class StoreDamagedError(StoreUnusable):
    """The file is not a store, or is damaged."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(path, reason)
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return (
            f"{self.path} is not a usable store ({self.reason}): restore a backup with `undercroft store restore FILE`,"
            " or move the file away to begin with an empty store"
        )


class Connection:
    """An open file. With `is_reader` it refuses to write."""

    __slots__ = ("_connection", "_path")

    def __init__(self, path: Path, *, is_reader: bool = False, busy_seconds: float = BUSY_SECONDS) -> None:
        """Open a file that is there (`make_private` makes it).

        Raises:
            StoreUnavailable: it cannot be opened.
            StoreDamagedError: it is no SQLite database.
        """
        self._path = path
        try:
            self._connection = sqlite3.connect(
                f"file:{_quoted(path)}?mode=rw", uri=True, timeout=busy_seconds, isolation_level=None,
                check_same_thread=False,
            )  # fmt: skip
        except sqlite3.Error as error:
            raise self._translated(error) from error
        try:
            self.execute("PRAGMA synchronous = FULL")
            self.execute(f"PRAGMA journal_size_limit = {LARGEST_LOG_BYTES}")
            self.execute("PRAGMA trusted_schema = off")
            if is_reader:
                self.execute("PRAGMA query_only = on")
        except BaseException:
            self._connection.close()
            raise

    @property
    def changes(self) -> int:
        """How many rows have been written by this connection; it grows, and says nothing else."""
        return self._connection.total_changes

    def execute(self, statement: str, parameters: Sequence[object] = ()) -> int:
        """Execute one statement; gives how many rows it has changed."""
        try:
            return self._connection.execute(statement, parameters).rowcount
        except sqlite3.Error as error:
            raise self._translated(error) from error

    def execute_many(self, statement: str, rows: Sequence[Row]) -> None:
        """Execute one statement for each row of parameters."""
        try:
            self._connection.executemany(statement, rows)
        except sqlite3.Error as error:
            raise self._translated(error) from error

    def row(self, statement: str, parameters: Sequence[object] = ()) -> Row | None:
        """The first row of an answer."""
        try:
            found: Row | None = self._connection.execute(statement, parameters).fetchone()
        except sqlite3.Error as error:
            raise self._translated(error) from error
        return found

    def number(self, statement: str) -> int:
        """The one number that a statement answers."""
        return self.numbers(statement)[0]

    def numbers(self, statement: str) -> Sequence[int]:
        """The numbers that a statement answers, in one row."""
        found = self.row(statement)
        if found is None or not all(isinstance(value, int) for value in found):
            raise StoreDamagedError(self._path, f"{statement!r} has no answer")
        return cast("Sequence[int]", found)

    def rows(self, statement: str, parameters: Sequence[object] = ()) -> Generator[Row, None, None]:
        """The rows of an answer, one after the other."""
        try:
            cursor = self._connection.execute(statement, parameters)
            try:
                yield from cursor
            finally:
                cursor.close()
        except sqlite3.Error as error:
            raise self._translated(error) from error

    @contextmanager
    def reading(self) -> Iterator[None]:
        """A read transaction: all that is read inside is of one moment."""
        self.execute("BEGIN")
        try:
            yield
        finally:
            self._roll_back()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """A write transaction, durable once the block has ended; it is undone if that raises.

        Raises:
            StoreUnavailable: SQLite cannot write. Nothing has happened then, unless `outcome_unknown`.
        """
        self.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._commit()
        finally:
            self._roll_back()

    def copy_to(self, other: Connection) -> None:
        """Copy everything, as it is at one moment, into another file."""
        try:
            self._connection.backup(other._connection)
        except sqlite3.Error as error:
            raise other._translated(error) from error

    def close(self) -> None:
        """Let go of the file; whoever is the last takes the write-ahead log into it."""
        self._connection.close()

    def _commit(self) -> None:
        try:
            self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._translated(error, outcome_unknown=True) from error

    def _roll_back(self) -> None:
        if self._connection.in_transaction:
            try:
                self._connection.execute("ROLLBACK")
            except sqlite3.Error as error:
                raise self._translated(error) from error

    def _translated(self, error: sqlite3.Error, *, outcome_unknown: bool = False) -> StoreUnavailable | StoreUnusable:
        said, code = str(error), getattr(error, "sqlite_errorcode", 0)
        name = getattr(error, "sqlite_errorname", type(error).__name__)
        if code & _PRIMARY == sqlite3.SQLITE_NOTADB:
            return StoreDamagedError(self._path, said)
        if code & _PRIMARY == sqlite3.SQLITE_CORRUPT:
            if _is_damaged(self._path):
                return StoreDamagedError(self._path, said)
            said, code, name = "some of it could not be read", sqlite3.SQLITE_IOERR, "SQLITE_IOERR"
        remedy = _REMEDIES.get(code) or _REMEDIES.get(code & _PRIMARY)
        remedy = f"; {remedy}" if remedy else ""
        return StoreUnavailable(
            f"the store {self._path} cannot be used now: {said} ({name}){remedy}", outcome_unknown=outcome_unknown
        )


def make_private(path: Path) -> None:
    """Make the file, empty, if it is absent, and see that nobody but its owner may open it or those beside it.

    It never opens a file that is there: closing it again would end the locks that SQLite holds on it in this process.

    Raises:
        StoreUnavailable: it cannot be there; says what to do.
    """
    try:
        _check_folder(path)
        _make(path)
        if not path.is_file():
            raise StoreUnavailable(f"{path} is not a file: name another one as `store` in the config")
        for each in (path, log_path(path), path.with_name(f"{path.name}-shm")):
            _close_to_others(each)
    except OSError as error:
        raise StoreUnavailable(f"{path} cannot be used: {error.strerror} (as user {os.geteuid()})") from error


def log_path(path: Path) -> Path:
    """SQLite's write-ahead log of the file in `path`."""
    return path.with_name(f"{path.name}-wal")


def _check_folder(path: Path) -> None:
    folder = path.parent
    if not folder.is_dir():
        raise StoreUnavailable(f"the store's folder {folder} does not exist: make it, or change `store` in the config")
    if not os.access(folder, os.R_OK | os.W_OK | os.X_OK, effective_ids=True):
        raise StoreUnavailable(f"user {os.geteuid()} cannot write to the store's folder {folder}: change its owner")


def _make(path: Path) -> None:
    try:
        os.mknod(path, stat.S_IFREG | _PRIVATE)
    except FileExistsError:
        return
    path.chmod(_PRIVATE)  # The umask may have taken our own rights, too.
    sync(path.parent)


def _close_to_others(path: Path) -> None:
    try:
        found = path.stat()
        if found.st_mode & _OTHERS and found.st_uid == os.geteuid():
            path.chmod(stat.S_IMODE(found.st_mode) & ~_OTHERS)
    except FileNotFoundError:
        pass


def _is_damaged(path: Path) -> bool:
    """Whether what SQLite calls damaged is: it says the same of a page that the disk has failed to read this time."""
    connection: sqlite3.Connection | None = None
    try:
        connection = sqlite3.connect(f"file:{_quoted(path)}?mode=ro", uri=True, isolation_level=None)
        found = [str(row[0]) for row in connection.execute("PRAGMA integrity_check")]
    except sqlite3.Error as error:
        return getattr(error, "sqlite_errorcode", 0) & _PRIMARY in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
    finally:
        if connection is not None:
            connection.close()
    return found != ["ok"] and not any(_UNREAD_PAGE in problem for problem in found)


def _quoted(path: Path) -> str:
    # All that SQLite gives a meaning to in a URI.
    return str(path.absolute()).replace("%", "%25").replace("?", "%3f").replace("#", "%23")
