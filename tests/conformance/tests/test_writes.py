from __future__ import annotations

import os
import socket
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from undercroft_conformance.writes import outside, writes


def bind(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))


def connect(path: Path) -> None:
    sqlite3.connect(path).close()


WAYS: dict[str, Callable[[Path], object]] = {
    "open": lambda path: path.write_text("x"),
    "append": lambda path: path.open("a").close(),
    "os.open": lambda path: os.close(os.open(path, os.O_CREAT | os.O_RDWR)),
    "mkdir": lambda path: path.mkdir(),
    "symlink": lambda path: path.symlink_to("nowhere"),
    "bind": bind,
    "sqlite": connect,
}


@pytest.mark.parametrize("way", WAYS)
def test_a_write_is_seen(way: str, tmp_path: Path) -> None:
    with writes() as paths:
        WAYS[way](tmp_path / "it")

    assert str(tmp_path / "it") in paths


@pytest.mark.parametrize("change", ["unlink", "rename", "chmod", "truncate"])
def test_a_change_is_seen(change: str, tmp_path: Path) -> None:
    path = tmp_path / "it"
    path.write_text("x")
    changes: dict[str, Callable[[], object]] = {
        "unlink": path.unlink,
        "rename": lambda: path.rename(tmp_path / "other"),
        "chmod": lambda: path.chmod(0o600),
        "truncate": lambda: os.truncate(path, 0),
    }

    with writes() as paths:
        changes[change]()

    assert str(path) in paths


def test_reading_is_not_writing(tmp_path: Path) -> None:
    (tmp_path / "it").write_text("x")

    with writes() as paths:
        (tmp_path / "it").read_text()
        list(tmp_path.iterdir())

    assert paths == []


def test_what_is_nobodys_business_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "__pycache__").mkdir()

    with writes() as paths:
        Path("/dev/null").write_text("x")
        (tmp_path / "__pycache__" / "it.pyc").write_text("x")
        sqlite3.connect(":memory:").close()
        with socket.socket() as made:
            made.bind(("127.0.0.1", 0))

    assert paths == []


def test_nothing_is_seen_afterwards(tmp_path: Path) -> None:
    with writes() as paths:
        pass
    (tmp_path / "it").write_text("x")

    assert paths == []


def test_outside_looks_through_links_and_takes_each_path_once(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to("data")
    inside = str(tmp_path / "link" / "file")
    beside = str(tmp_path / "data-of-others")

    assert outside([inside, beside, beside], [tmp_path / "data"]) == [beside]
