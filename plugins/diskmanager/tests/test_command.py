from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal, TypeVar

import msgspec
import pytest
from click.testing import CliRunner
from plugins.diskmanager.tests.conftest import PATIENCE, Loops

from undercroft_diskmanager import command
from undercroft_diskmanager.command import disks
from undercroft_hookspecs import UndercroftError
from undercroft_hookspecs.records import BlockDevice

C = TypeVar("C", bound=msgspec.Struct)
T = TypeVar("T")

DEVICES = (
    BlockDevice(device_name="sda", size_mib=256 * 1024, in_use=True, mount_point="/srv\x1b[31m"),
    BlockDevice(device_name="sda1", kind="part", size_mib=100, filesystem_type="ext4", label="data", uuid="u"),
    BlockDevice(device_name="sdb", size_mib=1_907_729, uuid="6f1c7fd2"),
)


class Published:
    """The view of the model, in which an agent has published some devices."""

    def __init__(self, devices: Sequence[BlockDevice]) -> None:
        self._devices = devices

    async def block_devices(self) -> Sequence[BlockDevice]:
        return self._devices


class FakeSession:
    """A session that answers on the terminal of the test; with an agent whose disk manager is in a `state`, or none."""

    def __init__(
        self,
        form: Literal["table", "json", "yaml"] = "table",
        *,
        state: str = "",
        published: Sequence[BlockDevice] = (),
    ) -> None:
        self._state, self._published = state, published
        self.format = form
        self.model = None
        self.store = "sqlite:"
        self.data_dir = Path("absent")

    def config(self, kind: type[C]) -> C:
        return kind()

    @asynccontextmanager
    async def open(self, name: str, kind: type[T]) -> AsyncIterator[T]:
        assert name == "model"
        yield Published(self._published)  # type: ignore[misc]

    def run(self, main: Coroutine[object, object, T]) -> T:
        return asyncio.run(main)

    def emit(self, document: object, *, table: Callable[[], str] | None = None) -> None:
        assert table is not None
        print(table() if self.format == "table" else msgspec.json.encode(document).decode())

    def ask(self, request: Mapping[str, object]) -> Mapping[str, object]:
        if not self._state:
            raise UndercroftError("no agent runs")
        return {"manifolds": {"disk-manager": {"state": self._state}}}


def follow_forever(devices: Sequence[BlockDevice]) -> Callable[[object, object], Coroutine[object, object, None]]:
    """A `_follow` that shows one list, and then is interrupted."""

    async def follow(session: object, _: object) -> None:
        command._show(session, devices)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    return follow


def test_the_table_has_a_line_for_each_device() -> None:
    lines = command._table(DEVICES).split("\n")

    assert lines == [
        "NAME  KIND      SIZE  TYPE  LABEL/UUID  MOUNTED    IN USE",
        "sda   disk   256 GiB                    /srv?[31m  yes",
        "sda1  part   100 MiB  ext4  data                   no",
        "sdb   disk  1.82 TiB        6f1c7fd2               no",
    ]


@pytest.mark.parametrize(
    ("mib", "shown"),
    [
        (0, "0 MiB"),
        (1, "1 MiB"),
        (1023, "1023 MiB"),
        (1024, "1 GiB"),
        (1536, "1.5 GiB"),
        (2**20, "1 TiB"),
        (2**41, "2048 PiB"),
    ],
)
def test_sizes_are_for_people(mib: int, shown: str) -> None:
    assert command._size(mib) == shown


def test_this_machines_devices_are_listed_for_programs() -> None:
    result = CliRunner().invoke(disks, [], obj=FakeSession("json"))

    assert result.exit_code == 0
    assert all(device["device_name"] for device in json.loads(result.output))


def test_with_an_agent_up_its_list_is_shown() -> None:
    result = CliRunner().invoke(disks, [], obj=FakeSession("json", state="started", published=DEVICES))

    assert [device["device_name"] for device in json.loads(result.output)] == ["sda", "sda1", "sdb"]


@pytest.mark.parametrize(("state", "published"), [("stopped", DEVICES), ("started", ())])
def test_a_list_that_nobody_keeps_is_not_shown(state: str, published: Sequence[BlockDevice]) -> None:
    result = CliRunner().invoke(disks, [], obj=FakeSession("json", state=state, published=published))

    assert "sda1" not in {device["device_name"] for device in json.loads(result.output)}


def test_this_machines_devices_are_listed_for_people() -> None:
    result = CliRunner().invoke(disks, [], obj=FakeSession())

    assert result.exit_code == 0
    assert result.output.startswith("NAME")


@pytest.mark.parametrize("form", ["json", "table", "yaml"])
def test_watching_shows_each_list_and_ends_well_when_interrupted(
    form: Literal["table", "json", "yaml"], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "_follow", follow_forever(DEVICES))

    result = CliRunner().invoke(disks, ["--watch"], obj=FakeSession(form))

    assert result.exit_code == 0
    assert "sda1" in result.output
    if form == "json":
        assert len(result.output.splitlines()) == 1


@pytest.mark.root
def test_the_real_command_follows_a_real_device_until_ctrl_c(loops: Loops, tmp_path: Path) -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "undercroft", "disks", "--watch", "--format", "json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "UNDERCROFT_DATA": str(tmp_path / "data")},
    )
    assert child.stdout is not None

    before = json.loads(child.stdout.readline())
    device = loops.attach(16).removeprefix("/dev/")
    after = json.loads(child.stdout.readline())
    child.send_signal(signal.SIGINT)
    _, errors = child.communicate(timeout=PATIENCE)

    assert device not in {each["device_name"] for each in before}
    assert [each["size_mib"] for each in after if each["device_name"] == device] == [16]
    assert (child.returncode, errors) == (0, "")
