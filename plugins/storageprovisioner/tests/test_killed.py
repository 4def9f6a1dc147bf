"""The provisioner is killed before, amid and after each of its steps, and the next one ends what it began."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from plugins.model.tests.conftest import HERE, World
from plugins.storageprovisioner.tests.conftest import needs
from plugins.storageprovisioner.tests.ground import KEEPER, Ground
from plugins.storageprovisioner.tests.killed import die_at
from plugins.storageprovisioner.tests.moments import EVERY_DOWN, EVERY_UP

from undercroft.clock import SystemClock
from undercroft.linux import mountinfo
from undercroft_hookspecs import ModelId
from undercroft_model.hosts import register_host
from undercroft_model.sqlite_store import open_sqlite
from undercroft_model.units import remove_unit
from undercroft_storageprovisioner.linux.loops import all_loops, loops_of

pytestmark = [pytest.mark.root, pytest.mark.slow, needs("mkfs.ext4")]


@asynccontextmanager
async def world(folder: Path, model: str = "") -> AsyncIterator[Ground]:
    """The model on SQLite, a new one without a name."""
    async with open_sqlite("sqlite:", data_dir=folder, clock=SystemClock()) as store:
        made = World(store)
        if model:
            made.model = ModelId.parse(model)
        else:
            await made.begin()
        yield Ground(made, folder)


async def begun(folder: Path) -> str:
    """A new model with one unit that wants a volume."""
    async with world(folder) as ground:
        await ground.world.change(lambda tx: register_host(tx, HERE))
        await ground.world.deploy(KEEPER, storage={"data": "loop,16M"})
        await ground.world.start("keeper/0")
        await ground.of("keeper/0").attachments()
        return str(ground.world.model)


def made_at(device: Path) -> bytes:
    """The UUID of an ext4 and when it was made."""
    with device.open("rb") as opened:
        head = opened.read(2048)
    return head[1024 + 104 : 1024 + 120] + head[1024 + 264 : 1024 + 268]


def left(folder: Path) -> list[str]:
    """What is left of storage."""
    files = [str(file) for file in folder.rglob("*") if "volume-" in file.name or file.parent.name == "formatting"]
    found = [mount.target for mount in mountinfo.read() if mount.target.startswith(str(folder))]
    return [*files, *found, *(loop.name for loop in all_loops() if str(folder) in _backing(loop.name))]


@pytest.mark.parametrize("moment", EVERY_UP)
def test_killed_on_the_way_up_it_comes_up_and_is_formatted_once(moment: str, tmp_path: Path) -> None:
    model = asyncio.run(begun(tmp_path))

    assert die_at(tmp_path, model, moment) == -signal.SIGKILL, f"it never came to {moment}"

    formatted = [made_at(volume) for volume in tmp_path.rglob("volume-0-0") if made_at(volume)[:16].strip(b"\0")]
    asyncio.run(_comes_up(tmp_path, model, formatted))
    assert not left(tmp_path)


async def _comes_up(folder: Path, model: str, formatted: list[bytes]) -> None:
    async with world(folder, model) as ground, ground.provisioning():
        storage = await ground.attached("keeper/0")
        (Path(storage.location) / "kept").write_text("kept")
        (volume,) = folder.rglob("volume-0-0")
        (loop,) = loops_of(volume)
        assert formatted in ([], [made_at(loop.path)]), "it was formatted again"
        await ground.end()


@pytest.mark.parametrize("moment", EVERY_DOWN)
def test_killed_on_the_way_down_it_goes_and_leaves_nothing(moment: str, tmp_path: Path) -> None:
    model = asyncio.run(begun(tmp_path))
    asyncio.run(_goes_up_and_is_removed(tmp_path, model))

    assert die_at(tmp_path, model, moment) == -signal.SIGKILL, f"it never came to {moment}"

    asyncio.run(_goes(tmp_path, model))
    assert not left(tmp_path)


async def _goes_up_and_is_removed(folder: Path, model: str) -> None:
    async with world(folder, model) as ground:
        async with ground.provisioning():
            await ground.attached("keeper/0")
        await ground.world.run(remove_unit, "keeper/0", force=True)
        await ground.world.reap()


async def _goes(folder: Path, model: str) -> None:
    async with world(folder, model) as ground, ground.provisioning():
        await ground.gone()


def _backing(name: str) -> str:
    try:
        return Path("/sys/block", name, "loop/backing_file").read_text()
    except OSError:
        return ""
