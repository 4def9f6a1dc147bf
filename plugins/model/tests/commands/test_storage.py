"""Storage and its pools, by the operator's commands."""

from __future__ import annotations

import random
from contextlib import suppress
from pathlib import Path

import pytest
from plugins.model.tests.commands.conftest import CommandLine
from plugins.model.tests.storage.conftest import PROVIDERS

from undercroft.clock import SystemClock
from undercroft_hookspecs import FilesystemId, HostId, NotFoundError, Store, VolumeId
from undercroft_hookspecs.storage import AttachInfo
from undercroft_model.models import find_model, model_id
from undercroft_model.storage.adding import make_next
from undercroft_model.storage.provisioning import HostStorage
from undercroft_model.transaction import Transaction

KEEPER = """\
name: keeper
summary: It keeps
description: It keeps
storage:
  data: {type: filesystem, multiple: {range: 1-3}}
"""


@pytest.fixture
def kept(undercroft: CommandLine, tmp_path: Path) -> CommandLine:
    """A unit with storage, as its agent has made it and its host has mounted it."""
    folder = tmp_path / "keeper"
    (folder / "hooks").mkdir(parents=True)
    (folder / "metadata.yaml").write_text(KEEPER)
    (folder / "hooks" / "install").write_text("#!/bin/sh\n")
    (folder / "hooks" / "install").chmod(0o755)
    undercroft.ok("deploy", str(folder), "--storage", "data=loop,64M")

    async def work(store: Store) -> None:
        tx, clock = Transaction(store), SystemClock()
        model = model_id(await find_model(tx, "default"))
        assert await make_next(tx, model, "keeper/0", providers=PROVIDERS, now=clock.now()) == "data/0"
        await tx.commit()
        host = HostId.parse((undercroft.data / "host-id").read_text().strip())
        facade = HostStorage(store, host, clock=clock, rng=random.Random(1))
        await facade.set_attached(model, FilesystemId.parse("0/0"), AttachInfo(path="/srv/data"))
        await facade.set_status(model, FilesystemId.parse("0/0"), "attached")

    undercroft.on_store(work)
    return undercroft


def test_model_without_storage_says_so(undercroft: CommandLine) -> None:
    assert "No storage to display." in undercroft.ok("storage").err


def test_storage_is_listed_with_what_is_behind_it(kept: CommandLine) -> None:
    document = kept.json("storage")
    attachment = {"machine": "0", "location": "/srv/data", "life": "alive"}
    assert document["storage"]["data/0"]["attachments"] == {"units": {"keeper/0": attachment}}
    assert document["storage"]["data/0"]["status"]["current"] == "attached"
    assert document["filesystems"]["0/0"]["volume"] == "0/0"
    assert document["filesystems"]["0/0"]["attachments"]["machines"]["0"]["mount-point"] == "/srv/data"
    assert document["volumes"]["0/0"]["size"] == 64
    assert list(kept.json("storage", "--volume")) == ["volumes"]


def test_a_store_alone_asks_for_one_piece(undercroft: CommandLine, kept: CommandLine, tmp_path: Path) -> None:
    undercroft.ok("deploy", str(tmp_path / "keeper"), "bare", "--storage", "data")
    assert 'has no store called "dat"' in undercroft.refused(
        "deploy", str(tmp_path / "keeper"), "other", "--storage", "dat"
    )


def test_storage_is_a_table_for_people(kept: CommandLine) -> None:
    head, row = kept.ok("storage", "--format", "table").out.splitlines()
    assert head.split() == ["Unit", "Storage", "ID", "Type", "Pool", "Size", "Used", "Inodes", "Status", "Message"]
    assert row.split() == ["keeper/0", "data/0", "filesystem", "loop", "64", "MiB", "attached"]
    assert "/srv/data" in kept.ok("storage", "--filesystem", "--format", "table").out


def test_storage_is_in_the_status(kept: CommandLine) -> None:
    assert kept.json("status")["storage"]["storage"]["data/0"]["kind"] == "filesystem"
    assert "/srv/data" in kept.ok("status", "--storage").out


def test_one_piece_is_shown(kept: CommandLine) -> None:
    assert list(kept.json("show-storage", "data/0")) == ["data/0"]
    assert 'storage "data/7" not found (not found)' in kept.refused("show-storage", "data/7")


def test_unit_is_given_more(kept: CommandLine) -> None:
    assert "added storage data to keeper/0" in kept.ok("add-storage", "keeper/0", "data=2,32M").err
    assert "takes at most 3 instances, 4 specified" in kept.refused("add-storage", "keeper/0", "data")


def test_storage_is_asked_to_be_larger_trimmed_or_kept_as_it_is(kept: CommandLine) -> None:
    assert "resizing data/0 to 128 MiB" in kept.ok("storage-resize", "data/0", "128M").err
    assert "cannot be made smaller" in kept.refused("storage-resize", "data/0", "1M")
    assert "is no size" in kept.refused("storage-resize", "data/0", "much")
    assert "trimming data/0" in kept.ok("storage-trim", "data/0").err
    assert "cannot make snapshots" in kept.refused("storage-snapshot", "data/0")
    assert "not found" in kept.refused("storage-snapshot", "data/0", "first", "--remove")


