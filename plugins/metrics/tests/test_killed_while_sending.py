"""Killed at random instants, a unit's metrics arrive all the same: everywhere, and once where repetition is known.

`UNDERCROFT_KILLS=500` tries more instants than CI does.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import urllib.parse
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from uuid import UUID

import msgspec
import pytest
from aiohttp import web
from plugins.metrics.tests.marks import hit
from plugins.metrics.tests.senders.receivers import Received, endpoint
from plugins.metrics.tests.senders.servers import get, prometheus

from undercroft_hookspecs import MetricBatch

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("UNDERCROFT_KILLS", "20"))
EACH = 400
PATIENCE = 60.0
WITH_ALL_KINDS = 100
"""So many kills have hit each kind of instant."""
ROOT = Path(__file__).parents[3]


def safe(output: str) -> list[int]:
    """The numbers of the batches that were said to be safe."""
    return [int(line) for line in output.splitlines(keepends=True) if line.endswith("\n")]


@contextmanager
def real_receiver(folder: Path) -> Iterator[str]:
    """The URL of Prometheus' API; empty where there is none: the other senders are worth a test without it."""
    if shutil.which("prometheus") is None:
        yield ""
        return
    folder.mkdir()
    with prometheus(folder) as api:
        yield api


def in_prometheus(api: str) -> Counter[tuple[str, int]]:
    """All that Prometheus has, by metric and value, and how often."""
    query = urllib.parse.quote('{unit="specimen/0"}[12h]')
    series = json.loads(get(f"{api}/query?query={query}"))["data"]["result"]
    return Counter((each["metric"]["__name__"], int(value)) for each in series for _, value in each["values"])


def run(folder: Path, urls: tuple[str, str], first: int, count: int, *, seconds: float | None) -> list[int]:
    """Run the program, and kill it so long after its first batch is safe; None: to its end."""
    argv = [sys.executable, "-m", "plugins.metrics.tests.killed", str(folder), *urls, str(first), str(count)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        if seconds is None:
            output, _ = process.communicate(timeout=PATIENCE)
            assert process.returncode == 0
            return safe(output)
        begin = process.stdout.readline()
        time.sleep(seconds)
        process.kill()
        output, _ = process.communicate()
        assert process.returncode in (0, -signal.SIGKILL)
    return safe(begin + output)


def lines(folder: Path) -> list[int]:
    """The numbers of the batches in the files, which are whole."""
    found = []
    for path in folder.iterdir():
        if path.suffix in (".gz", ".ndjson"):
            with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
                found += [UUID(json.loads(line)["id"]).int for line in file]
    return found


async def bombarded(folder: Path, api: str, rng: random.Random) -> tuple[list[int], list[int]]:
    """Start and kill the program again and again, and let it end: what it called safe, and what the receiver has."""
    arrived: list[int] = []
    published: list[int] = []
    amid = Counter[str]()

    def take(received: Received) -> web.Response:
        """Take a part of what comes, so that there is always something in flight."""
        batches = msgspec.json.decode(received.body, type=list[MetricBatch])
        taken = batches[: rng.randint(1, len(batches))]
        assert all({sample.value for sample in each.samples} == {str(UUID(each.id).int)} for each in batches)
        arrived.extend(UUID(each.id).int for each in taken)
        return web.json_response({"accepted": [each.id for each in taken]})

    async with endpoint(take) as receiver:
        urls = (receiver.url, f"{api}/write" if api else "")
        for kill in range(KILLS):
            # Few batches: then it only sends when it is killed.
            first, count, seconds = 1 + kill * 4 * EACH, rng.choice((EACH, 5)), rng.uniform(0.0, 0.4)
            published += await asyncio.to_thread(run, folder, urls, first, count, seconds=seconds)
            amid += hit(folder)
        await asyncio.to_thread(run, folder, urls, 1, 0, seconds=None)
    print(f"{KILLS} kills, {len(published)} batches were safe; amid: {dict(amid)}")
    assert KILLS < WITH_ALL_KINDS or set(amid) == {"publish", "send"}
    return published, arrived


def test_what_was_safe_arrives_everywhere_whenever_the_process_is_killed(tmp_path: Path) -> None:
    rng = random.Random(os.environ.get("UNDERCROFT_SEED", "undercroft"))

    with real_receiver(tmp_path / "prometheus") as api:
        published, arrived = asyncio.run(bombarded(tmp_path, api, rng))
        known = in_prometheus(api) if api else None

    assert len(published) > KILLS
    assert set(published) <= set(arrived)
    with closing(sqlite3.connect(tmp_path / "store.db")) as store:
        stored = [UUID(row[0]).int for row in store.execute("SELECT id FROM batches")]
        samples = Counter(int(row[0]) for row in store.execute("SELECT value FROM samples"))
    assert set(published) <= set(stored)
    assert samples == dict.fromkeys(stored, 2), "each batch is stored once, and whole"
    assert known is None or known == dict.fromkeys(((key, each) for each in stored for key in ("one", "two")), 1)
    written = Counter(lines(tmp_path / "files"))
    assert written == dict.fromkeys(stored, 1)
