"""Know whether udevd is running, and notice at once when it comes or goes.

Its control socket is what tells. A killed udevd leaves the socket's file behind, so it has to answer: connecting is
answered by the kernel, without the daemon taking notice. Whoever listens there is then watched through a pidfd; under
systemd that is systemd itself, which starts the daemon again whenever there is an event.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Self

from undercroft.clock import alarm
from undercroft.linux.pidfd import open_pidfd
from undercroft.linux.sockets import peer_pid
from undercroft.linux.watch import IN_CREATE, IN_DELETE, IN_DELETE_SELF, IN_MOVED_TO, Inotify

if TYPE_CHECKING:
    from undercroft.clock import Alarm
    from undercroft_hookspecs.worker import Clock

LISTEN_SECONDS = 0.5  # Between the making of the socket's file and listening on it.
FOLDER_EVENTS = IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_DELETE_SELF


def find(udev: Path) -> int | None:
    """The pid of who listens for udevd; 0 if that cannot be told; None if nobody does."""
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)) as control:
        control.setblocking(False)
        try:
            control.connect(str(udev / "control"))
        except (PermissionError, BlockingIOError):
            return 0  # There is one, though not for us, or it is busy.
        except OSError:
            return None
        return peer_pid(control)


class UdevdWatch:
    """Calls `changed` on the loop after udevd has come or gone; a context manager. `is_alive` says how it is."""

    def __init__(self, udev: Path, changed: Callable[[], None], *, clock: Clock) -> None:
        self._udev, self._changed, self._clock = udev, changed, clock
        self._loop = asyncio.get_running_loop()
        self._again: Alarm | None = None
        self._pid: int | None = None
        self._pidfd = -1
        self._inotify = Inotify(self._on_file)

    @property
    def is_alive(self) -> bool:
        """Whether udevd was there when last looked."""
        return self._pid is not None

    def __enter__(self) -> Self:
        self._look()
        return self

    def __exit__(self, *_: object) -> None:
        if self._again is not None:
            self._again.cancel()
        self._inotify.close()
        self._forget()

    def check(self) -> None:
        """Look now, and tell if it is not as before."""
        before = self._pid
        self._look()
        if before != self._pid:
            self._changed()

    def _look(self) -> None:
        # Watched before looked at, so that nothing falls in between; the folder itself may come later, or go.
        if not self._inotify.watch(self._udev, FOLDER_EVENTS):
            self._inotify.watch(self._udev.parent, FOLDER_EVENTS)
        pid = find(self._udev)
        if pid != self._pid:
            self._forget()
            self._pid = pid
            self._follow()

    def _follow(self) -> None:
        if not self._pid:
            return
        try:
            self._pidfd = open_pidfd(self._pid)
        except OSError:
            return  # Gone already, or in a namespace that we cannot see: the socket's file has to do.
        self._loop.add_reader(self._pidfd, self._on_death)

    def _forget(self) -> None:
        if self._pidfd >= 0:
            self._loop.remove_reader(self._pidfd)
            os.close(self._pidfd)
            self._pidfd = -1

    def _on_death(self) -> None:
        self._forget()
        self.check()

    def _on_file(self, _: Path, name: str) -> None:
        if name not in ("", "control", self._udev.name):
            return
        self.check()
        if self._again is not None:
            self._again.cancel()
        self._again = alarm(self._clock, LISTEN_SECONDS, self.check)
