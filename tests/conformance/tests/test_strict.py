"""The rules of the pytest plugin `strict`, each proven on a test that breaks it, in a pytest of their own."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

BAD_TESTS = """
import asyncio, ctypes, gc, os, subprocess, sys, tempfile, threading, time, warnings
import pytest

KEPT = []

async def test_leaks_a_task():
    KEPT.append(asyncio.get_running_loop().create_task(asyncio.Event().wait(), name="forgotten"))

async def test_leaks_a_task_of_a_fixture(forgetful):
    pass

@pytest.fixture
async def forgetful():
    yield
    KEPT.append(asyncio.get_running_loop().create_task(asyncio.Event().wait(), name="of-fixture"))

async def test_leaks_a_thread():
    event = threading.Event()
    threading.Thread(target=event.wait, daemon=True, name="forgotten").start()

def test_leaks_a_thread_without_a_loop():
    event = threading.Event()
    threading.Thread(target=event.wait, daemon=True, name="forgotten").start()

def test_leaks_a_descriptor(tmp_path):
    os.open(tmp_path / "forgotten", os.O_CREAT | os.O_WRONLY)

def test_leaks_a_child():
    KEPT.append(subprocess.Popen(["sleep", "30"], start_new_session=True, stdin=subprocess.DEVNULL))

def test_leaks_a_dead_child():
    child = subprocess.Popen(["true"], stdin=subprocess.DEVNULL)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    KEPT.append(child)

@pytest.mark.root
def test_leaks_a_loop_device(tmp_path):
    (tmp_path / "disk").write_bytes(bytes(1 << 20))
    made = subprocess.run(["losetup", "--find", "--show", str(tmp_path / "disk")], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(made.stderr)
    (tmp_path.parent / "device").write_text(made.stdout)

@pytest.mark.root
def test_leaks_a_mount(tmp_path):
    (tmp_path / "point").mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "none", str(tmp_path / "point")], capture_output=True, text=True)
    if made.returncode:
        pytest.skip(made.stderr)
    (tmp_path.parent / "mounted").write_text(str(tmp_path / "point"))

async def test_works_too_long_in_one_callback():
    end = time.thread_time() + 0.4
    while time.thread_time() < end:
        pass

async def test_blocks_the_loop():
    await asyncio.sleep(0)
    time.sleep(0.4)

async def test_blocks_the_loop_in_a_timer():
    asyncio.get_running_loop().call_later(0.01, time.sleep, 0.4)
    await asyncio.sleep(0.05)

async def test_forgets_an_exception():
    async def fail():
        raise ValueError("nobody took me")
    task = asyncio.get_running_loop().create_task(fail())
    await asyncio.sleep(0.01)
    del task

async def test_raises_in_a_callback():
    def fail():
        raise ValueError("in a callback")
    asyncio.get_running_loop().call_soon(fail)
    await asyncio.sleep(0.01)

@pytest.mark.allow_leaks("tread")
def test_names_an_unknown_kind():
    pass

@pytest.mark.allow_leaks("thread")
def test_may_leak_a_thread():
    threading.Thread(target=threading.Event().wait, daemon=True).start()

@pytest.mark.allow_leaks
def test_may_leak_anything(tmp_path):
    os.open(tmp_path / "forgotten", os.O_CREAT | os.O_WRONLY)

@pytest.mark.slow_callbacks
async def test_may_block_the_loop():
    time.sleep(0.4)

@pytest.mark.loop_errors
async def test_may_forget_an_exception():
    asyncio.get_running_loop().call_exception_handler({"message": "on purpose"})

async def test_is_good():
    loop = asyncio.get_running_loop()
    assert loop.get_debug()
    await asyncio.to_thread(time.sleep, 0.2)
    task = loop.create_task(asyncio.Event().wait())
    await asyncio.sleep(0)
    task.cancel()

async def test_knows_its_loop():
    KEPT.append(type(asyncio.get_running_loop()).__name__)

def test_saw_both_loops():
    assert [name for name in KEPT if isinstance(name, str)] == ["AsyncioLoop", "UvloopLoop"]

async def test_fails_and_leaks():
    KEPT.append(asyncio.get_running_loop().create_task(asyncio.Event().wait(), name="of-failed"))
    assert False, "its own failure"
"""

CONFTEST = """
import asyncio, subprocess

def pytest_sessionfinish(session):
    import test_bad

    for child in test_bad.KEPT:
        if isinstance(child, subprocess.Popen):
            child.kill()
            child.wait()
