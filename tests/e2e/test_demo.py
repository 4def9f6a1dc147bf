"""The demo, as a newcomer runs it."""

from __future__ import annotations

import json
import os
import pty
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

STUBBORN = """
from undercroft import SimpleWorker
from undercroft_hookspecs import Manifold, hookimpl

async def work(stop):
    await stop.wait()
    print("stopping", flush=True)
    while True:
        try:
            await __import__("asyncio").Event().wait()
        except BaseException:
            pass

@hookimpl
def undercroft_manifolds(agent):
    return {"stubborn": Manifold(start=lambda context: SimpleWorker(work))}
"""

COMMAND = [sys.executable, "-m", "undercroft", "demo"]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """An environment whose folder for temporary files is the test's."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("UNDERCROFT")}
    (tmp_path / "tmp").mkdir()
    return {**kept, "TMPDIR": str(tmp_path / "tmp"), "TERM": "xterm", "COLUMNS": "200"}


def once(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, "--once", *words], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def left_behind(environment: dict[str, str]) -> list[Path]:
    return list(Path(environment["TMPDIR"]).iterdir())


def line_with(stream: IO[str], word: str) -> str:
    """The next line that has this word in it."""
    deadline = time.monotonic() + 30
    for line in stream:
        if word in line:
            return line
        assert time.monotonic() < deadline
    raise AssertionError(f"the demo ended without a line with {word!r}")


def test_once_prints_what_runs_and_the_devices_and_leaves_nothing_behind(environment: dict[str, str]) -> None:
    done = once(environment)

    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"^diskmanager +active", done.stdout, re.MULTILINE)
    assert re.search(r"^disk-manager +started +diskmanager +model", done.stdout, re.MULTILINE)
    assert "block devices" in done.stdout
    assert left_behind(environment) == []


def test_once_as_json_is_one_document(environment: dict[str, str]) -> None:
    done = once(environment, "--format", "json")
    document = json.loads(done.stdout)

    assert done.returncode == 0
    assert {row["state"] for row in document["workers"]} == {"started"}
    shown = {device["device_name"] for device in document["block_devices"]}
    assert {each.name for each in Path("/sys/block").iterdir() if each.name.startswith(("sd", "vd", "nvme"))} <= shown


def test_without_the_disk_manager_it_still_runs(environment: dict[str, str]) -> None:
    done = once({**environment, "UNDERCROFT_DISABLED": "diskmanager"})

    assert done.returncode == 0
    assert "disabled" in done.stdout


def test_ctrl_c_ends_it_with_0_and_leaves_nothing_behind(environment: dict[str, str]) -> None:
    with subprocess.Popen(COMMAND, env=environment, stdout=subprocess.PIPE, text=True) as demo:
        assert demo.stdout is not None
        line_with(demo.stdout, "block devices")
        demo.send_signal(signal.SIGINT)
        code = demo.wait(30)

    assert code == 0
    assert left_behind(environment) == []


def test_on_a_terminal_it_draws_a_picture(environment: dict[str, str]) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(COMMAND, env=environment, stdout=theirs, stderr=theirs) as demo:
        os.close(theirs)
        seen = b""
        while b"Ctrl-C" not in seen:
            seen += os.read(ours, 65536)
        demo.send_signal(signal.SIGINT)
        try:
            while more := os.read(ours, 65536):
                seen += more
        except OSError:
            pass  # What a terminal's other side raises when the last process has closed it.
        code = demo.wait(30)
    os.close(ours)

    assert code == 0
    assert b"Workers" in seen
    assert "─".encode() in seen


def test_a_worker_that_does_not_end_is_left_at_the_second_ctrl_c_and_no_file_with_it(
    environment: dict[str, str], tmp_path: Path
) -> None:
    info = tmp_path / "site" / "undercroft_stubborn-1.0.dist-info"
    info.mkdir(parents=True)
    requires = "Requires-Dist: undercroft-hookspecs>=1.0,<2"
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: undercroft-stubborn\nVersion: 1.0\n{requires}\n")
    (info / "entry_points.txt").write_text("[undercroft.plugins]\nstubborn = written_stubborn\n")
    (tmp_path / "site" / "written_stubborn.py").write_text(STUBBORN)

    with subprocess.Popen(
        COMMAND,
        env={**environment, "PYTHONPATH": str(tmp_path / "site")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as demo:
        assert demo.stdout is not None
        assert demo.stderr is not None
        line_with(demo.stdout, "block devices")
        demo.send_signal(signal.SIGINT)
        line_with(demo.stdout, "stopping")
        demo.send_signal(signal.SIGINT)
        code = demo.wait(30)
        said = demo.stderr.read()

    assert code == 1
    assert "stubborn" in said
    assert left_behind(environment) == []


@pytest.fixture
def image(tmp_path: Path) -> Iterator[Path]:
    """A disk image, detached at the end whatever happens."""
    path = tmp_path / "disk.img"
    path.touch()
    os.truncate(path, 64 * 1024 * 1024)
    yield path
    listed = subprocess.run(["losetup", "-j", path, "-O", "NAME", "-n"], capture_output=True, text=True, check=True)
    for device in listed.stdout.split():
        subprocess.run(["losetup", "-d", device], check=True)


@pytest.mark.root
@pytest.mark.skipif(shutil.which("losetup") is None, reason="needs losetup: apt-get install mount")
def test_a_loop_device_is_seen_to_come_and_go(environment: dict[str, str], image: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "--format", "json"], env=environment, stdout=subprocess.PIPE, text=True, bufsize=1
    ) as demo:
        assert demo.stdout is not None
        line_with(demo.stdout, "block_devices")
        attached = subprocess.run(
            ["losetup", "--find", "--show", image], capture_output=True, text=True, check=True
        ).stdout.strip()
        name = Path(attached).name
        came = json.loads(line_with(demo.stdout, f'"{name}"'))
        subprocess.run(["losetup", "-d", attached], check=True)
        went = json.loads(line_with(demo.stdout, "removed"))
        demo.send_signal(signal.SIGINT)
        code = demo.wait(30)

    sizes = {device["device_name"]: device["size_mib"] for device in came["block_devices"]}
    assert sizes[name] == 64
    assert {"change": "removed", "device": name} in went["changes"]
    assert code == 0
