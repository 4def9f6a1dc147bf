"""Where output goes: as much of it is held as was promised, and no more."""

from __future__ import annotations

import asyncio
import contextlib
import os
from pathlib import Path

import pytest

from undercroft_uniter.runner.output import Both, Captured, as_results, exit_code
from undercroft_uniter.unitlog import MOST_WAITING_BYTES, LogWriter


def captured(limit: int, *chunks: bytes) -> bytes:
    sink = Captured(limit)
    for chunk in chunks:
        sink.feed(chunk)
    sink.end()
    return sink.data()


def test_what_fits_is_kept_as_it_is() -> None:
    assert captured(5, b"ab", b"cde") == b"abcde"


def test_of_what_does_not_fit_the_beginning_is_kept_and_the_rest_counted() -> None:
    assert captured(3, b"ab", b"cde", b"f") == b"abc\n... and 3 bytes more\n"


def test_a_character_is_not_cut() -> None:
    assert captured(3, "aé€".encode()).startswith("aé\n... and 3 bytes more".encode())


def test_two_sinks_are_given_the_same() -> None:
    one, other = Captured(10), Captured(2)
    both = Both(one, other)

    both.feed(b"abc")
    both.end()

    assert (one.data(), other.data()[:2]) == (b"abc", b"ab")


@pytest.mark.parametrize(
    ("stdout", "results"),
    [
        (b"", {"return-code": 1}),
        ("é".encode(), {"return-code": 1, "stdout": "é"}),
        (b"\xff", {"return-code": 1, "stdout": "/w==", "stdout-encoding": "base64"}),
    ],
)
def test_results_leave_out_what_is_empty(stdout: bytes, results: dict[str, object]) -> None:
    assert as_results(1, stdout, b"") == results


@pytest.mark.parametrize(("returncode", "code"), [(0, 0), (42, 42), (-9, 137)])
def test_exit_codes_are_those_of_a_shell(returncode: int, code: int) -> None:
    assert exit_code(returncode) == code


async def test_a_log_that_nobody_can_write_to_holds_a_bounded_amount(tmp_path: Path) -> None:
    """The queue was bounded by its lines alone: a hook that printed a gigabyte of long ones took 400 MB."""
    fifo = tmp_path / "debug.log"
    os.mkfifo(fifo)
    writer = LogWriter()
    line = b"x" * 4096 + b"\n"

    for _ in range(3 * MOST_WAITING_BYTES // len(line)):
        writer.add(fifo, line)

    # Held open for both, so that the writer, which opens it for each batch, is never without a reader again.
    opened = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
    closing = asyncio.ensure_future(asyncio.to_thread(writer.close))
    size = 0
    while not closing.done():
        await asyncio.sleep(0.001)
        size += _drained(opened)
    os.close(opened)

    assert len(line) < size <= MOST_WAITING_BYTES


def _drained(opened: int) -> int:
    size = 0
    with contextlib.suppress(BlockingIOError):
        while chunk := os.read(opened, 65_536):
            size += len(chunk)
    return size
