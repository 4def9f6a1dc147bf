"""Machines that are cleaned up after their test."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.e2e.machine import OneMachine

from undercroft.linux import mountinfo


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[OneMachine]:
    """A machine whose agent is not started yet; nothing of it may be left mounted."""
    machine = OneMachine(tmp_path)
    yield machine
    if machine.agent is not None:
        with contextlib.suppress(Exception):
            machine.end()
    left = [mount.target for mount in mountinfo.read() if mount.target.startswith(str(tmp_path))]
    assert not left, f"left mounted: {left}"
