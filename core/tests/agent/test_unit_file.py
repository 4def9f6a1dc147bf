from __future__ import annotations

import configparser
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from undercroft.agent.unit_file import installed_command, unit_text


def service(text: str) -> configparser.SectionProxy:
    # interpolation=None: a `%` is systemd's.
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # Keys as they are written.
    parser.read_string(text)
    return parser["Service"]


def test_the_unit_file_starts_this_installation_on_that_folder() -> None:
    found = service(unit_text(command=Path("/opt/bin/undercroft"), data_dir=Path("/var/lib/undercroft")))

    assert found["ExecStart"] == "/opt/bin/undercroft agent"
    assert found["Environment"] == "UNDERCROFT_DATA=/var/lib/undercroft"
    assert found["Type"] == "notify"
    assert found["RestartForceExitStatus"] == "75"
    assert int(found["WatchdogSec"]) > 0


def test_paths_are_written_so_that_systemd_takes_them_as_they_are() -> None:
    found = service(unit_text(command=Path("/a b/$c%d/undercroft"), data_dir=Path('/x y/%z"$')))

    assert found["ExecStart"] == "/a\\x20b/$$c%%d/undercroft agent"
    assert found["Environment"] == 'UNDERCROFT_DATA=/x\\x20y/%%z\\"$'


def test_the_installed_command_is_a_file_that_can_be_run() -> None:
    assert os.access(installed_command(), os.X_OK)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze: apt-get install systemd")
def test_systemd_accepts_the_unit_file(tmp_path: Path) -> None:
    path = tmp_path / "undercroft.service"
    path.write_text(unit_text(command=installed_command(), data_dir=tmp_path))

    command = ["systemd-analyze", "verify", "--man=no", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    ours = [line for line in done.stderr.splitlines() if "undercroft" in line]
    assert (done.returncode, ours) == (0, [])