"""

SETTINGS = """
[pytest]
asyncio_mode = auto
asyncio_debug = true
asyncio_default_fixture_loop_scope = function
addopts = -p undercroft_conformance.strict -p no:cacheprovider -p no:randomly
"""

CAUGHT = {
    "test_leaks_a_task[asyncio]": r"task: 'forgotten' runs Event\.wait at .*:\d+",
    "test_leaks_a_task[uvloop]": r"task: 'forgotten' runs Event\.wait at .*:\d+",
    "test_leaks_a_task_of_a_fixture[uvloop]": "task: 'of-fixture'",
    "test_leaks_a_thread[asyncio]": r"thread: 'forgotten' \(daemon\)",
    "test_leaks_a_thread[uvloop]": r"thread: 'forgotten' \(daemon\)",
    "test_leaks_a_thread_without_a_loop": "thread: 'forgotten'",
    "test_leaks_a_descriptor": r"fd: \d+ -> .*/forgotten",
    "test_leaks_a_child": r"child: process \d+ \(sleep\)",
    "test_leaks_a_dead_child": r"child: process \d+ \(true\), dead and not waited for",
    "test_leaks_a_loop_device": r"loop: /dev/loop\d+ -> .*/disk",
    "test_leaks_a_mount": r"mount: none \(tmpfs\) on .*/point",
    "test_works_too_long_in_one_callback[asyncio]": r"\d+ ms: Executing <Task",
    "test_works_too_long_in_one_callback[uvloop]": r"\d+ ms: Executing <Task",
    "test_blocks_the_loop[asyncio]": r"\d+ ms: Executing <Task",
    "test_blocks_the_loop[uvloop]": r"\d+ ms: Executing <Task",
    "test_blocks_the_loop_in_a_timer[asyncio]": r"\d+ ms: Executing <TimerHandle",
    "test_blocks_the_loop_in_a_timer[uvloop]": r"\d+ ms: Executing <TimerHandle",
    "test_forgets_an_exception[asyncio]": "Task exception was never retrieved: ValueError",
    "test_forgets_an_exception[uvloop]": "Task exception was never retrieved: ValueError",
    "test_raises_in_a_callback[asyncio]": "ValueError",
    "test_raises_in_a_callback[uvloop]": "ValueError",
    "test_names_an_unknown_kind": "allow_leaks does not know",
}

LET_BE = (
    "test_may_leak_a_thread",
    "test_may_leak_anything",
    "test_may_block_the_loop[asyncio]",
    "test_may_block_the_loop[uvloop]",
    "test_may_forget_an_exception[asyncio]",
    "test_may_forget_an_exception[uvloop]",
    "test_is_good[asyncio]",
    "test_is_good[uvloop]",
    "test_saw_both_loops",
)


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """For each bad test what was reported of it: `passed`, `skipped`, `failed`, or the text of its error."""
    folder = tmp_path_factory.mktemp("bad")
    (folder / "test_bad.py").write_text(BAD_TESTS)
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "pytest.ini").write_text(SETTINGS)
    base = folder / "tmp"

    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-v", "-rA", "--tb=short", f"--basetemp={base}", "--rootdir=.", "."],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        stdin=subprocess.DEVNULL,
    )

    _clean_up(base)
    return _parse(ran.stdout)


def _clean_up(base: Path) -> None:
    for device in base.rglob("device"):
        subprocess.run(["losetup", "--detach", device.read_text().strip()], check=True, stdin=subprocess.DEVNULL)
    for mounted in base.rglob("mounted"):
        subprocess.run(["umount", mounted.read_text()], check=True, stdin=subprocess.DEVNULL)


def _parse(output: str) -> dict[str, str]:
    found = {
        match[1]: match[2].lower()
        for match in re.finditer(r"^test_bad\.py::(\S+) (PASSED|FAILED|SKIPPED)", output, re.MULTILINE)
    }
    for match in re.finditer(r"^_+ ERROR at teardown of (\S+) _+\n(.*?)(?=^[_=]{5})", output, re.MULTILINE | re.DOTALL):
        found[match[1]] = match[2]
    return found


@pytest.mark.parametrize("name", CAUGHT)
def test_a_test_that_breaks_a_rule_fails_by_name(name: str, verdicts: Mapping[str, str]) -> None:
    if verdicts[name] == "skipped":
        pytest.skip("needs root, and loop devices or mounts that this machine allows")

    assert re.search(CAUGHT[name], verdicts[name]), verdicts[name]


@pytest.mark.parametrize("name", LET_BE)
def test_a_good_test_or_one_that_opted_out_passes(name: str, verdicts: Mapping[str, str]) -> None:
    assert verdicts[name] == "passed"


def test_a_test_that_failed_by_itself_is_not_judged_on_top(verdicts: Mapping[str, str]) -> None:
    assert verdicts["test_fails_and_leaks[asyncio]"] == "failed"


def test_a_test_that_needs_root_is_skipped_for_others_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "test_root.py").write_text("import pytest\n@pytest.mark.root\ndef test_it():\n    assert False\n")
    (tmp_path / "conftest.py").write_text("import os\nos.geteuid = lambda: 1000\n")
    (tmp_path / "pytest.ini").write_text(SETTINGS)

    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-rs", f"--basetemp={tmp_path}/tmp", "--rootdir=."],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        stdin=subprocess.DEVNULL,
    )

    assert ran.returncode == 0, ran.stdout
    assert "needs root (loop devices, mounts)" in ran.stdout
