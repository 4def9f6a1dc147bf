"""Packing, with the real uv and the real pip, of packages that lie beside the charm."""

from __future__ import annotations

import os
import re
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from undercroft.process import SystemProcess
from undercroft.testing.agent import FakeProcess
from undercroft_hookspecs.errors import NotFoundError
from undercroft_model.charms.source import take
from undercroft_model.charms.unpack import unpack
from undercroft_model.pack.build import Packed, pack
from undercroft_model.pack.cache import KEPT, keep
from undercroft_model.pack.errors import PackError
from undercroft_model.pack.install import find_uv

CHARM = """\
#!/usr/bin/env python3
import os, sys, tiny
print(tiny.WORD, os.environ["JUJU_DISPATCH_PATH"], sys.version_info[:2])
"""


def _wheel(folder: Path, word: str = "hello") -> Path:
    """A package of one module, as a wheel."""
    path = folder / "tiny-1.0-py3-none-any.whl"
    info = "tiny-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr("tiny.py", f"WORD = {word!r}\n")
        wheel.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: x\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", f"tiny.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return path


def _source(folder: Path, plugin: str = "charm", wheel: str = "./wheels/tiny-1.0-py3-none-any.whl") -> Path:
    (folder / "src").mkdir(parents=True)
    (folder / "wheels").mkdir()
    _wheel(folder / "wheels")
    (folder / "src/charm.py").write_text(CHARM)
    (folder / "charmcraft.yaml").write_text(
        f"name: app\nparts: {{main: {{plugin: {plugin}, {plugin}-requirements: [requirements.txt]}}}}\n"
    )
    (folder / "requirements.txt").write_text(f"{wheel}\n")
    return folder


@dataclass
class Bench:
    """Packs into a cache of its own, and remembers what was told meanwhile."""

    folder: Path
    steps: list[str] = field(default_factory=list)

    async def pack(self, source: Path, **others: Any) -> Packed:
        """Pack a source folder."""
        # Any: as the parameters of `pack`.
        given: dict[str, Any] = {"process": SystemProcess(), "progress": self.steps.append}
        return await pack(source, cache_folder=self.folder / "cache", **given | others)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    """A place to pack."""
    return Bench(tmp_path)


@pytest.fixture(params=["uv", pytest.param("pip", marks=pytest.mark.slow)])
def tool(request: pytest.FixtureRequest) -> Callable[[], str | None]:
    """How uv is found: the real one, or not at all."""
    if request.param == "pip":
        return lambda: None
    if find_uv() is None:
        pytest.skip("needs uv: pip install uv")
    return find_uv


async def _dispatch(charm: Path) -> str:
    environment = {"JUJU_DISPATCH_PATH": "hooks/start"}
    done = await SystemProcess().run(["./dispatch"], timeout=30, env=environment, cwd=charm)
    return done.stdout.decode()


@pytest.mark.parametrize("plugin", ["charm", "python"])
@pytest.mark.asyncio(loop_factories=["asyncio"])
async def test_a_packed_charm_runs_with_its_dependencies(
    bench: Bench, tmp_path: Path, tool: Callable[[], str | None], plugin: str
) -> None:
    packed = await bench.pack(_source(tmp_path / "source", plugin), uv=tool)

    await unpack(packed.archive, tmp_path / "unit" / "charm")
    said = [await _dispatch(tmp_path / "unit/charm") for _ in range(2)]
    assert said == [f"hello hooks/start {sys.version_info[:2]}\n"] * 2


@pytest.mark.asyncio(loop_factories=["asyncio"])
async def test_a_packed_charm_is_a_charm_and_says_nothing_of_where_it_was_made(bench: Bench, tmp_path: Path) -> None:
    packed = await bench.pack(_source(tmp_path / "source", "python"))

    async with take(packed.archive) as taken:
        assert taken.charm.name == packed.charm.name == "app"
    with zipfile.ZipFile(packed.archive) as zipped:
        names = set(zipped.namelist())
        assert {"dispatch", "metadata.yaml", "manifest.yaml", "src/charm.py"} <= names
        assert not [name for name in names if "pyvenv.cfg" in name or name.startswith("venv/bin/python")]
        assert not [name for name in names if b"undercroft-pack-" in zipped.read(name)]


