from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
from plugins.diskmanager.tests.conftest import Machine, Recorder

from undercroft.testing import StubContext, clean_kill
from undercroft.testing.agent import FakeAgent
from undercroft_diskmanager import check, udev
from undercroft_diskmanager.plugin import (
    Config,
    undercroft_check,
    undercroft_config,
    undercroft_manifolds,
)
from undercroft_diskmanager.worker import DiskManager


def test_the_config_has_defaults_and_refuses_what_it_does_not_know() -> None:
    assert undercroft_config() is Config
    assert msgspec.convert({}, Config) == Config(resync_seconds=300.0, blkid="blkid")
    with pytest.raises(msgspec.ValidationError, match="resync"):
        msgspec.convert({"resync": 3}, Config)


@pytest.mark.parametrize(
    "section", [{"resync_seconds": 0}, {"resync_seconds": "often"}, {"blkid": 1}, {"receive_buffer_bytes": 1}]
)
def test_values_out_of_range_are_refused(section: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(section, Config)


async def test_the_manifold_starts_the_worker_on_the_models_facade() -> None:
    recorder = Recorder()
    manifold = undercroft_manifolds(FakeAgent())["disk-manager"]

    started = manifold.start(StubContext({"model": recorder}))

    assert manifold.inputs == ("model",)
    assert isinstance(started, DiskManager)
    await recorder.until(lambda: bool(recorder.lists))
    await clean_kill(started)


def test_loading_the_plugin_loads_neither_pyudev_nor_asyncio() -> None:
    code = (
        "import sys, undercroft_diskmanager.plugin as p;"
        "print([m for m in ('pyudev', 'asyncio', 'rich') if m in sys.modules])"
    )

    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert said == "[]\n"


def test_loading_the_command_loads_click_alone() -> None:
    code = (
        "import sys, undercroft_diskmanager.command as c;"
        "print([m for m in ('pyudev', 'asyncio', 'rich', 'msgspec', 'undercroft_hookspecs') if m in sys.modules])"
    )

    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    assert said == "[]\n"


def test_the_check_tells_what_is_missing_and_the_remedy(machine: Machine) -> None:
    told = check.missing(Config(blkid="no-such-blkid"), roots=machine.roots, uid=1000)

    assert [sentence.split(",")[0] for sentence in told] == [
        "There is no program 'no-such-blkid'",
        "udevd is not running",
        "Only root may open disks: all are taken to be in use. Run the agent as root.",
    ]
    assert all("apt-get install" in sentence for sentence in told[:2])


def test_a_host_without_libudev_is_told(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise ImportError("No library named udev")

    monkeypatch.setattr("pyudev.Context", refuse)

    told = check.missing(Config(), roots=machine.roots, uid=0)

    assert told[0] == "libudev cannot be loaded (No library named udev): apt-get install libudev1"
    with pytest.raises(udev.LibudevMissingError):
        udev.new_context()


def test_the_hook_checks_this_host() -> None:
    told = undercroft_check(FakeAgent(config=Config(blkid="no-such-blkid")))

    assert any("no-such-blkid" in sentence for sentence in told)


async def test_the_names_that_libudev_enumerates_are_those_of_sysfs(machine: Machine) -> None:
    names = {name.replace("/", "!") for name in udev.names(udev.new_context())}

    assert names == {path.name for path in Path("/sys/class/block").iterdir()}
    assert replace(machine.roots, sys=Path("/sys")).sys.exists()
