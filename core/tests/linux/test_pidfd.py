from __future__ import annotations

import asyncio
import os
import subprocess

import pytest

from undercroft.linux.pidfd import open_pidfd, wait_pid


async def test_the_wait_ends_with_the_process_and_leaves_it_to_its_parent() -> None:
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    waiting = asyncio.ensure_future(wait_pid(child.pid))
    await asyncio.sleep(0)

    assert not waiting.done()
    assert child.stdin is not None
    child.stdin.close()
    await waiting

    assert os.waitpid(child.pid, os.WNOHANG) == (child.pid, 0)
    child.returncode = 0


async def test_any_number_may_wait_for_one_process() -> None:
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    waiting = [asyncio.ensure_future(wait_pid(child.pid)) for _ in range(3)]

    child.communicate()
    await asyncio.gather(*waiting)


async def test_a_process_that_is_gone_is_not_waited_for() -> None:
    child = subprocess.Popen(["true"])
    child.wait()

    await wait_pid(child.pid)

    with pytest.raises(ProcessLookupError):
        open_pidfd(child.pid)


async def test_a_cancelled_wait_leaves_the_process_alone() -> None:
    child = subprocess.Popen(["cat"], stdin=subprocess.PIPE)
    waiting = asyncio.ensure_future(wait_pid(child.pid))
    await asyncio.sleep(0)

    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting

    assert child.poll() is None
    child.communicate()
