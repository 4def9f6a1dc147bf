from __future__ import annotations

import json
from collections.abc import Mapping

import pytest

from undercroft.cli.demo_view import DocumentView, LineView, LiveView, compare, describe, plugin_rows, rows_of, size
from undercroft.cli.session import CommandSession
from undercroft_hookspecs import BlockDevice

SDA = BlockDevice(device_name="sda", size_mib=256 * 1024, in_use=True)
SDB = BlockDevice(device_name="sdb", size_mib=64, filesystem_type="ext4", label="hello", mount_point="/mnt")

PLUGINS: Mapping[str, object] = {
    "plugins": [
        {"name": "acme", "state": "active", "version": "1.0", "why": ""},
        {"name": "beta", "state": "broken", "version": "", "why": "no"},
    ]
}
GRAPH: Mapping[str, object] = {
    "manifolds": {
        "a": {"state": "started", "plugin": "acme", "inputs": ["b", "c"], "error": None},
        "b": {"state": "starting", "plugin": "acme", "inputs": [], "error": "gone"},
    }
}


@pytest.mark.parametrize(
    ("mib", "text"),
    [
        (0, "0 MiB"),
        (64, "64 MiB"),
        (1024, "1 GiB"),
        (1536, "1.5 GiB"),
        (2**20, "1 TiB"),
        (1023 * 2**10, "1023 GiB"),
        (2**41, "2048 PiB"),
    ],
)
def test_a_size_is_written_as_people_say_it(mib: int, text: str) -> None:
    assert size(mib) == text


def test_what_is_different_is_found_by_name() -> None:
    changed = BlockDevice(device_name="sda", size_mib=1)

    assert compare([SDA], [changed, SDB]) == [("changed", changed), ("added", SDB)]
    assert compare([SDA, SDB], [SDB]) == [("removed", SDA)]
    assert compare([SDA], [SDA]) == []


def test_a_device_in_one_line() -> None:
    assert describe(SDA) == "sda, 256 GiB, in use"
    assert describe(SDB) == "sdb, 64 MiB, ext4, hello, mounted at /mnt"


def test_columns_that_no_device_fills_are_left_out() -> None:
    assert list(rows_of([SDA])[0]) == ["name", "kind", "size", "in_use"]
    assert rows_of([]) == []


def test_why_is_shown_where_a_plugin_is_not_active() -> None:
    assert plugin_rows(PLUGINS)[1]["why"] == "no"
    assert plugin_rows({}) == []


def test_lines_tell_everything_once_and_then_the_changes(capsys: pytest.CaptureFixture[str]) -> None:
    view = LineView()

    view.begin(PLUGINS, GRAPH, [SDA])
    begun = capsys.readouterr().out
    view.update([SDA, SDB])
    view.close()
    changed = capsys.readouterr().out

    assert "block devices\nNAME" in begun
    assert "gone" in begun
    assert changed == "added: sdb, 64 MiB, ext4, hello, mounted at /mnt\n"


def test_lines_say_where_there_is_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    LineView().begin({}, {}, [])

    assert capsys.readouterr().out == "plugins\nnone\n\nworkers\nnone\n\nblock devices\nnone\n"


def test_documents_are_one_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    session = CommandSession({})
    session.options["format"] = "json"
    view = DocumentView(session)

    view.begin(PLUGINS, GRAPH, [SDA])
    view.update([SDB])
    view.close()
    first, second = map(json.loads, capsys.readouterr().out.splitlines())

    assert [worker["name"] for worker in first["workers"]] == ["a", "b"]
    assert second["changes"] == [{"change": "removed", "device": "sda"}, {"change": "added", "device": "sdb"}]
    assert [device["device_name"] for device in second["block_devices"]] == ["sdb"]


def test_a_picture_shows_the_last_changes(capsys: pytest.CaptureFixture[str]) -> None:
    view = LiveView(once=False)

    view.begin(PLUGINS, GRAPH, [SDA])
    view.update([SDA, SDB])
    view.close()

    assert "added: sdb" in capsys.readouterr().out


def test_a_picture_counts_what_does_not_fit(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LINES", "20")
    monkeypatch.setenv("COLUMNS", "100")
    view = LiveView(once=False)

    view.begin(PLUGINS, GRAPH, [BlockDevice(device_name=f"loop{number:02}") for number in range(40)])
    view.close()

    assert "... and " in capsys.readouterr().out


def test_a_picture_for_once_is_drawn_whole(capsys: pytest.CaptureFixture[str]) -> None:
    view = LiveView(once=True)

    view.begin(PLUGINS, GRAPH, [BlockDevice(device_name=f"loop{number:02}") for number in range(99)])
    view.close()

    assert "loop98" in capsys.readouterr().out
