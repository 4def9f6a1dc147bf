"""Machines that are rebooted by somebody else."""

from __future__ import annotations

from pathlib import Path

import pytest

from undercroft.cli.main import main
from undercroft_uniter.rebootdone import BOOT_ID, boot_id


def test_boot_is_the_kernels_until_somebody_says_more(tmp_path: Path) -> None:
    assert boot_id(tmp_path) == BOOT_ID.read_text().strip()


def test_whoever_says_that_it_is_done_begins_a_new_boot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    seen = [boot_id(tmp_path)]
    for _ in range(2):
        assert main(["reboot-done", "--data", str(tmp_path)]) == 0
        seen.append(boot_id(tmp_path))
    assert len(set(seen)) == 3
    assert "go on within a minute" in capsys.readouterr().err
