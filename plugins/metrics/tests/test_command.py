"""The command `metrics`: values and how they went, on a terminal and elsewhere, once and again."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID

import pytest

from undercroft_hookspecs import MetricBatch, MetricSample
from undercroft_metrics.board import BARS, aligned, sparkline
from undercroft_metrics.senders.embedded import FILE, StoreWriter

PATIENCE = 60


@pytest.mark.parametrize(
    ("values", "bars"),
    [
        ([], ""),
        ([5.0], "▁"),
        ([5.0, 5.0, 5.0], "▁▁▁"),
        ([0.0, 7.0], "▁█"),
        ([float(n) for n in range(8)], BARS),
        ([1e308, 0.0], "█▁"),
    ],
)
def test_sparkline_goes_from_the_lowest_to_the_highest(values: list[float], bars: str) -> None:
    assert sparkline(values) == bars


def test_cells_are_in_columns_without_blanks_at_the_end() -> None:
    assert aligned([("A", "LONG", ""), ("bbb", "c", "d")]) == "A    LONG\nbbb  c     d"


@pytest.fixture
def environment(tmp_path: Path) -> Mapping[str, str]:
    """That of a command on a machine whose store has eight values of one metric, each larger than the one before."""
    foreign = ("UNDERCROFT", "JUJU")
    found = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    found |= {"UNDERCROFT_DATA": str(tmp_path), "TERM": "xterm", "COLUMNS": "120"}
    run(found, "add-model", "lab")
    model = json.loads(run(found, "models", "--format", "json"))["models"][0]["model-uuid"]
    now = datetime.now(UTC)
    writer = StoreWriter(tmp_path / "plugins" / "metrics" / FILE, keep=timedelta(days=30))
    for n in range(8):
        moment = now - timedelta(minutes=8 - n)
        sample = MetricSample(key="pings", value=str(n), time=moment, labels={"zone": "a"})
        made = MetricBatch(
            id=str(UUID(int=n)), model=model, unit="mysql/0", charm="mysql-1", created=moment, samples=[sample]
        )
        writer.write([made], now)
    writer.close()
    return found


def argv(*words: str) -> list[str]:
    """A command line."""
    return [sys.executable, "-m", "undercroft", *words]


def run(environment: Mapping[str, str], *words: str) -> str:
    """What a command prints that has to succeed."""
    done = subprocess.run(argv(*words), env=environment, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert (done.returncode, "Traceback" in done.stderr) == (0, False), done.stderr
    return done.stdout


def test_watch_shows_it_again_on_a_terminal_and_ctrl_c_ends_it_without_a_word(environment: Mapping[str, str]) -> None:
    ours, theirs = pty.openpty()
    command = argv("metrics", "mysql/0", "--watch")
    with subprocess.Popen(command, env=environment, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        seen = read(ours, times=2)
        process.send_signal(signal.SIGINT)
        seen += read(ours)
        code = process.wait(PATIENCE)
    os.close(ours)

    text = seen.decode()
    assert code == 0
    assert "Traceback" not in text
    assert len(re.findall(r"pings +7 +zone=a +" + BARS, text)) >= 2
    assert text.count("\x1b[2J") >= 2, "the terminal is cleared before each"


def test_watch_elsewhere_prints_one_document_after_another(environment: Mapping[str, str]) -> None:
    command = argv("metrics", "--watch", "--format", "json")
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(2)]
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=PATIENCE)

    assert (process.returncode, errors) == (0, b"")
    for line in lines:
        assert [(row["metric"], row["value"]) for row in json.loads(line)] == [("pings", "7")]
    assert b"\x1b" not in b"".join(lines)


def test_names_that_are_not_there_show_nothing_and_names_with_all_are_refused(environment: Mapping[str, str]) -> None:
    assert run(environment, "metrics", "other/0") == ""
    assert BARS in run(environment, "metrics", "mysql", "--format", "table")
    refused = subprocess.run(argv("metrics", "mysql", "--all"), env=environment, capture_output=True, check=False)
    assert refused.returncode == 2


def read(terminal: int, *, times: int = 0) -> bytes:
    """What comes from a terminal, until the metric has come so often; without, to the end."""
    seen = b""
    try:
        while not times or seen.count(b"pings") < times:
            if not (more := os.read(terminal, 65536)):
                break
            seen += more
    except OSError:
        pass  # What a terminal's other side raises when the last process has closed it.
    return seen
