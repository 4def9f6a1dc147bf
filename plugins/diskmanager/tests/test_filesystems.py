from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest
from plugins.diskmanager.tests.conftest import needs, system

from undercroft.process import SystemProcess
from undercroft.testing.agent import FakeProcess
from undercroft_diskmanager.filesystems import Filesystems
from undercroft_diskmanager.udevdb import Filesystem
from undercroft_hookspecs.agent import Completed

UUID = "6f1c7fd2-9f1b-4f07-a1a4-3d7c8d0b2d11"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """An ext4 filesystem with a label that is hard to get through."""
    needs("mkfs.ext4", "e2fsprogs")
    path = tmp_path / "image"
    with path.open("wb") as file:
        file.truncate(16 * 1024 * 1024)
    system("mkfs.ext4", "-q", "-U", UUID, "-L", 'dá t"a=\\x', str(path))
    return path


EXPECTED = Filesystem("ext4", UUID, 'dá t"a=\\x')


async def test_blkid_tells_type_uuid_and_the_very_label(image: Path) -> None:
    needs("blkid", "util-linux")

    assert await Filesystems(SystemProcess()).of(image) == EXPECTED


async def test_without_blkid_our_own_look_tells_the_same(image: Path, caplog: pytest.LogCaptureFixture) -> None:
    filesystems = Filesystems(FakeProcess())

    found = [await filesystems.of(image) for _ in range(2)]

    assert found == [EXPECTED, EXPECTED]
    assert [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING] == [
        "blkid is missing, so fewer kinds of filesystem are recognised"
    ]


@pytest.mark.parametrize("status", [2, 8])
async def test_nothing_or_more_than_one_thing_is_nothing(status: int, caplog: pytest.LogCaptureFixture) -> None:
    filesystems = Filesystems(FakeProcess({"blkid": Completed((), status, b"ID_FS_TYPE=ext4\n")}))

    assert await filesystems.of(Path("/dev/sda")) == Filesystem()
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Completed((), 4, b"", b"bad usage"), "blkid exited 4: bad usage"),
        (TimeoutError("blkid took longer than 10 s"), "took longer"),
        (OSError(24, "Too many open files"), "Too many open files"),
    ],
)
async def test_a_failure_is_logged_and_the_device_goes_without(
    answer: Completed | Exception, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    filesystems = Filesystems(FakeProcess({"blkid": answer}))

    assert await filesystems.of(Path("/dev/sda")) == Filesystem()
    assert "cannot tell what is on /dev/sda: " in caplog.text
    assert said in caplog.text


async def test_without_blkid_a_device_that_cannot_be_read_or_has_a_table_only_goes_without(tmp_path: Path) -> None:
    table = tmp_path / "table"
    table.write_bytes(b"\0" * 512 + b"EFI PART" + b"\0" * 4096)

    filesystems = Filesystems(FakeProcess())

    assert await filesystems.of(table) == Filesystem()
    assert await filesystems.of(tmp_path / "absent") == Filesystem()


class Slow:
    """A process runner that counts how many run at once."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.go_on = asyncio.Event()

    async def run(self, argv: object, **_: object) -> Completed:
        self.now += 1
        self.most = max(self.most, self.now)
        await self.go_on.wait()
        self.now -= 1
        return Completed((), 2)


async def test_a_few_are_asked_at_once_however_many_there_are() -> None:
    slow = Slow()
    filesystems = Filesystems(slow, at_once=4)
    asking = [asyncio.ensure_future(filesystems.of(Path(f"/dev/sd{n}"))) for n in range(20)]
    for _ in range(5):
        await asyncio.sleep(0)

    slow.go_on.set()
    await asyncio.gather(*asking)

    assert slow.most == 4
