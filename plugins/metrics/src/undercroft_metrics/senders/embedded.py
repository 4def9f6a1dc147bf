"""The embedded store: samples in an SQLite file on this host, which `undercroft metrics` reads.

All that one `send` brings is one transaction at full durability. A batch that is in the store already is known by its
id, so that what is sent twice is stored once. Units of one agent, and commands that read, share the file through
SQLite's own locks.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from undercroft.files import in_thread
from undercroft_hookspecs import Accepted, MetricBatch, SendReport
from undercroft_metrics.senders.samples import samples_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from undercroft_hookspecs import Agent, Clock, MetricDelivery, MetricSample, MetricSenderOpener, Verdict
    from undercroft_metrics.senders.config import StoreConfig

FILE = "metrics.db"
BUSY_SECONDS = 20.0
SWEEP = timedelta(hours=1)
SWEEP_ROWS = 20_000
KNOWN_DAYS = 14.0
"""For how long the ids of batches are kept at least: longer than anything waits in a spool."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS batches (
    id TEXT PRIMARY KEY, model TEXT NOT NULL, unit TEXT NOT NULL, charm TEXT NOT NULL, created REAL NOT NULL,
    received REAL NOT NULL, hook_status INTEGER
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS batches_by_time ON batches (received);
CREATE TABLE IF NOT EXISTS series (
    id INTEGER PRIMARY KEY, model TEXT NOT NULL, unit TEXT NOT NULL, key TEXT NOT NULL, kind TEXT NOT NULL,
    labels TEXT NOT NULL, UNIQUE (model, unit, key, kind, labels)
);
CREATE TABLE IF NOT EXISTS samples (series INTEGER NOT NULL, time REAL NOT NULL, value TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS samples_by_series ON samples (series, time);
CREATE INDEX IF NOT EXISTS samples_by_time ON samples (time);
"""

# SQLite takes the bare columns from the row that has the maximum.
_LATEST = (
    "SELECT series.id, model, unit, key, kind, labels, max(samples.time), value "
    "FROM samples JOIN series ON series.id = samples.series"
)
_BY_SERIES = "GROUP BY series.id ORDER BY model, unit, key, labels, kind"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A sample in the store. `series` is the number of what it belongs to: one metric of one unit with its labels."""

    series: int
    model: str
    unit: str
    key: str
    kind: str
    labels: Mapping[str, str]
    time: datetime
    value: str


class StoreWriter:
    """The store as one unit's sender writes it. Its calls block, and are one at a time."""

    def __init__(self, path: Path, *, keep: timedelta) -> None:
        self._path, self._keep = path, keep
        self._series: dict[tuple[str, ...], int] = {}
        self._swept = datetime.min.replace(tzinfo=UTC)
        with _as_os_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with _alone(path.parent):
                self._connection = _connect(path)
                path.chmod(0o600)

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def write(self, batches: Sequence[MetricBatch], now: datetime) -> Sequence[bool]:
        """Store batches, all or none, durably: for each, whether it is new.

        Raises:
            OSError: the disk is full or fails, or the file is damaged.
        """
        with _as_os_errors(self._path):
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                fresh = [self._insert(batch, now) for batch in batches]
                if now - self._swept >= SWEEP:
                    self._sweep(now)
                self._connection.execute("COMMIT")
            except BaseException:
                self._series.clear()  # Its numbers may be of rows that are not there any more.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
        return fresh

    def _insert(self, batch: MetricBatch, now: datetime) -> bool:
        row = (
            *(batch.id, batch.model, batch.unit, batch.charm),
            *(batch.created.timestamp(), now.timestamp(), batch.hook_status),
        )
        cursor = self._connection.execute("INSERT OR IGNORE INTO batches VALUES (?, ?, ?, ?, ?, ?, ?)", row)
        if cursor.rowcount == 0:
            return False
        rows = [(self._number(batch, each), each.time.timestamp(), each.value) for each in samples_of(batch)]
        self._connection.executemany("INSERT INTO samples VALUES (?, ?, ?)", rows)
        return True

    def _number(self, batch: MetricBatch, sample: MetricSample) -> int:
        labels = _text(sample.labels)
        series = (batch.model, batch.unit, sample.key, sample.kind, labels)
        if (known := self._series.get(series)) is not None:
            return known
        query = "SELECT id FROM series WHERE model = ? AND unit = ? AND key = ? AND kind = ? AND labels = ?"
        found = self._connection.execute(query, series).fetchone()
        if found is None:
            statement = "INSERT INTO series (model, unit, key, kind, labels) VALUES (?, ?, ?, ?, ?)"
            number = self._connection.execute(statement, series).lastrowid
        else:
            number = found[0]
        assert isinstance(number, int)
        if len(self._series) >= 10_000:
            self._series.clear()
        self._series[series] = number
        return number

    def _sweep(self, now: datetime) -> None:
        """Remove what is too old, in bounded steps; series stay, for they are few."""
        execute = self._connection.execute
        old = (now - self._keep).timestamp()
        limited = "DELETE FROM samples WHERE rowid IN (SELECT rowid FROM samples WHERE time < ? LIMIT ?)"
        removed = execute(limited, (old, SWEEP_ROWS)).rowcount
        known = (now - max(self._keep, timedelta(days=KNOWN_DAYS))).timestamp()
        limited = "DELETE FROM batches WHERE id IN (SELECT id FROM batches WHERE received < ? LIMIT ?)"
        removed = max(removed, execute(limited, (known, SWEEP_ROWS)).rowcount)
        if removed < SWEEP_ROWS:
            self._swept = now


class StoreDelivery:
    """The open sender of one unit."""

    def __init__(self, writer: StoreWriter, clock: Clock) -> None:
        self._writer, self._clock = writer, clock

    async def send(self, batches: Sequence[MetricBatch]) -> SendReport:
        """Store batches in one transaction."""
        fresh = await in_thread(self._writer.write, batches, self._clock.now())
        verdicts: dict[str, Verdict] = {
            batch.id: Accepted(duplicate=not new) for batch, new in zip(batches, fresh, strict=True)
        }
        return SendReport(verdicts=verdicts)


def opener(agent: Agent, _name: str, config: StoreConfig) -> MetricSenderOpener:
    """The embedded store as a sender."""
    path = Path(config.path) if config.path else agent.data_dir / FILE

    @asynccontextmanager
    async def open_sender(_model: str, _unit: str, /) -> AsyncIterator[MetricDelivery]:
        writer = await in_thread(lambda: StoreWriter(path, keep=timedelta(days=config.keep_days)))
        try:
            yield StoreDelivery(writer, agent.clock)
        finally:
            await in_thread(writer.close)

    return open_sender


class StoreReader:
    """The store as commands read it. Its calls block. A file that is not there yet reads as empty."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def latest(self, *, model: str = "", units: Sequence[str] = ()) -> Sequence[Stored]:
        """The newest sample of each series, sorted by model, unit, metric and labels."""
        where, given = _restricted(model, units)
        query = f"{_LATEST} {where} {_BY_SERIES}"
        return [_stored(row) for row in self._rows(query, given)]

    def history(self, series: int, *, since: datetime, limit: int = 1000) -> Sequence[Stored]:
        """The newest samples of one series, the oldest first."""
        query = (
            "SELECT series.id, model, unit, key, kind, labels, samples.time, value "
            "FROM samples JOIN series ON series.id = samples.series "
            "WHERE series = ? AND samples.time >= ? ORDER BY samples.time DESC LIMIT ?"
        )
        return [_stored(row) for row in self._rows(query, [series, since.timestamp(), limit])][::-1]

    def batches(self) -> Mapping[str, datetime]:
        """The ids of all batches that are known, and when each was received."""
        rows = self._rows("SELECT id, received FROM batches", [])
        return {str(row[0]): datetime.fromtimestamp(float(str(row[1])), UTC) for row in rows}

    def _rows(self, query: str, given: Sequence[object]) -> list[tuple[object, ...]]:
        if not self._path.exists():
            return []
        with _as_os_errors(self._path), closing(_connect(self._path, read_only=True)) as connection:
            return connection.execute(query, given).fetchall()


def _restricted(model: str, units: Sequence[str]) -> tuple[str, list[object]]:
    terms, given = [], list[object]()
    if model:
        terms.append("model = ?")
        given.append(model)
    if units:
        terms.append(f"unit IN ({', '.join('?' * len(units))})")
        given.extend(units)
    return (f"WHERE {' AND '.join(terms)}" if terms else ""), given


def _stored(row: tuple[object, ...]) -> Stored:
    number, model, unit, key, kind, labels, time, value = map(str, row)
    return Stored(
        series=int(number),
        model=model,
        unit=unit,
        key=key,
        kind=kind,
        labels=msgspec.json.decode(labels, type=dict[str, str]),
        time=datetime.fromtimestamp(float(time), UTC),
        value=value,
    )


def _text(labels: Mapping[str, str]) -> str:
    return msgspec.json.encode(dict(sorted(labels.items()))).decode()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One writer makes the tables at a time: SQLite does not wait for others where it changes to WAL."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _connect(path: Path, *, read_only: bool = False) -> sqlite3.Connection:
    # Threads use it in turn, never two at a time.
    mode = "ro" if read_only else "rwc"
    connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}", uri=True, isolation_level=None, timeout=BUSY_SECONDS,
        check_same_thread=False,
    )  # fmt: skip
    try:
        if not read_only:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA cache_size = -128")
            connection.executescript(_SCHEMA)
    except BaseException:
        connection.close()
        raise
    return connection


@contextmanager
def _as_os_errors(path: Path) -> Iterator[None]:
    """What SQLite says of the disk is the disk's error, which a sender waits out."""
    try:
        yield
    except sqlite3.Error as error:
        full = "full" in str(error)
        remedy = "" if isinstance(error, sqlite3.OperationalError) else "; if it is damaged, move it away"
        raise OSError(errno.ENOSPC if full else errno.EIO, f"{error}{remedy}", str(path)) from error
