"""Unpacking over whatever is there."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from plugins.model.tests.charms.zips import METADATA, Zip, charm, tree

from undercroft_hookspecs.errors import NotValidError
from undercroft_model.blobs import Blobs
from undercroft_model.charms.archives import CharmArchives
from undercroft_model.charms.errors import ArchiveError
from undercroft_model.charms.unpack import unpack


async def test_a_new_folder_has_what_the_archive_has(tmp_path: Path) -> None:
    zipped = Zip(tmp_path / "app.charm").add("metadata.yaml", METADATA)
    zipped.add("hooks/install", b"#!/bin/sh", mode=stat.S_IFREG | 0o755).link("hooks/start", "install").add("empty/")

    paths = await unpack(zipped.close(), tmp_path / "new" / "charm")

    assert tree(tmp_path / "new" / "charm") == {
        "empty": "/",
        "hooks": "/",
        "hooks/install": "#!/bin/sh",
        "hooks/start": "-> install",
        "metadata.yaml": "name: app\n",
    }
    assert os.access(tmp_path / "new/charm/hooks/install", os.X_OK)
    assert paths == ("empty", "hooks", "hooks/install", "hooks/start", "metadata.yaml")


async def test_what_is_there_is_replaced_or_merged_and_the_rest_stays(tmp_path: Path) -> None:
    to = tmp_path / "charm"
    (to / "was-folder/deep").mkdir(parents=True)
    (to / "kept").mkdir()
    (to / "kept/mine").write_text("mine")
    (to / "was-file").write_text("old")
    (to / "was-link").symlink_to("kept")
    (to / ".unit-state.db").write_text("state")
    path = charm(tmp_path, {"was-folder": b"new", "was-file/x": b"new", "was-link": b"new", "kept/theirs": b"new"})

    await unpack(path, to)

    assert tree(to) == {
        ".unit-state.db": "state",
        "kept": "/",
        "kept/mine": "mine",
        "kept/theirs": "new",
        "metadata.yaml": "name: app\n",
        "was-file": "/",
        "was-file/x": "new",
        "was-folder": "new",
        "was-link": "new",
    }


async def test_links_in_the_folder_do_not_lead_out(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("precious")
    to = tmp_path / "charm"
    to.mkdir()
    (to / "folder").symlink_to(outside)
    (to / "file").symlink_to(outside / "file")
    path = charm(tmp_path, {"folder/file": b"new", "file": b"new"})

    await unpack(path, to)

    assert tree(outside) == {"file": "precious"}
    assert tree(to)["folder/file"] == "new"


async def test_a_file_that_is_in_use_is_replaced_and_not_written_over(tmp_path: Path) -> None:
    to = tmp_path / "charm"
    await unpack(charm(tmp_path, {"program": b"old"}), to)

    with (to / "program").open("rb") as running:
        await unpack(charm(tmp_path, {"program": b"new"}), to)
        assert running.read() == b"old"

    assert (to / "program").read_bytes() == b"new"


async def test_nothing_is_written_of_an_archive_that_is_not_safe(tmp_path: Path) -> None:
    path = charm(tmp_path, {"good": b"x", "../evil": b"x"})

    with pytest.raises(ArchiveError):
        await unpack(path, tmp_path / "charm")

    assert sorted(item.name for item in tmp_path.iterdir()) == ["app.charm"]


async def test_unpacking_again_mends_what_an_interruption_left(tmp_path: Path) -> None:
    to = tmp_path / "charm"
    path = charm(tmp_path, {"a/b": b"whole"})
    (to / "a").mkdir(parents=True)
    (to / "a/.b.unpacking").write_text("hal")

    await unpack(path, to)

    assert tree(to) == {"a": "/", "a/b": "whole", "metadata.yaml": "name: app\n"}


async def test_a_file_that_is_damaged_leaves_the_one_before_it(tmp_path: Path) -> None:
    to = tmp_path / "charm"
    await unpack(charm(tmp_path, {"a": b"old"}), to)
    path = charm(tmp_path, {"a": os.urandom(5000)})
    data = bytearray(path.read_bytes())
    data[3000] ^= 0xFF
    path.write_bytes(data)

    with pytest.raises(ArchiveError, match="entry 'a': is damaged"):
        await unpack(path, to)

    assert tree(to) == {"a": "old", "metadata.yaml": "name: app\n"}


async def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "charm").write_text("x")

    with pytest.raises(NotValidError, match="it is no folder"):
        await unpack(charm(tmp_path), tmp_path / "charm")


async def test_a_charm_is_unpacked_from_the_blobs(tmp_path: Path) -> None:
    blobs = Blobs(str(tmp_path / "blobs"))
    sha256 = await blobs.put(charm(tmp_path, {"dispatch": b"x"}))

    paths = await CharmArchives(blobs).unpack(sha256, tmp_path / "unit" / "charm")

    assert paths == ("dispatch", "metadata.yaml")
    assert (tmp_path / "unit/charm/dispatch").read_text() == "x"
