"""What the agent says to the service manager: one datagram for each change (see sd_notify(3)).

Without `NOTIFY_SOCKET` in the environment every call does nothing. A message that cannot be sent at once is dropped:
the service manager's slowness must never become the agent's.
"""

from __future__ import annotations

import logging
import os
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

_log = logging.getLogger(__name__)

_MICROSECONDS = 1_000_000
_LONGEST_STATUS = 500


class Notifier:
    """A connection to the service manager's notification socket; a context manager that closes it."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._socket: socket.socket | None = None
        self.watchdog_seconds = _watchdog_seconds(environment)
        """How long the service manager waits for a ping before it kills the agent; None if it does not."""
        path = environment.get("NOTIFY_SOCKET", "")
        if path:
            self._connect(path)

    @property
    def is_connected(self) -> bool:
        """Whether there is somebody to notify."""
        return self._socket is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; further messages go nowhere."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def ready(self, status: str = "") -> None:
        """The agent is up, or has finished a reload."""
        self._send("READY=1", *_status(status))

    def status(self, status: str) -> None:
        """One line for `systemctl status`."""
        self._send(*_status(status))

    def ping(self) -> None:
        """The agent makes progress."""
        self._send("WATCHDOG=1")

    def reloading(self, monotonic_seconds: float) -> None:
        """A reload has begun, at that moment of CLOCK_MONOTONIC; `ready` ends it."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={int(monotonic_seconds * _MICROSECONDS)}")

    def stopping(self, status: str = "stopping") -> None:
        """The agent has begun to stop."""
        self._send("STOPPING=1", *_status(status))

    def extend_timeout(self, seconds: float) -> None:
        """Ask for that much more time, counted from now, for what is under way."""
        self._send(f"EXTEND_TIMEOUT_USEC={int(seconds * _MICROSECONDS)}")

    def _connect(self, path: str) -> None:
        # "@" stands for the NUL byte that begins a name in the abstract namespace.
        address = "\0" + path[1:] if path.startswith("@") else path
        if not path.startswith(("@", "/")):
            _log.warning(
                "NOTIFY_SOCKET=%s is neither a path nor an abstract name; the service manager is not told", path
            )
            return
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
        try:
            connection.connect(address)
        except OSError as error:
            connection.close()
            _log.warning("the service manager's socket %s cannot be reached: %s", path, error)
            return
        self._socket = connection

    def _send(self, *fields: str) -> None:
        if self._socket is None or not fields:
            return
        try:
            self._socket.send("\n".join(fields).encode("utf-8", "replace"))
        except OSError as error:
            _log.debug("a message to the service manager was dropped: %s", error)


def service_words(environment: Mapping[str, str], cgroup: str) -> tuple[str, ...]:
    """What names this process's service to systemctl: `("undercroft.service",)`; nothing if it is none.

    A service of a user's own manager is named with `--user`. `cgroup` is the content of /proc/self/cgroup.
    INVOCATION_ID alone does not tell: a shell in a user's session has one from whatever started that session.
    """
    if "INVOCATION_ID" not in environment:
        return ()
    for line in cgroup.splitlines():
        above, _, last = line.rpartition("/")
        if last.endswith(".service") and not last.startswith("user@"):
            return ("--user", last) if "/user@" in above else (last,)
    return ()


def _status(text: str) -> list[str]:
    line = " ".join(text.split())[:_LONGEST_STATUS]
    return [f"STATUS={line}"] if line else []


def _watchdog_seconds(environment: Mapping[str, str]) -> float | None:
    microseconds = environment.get("WATCHDOG_USEC", "")
    # Set for another process if it names one: an agent started by a wrapper that inherited it must not answer for it.
    if not microseconds.isdigit() or int(microseconds) == 0:
        return None
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(microseconds) / _MICROSECONDS
