from __future__ import annotations

import asyncio
import errno
import fcntl
import hashlib
import os
import threading
from pathlib import Path

import pytest

from undercroft import files
from undercroft.files import ChecksumError, copy, in_thread, read_bytes, stream, write_atomic
from undercroft_hookspecs.errors import AlreadyExistsError


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def test_what_is_written_is_read(tmp_path: Path) -> None:
    await write_atomic(tmp_path / "state", b"one")
    await write_atomic(tmp_path / "state", b"two, longer")
    await write_atomic(tmp_path / "state", b"3")

    assert await read_bytes(tmp_path / "state") == b"3"
    assert names(tmp_path) == {"state"}


async def test_the_mode_is_set_whatever_the_umask_and_the_old_file(tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(b"old")
    (tmp_path / "state").chmod(0o600)

    await write_atomic(tmp_path / "state", b"new", mode=0o666)

    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o666


async def test_a_file_is_the_owners_alone_by_default(tmp_path: Path) -> None:
    await write_atomic(tmp_path / "secret", b"x")

    assert (tmp_path / "secret").stat().st_mode & 0o777 == 0o600


async def test_what_a_crash_left_behind_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / ".state.tmp").write_bytes(b"half of something much longer")

    await write_atomic(tmp_path / "state", b"whole")

    assert (tmp_path / "state").read_bytes() == b"whole"
    assert names(tmp_path) == {"state"}


async def test_many_writers_of_one_file_take_turns(tmp_path: Path) -> None:
    contents = [bytes([65 + n]) * 10_000 for n in range(20)]

    await asyncio.gather(*(write_atomic(tmp_path / "state", content) for content in contents))

    assert (tmp_path / "state").read_bytes() in contents
    assert names(tmp_path) == {"state"}


async def test_a_symbolic_link_is_replaced_and_not_followed(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"keep me")
    (tmp_path / "link").symlink_to(tmp_path / "target")

    await write_atomic(tmp_path / "link", b"new")

    assert (tmp_path / "target").read_bytes() == b"keep me"
    assert not (tmp_path / "link").is_symlink()


async def test_a_write_that_fails_leaves_the_old_content_and_no_leftover(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()

    with pytest.raises(IsADirectoryError):
        await write_atomic(tmp_path / "state", b"new")

    assert names(tmp_path) == {"state"}


async def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await write_atomic(tmp_path / "absent" / "state", b"new")


async def test_cancelling_a_write_waits_for_it_so_that_a_later_one_wins(tmp_path: Path) -> None:
    path = tmp_path / "state"
    lock = os.open(tmp_path / ".state.tmp", os.O_WRONLY | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    first = asyncio.ensure_future(write_atomic(path, b"first"))
    await asyncio.sleep(0)

    first.cancel()
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    assert not first.done()
    os.close(lock)
    with pytest.raises(asyncio.CancelledError):
        await first
    await write_atomic(path, b"second")

    assert path.read_bytes() == b"second"


async def test_a_cancelled_call_that_fails_in_its_thread_is_no_unseen_error() -> None:
    going = threading.Event()

    def fail() -> None:
        going.wait()
        raise OSError(errno.EIO, "lost")

    call = asyncio.ensure_future(in_thread(fail))
    await asyncio.sleep(0)

    call.cancel()
    await asyncio.sleep(0)
    going.set()
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_a_stream_gives_the_content_in_chunks(tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(b"abcdefgh")

    chunks = [chunk async for chunk in stream(tmp_path / "large", chunk_bytes=3)]

    assert chunks == [b"abc", b"def", b"gh"]


async def test_a_copy_is_exact_and_gives_its_checksum(tmp_path: Path) -> None:
    content = os.urandom(files.CHUNK_BYTES * 2 + 17)
    (tmp_path / "from").write_bytes(content)
    (tmp_path / ".to.part").write_bytes(b"left behind by a crash" * 1_000_000)

    digest = await copy(tmp_path / "from", tmp_path / "to", mode=0o640)

    assert (tmp_path / "to").read_bytes() == content
    assert digest == hashlib.sha256(content).hexdigest()
    assert (tmp_path / "to").stat().st_mode & 0o777 == 0o640
    assert names(tmp_path) == {"from", "to"}


async def test_a_copy_of_the_wrong_content_is_not_put_in_place(tmp_path: Path) -> None:
    (tmp_path / "from").write_bytes(b"tampered")

    with pytest.raises(ChecksumError, match="is damaged") as caught:
        await copy(tmp_path / "from", tmp_path / "to", expected="0" * 64)

    assert caught.value.actual == hashlib.sha256(b"tampered").hexdigest()
    assert names(tmp_path) == {"from"}


async def test_a_copy_with_the_expected_content_is_put_in_place(tmp_path: Path) -> None:
    (tmp_path / "from").write_bytes(b"right")

    await copy(tmp_path / "from", tmp_path / "to", expected=hashlib.sha256(b"right").hexdigest())

    assert (tmp_path / "to").read_bytes() == b"right"


async def test_a_cancelled_copy_leaves_nothing_behind(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "from")
    copying = asyncio.ensure_future(copy(tmp_path / "from", tmp_path / "to"))
    writer = await in_thread(os.open, tmp_path / "from", os.O_WRONLY)
    await in_thread(os.write, writer, b"x" * files.CHUNK_BYTES)

    copying.cancel()
    os.close(writer)
    with pytest.raises(asyncio.CancelledError):
        await copying

    assert names(tmp_path) == {"from"}


async def test_a_second_copy_to_the_same_place_is_refused_and_harms_nothing(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "from")
    first = asyncio.ensure_future(copy(tmp_path / "from", tmp_path / "to"))
    writer = await in_thread(os.open, tmp_path / "from", os.O_WRONLY)

    with pytest.raises(AlreadyExistsError, match="another copy"):
        await copy(tmp_path / "from", tmp_path / "to")
    os.write(writer, b"whole")
    os.close(writer)
    await first

    assert (tmp_path / "to").read_bytes() == b"whole"
    assert names(tmp_path) == {"from", "to"}
