from __future__ import annotations

import os
import socket
from pathlib import Path

from undercroft.linux.sockets import peer_pid, peer_uid, short


def test_a_short_path_is_its_own_address() -> None:
    with short(Path("/run/a.sock")) as address:
        assert address == "/run/a.sock"


def test_a_path_too_long_for_an_address_can_be_bound_and_connected(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 120)
    deep.mkdir()
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as client:
        with short(deep / "a.sock") as address:
            listener.bind(address)
        listener.listen()
        with short(deep / "a.sock") as address:
            client.connect(address)

    assert (deep / "a.sock").is_socket()


def test_the_peer_is_whom_the_kernel_says() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert (peer_uid(ours), peer_pid(ours)) == (os.geteuid(), os.getpid())
