from __future__ import annotations

import asyncio
import ctypes
import os
from pathlib import Path

import pytest

from undercroft.linux import mountinfo
from undercroft.linux.mountinfo import Mount

PATIENCE = 10.0


def test_all_fields_are_told() -> None:
    line = "36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 propagate_from:2 - ext3 /dev/root rw,errors=continue\n"

    assert mountinfo.parse(line) == [
        Mount(36, 35, 98, 0, "/mnt1", "/mnt2", "rw,noatime", "ext3", "/dev/root", "rw,errors=continue")
    ]


@pytest.mark.parametrize(
    ("escaped", "plain"),
    [
        (r"/a\040b", "/a b"),
        (r"/a\011b\012c", "/a\tb\nc"),
        (r"/a\134040", "/a\\040"),
        ("/plain", "/plain"),
        (r"/odd\9", r"/odd\9"),
    ],
)
def test_the_kernels_escapes_are_undone(escaped: str, plain: str) -> None:
    (mount,) = mountinfo.parse(f"1 0 8:1 / {escaped} rw - ext4 /dev/sda1 rw\n")

    assert mount.target == plain


def test_a_mount_point_with_a_form_feed_is_one_line() -> None:
    (mount,) = mountinfo.parse("1 0 8:1 / /a\x0cb\x85c rw - ext4 /dev/sda1 rw\n")

    assert mount.target == "/a\x0cb\x85c"


@pytest.mark.parametrize(
    "line", ["", "nonsense", "1 0 8:1 / /x rw shared:1", "a 0 8:1 / /x rw - ext4 y rw", "1 0 8 / /x rw - a b c"]
)
def test_what_is_not_understood_is_left_out(line: str) -> None:
    assert mountinfo.parse(line + "\n") == []


def test_a_mount_without_super_options_is_understood() -> None:
    (mount,) = mountinfo.parse("1 0 0:5 / /x rw - tmpfs none\n")

    assert mount.super_options == ""


def test_this_machine_has_a_root() -> None:
    assert any(mount.target == "/" for mount in mountinfo.read())


@pytest.mark.root
async def test_each_mount_and_unmount_is_noticed_and_nothing_else(tmp_path: Path) -> None:
    changes = asyncio.Queue[None]()
    libc = ctypes.CDLL(None, use_errno=True)
    target = os.fsencode(tmp_path)

    async with mountinfo.watch(lambda: changes.put_nowait(None)):
        assert libc.mount(b"none", target, b"tmpfs", 0, b"size=1m") == 0, os.strerror(ctypes.get_errno())
        try:
            async with asyncio.timeout(PATIENCE):
                await changes.get()
            assert str(tmp_path) in {mount.target for mount in mountinfo.read()}
        finally:
            libc.umount(target)
        async with asyncio.timeout(PATIENCE):
            await changes.get()

    assert str(tmp_path) not in {mount.target for mount in mountinfo.read()}