@pytest.mark.asyncio(loop_factories=["asyncio"])
async def test_uv_s_lock_is_honoured(bench: Bench, tmp_path: Path, tool: Callable[[], str | None]) -> None:
    source = _source(tmp_path / "source", "uv")
    (source / "pyproject.toml").write_text(
        "[project]\nname = 'app'\nversion = '0'\nrequires-python = '>=3.8'\ndependencies = ['tiny']\n"
        "[tool.uv.sources]\ntiny = { path = 'wheels/tiny-1.0-py3-none-any.whl' }\n"
    )
    uv = find_uv()
    if uv is None:
        pytest.skip("needs uv: pip install uv")
    await SystemProcess().run([uv, "lock", "-q", "--offline"], timeout=60, cwd=source)

    if tool() is None:
        # An index has a package of that name, too, which is a stranger's.
        with pytest.raises(PackError, match="only uv knows where tiny come from: install uv"):
            await bench.pack(source, uv=tool)
        return
    packed = await bench.pack(source, uv=tool)

    await unpack(packed.archive, tmp_path / "unit")
    assert (await _dispatch(tmp_path / "unit")).startswith("hello")


async def test_packing_again_is_instant_and_gives_the_same(bench: Bench, tmp_path: Path) -> None:
    source = _source(tmp_path / "source")

    first = await bench.pack(source)
    bench.steps.clear()
    second = await bench.pack(source)

    assert (first.is_cached, second.is_cached) == (False, True)
    assert first.archive == second.archive
    assert bench.steps == [f"Reading {source}"]


@pytest.mark.asyncio(loop_factories=["asyncio"])
async def test_packing_afresh_makes_the_same_bytes(
    bench: Bench, tmp_path: Path, tool: Callable[[], str | None]
) -> None:
    source = _source(tmp_path / "source", "python")

    first = (await bench.pack(source, uv=tool)).archive.read_bytes()
    second = (await bench.pack(source, uv=tool, is_fresh=True)).archive.read_bytes()

    assert first == second


@pytest.mark.parametrize("change", ["src/charm.py", "requirements.txt", "charmcraft.yaml"])
@pytest.mark.asyncio(loop_factories=["asyncio"])
async def test_another_content_is_packed_anew(bench: Bench, tmp_path: Path, change: str) -> None:
    source = _source(tmp_path / "source")
    # What says how to pack counts also where it does not become part of the charm.
    (source / ".jujuignore").write_text("requirements.txt\ncharmcraft.yaml\n")
    await bench.pack(source)

    with (source / change).open("a") as file:
        file.write("\n# changed\n" if change != "charmcraft.yaml" else "summary: changed\n")

    assert not (await bench.pack(source)).is_cached


async def test_tests_do_not_make_another_charm(bench: Bench, tmp_path: Path) -> None:
    source = _source(tmp_path / "source")
    await bench.pack(source)

    (source / "tests").mkdir()
    (source / "tests/test_x.py").write_text("x")

    assert (await bench.pack(source)).is_cached


@pytest.mark.asyncio(loop_factories=["asyncio"])
async def test_each_step_is_told(bench: Bench, tmp_path: Path) -> None:
    source = _source(tmp_path / "source")

    await bench.pack(source)

    reading, installing, writing = bench.steps
    assert (reading, writing) == (f"Reading {source}", "Writing the archive")
    assert re.fullmatch(r"Installing requirements\.txt with (uv|pip) for Python 3\.[0-9.]+", installing)


@pytest.mark.asyncio(loop_factories=["asyncio"])
async def test_an_installation_that_fails_says_what_the_tool_said_and_keeps_nothing(
    bench: Bench, tmp_path: Path, tool: Callable[[], str | None]
) -> None:
    source = _source(tmp_path / "source", wheel="./wheels/none-1.0-py3-none-any.whl")

    with pytest.raises(PackError, match=r"(?s)source cannot be packed: .* failed:\n.*none-1\.0"):
        await bench.pack(source, uv=tool)

    assert not list((tmp_path / "cache").glob("**/*"))


