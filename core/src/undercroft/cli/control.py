"""Ask the running agent one thing, over its control socket: blocking, so that a command needs no event loop for it."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import msgspec

from undercroft.agent.address import SOCKET
from undercroft.cli.exits import NotRunningError, RefusedError
from undercroft.linux.sockets import short

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

PATIENCE_SECONDS = 60.0

_PIECE = 1 << 16


def ask(data_dir: Path, request: Mapping[str, object], *, patience: float = PATIENCE_SECONDS) -> Mapping[str, object]:
    """Send one request and return the answer.

    Raises:
        NotRunningError: nobody listens there, or the agent went away meanwhile.
        RefusedError: the agent answered with an error.
        TimeoutError: nothing was heard of it for `patience` seconds.
    """
    path = data_dir / SOCKET
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(patience)
        try:
            with short(path) as address:
                connection.connect(address)
            connection.sendall(msgspec.json.encode(request) + b"\n")
            line = _line(connection)
        except TimeoutError:
            raise TimeoutError(f"the agent on {data_dir} did not answer within {patience:g} seconds") from None
        except PermissionError:
            raise RefusedError("PermissionError", f"{path} belongs to another user; run this as that user") from None
        except OSError as error:
            raise _not_running(data_dir) from error
    if not line:
        raise _not_running(data_dir)
    return _checked(line)


def _line(connection: socket.socket) -> bytes:
    received = bytearray()
    while piece := connection.recv(_PIECE):
        received += piece
        if piece.endswith(b"\n"):
            return bytes(received)
    return b""


def _checked(line: bytes) -> Mapping[str, object]:
    answer = msgspec.json.decode(line, type=dict[str, object])
    refusal = answer.get("error") if set(answer) == {"error"} else None
    if isinstance(refusal, dict) and "kind" in refusal:
        raise RefusedError(str(refusal["kind"]), str(refusal.get("message", "")))
    return answer


def _not_running(data_dir: Path) -> NotRunningError:
    return NotRunningError(f"no agent is running on {data_dir}; start one with `undercroft agent`, or name its --data")