def test_filesystem_that_is_there_is_imported(kept: CommandLine) -> None:
    said = kept.ok("import-filesystem", "loop", "volume-0-9", "data").err
    assert 'importing "volume-0-9" from storage pool "loop" for storage "data"' in said
    assert "imported storage data/1" in said
    assert kept.json("storage")["storage"]["data/1"]["status"]["current"] == "pending"
    assert "cannot import storage" in kept.refused("import-filesystem", "tmpfs", "x", "data")


def test_attached_storage_is_kept_until_it_is_detached(kept: CommandLine) -> None:
    assert "is attached" in kept.refused("remove-storage", "data/0")
    kept.ok("detach-storage", "data/0")
    assert kept.json("storage")["storage"]["data/0"]["attachments"]["units"]["keeper/0"]["life"] == "dying"
    kept.ok("remove-storage", "data/0", "--force")
    assert kept.json("storage")["storage"]["data/0"]["life"] == "dying"


def test_storage_of_no_unit_is_not_detached(kept: CommandLine) -> None:
    kept.ok("detach-storage", "data/0", "--force")
    assert "is not attached" in kept.refused("detach-storage", "data/0")
    assert "still being detached" in kept.refused("attach-storage", "keeper/0", "data/0")


def detached(kept: CommandLine) -> None:
    """As after the unit's charm has let go of it, and its host."""
    kept.ok("detach-storage", "data/0", "--force")

    async def work(store: Store) -> None:
        model = model_id(await find_model(Transaction(store), "default"))
        host = HostId.parse((kept.data / "host-id").read_text().strip())
        facade = HostStorage(store, host, clock=SystemClock(), rng=random.Random(1))
        await facade.set_detached(model, FilesystemId.parse("0/0"))
        with suppress(NotFoundError):
            await facade.set_detached(model, VolumeId.parse("0/0"))

    kept.on_store(work)


def lacks(kept: CommandLine, unit: str) -> str:
    """What would be made next for a unit."""
    found: list[str] = []

    async def work(store: Store) -> None:
        tx, clock = Transaction(store), SystemClock()
        model = model_id(await find_model(tx, "default"))
        found.append(await make_next(tx, model, unit, providers=PROVIDERS, now=clock.now()))

    kept.on_store(work)
    return found[0]


def test_new_unit_is_given_storage_in_place_of_what_would_be_made(kept: CommandLine) -> None:
    detached(kept)
    kept.ok("add-unit", "keeper", "--attach-storage", "data/0")
    assert list(kept.json("storage")["storage"]["data/0"]["attachments"]["units"]) == ["keeper/1"]
    assert lacks(kept, "keeper/1") == ""
    kept.ok("add-storage", "keeper/1", "data=loop,16M")
    assert lacks(kept, "keeper/1") == "data/1"


def test_application_is_deployed_with_storage_that_is_there(kept: CommandLine, tmp_path: Path) -> None:
    detached(kept)
    kept.ok("deploy", str(tmp_path / "keeper"), "other", "--storage", "data=loop,2,16M", "--attach-storage", "data/0")
    assert list(kept.json("storage")["storage"]["data/0"]["attachments"]["units"]) == ["other/0"]
    assert lacks(kept, "other/0") == "data/1", "one of two is there"


def test_unit_is_not_added_where_its_storage_cannot_be_given(kept: CommandLine, tmp_path: Path) -> None:
    charm = str(tmp_path / "keeper")
    assert "is attached to keeper/0" in kept.refused("add-unit", "keeper", "--attach-storage", "data/0")
    assert "is attached to keeper/0" in kept.refused_late("deploy", charm, "other", "--attach-storage", "data/0")
    assert 'storage "data/7" not found' in kept.refused("add-unit", "keeper", "--attach-storage", "data/7")
    assert "cannot be used with -n" in kept.refused("add-unit", "keeper", "-n", "2", "--attach-storage", "data/0")
    assert "cannot be used with -n" in kept.refused("deploy", charm, "other", "-n", "0", "--attach-storage", "data/0")
    assert list(kept.json("status")["applications"]) == ["keeper"]
    assert list(kept.json("status")["applications"]["keeper"]["units"]) == ["keeper/0"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("create-storage-pool", "fast", "tape"), 'storage provider "tape" not found'),
        (("remove-storage-pool", "fast"), 'storage pool "fast" not found'),
        (("add-storage", "keeper/0", "nothing"), 'charm storage "nothing" not found'),
        (("add-storage", "keeper/0", "data=-1"), "cannot make -1"),
        (("detach-storage", "../data"), "is not a valid storage id"),
    ],
)
def test_what_makes_no_sense_is_refused(kept: CommandLine, words: tuple[str, ...], message: str) -> None:
    assert message in kept.refused(*words)


def test_directive_is_judged_when_it_is_deployed(kept: CommandLine, tmp_path: Path) -> None:
    message = kept.refused_late("deploy", str(tmp_path / "keeper"), "another", "--storage", "data=../x")
    assert 'cannot read "../x" in the storage directive' in message
    assert list(kept.json("status")["applications"]) == ["keeper"]
