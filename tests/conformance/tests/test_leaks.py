from __future__ import annotations

import asyncio
import os
import subprocess
import threading
import time
from pathlib import Path

import pytest

from undercroft_conformance.leaks import Leak, Snapshot, difference, lines, snapshot


def kinds(before: Snapshot) -> list[str]:
    return [leak.kind for leak in difference(before, snapshot(below=()))]


def test_two_looks_at_the_same_differ_in_nothing() -> None:
    before = snapshot()

    assert kinds(before) == []


def test_a_descriptor_shows_with_what_it_points_to(tmp_path: Path) -> None:
    before = snapshot()
    number = os.open(tmp_path / "file", os.O_CREAT | os.O_WRONLY)
    found = difference(before, snapshot())
    os.close(number)

    assert found == (Leak("fd", f"{number} -> {tmp_path}/file"),)
    assert lines(found) == f"  fd: {number} -> {tmp_path}/file"


def test_a_number_that_was_given_out_anew_is_another_descriptor(tmp_path: Path) -> None:
    number = os.open(tmp_path / "one", os.O_CREAT | os.O_WRONLY)
    before = snapshot()
    os.close(number)
    again = os.open(tmp_path / "two", os.O_CREAT | os.O_WRONLY)
    found = difference(before, snapshot())
    os.close(again)

    assert [leak.what for leak in found] == [f"{number} -> {tmp_path}/two"]


def test_a_thread_shows_with_its_name() -> None:
    event = threading.Event()
    before = snapshot()
    thread = threading.Thread(target=event.wait, name="worker")
    thread.start()
    found = difference(before, snapshot())
    event.set()
    thread.join()

    assert found == (Leak("thread", "'worker'"),)
    assert kinds(before) == []


def test_a_thread_that_the_threading_module_does_not_know_shows_too() -> None:
    import _thread

    lock = _thread.allocate_lock()
    ended = threading.Event()
    lock.acquire()

    def wait() -> None:
        lock.acquire()
        ended.set()

    before = snapshot()
    _thread.start_new_thread(wait, ())
    while not (found := difference(before, snapshot())):
        time.sleep(0.001)
    lock.release()
    ended.wait(5)

    assert "not started by the threading module" in str(found[0])


def test_a_child_shows_alive_and_dead() -> None:
    before = snapshot()
    child = subprocess.Popen(["sleep", "60"], stdin=subprocess.DEVNULL)
    alive = difference(before, snapshot())
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    dead = difference(before, snapshot())
    child.wait()

    assert [str(leak) for leak in alive] == [f"child: process {child.pid} (sleep)"]
    assert [str(leak) for leak in dead] == [f"child: process {child.pid} (sleep), dead and not waited for"]
    assert kinds(before) == []


async def test_a_task_shows_with_where_it_stands() -> None:
    loop = asyncio.get_running_loop()
    before = snapshot(loop)
    task = loop.create_task(asyncio.Event().wait(), name="waiter")
    await asyncio.sleep(0)
    found = difference(before, snapshot(loop))
    task.cancel()

    assert [leak.kind for leak in found] == ["task"]
    assert found[0].what.startswith("'waiter' runs Event.wait at ")


@pytest.mark.root
def test_a_mount_shows_below_its_folder_only(tmp_path: Path) -> None:
    point = tmp_path / "a folder"
    point.mkdir()
    before = snapshot(below=(tmp_path,))
    done = subprocess.run(["mount", "-t", "tmpfs", "none", str(point)], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"mounting is not allowed here: {done.stderr.strip()}")
    try:
        here = difference(before, snapshot(below=(tmp_path,)))
        elsewhere = snapshot(below=(tmp_path / "other",)).of("mount")
    finally:
        subprocess.run(["umount", str(point)], check=True)

    assert here == (Leak("mount", f"none (tmpfs) on {point}"),)
    assert elsewhere == {}
