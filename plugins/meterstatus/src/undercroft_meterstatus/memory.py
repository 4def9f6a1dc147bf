"""What must not be forgotten: what the charm was told last, and since when the unit is cut off."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import msgspec

from undercroft.clock import boot_seconds
from undercroft.files import in_thread, write_atomic
from undercroft_hookspecs import Clock, NotValidError
from undercroft_hookspecs.state import MeterStatus

BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Moment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A moment, by the clock that runs since the boot (suspend included), and by the wall's for after another boot."""

    boot: str
    boot_seconds: float
    wall: datetime

    def elapsed(self, boot: str, clock: Clock) -> float:
        """How many seconds ago it was, `boot` being the present one; never less than 0."""
        if boot == self.boot:
            return max(0.0, boot_seconds(clock) - self.boot_seconds)
        return max(0.0, (clock.now() - self.wall).total_seconds())

    @classmethod
    def present(cls, boot: str, clock: Clock) -> Moment:
        """This moment."""
        return cls(boot=boot, boot_seconds=boot_seconds(clock), wall=clock.now())


class Memory(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the charm was told last (None: nothing yet), and since when the unit is cut off (None: it is not)."""

    told: MeterStatus | None = None
    isolated: Moment | None = None


async def recall(path: Path) -> Memory:
    """What was kept last.

    Raises:
        NotValidError: the file is damaged.
    """
    content = await in_thread(_read, path)
    if content is None:
        return Memory()
    try:
        return msgspec.json.decode(content, type=Memory)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        message = f"{path} is damaged ({error}): remove it, and the charm is told its meter status anew"
        raise NotValidError(message, field=path.name) from error


async def keep(path: Path, memory: Memory) -> None:
    """Keep it, durably."""
    await write_atomic(path, msgspec.json.encode(memory))


async def boot_id() -> str:
    """Which boot of the machine this is; empty where the kernel does not say."""
    return (await in_thread(_read, BOOT_ID) or b"").decode().strip()


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
