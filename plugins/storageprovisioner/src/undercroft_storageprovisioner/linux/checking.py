"""Filesystems that were not left in order: what they say of themselves, and what their checkers find and mend.

ext4 says in its superblock whether its journal is to be replayed and whether errors were found, and its checker mends
what can be mended without a question. xfs and btrfs are made so that the mount itself puts right what a crash left:
their checkers are asked only what is wrong where the kernel refuses the mount, and mend nothing by themselves.
"""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from undercroft_hookspecs import CommandFailedError, PermanentError
from undercroft_storageprovisioner.threads import in_thread

if TYPE_CHECKING:
    from pathlib import Path

    from undercroft_hookspecs import Clock, Completed, Process

CHECK_SECONDS = 1800.0
FREE_SECONDS = 5.0
LOOK_SECONDS = 0.02
CORRECTED, UNCORRECTED, FAILED = 1, 4, 8
"""Bits of e2fsck's exit status, of its manual page."""
_SUPERBLOCK = 1024
_STATE, _INCOMPAT = _SUPERBLOCK + 58, _SUPERBLOCK + 96
"""Where ext4 has `s_state` and `s_feature_incompat`."""
_VALID, _RECOVER = 0x1, 0x4
_SAID = 300

_ASKED = {"xfs": ("xfs_repair", "-n"), "btrfs": ("btrfs", "check", "--readonly")}
_PACKAGES = {"e2fsck": "e2fsprogs", "xfs_repair": "xfsprogs", "btrfs": "btrfs-progs"}


class Checker:
    """Looks at filesystems that are not mounted."""

    def __init__(self, process: Process, clock: Clock) -> None:
        self._process, self._clock = process, clock

    async def put_right(self, device: Path, kind: str, policy: str) -> str:
        """Mend a filesystem before it is mounted, if it is not in order; says what was found, else nothing.

        `policy` is that of a pool: `repair`, `check` or `never`.

        Raises:
            PermanentError: it is damaged, and somebody has to look at it.
        """
        if kind != "ext4" or policy == "never" or not await self._is_free(device):
            return ""
        is_unclean, has_errors = await in_thread(state, device)
        if not is_unclean and not has_errors:
            return ""
        if policy == "check":
            # The checker cannot replay a journal without writing, and would find fault with what the mount puts right.
            return await self._look(device) if has_errors else ""
        return await self._mend(device, has_errors=has_errors)

    async def mend_by_force(self, device: Path) -> None:
        """Have ext4 be checked as a whole, which it has to be before it is made larger. Raises PermanentError."""
        await self._is_free(device)
        _refuse_damaged(device, await self._run("e2fsck", "-f", "-p", device))

    async def what_is_wrong(self, device: Path, kind: str) -> str:
        """What the checker says of a filesystem that the kernel refuses to mount; nothing if it is in order."""
        asked = _ASKED.get(kind, ("e2fsck", "-n"))
        done = await self._run(*asked, device)
        if done.returncode == 0:
            return ""
        return f"look at it with `{' '.join(asked)} {device}`, which says: {_said(done)}"

    async def _is_free(self, device: Path) -> bool:
        """Whether nobody has it mounted.

        The kernel has a moment's work with what was unmounted after it is seen nowhere any more, and tells nobody of
        its end: until then the filesystem looks as if it had not been unmounted.
        """
        waited = 0.0
        while await in_thread(is_taken, device):
            if waited >= FREE_SECONDS:
                return False
            await self._clock.sleep(LOOK_SECONDS)
            waited += LOOK_SECONDS
        return True

    async def _look(self, device: Path) -> str:
        done = await self._run("e2fsck", "-f", "-n", device)
        _refuse_damaged(device, done)
        return "it says of itself that it has errors, and its check found none"

    async def _mend(self, device: Path, *, has_errors: bool) -> str:
        done = await self._run("e2fsck", "-p", device)
        _refuse_damaged(device, done)
        if done.returncode & CORRECTED:
            return f"errors were mended before it was mounted: {_said(done)}"
        if has_errors:
            return f"it was checked before it was mounted: {_said(done)}"
        return "it had not been unmounted: its journal was replayed, and it is in order"

    async def _run(self, *argv: str | Path) -> Completed:
        try:
            return await self._process.run([str(word) for word in argv], timeout=CHECK_SECONDS, check=False)
        except LookupError as error:
            program = str(argv[0])
            message = f"cannot check a filesystem: {program} is missing; install {_PACKAGES[program]}"
            raise PermanentError(message) from error


def _refuse_damaged(device: Path, done: Completed) -> None:
    if done.returncode & UNCORRECTED:
        raise PermanentError(f"{device} is damaged; run `e2fsck {device}` and look: {_said(done)}")
    if done.returncode & FAILED or done.returncode < 0:
        raise CommandFailedError(done)


def _said(done: Completed) -> str:
    text = (done.stdout + b" " + done.stderr).decode("utf-8", "replace")
    return " ".join(text.split())[-_SAID:]


def is_taken(device: Path) -> bool:
    """Whether somebody has a device for himself, as a mount has."""
    try:
        os.close(os.open(device, os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC))
    except OSError as error:
        return error.errno == errno.EBUSY
    return False


def state(device: Path) -> tuple[bool, bool]:
    """Whether ext4's journal is to be replayed, and whether it says that it has errors."""
    opened = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
    try:
        state = int.from_bytes(os.pread(opened, 2, _STATE), "little")
        incompat = int.from_bytes(os.pread(opened, 4, _INCOMPAT), "little")
    finally:
        os.close(opened)
    return bool(incompat & _RECOVER), state != _VALID
