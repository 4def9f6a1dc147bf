"""The logs of models: written by one thread, in files of bounded size."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from undercroft.clock import SystemClock
from undercroft_model.commands.logfile import Reader
from undercroft_uniter.unitlog import BATCH, LogWriter, UnitLogsWorker

MOST_WAITING_BYTES = "undercroft_uniter.unitlog.MOST_WAITING_BYTES"


def messages(file: Path) -> list[str]:
    """What the lines of a file say."""
    return [json.loads(line)["message"] for line in file.read_text().splitlines()]


async def test_a_line_is_as_it_is_read_by_debug_log(tmp_path: Path) -> None:
    file = tmp_path / "debug.log"
    logs = UnitLogsWorker(clock=SystemClock())

    logs.of(file, "shop/0").write(logging.INFO, "juju-log", "hello\nthere \ud800")
    logs.kill()
    await logs.wait()

    (line,) = Reader(file).read()
    assert (line.entity, line.level, line.module) == ("shop/0", "INFO", "unit.shop/0.juju-log")
    assert line.tag == "unit-shop-0"
    assert line.message.startswith("hello\nthere")
    assert file.stat().st_mode & 0o777 == 0o600


async def test_the_agent_s_own_lines_have_juju_s_modules(tmp_path: Path) -> None:
    logs = UnitLogsWorker(clock=SystemClock())

    logs.of(tmp_path / "debug.log", "shop/0").write_own(logging.INFO, "operation", "ran start hook")
    logs.kill()
    await logs.wait()

    (line,) = Reader(tmp_path / "debug.log").read()
    assert (line.entity, line.module, line.message) == ("shop/0", "juju.worker.uniter.operation", "ran start hook")


@pytest.mark.parametrize(
    ("level", "name"), [(5, "TRACE"), (10, "DEBUG"), (20, "INFO"), (30, "WARNING"), (40, "ERROR"), (50, "CRITICAL")]
)
async def test_levels_have_the_names_of_juju(tmp_path: Path, level: int, name: str) -> None:
    logs = UnitLogsWorker(clock=SystemClock())

    logs.of(tmp_path / "debug.log", "shop/0").write(level, "start", "hello")
    logs.kill()
    await logs.wait()

    (line,) = Reader(tmp_path / "debug.log").read()
    assert line.level == name


@pytest.mark.parametrize("count", [1, BATCH - 1, BATCH, BATCH + 1, BATCH + 2, 5 * BATCH + 3])
async def test_an_orderly_stop_loses_nothing_and_keeps_the_order(tmp_path: Path, count: int) -> None:
    files = [tmp_path / "one.log", tmp_path / "other.log"]
    logs = UnitLogsWorker(clock=SystemClock())
    of = [logs.of(file, "shop/0") for file in files]

    for number in range(count):
        of[number % 2].write(logging.INFO, "start", str(number))
    logs.kill()
    await logs.wait()

    told = [messages(file) if file.exists() else [] for file in files]
    assert told == [[str(number) for number in range(first, count, 2)] for first in (0, 1)]


async def test_a_file_that_has_grown_takes_the_place_of_the_one_before(tmp_path: Path) -> None:
    file = tmp_path / "debug.log"
    writer = LogWriter(most_bytes=1000)

    for letter in (b"a", b"b", b"c"):
        writer.add(file, letter * 1500 + b"\n")
        writer.close()
    writer.add(file, b"d\n")
    writer.close()

    assert file.read_bytes() == b"d\n"
    assert file.with_name("debug.log.1").read_bytes() == b"c" * 1500 + b"\n"
    assert len(list(tmp_path.iterdir())) == 2


async def test_what_comes_faster_than_it_is_written_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(MOST_WAITING_BYTES, 10)
    writer = LogWriter()

    writer.add(tmp_path / "debug.log", b"x" * 100)
    writer.add(tmp_path / "debug.log", b"short\n")
    writer.close()

    assert (tmp_path / "debug.log").read_bytes() == b"short\n"
    assert "1 lines of unit logs were lost" in caplog.text


async def test_a_disk_that_cannot_be_written_to_is_told_of_and_holds_up_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "bad.log").mkdir()
    logs = UnitLogsWorker(clock=SystemClock())

    logs.of(tmp_path / "bad.log", "shop/0").write(logging.INFO, "start", "lost")
    logs.of(tmp_path / "good.log", "shop/1").write(logging.INFO, "start", "kept")
    logs.kill()
    await logs.wait()

    assert messages(tmp_path / "good.log") == ["kept"]
    assert "a unit log were lost" in caplog.text


async def test_a_link_in_the_place_of_the_file_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "debug.log").symlink_to(tmp_path / "elsewhere")
    logs = UnitLogsWorker(clock=SystemClock())

    logs.of(tmp_path / "debug.log", "shop/0").write(logging.INFO, "start", "lost")
    logs.kill()
    await logs.wait()

    assert not (tmp_path / "elsewhere").exists()


async def test_the_folder_of_a_model_that_is_no_more_does_not_come_back(tmp_path: Path) -> None:
    logs = UnitLogsWorker(clock=SystemClock())

    logs.of(tmp_path / "gone" / "debug.log", "shop/0").write(logging.INFO, "stop", "late")
    logs.kill()
    await logs.wait()

    assert list(tmp_path.iterdir()) == []
