"""libudev, through pyudev: the list of devices, and the events of the kernel or of udevd on the loop."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, Self

import pyudev

from undercroft_hookspecs.errors import UndercroftError

if TYPE_CHECKING:
    from undercroft_diskmanager.touched import Pending

EVENTS_AT_A_TIME = 128  # Three milliseconds' worth; the loop comes back for more.

Source = Literal["udev", "kernel"]

logger = logging.getLogger(__name__)


class LibudevMissingError(UndercroftError):
    """The C library behind pyudev is not installed."""


def new_context() -> pyudev.Context:
    """The connection to libudev; one is enough for everything.

    Raises:
        LibudevMissingError: libudev cannot be loaded.
    """
    try:
        return pyudev.Context()
    except ImportError as error:
        raise LibudevMissingError(f"libudev cannot be loaded ({error}): apt-get install libudev1") from error


def names(context: pyudev.Context) -> Sequence[str]:
    """The names of all block devices, as libudev enumerates them. Blocks."""
    return [device.sys_name for device in context.list_devices(subsystem="block")]


class Monitor:
    """Touches the devices that events are about; a context manager.

    The kernel filters by subsystem where the source is udevd, libudev where it is the kernel itself. When the socket's
    buffer has overflowed, nothing that is known can be relied on: libudev's monitor is of no use any more, so another
    one is made, and everything is touched.
    """

    def __init__(
        self, context: pyudev.Context, pending: Pending, *, buffer_bytes: int, overflowed: Callable[[], None]
    ) -> None:
        self._context, self._pending = context, pending
        self._buffer_bytes, self._overflowed = buffer_bytes, overflowed
        self._loop = asyncio.get_running_loop()
        self._monitor: pyudev.Monitor | None = None
        self._source: Source = "kernel"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def listen(self, source: Source) -> None:
        """Listen to this source from now on, and to no other; everything is touched."""
        self._close()
        self._source = source
        monitor = pyudev.Monitor.from_netlink(self._context, source=source)
        monitor.filter_by("block")
        with contextlib.suppress(OSError):  # More than the system's limit is for root; without it the default stays.
            monitor.set_receive_buffer_size(self._buffer_bytes)
        monitor.start()
        self._monitor = monitor
        self._loop.add_reader(monitor.fileno(), self._on_readable)
        # Only now: what happened before this monitor listened is seen by reading everything.
        self._pending.touch_everything()

    def _close(self) -> None:
        if self._monitor is not None:
            self._loop.remove_reader(self._monitor.fileno())
            self._monitor = None  # Its last reference: libudev closes the socket.

    def _on_readable(self) -> None:
        assert self._monitor is not None
        try:
            for _ in range(EVENTS_AT_A_TIME):
                device = self._monitor.poll(timeout=0)
                if device is None:  # Never by truth: a device without properties counts as false.
                    return
                self._pending.touch(device.sys_name)
        except OSError as error:
            self._recover(error)

    def _recover(self, error: OSError) -> None:
        # As text: the error's traceback would keep the old monitor, and its socket, alive with the log record.
        logger.warning("lost events of block devices (%s): everything is read again", str(error))
        self._overflowed()
        try:
            self.listen(self._source)
        except OSError as failure:
            self._pending.fail(failure)
