"""Blobs in a folder, and where fsspec leads."""

from __future__ import annotations

import asyncio
import hashlib
import threading
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from undercroft.files import ChecksumError
from undercroft.testing import FakeClock
from undercroft_hookspecs.errors import NotFoundError, NotValidError
from undercroft_model.blobs import BlobError, Blobs

DATA = b"the content of a charm" * 1000
SHA256 = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A file to keep."""
    path = tmp_path / "source"
    path.write_bytes(DATA)
    return path


@pytest.fixture(params=["folder", "file", "memory"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A place for blobs."""
    place = {"folder": str(tmp_path / "blobs"), "file": f"file://{tmp_path}/blobs", "memory": f"memory://{uuid4()}"}
    return place[str(request.param)]


async def test_what_was_put_is_fetched(url: str, source: Path, tmp_path: Path) -> None:
    blobs = await asyncio.to_thread(Blobs, url)

    assert await blobs.put(source) == SHA256

    await blobs.fetch(SHA256, tmp_path / "to")
    assert (tmp_path / "to").read_bytes() == DATA
    assert (tmp_path / "to").stat().st_mode & 0o777 == 0o600


async def test_putting_twice_is_putting_once(url: str, source: Path) -> None:
    blobs = Blobs(url)

    assert await blobs.put(source) == await blobs.put(source)

    assert await blobs.ids() == {SHA256}


async def test_what_is_not_there_is_not_found_and_leaves_nothing(url: str, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=f"there is no blob {SHA256}"):
        await Blobs(url).fetch(SHA256, tmp_path / "to")

    assert not list(tmp_path.glob("*to*"))


async def test_a_place_that_is_not_there_yet_has_no_blobs(url: str) -> None:
    blobs = Blobs(url)

    assert await blobs.ids() == frozenset()
    assert not await blobs.has(SHA256)


async def test_a_removed_blob_is_gone_and_removing_it_again_is_no_error(url: str, source: Path) -> None:
    blobs = Blobs(url)
    await blobs.put(source)
    assert await blobs.has(SHA256)

    await blobs.remove(SHA256)
    await blobs.remove(SHA256)

    assert not await blobs.has(SHA256)
    assert await blobs.ids() == frozenset()


@pytest.mark.parametrize("name", ["", "abc", "../" + "a" * 61, "A" * 64, SHA256 + "\n"])
async def test_what_is_no_name_of_a_blob_is_refused(url: str, name: str, tmp_path: Path) -> None:
    with pytest.raises(NotValidError, match="is not the SHA-256"):
        await Blobs(url).fetch(name, tmp_path / "to")


async def test_damage_in_a_folder_is_found_and_mended_by_putting_it_again(source: Path, tmp_path: Path) -> None:
    blobs = Blobs(str(tmp_path / "blobs"))
    await blobs.put(source)
    kept = tmp_path / "blobs" / SHA256[:2] / SHA256
    kept.write_bytes(b"X" + DATA[1:])

    with pytest.raises(ChecksumError):
        await blobs.fetch(SHA256, tmp_path / "to")
    assert not (tmp_path / "to").exists()
    await blobs.put(source)

    await blobs.fetch(SHA256, tmp_path / "to")
    assert (tmp_path / "to").read_bytes() == DATA


async def test_damage_elsewhere_is_found(source: Path, tmp_path: Path) -> None:
    import fsspec  # type: ignore[import-untyped]

    place = f"memory://{uuid4()}"
    blobs = Blobs(place)
    await blobs.put(source)
    with fsspec.open(f"{place}/{SHA256[:2]}/{SHA256}", "wb") as file:
        file.write(b"X" + DATA[1:])

    with pytest.raises(ChecksumError):
        await blobs.fetch(SHA256, tmp_path / "to")
    assert not list(tmp_path.glob("*to*"))


async def test_half_a_blob_elsewhere_is_written_again(source: Path, tmp_path: Path) -> None:
    import fsspec

    place = f"memory://{uuid4()}"
    with fsspec.open(f"{place}/{SHA256[:2]}/{SHA256}", "wb") as file:
        file.write(DATA[:100])

    await Blobs(place).put(source)

    await Blobs(place).fetch(SHA256, tmp_path / "to")
    assert (tmp_path / "to").read_bytes() == DATA


