"""The charm's folder: real archives, put into real folders."""

from __future__ import annotations

import io
import os
import shutil
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from undercroft_hookspecs import NotFoundError, NotValidError
from undercroft_model.charms.archives import CharmArchives
from undercroft_uniter.charm.deployer import Deployed, ManifestDeployer
from undercroft_uniter.errors import DeployConflict
from undercroft_uniter.operation.state import CharmReference
from undercroft_uniter.statefile import read_state, write_state

Tree = Mapping[str, str | None]
"""Paths with what is in the files; None is a folder, `-> x` a link."""

META = {"metadata.yaml": "name: shop\n"}


class Blobs:
    """Blobs by hand; `fetched` are those that were asked for."""

    def __init__(self) -> None:
        self.content: dict[str, bytes] = {}
        self.fetched: list[str] = []

    async def fetch(self, sha256: str, to: Path) -> None:
        self.fetched.append(sha256)
        if sha256 not in self.content:
            raise NotFoundError(sha256, f"there is no blob {sha256}")
        to.write_bytes(self.content[sha256])


class Shop:
    """A unit's folder, and charms to put there."""

    def __init__(self, folder: Path) -> None:
        self.charm = folder / "charm"
        self.notes = folder / "uniter" / "deployer"
        self.blobs = Blobs()

    @property
    def deployer(self) -> ManifestDeployer:
        """A deployer as of an agent that has just been started."""
        return ManifestDeployer(self.charm, self.notes, CharmArchives(self.blobs))

    def pack(self, number: int, tree: Tree) -> CharmReference:
        """A charm that can be fetched."""
        reference = CharmReference(url=f"local:shop-{number}", sha256=f"{number:064x}")
        self.blobs.content[reference.sha256] = archive({**META, **tree})
        return reference

    async def put(self, reference: CharmReference) -> None:
        """Stage and deploy a charm."""
        deployer = self.deployer
        await deployer.stage(reference)
        await deployer.deploy(reference)

    def tree(self) -> dict[str, str | None]:
        """What is in the charm's folder, but for its metadata and the revision."""
        found: dict[str, str | None] = {}
        for path in sorted(self.charm.rglob("*")):
            name = str(path.relative_to(self.charm))
            if path.is_symlink():
                found[name] = f"-> {path.readlink()}"
            else:
                found[name] = None if path.is_dir() else path.read_text()
        found.pop("metadata.yaml", None)
        found.pop("revision", None)
        return found


