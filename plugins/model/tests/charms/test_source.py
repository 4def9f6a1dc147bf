"""Charms as people have them: folders and archives."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import zipfile
from pathlib import Path

import pytest
from plugins.model.tests.charms.zips import METADATA, Zip, charm

from undercroft_hookspecs.errors import NotFoundError
from undercroft_model.charms.archive import Limits
from undercroft_model.charms.errors import ArchiveError, CharmFileError
from undercroft_model.charms.source import read_charm, take

CHARMS = Path(__file__).parents[4] / "tests" / "charms"


def _folder(path: Path) -> Path:
    (path / "hooks").mkdir(parents=True)
    (path / "metadata.yaml").write_bytes(METADATA)
    (path / "hooks/install").write_text("#!/bin/sh\n")
    (path / "hooks/start").symlink_to("install")
    (path / "README.md").write_text("text")
    return path


async def _sha256(path: Path) -> str:
    async with take(path) as taken:
        return taken.charm.sha256


async def test_the_same_files_make_the_same_archive_wherever_and_whenever(tmp_path: Path) -> None:
    one, two = _folder(tmp_path / "one"), tmp_path / "two"
    before = await _sha256(one)
    shutil.copytree(one, two, symlinks=True)
    os.utime(two / "README.md", (1, 1))
    (two / "README.md").chmod(0o600)

    assert await _sha256(two) == before


async def test_a_change_of_content_or_of_executability_makes_another_archive(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "app")
    hashes = [await _sha256(folder)]

    (folder / "README.md").chmod(0o755)
    hashes.append(await _sha256(folder))
    (folder / "README.md").write_text("other")
    hashes.append(await _sha256(folder))

    assert len(set(hashes)) == 3


async def test_an_archive_is_kept_as_it_is(tmp_path: Path) -> None:
    path = charm(tmp_path, {"dispatch": b"x"})

    async with take(path) as taken:
        assert taken.archive == path
        assert taken.charm.name == "app"
        assert taken.charm.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert taken.charm.size_bytes == path.stat().st_size


async def test_a_folder_s_archive_can_be_taken_itself(tmp_path: Path) -> None:
    async with take(_folder(tmp_path / "app")) as taken:
        kept = Path(shutil.copy(taken.archive, tmp_path / "kept.charm"))

    assert not taken.archive.exists()
    assert await _sha256(kept) == taken.charm.sha256


async def test_hooks_become_executable_links_stay_links_and_what_is_ignored_stays_out(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "app")
    (folder / ".git").mkdir()
    (folder / ".git/config").write_text("x")
    (folder / "notes").mkdir()
    (folder / "notes/secret.txt").write_text("x")
    (folder / "notes/keep.txt").write_text("x")
    (folder / "hooks/common.py").write_text("x")
    (folder / "hooks/__pycache__").mkdir()
    (folder / "hooks/__pycache__/common.pyc").write_text("x")
    (folder / ".jujuignore").write_text("/notes/*\n!/notes/keep.txt\n")

    async with take(folder) as taken:
        with zipfile.ZipFile(taken.archive) as zipped:
            modes = {info.filename: info.external_attr >> 16 for info in zipped.infolist()}

    assert modes == {
        "README.md": stat.S_IFREG | 0o644,
        "hooks/": stat.S_IFDIR | 0o755,
        "hooks/common.py": stat.S_IFREG | 0o644,
        "hooks/install": stat.S_IFREG | 0o755,
        "hooks/start": stat.S_IFLNK | 0o777,
        "metadata.yaml": stat.S_IFREG | 0o644,
        "notes/": stat.S_IFDIR | 0o755,
        "notes/keep.txt": stat.S_IFREG | 0o644,
    }


async def test_a_folder_with_a_link_that_leads_out_is_refused(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "app")
    (folder / "lib").symlink_to("../../lib")

    with pytest.raises(ArchiveError, match=r"app: lib is a symbolic link to '../../lib', which leads out"):
        await _sha256(folder)


async def test_a_folder_with_a_pipe_is_refused(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "app")
    os.mkfifo(folder / "pipe")

    with pytest.raises(ArchiveError, match="pipe: is neither a file"):
        await _sha256(folder)


async def test_a_folder_that_is_too_large_is_refused_with_what_to_do(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "app")

    with pytest.raises(ArchiveError, match=r"has more than 2 files .*\.jujuignore"):
        async with take(folder, limits=Limits(entries=2)):
            pass


async def test_metadata_that_is_a_link_within_the_charm_is_followed(tmp_path: Path) -> None:
    path = (
        Zip(tmp_path / "app.charm")
        .add("meta/data.yaml", METADATA)
        .link("metadata.yaml", "also")
        .link("also", "meta/data.yaml")
        .close()
    )

    async with take(path) as taken:
        assert taken.charm.name == "app"


async def test_metadata_that_is_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.yaml").write_bytes(METADATA)
    (tmp_path / "app").mkdir()
    (tmp_path / "app/metadata.yaml").symlink_to("../other.yaml")

    with pytest.raises(ArchiveError, match="out of the charm"):
        await read_charm(tmp_path / "app")


async def test_what_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="no such charm"):
        await _sha256(tmp_path / "none")


async def test_a_folder_without_metadata_is_no_charm(tmp_path: Path) -> None:
    with pytest.raises(ArchiveError, match=r"is no charm: it has no metadata\.yaml"):
        await _sha256(tmp_path)


async def test_a_charm_in_a_folder_of_its_archive_gets_a_hint(tmp_path: Path) -> None:
    path = Zip(tmp_path / "app.charm").add("app/metadata.yaml", METADATA).close()

    with pytest.raises(ArchiveError, match=r"there is app/metadata\.yaml: the charm's files have to be at the top"):
        await _sha256(path)


async def test_an_archive_is_read_to_its_end_before_it_is_taken(tmp_path: Path) -> None:
    path = charm(tmp_path, {"a": os.urandom(5000)})
    data = bytearray(path.read_bytes())
    data[3000] ^= 0xFF
    path.write_bytes(data)

    assert (await read_charm(path)).name == "app"
    with pytest.raises(ArchiveError, match="entry 'a': is damaged"):
        await _sha256(path)


async def test_a_mistake_in_a_file_is_told_with_its_place(tmp_path: Path) -> None:
    path = charm(tmp_path, {"config.yaml": b"options: {a: {type: number}}"})

    with pytest.raises(CharmFileError, match=r"app\.charm/config\.yaml: options\.a\.type \(line 1\)"):
        await _sha256(path)


@pytest.mark.parametrize("name", ["token-source", "token-sink", "onlooker", "keeper"])
async def test_the_charms_for_tests_are_charms(name: str) -> None:
    async with take(CHARMS / name) as taken:
        assert taken.charm.name == name


async def test_the_charms_for_tests_show_what_they_say() -> None:
    keeper, onlooker = await read_charm(CHARMS / "keeper"), await read_charm(CHARMS / "onlooker")

    assert {name: (store.type, store.maximum) for name, store in keeper.storage.items()} == {
        "data": ("filesystem", 1),
        "spare": ("filesystem", None),
        "disk": ("block", 2),
    }
    assert keeper.options["password"].type == "secret"
    assert keeper.actions["fill"].execution_group == "filling"
    assert onlooker.subordinate