async def test_neither_uv_nor_pip_is_told_with_what_to_install(bench: Bench, tmp_path: Path) -> None:
    source = _source(tmp_path / "source")
    shim = tmp_path / "shim"
    shim.write_text(
        '#!/bin/sh\n[ "$1" = -m ] && exit 1\n'
        f'echo \'{{"executable": "{shim}", "version": "3.11", "full": "3.11.0"}}\'\n'
    )
    shim.chmod(0o755)

    with pytest.raises(PackError, match=r"neither uv nor pip for .*shim: install uv"):
        await bench.pack(source, uv=lambda: None, python=str(shim))


async def test_a_python_that_is_none_is_refused(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(PackError, match=r"/bin/true is no Python interpreter"):
        await bench.pack(_source(tmp_path / "source"), python="/bin/true")


async def test_a_python_that_the_charm_cannot_use_is_not_taken(bench: Bench, tmp_path: Path) -> None:
    source = _source(tmp_path / "source")
    (source / "pyproject.toml").write_text("[project]\nname = 'app'\nrequires-python = '>=3.99'\n")

    with pytest.raises(PackError, match=r"it needs Python >=3\.99, and no such python3 is on the PATH"):
        await bench.pack(source)


async def test_a_charm_without_dependencies_needs_no_tool(bench: Bench) -> None:
    charms = Path(__file__).parents[4] / "tests" / "charms"

    packed = await bench.pack(charms / "keeper", uv=lambda: None)

    with zipfile.ZipFile(packed.archive) as zipped:
        assert sorted(zipped.namelist()) == [
            "actions.yaml",
            "config.yaml",
            "dispatch",
            "metadata.yaml",
            "metrics.yaml",
        ]


async def test_a_library_from_elsewhere_becomes_part_of_the_charm(bench: Bench, tmp_path: Path) -> None:
    source = _source(tmp_path / "source")
    (source / "requirements.txt").unlink()
    with (source / "charmcraft.yaml").open("a") as file:
        file.write("charm-libs: [{lib: db.client, version: 1}]\n")
    (tmp_path / "other/lib/charms/db/v1").mkdir(parents=True)
    (tmp_path / "other/lib/charms/db/v1/client.py").write_text("LIBAPI = 1")

    packed = await bench.pack(source, libraries=[tmp_path / "other"])

    async with take(packed.archive) as taken:
        await unpack(taken.archive, tmp_path / "unit")
    assert (tmp_path / "unit/lib/charms/db/v1/client.py").read_text() == "LIBAPI = 1"


async def test_a_folder_that_is_not_there_is_not_found(bench: Bench, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no such folder"):
        await bench.pack(tmp_path / "none", process=FakeProcess())


def test_the_cache_keeps_those_that_were_used_last(tmp_path: Path) -> None:
    for number in range(KEPT + 5):
        path = keep(tmp_path, f"{number:03}", lambda file: file.write(b"x"))
        os.utime(path, (number, number))
    keep(tmp_path, "last", lambda file: file.write(b"x"))

    kept = sorted(path.stem for path in tmp_path.iterdir())
    assert len(kept) == KEPT
    assert "000" not in kept
    assert "last" in kept


@pytest.mark.slow
@pytest.mark.asyncio(loop_factories=["asyncio"])
async def test_the_ops_charm_is_packed_from_the_index(
    bench: Bench, tmp_path: Path, tool: Callable[[], str | None]
) -> None:
    charms = Path(__file__).parents[4] / "tests" / "charms"
    try:
        packed = await bench.pack(charms / "counter", uv=tool)
    except PackError as error:
        if "failed:" not in str(error):
            raise
        pytest.skip(f"needs an index of Python packages with ops: {error}")

    await unpack(packed.archive, tmp_path / "unit")
    argv = ["python3", "-c", "import ops; print(ops.__name__)"]
    done = await SystemProcess().run(argv, timeout=30, env={"PYTHONPATH": "venv"}, cwd=tmp_path / "unit")
    assert done.stdout == b"ops\n"
    assert packed.charm.endpoints.keys() == {"counters", "count"}
