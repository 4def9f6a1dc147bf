"""A disk that is really full: what was spooled drains, what is lost is told, and afterwards it goes on."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from plugins.metrics.tests.spool.bench import Bench, batch, missing, numbers, take_all

from undercroft_metrics.seams import SpoolFullError
from undercroft_metrics.spool.limits import Limits, Policy

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root: run the tests as root"),
]


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A filesystem of 512 KiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)], check=True)
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.parametrize("policy", ["drop-newest", "drop-oldest"])
def test_full_disk_loses_what_the_policy_says_and_the_gaps_add_up(small: Path, policy: Policy) -> None:
    bench = Bench(small / "spool")
    limits = Limits(free_megabytes=0, when_disk_full=policy)
    spool = bench.open(limits=limits)
    (small / "filler").write_bytes(b"x" * (200 << 10))
    for number in range(1, 201):
        spool.publish([batch(number)])
    # As after a crash, with the disk still full.
    spool = bench.open(limits=limits)
    found = take_all(spool.queue("store"))
    got = numbers(found)
    assert missing(found) > 0
    assert len(got) + missing(found) == 200
    assert (got[0] == 1) if policy == "drop-newest" else (got[-1] == 200)
    (small / "filler").unlink()
    spool.publish([batch(201)])
    assert numbers(take_all(spool.queue("store"))) == [201]
    bench.close()


def test_full_disk_that_blocks_refuses_and_goes_on_once_there_is_room(small: Path) -> None:
    bench = Bench(small / "spool")
    spool = bench.open(limits=Limits(free_megabytes=0, when_disk_full="block"))
    published = 0
    with pytest.raises(SpoolFullError):
        for number in range(1, 201):
            spool.publish([batch(number)])
            published = number
    assert numbers(take_all(spool.queue("store"))) == list(range(1, published + 1))
    spool.publish([batch(500)])
    assert numbers(take_all(spool.queue("store"))) == [500]
    bench.close()
