"""Charm code that has outlived its agent."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from undercroft_uniter.runner.leftover import end_leftover, forget, note


@pytest.fixture
def hook() -> Iterator[subprocess.Popen[bytes]]:
    """A hook that hangs, in a session of its own, as hooks are run."""
    with subprocess.Popen(["/bin/sleep", "300"], start_new_session=True) as process:
        yield process
        process.kill()


def has_ended(process: subprocess.Popen[bytes]) -> bool:
    return process.poll() is not None


async def test_what_was_noted_and_still_runs_is_killed(
    tmp_path: Path, hook: subprocess.Popen[bytes], caplog: pytest.LogCaptureFixture
) -> None:
    note(tmp_path / "running.json", hook.pid)

    await end_leftover(tmp_path / "running.json")

    assert has_ended(hook)
    assert hook.returncode == -signal.SIGKILL
    assert f"process {hook.pid} of a hook has outlived the agent" in caplog.text
    assert list(tmp_path.iterdir()) == []


async def test_what_was_forgotten_lives_on(tmp_path: Path, hook: subprocess.Popen[bytes]) -> None:
    note(tmp_path / "running.json", hook.pid)
    forget(tmp_path / "running.json")

    await end_leftover(tmp_path / "running.json")

    assert not has_ended(hook)


async def test_another_process_of_that_pid_lives_on(tmp_path: Path, hook: subprocess.Popen[bytes]) -> None:
    path = tmp_path / "running.json"
    path.write_text(f'{{"pid": {hook.pid}, "started": 1}}')

    await end_leftover(path)

    assert not has_ended(hook)
    assert not path.exists()


async def test_one_that_is_no_leader_of_a_group_is_no_hook(tmp_path: Path) -> None:
    with subprocess.Popen(["/bin/sleep", "300"]) as other:
        note(tmp_path / "running.json", other.pid)

        await end_leftover(tmp_path / "running.json")

        assert not has_ended(other)
        other.kill()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"pid": "x"}', b"\xff"])
async def test_a_note_that_was_not_written_whole_is_nothing(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "running.json"
    path.write_bytes(content)

    await end_leftover(path)

    assert not path.exists()


async def test_a_note_that_cannot_be_written_is_told_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    note(tmp_path / "missing" / "running.json", os.getpid())

    assert "nobody will know" in caplog.text


async def test_a_process_that_has_ended_already_is_not_worth_a_note(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with subprocess.Popen(["/bin/true"]) as ended:
        ended.wait()

    note(tmp_path / "running.json", ended.pid)

    assert not (tmp_path / "running.json").exists()
    assert not caplog.records