def archive(tree: Tree) -> bytes:
    """A charm's archive."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as packed:
        for name, text in sorted(tree.items()):
            is_link = text is not None and text.startswith("-> ")
            info = zipfile.ZipInfo(f"{name}/" if text is None else name)
            mode = stat.S_IFDIR | 0o755 if text is None else stat.S_IFLNK | 0o777 if is_link else stat.S_IFREG | 0o755
            info.external_attr = mode << 16
            packed.writestr(info, (text or "").removeprefix("-> "))
    return content.getvalue()


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    return Shop(tmp_path)


async def test_a_charm_is_installed_with_its_links_and_modes(shop: Shop) -> None:
    tree = {"hooks": None, "hooks/install": "#!/bin/sh", "hooks/start": "-> install"}
    charm = shop.pack(1, tree)

    await shop.put(charm)

    assert shop.tree() == tree
    assert os.access(shop.charm / "hooks" / "install", os.X_OK)
    assert await shop.deployer.deployed() == charm
    assert sorted(path.name for path in shop.notes.iterdir()) == ["deployed.json"]


async def test_staging_touches_nothing_of_the_charms_folder(shop: Shop) -> None:
    await shop.put(shop.pack(1, {"a": "1"}))

    await shop.deployer.stage(shop.pack(2, {"b": "2"}))

    assert shop.tree() == {"a": "1"}


async def test_what_is_not_staged_is_not_deployed(shop: Shop) -> None:
    charm, other = shop.pack(1, {"a": "1"}), shop.pack(2, {"a": "2"})

    with pytest.raises(NotValidError, match="local:shop-1 is not staged"):
        await shop.deployer.deploy(charm)
    await shop.deployer.stage(other)
    with pytest.raises(NotValidError, match="local:shop-1 is not staged"):
        await shop.deployer.deploy(charm)

    assert not shop.charm.exists()


async def test_staging_again_and_something_else_is_safe(shop: Shop) -> None:
    charm, other = shop.pack(1, {"a": "1"}), shop.pack(2, {"b": "2"})
    deployer = shop.deployer

    for each in (charm, charm, other, charm):
        await deployer.stage(each)
    await deployer.deploy(charm)

    assert shop.tree() == {"a": "1"}


async def test_an_archive_that_is_not_there_is_an_error_and_nothing_is_kept(shop: Shop) -> None:
    missing = CharmReference(url="local:shop-9", sha256="9" * 64)

    with pytest.raises(NotFoundError):
        await shop.deployer.stage(missing)
    with pytest.raises(NotValidError):
        await shop.deployer.deploy(missing)


async def test_an_archive_that_is_none_is_refused(shop: Shop) -> None:
    charm = shop.pack(1, {})
    shop.blobs.content[charm.sha256] = b"no archive"

    with pytest.raises(NotValidError):
        await shop.deployer.stage(charm)


async def test_an_upgrade_takes_away_just_what_the_old_charm_owned(shop: Shop) -> None:
    await shop.put(shop.pack(1, {"both": "1", "old": "1", "lib": None, "lib/old.py": "1", "lib/both.py": "1"}))
    (shop.charm / ".unit-state.db").write_text("mine")
    (shop.charm / "lib" / "mine.py").write_text("mine")

    await shop.put(shop.pack(2, {"both": "2", "new": "2", "lib": None, "lib/both.py": "2"}))

    assert shop.tree() == {
        ".unit-state.db": "mine",
        "both": "2",
        "new": "2",
        "lib": None,
        "lib/both.py": "2",
        "lib/mine.py": "mine",
    }


async def test_what_is_in_a_folder_that_the_new_charm_drops_goes_with_it(shop: Shop) -> None:
    await shop.put(shop.pack(1, {"lib": None, "lib/old.py": "1"}))
    (shop.charm / "lib" / "mine.py").write_text("mine")

    await shop.put(shop.pack(2, {"src": None, "src/new.py": "2"}))

    assert shop.tree() == {"src": None, "src/new.py": "2"}


@pytest.mark.parametrize("old", ["file", None, "-> elsewhere"])
@pytest.mark.parametrize("new", ["other file", None, "-> nowhere"])
async def test_files_folders_and_links_take_one_anothers_place(shop: Shop, old: str | None, new: str | None) -> None:
    await shop.put(shop.pack(1, {"it": old, **({"it/inner": "1"} if old is None else {})}))

    await shop.put(shop.pack(2, {"it": new}))

    assert shop.tree() == {"it": new}


async def test_nothing_behind_a_link_in_the_place_of_a_folder_is_touched(shop: Shop, tmp_path: Path) -> None:
    await shop.put(shop.pack(1, {"lib": None, "lib/passwd": "1", "lib/shadow": "1"}))
    outside = tmp_path / "etc"
    (shop.charm / "lib").rename(outside)
    (shop.charm / "lib").symlink_to(outside)

    await shop.put(shop.pack(2, {"lib": None, "lib/shadow": "2"}))

    assert sorted(path.name for path in outside.iterdir()) == ["passwd", "shadow"]
    assert (outside / "shadow").read_text() == "1"
    assert shop.tree() == {"lib": None, "lib/shadow": "2"}


async def test_a_charm_that_its_hooks_have_deleted_is_not_there_any_more(shop: Shop) -> None:
    charm = shop.pack(1, {"a": "1"})
    await shop.put(charm)
    shutil.rmtree(shop.charm)

    gone = await shop.deployer.deployed()
    await shop.put(charm)

    assert gone is None
    assert shop.tree() == {"a": "1"}


async def interrupt(shop: Shop, charm: CharmReference, *, moves: int) -> None:
    """Leave behind what an agent does that is killed when it has moved so many of a charm's paths."""
    await shop.deployer.stage(charm)
    staged = await read_state(shop.notes / "staged.json", Deployed)
    assert staged is not None
    await write_state(shop.notes / "deploying.json", staged)
    for path in staged.paths[:moves]:
        (shop.notes / "staged" / path).replace(shop.charm / path)


