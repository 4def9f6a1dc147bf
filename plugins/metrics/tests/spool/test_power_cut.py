"""A power cut between any two steps of a publication: what was safe is there, whole, for every sender.

A process publishes on a real ext4, whose disk is a file. It is stopped at random instants, and the file is copied: that
is what is on the disk, without all that the kernel has only in memory. Each copy is mounted, as after the cut.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pytest
from plugins.metrics.tests.spool.bench import Bench, missing, numbers, take_all

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root: run the tests as root"),
    pytest.mark.skipif(not shutil.which("mkfs.ext4"), reason="no mkfs.ext4: apt install e2fsprogs"),
]

CUTS = int(os.environ.get("UNDERCROFT_KILLS", "10"))
ROOT = Path(__file__).parents[4]


@contextmanager
def mounted(image: Path, at: Path) -> Iterator[Path]:
    """The filesystem in a file."""
    at.mkdir()
    subprocess.run(["mount", "-o", "loop", str(image), str(at)], check=True)
    try:
        yield at
    finally:
        subprocess.run(["umount", "--lazy", str(at)], check=True)


def said(output: IO[bytes], rest: bytes) -> tuple[int, bytes]:
    """The last number that is in the pipe by now, and what is left of a line."""
    rest += output.read() or b""
    *whole, rest = rest.split(b"\n")
    return (int(whole[-1]) if whole else 0), rest


def cut(image: Path, folder: Path, copies: Path) -> list[tuple[Path, int]]:
    """Copies of the disk at random instants of a process that publishes, and up to which number all was safe then."""
    rng, found, rest, last = random.Random(2), list[tuple[Path, int]](), b"", 0
    argv = [sys.executable, "-m", "plugins.metrics.tests.spool.powercut", str(folder)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout is not None
        process.stdout.readline()
        os.set_blocking(process.stdout.fileno(), False)
        for number in range(CUTS):
            time.sleep(rng.uniform(0.0, 0.03))
            process.send_signal(signal.SIGSTOP)
            os.waitid(os.P_PID, process.pid, os.WSTOPPED)
            newest, rest = said(process.stdout, rest)
            last = max(last, newest)
            copy = copies / f"{number}.img"
            shutil.copyfile(image, copy)
            found.append((copy, last))
            process.send_signal(signal.SIGCONT)
        process.kill()
    return found


def test_what_was_safe_is_whole_after_a_power_cut_and_nothing_else_is_told(tmp_path: Path) -> None:
    image, copies = tmp_path / "disk.img", tmp_path / "copies"
    copies.mkdir()
    with image.open("wb") as file:
        file.truncate(16 << 20)
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
    with mounted(image, tmp_path / "mounted") as folder:
        found = cut(image, folder / "spool", copies)

    assert found[-1][1] > 1
    for copy, last in found:
        with mounted(copy, copy.with_suffix("")) as folder:
            bench = Bench(folder / "spool")
            spool = bench.open("a", "b")
            for sender in ("a", "b"):
                batches = take_all(spool.queue(sender))
                got = numbers(batches)
                assert got[:last] == list(range(1, last + 1))
                assert got == list(range(1, len(got) + 1)), "what was not safe is there whole, or not at all"
                assert {len(each.samples) for each in batches} <= {50}
                assert missing(batches) == 0
                assert spool.queue(sender).stats().quarantined == 0
            bench.close()
        copy.unlink()
