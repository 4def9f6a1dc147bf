from __future__ import annotations

import errno

import pytest

from undercroft_diskmanager.touched import EVERYTHING, Pending
from undercroft_diskmanager.udev import Monitor, new_context


@pytest.fixture
def overflows() -> list[None]:
    return []


async def test_after_an_overflow_another_monitor_listens_and_everything_is_touched(overflows: list[None]) -> None:
    pending = Pending()

    with Monitor(new_context(), pending, buffer_bytes=4096, overflowed=lambda: overflows.append(None)) as monitor:
        monitor.listen("kernel")
        await pending.take()
        monitor._recover(OSError(errno.ENOBUFS, "No buffer space available"))

        assert await pending.take() == EVERYTHING
    assert len(overflows) == 1


async def test_if_there_is_no_other_monitor_to_be_had_that_is_the_takers_error(
    overflows: list[None], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    pending = Pending()
    with Monitor(new_context(), pending, buffer_bytes=4096, overflowed=lambda: overflows.append(None)) as monitor:
        monitor.listen("kernel")
        await pending.take()
        monkeypatch.setattr("pyudev.Monitor.from_netlink", refuse)
        monitor._recover(OSError(errno.ENOBUFS, "No buffer space available"))

        with pytest.raises(OSError, match="Too many open files"):
            await pending.take()