async def test_what_else_is_in_the_folder_is_no_blob(source: Path, tmp_path: Path) -> None:
    blobs = Blobs(str(tmp_path / "blobs"))
    await blobs.put(source)
    (tmp_path / "blobs" / SHA256[:2] / f".{SHA256}.part").write_bytes(b"half")
    (tmp_path / "blobs" / "lost+found").mkdir()

    assert await blobs.ids() == {SHA256}


async def test_a_folder_that_cannot_be_written_to_says_so(source: Path, tmp_path: Path) -> None:
    (tmp_path / "blobs").write_text("a file")

    with pytest.raises(BlobError, match=r"the blobs at .*/blobs cannot be used"):
        await Blobs(str(tmp_path / "blobs")).put(source)


@pytest.mark.parametrize(
    ("place", "message"),
    [("s3://bucket/blobs", "needs a package that is not installed"), ("nonesuch://x", "is no URL that can be opened")],
)
def test_a_url_that_cannot_be_opened_is_refused_at_once(place: str, message: str) -> None:
    with pytest.raises(NotValidError, match=message):
        Blobs(place)


def test_a_password_in_a_url_is_not_shown() -> None:
    with pytest.raises(NotValidError) as caught:
        Blobs("nonesuch://someone:secret@host/blobs")

    assert "secret" not in str(caught.value)


class HalfFile:
    """A file of a service that takes nothing."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.ends: list[str] = []

    def write(self, _: bytes) -> None:
        raise self.error

    def discard(self) -> None:
        self.ends.append("discarded")

    def close(self) -> None:
        self.ends.append("closed")


class Service:
    """A service that has nothing, and opens `file` or fails."""

    def __init__(self, file: HalfFile | Exception) -> None:
        self.file = file

    def info(self, _: str) -> dict[str, Any]:
        raise FileNotFoundError

    def makedirs(self, _: str, *, exist_ok: bool) -> None:
        assert exist_ok

    def open(self, _: str, mode: str) -> HalfFile:
        assert mode == "wb"
        if isinstance(self.file, Exception):
            raise self.file
        return self.file


async def test_a_blob_that_cannot_be_sent_whole_is_not_left_half(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = HalfFile(OSError("the line is dead"))
    blobs = Blobs("memory://service")
    monkeypatch.setattr(blobs, "_filesystem", Service(file))

    with pytest.raises(BlobError, match="the blobs at memory://service cannot be used: the line is dead"):
        await blobs.put(source)

    assert file.ends == ["discarded"]


async def test_a_place_that_can_only_be_read_says_so(source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blobs = Blobs("memory://service")
    monkeypatch.setattr(blobs, "_filesystem", Service(NotImplementedError()))

    with pytest.raises(BlobError, match="can be read only"):
        await blobs.put(source)


class HangingFiles:
    """A service that takes the question and never answers, until it is let go."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.over = threading.Event()

    def info(self, _: str) -> dict[str, Any]:
        self.asked.set()
        self.over.wait(20)
        return {"size": 0}


async def test_a_service_that_hangs_is_given_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    import asyncio

    hanging, clock = HangingFiles(), FakeClock()
    blobs = Blobs("memory://hanging", clock=clock, timeout=30)
    monkeypatch.setattr(blobs, "_filesystem", hanging)
    asking = asyncio.create_task(blobs.has(SHA256))
    await asyncio.to_thread(hanging.asked.wait, 20)

    await clock.advance(30)

    with pytest.raises(BlobError, match="did not answer in 30 s"):
        await asking
    hanging.over.set()


async def test_who_keeps_the_same_at_the_same_time_waits_for_the_other(tmp_path: Path) -> None:
    """Two deployments of one charm at once: the second was told that another copy is being written, and failed."""
    source = tmp_path / "source"
    await asyncio.to_thread(source.write_bytes, bytes(16 * 1024 * 1024))
    blobs = [Blobs(str(tmp_path / "blobs")) for _ in range(4)]

    kept = await asyncio.gather(*(each.put(source) for each in blobs))

    assert len(set(kept)) == 1
    assert await blobs[0].ids() == {kept[0]}