@pytest.mark.parametrize("moves", [0, 1, 2, 3])
async def test_a_deployment_that_was_cut_off_is_done_again(shop: Shop, moves: int) -> None:
    await shop.put(shop.pack(1, {"a": "1", "old": "1"}))
    (shop.charm / "mine").write_text("mine")
    charm = shop.pack(2, {"a": "2", "b": "2"})
    await interrupt(shop, charm, moves=moves)
    between = await shop.deployer.deployed()

    await shop.put(charm)

    assert between is None
    assert shop.tree() == {"a": "2", "b": "2", "mine": "mine"}
    assert await shop.deployer.deployed() == charm


@pytest.mark.parametrize("moves", [0, 1, 2, 3])
async def test_another_charm_after_one_that_was_cut_off_leaves_nothing_of_either(shop: Shop, moves: int) -> None:
    await shop.put(shop.pack(1, {"a": "1", "old": "1"}))
    (shop.charm / "mine").write_text("mine")
    await interrupt(shop, shop.pack(2, {"a": "2", "b": "2"}), moves=moves)

    await shop.put(shop.pack(3, {"c": "3"}))

    assert shop.tree() == {"c": "3", "mine": "mine"}


async def test_a_charm_that_cannot_be_put_over_another_is_a_conflict_and_works_once_that_is_mended(shop: Shop) -> None:
    await shop.put(shop.pack(1, {"a": "1"}))
    charm = shop.pack(2, {"a": "2", "b": "2"})
    deployer = shop.deployer
    await deployer.stage(charm)
    kept = shop.charm.rename(shop.charm.with_name("kept"))
    shop.charm.write_text("in the way")

    with pytest.raises(DeployConflict, match="cannot upgrade to local:shop-2"):
        await deployer.deploy(charm)
    conflicted = await shop.deployer.deployed()
    shop.charm.unlink()
    kept.rename(shop.charm)
    await shop.put(charm)

    assert conflicted is None
    assert shop.tree() == {"a": "2", "b": "2"}


async def test_a_first_charm_that_cannot_be_put_there_is_no_conflict(shop: Shop) -> None:
    charm = shop.pack(1, {"a": "1"})
    await shop.deployer.stage(charm)
    shop.charm.write_text("in the way")

    with pytest.raises(OSError, match="charm"):
        await shop.deployer.deploy(charm)


async def test_a_damaged_note_is_named(shop: Shop) -> None:
    await shop.put(shop.pack(1, {"a": "1"}))
    (shop.notes / "deployed.json").write_text("{")

    with pytest.raises(NotValidError, match=r"deployed\.json is damaged"):
        await shop.deployer.deployed()


async def test_the_charm_s_revision_is_in_a_file_whatever_the_charm_has_there(shop: Shop) -> None:
    await shop.put(shop.pack(4, {}))
    first = (shop.charm / "revision").read_text()
    await shop.put(shop.pack(5, {"revision": "77"}))
    second = (shop.charm / "revision").read_text()
    await shop.put(shop.pack(6, {"revision": "-> metadata.yaml"}))

    assert (first, second) == ("4", "5")
    assert (shop.charm / "revision").read_text() == "6"
    assert (shop.charm / "metadata.yaml").read_text() == META["metadata.yaml"]
