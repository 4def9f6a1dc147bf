"""One hook at a time on this machine, in the order in which they asked; but none for ever.

Hooks of one unit are one at a time whatever happens: charms keep files that bear no second one beside them. Within the
agent the machine's lock is a queue. An agent that runs as root takes a lock on a file, too, which is for all agents of
the machine. A hook that has kept others waiting for longer than `patience` is named, and they go on without it.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import logging
import os
import stat
import threading
from collections import deque
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from undercroft import NoOpWorker
from undercroft.clock import alarm
from undercroft.dependency import OutputError
from undercroft_uniter.jujuc.connection import deadline
from undercroft_uniter.seams import MachineLock

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from undercroft.clock import Alarm
    from undercroft_hookspecs import Clock, Worker

LOCK_FILE = Path("/run/lock/undercroft-hooks.lock")
ATTEMPTS = 10

_log = logging.getLogger(__name__)


class HookLock:
    """The seam `MachineLock`. With a `file` it is shared with whoever else locks that file."""

    def __init__(self, *, patience: float, clock: Clock, file: Path | None) -> None:
        self._patience, self._clock, self._file = patience, clock, file
        self._holder: _Holding | None = None
        self._is_taken = False  # From the moment that it is handed on, before who waited for it has noticed.
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._units: WeakValueDictionary[tuple[str, str], OneUnitLock] = WeakValueDictionary()

    def of(self, model: str, unit: str) -> OneUnitLock:
        """The lock as one unit takes it: the same for all that asks while anybody has it."""
        return self._units.setdefault((model, unit), OneUnitLock(self))

    def report(self) -> dict[str, object]:
        """Who has the lock, and how many wait for it."""
        holder = self._holder
        return {"holder": str(holder) if holder is not None else "", "waiting": len(self._waiting)}

    @asynccontextmanager
    async def held(self, unit: str, script: str) -> AsyncIterator[None]:
        """The lock, for as long as the block runs, or until patience with it has run out."""
        await self._take_turn()
        holding = self._holder = _Holding(unit, script)
        try:
            if self._file is not None:
                holding.descriptor = await self._lock_file(self._file, holding)
            holding.timer = alarm(self._clock, self._patience, lambda: self._lose_patience(holding))
            yield
        finally:
            self._release(holding)

    async def _lock_file(self, file: Path, holding: _Holding) -> int:
        """A descriptor of the file, locked; -1 if somebody else has kept it for too long: no other agent does that."""
        try:
            async with deadline(self._clock, self._patience):
                return await _lock(file)
        except TimeoutError:
            _log.warning(
                "another process has kept %s locked for %.0f s: %s goes on without waiting for it any longer",
                file,
                self._patience,
                holding,
            )
            return -1

    async def _take_turn(self) -> None:
        if not self._is_taken:
            self._is_taken = True
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._pass_on()  # It was given the lock just before.
            elif turn in self._waiting:
                self._waiting.remove(turn)
            raise

    def _lose_patience(self, holding: _Holding) -> None:
        _log.warning(
            "%s has kept the hooks of this machine waiting for %.0f s: they go on without waiting for it any longer",
            holding,
            self._patience,
        )
        self._release(holding)

    def _release(self, holding: _Holding) -> None:
        holding.let_go()
        if self._holder is holding:
            self._holder = None
            self._pass_on()

    def _pass_on(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._is_taken = False


class OneUnitLock:
    """The seam `UnitLock`."""

    def __init__(self, machine: HookLock) -> None:
        self._machine, self._own = machine, asyncio.Lock()

    @asynccontextmanager
    async def held(self, unit: str, script: str) -> AsyncIterator[None]:
        """The unit's lock, and then the machine's."""
        async with self._own, self._machine.held(unit, script):
            yield

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """The unit's lock only."""
        async with self._own:
            yield


class _Holding:
    """That one hook has the lock."""

    def __init__(self, unit: str, script: str) -> None:
        self._unit, self._script = unit, script
        self.descriptor = -1
        self.timer: Alarm | None = None

    def __str__(self) -> str:
        return f"{self._script} of unit {self._unit}"

    def let_go(self) -> None:
        """Give up the file's lock, and the patience; again does nothing."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


async def _lock(file: Path) -> int:
    """A descriptor of the file, locked. Where somebody else has it a thread waits, which a cancellation leaves behind:
    what it wins after that it gives back at once."""
    descriptor = _open(file)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return await _wait_for(descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _open(file: Path) -> int:
    """A descriptor of the file, which is ours: the folder is everybody's, and what others put there is put away."""
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
    for _ in range(ATTEMPTS):
        try:
            # Without O_CREAT: the kernel refuses that for a file of somebody else in such a folder.
            descriptor = os.open(file, flags)
        except FileNotFoundError:
            with suppress(FileExistsError):
                return os.open(file, flags | os.O_CREAT | os.O_EXCL, 0o600)
            continue
        except OSError as error:
            if error.errno not in (errno.ELOOP, errno.ENXIO):  # A link, or a socket.
                raise
        else:
            found = os.fstat(descriptor)
            if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid():
                return descriptor
            os.close(descriptor)
        file.unlink(missing_ok=True)
    raise OSError(errno.EBUSY, "somebody else goes on putting a file of theirs there", str(file))


async def _wait_for(descriptor: int) -> int:
    loop = asyncio.get_running_loop()
    won: asyncio.Future[None] = loop.create_future()
    guard = threading.Lock()
    is_abandoned = has_won = False

    def tell() -> None:
        if not won.done():
            won.set_result(None)

    def wait() -> None:
        nonlocal has_won
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with guard:
            if is_abandoned:
                os.close(descriptor)
            else:
                has_won = True
                loop.call_soon_threadsafe(tell)

    threading.Thread(target=wait, name="machine lock", daemon=True).start()
    try:
        await won
    except BaseException:
        with guard:
            is_abandoned = True
            if has_won:
                os.close(descriptor)
        raise
    return descriptor


def shared_file() -> Path | None:
    """The file that the agents of this machine share, for one that runs as root."""
    return LOCK_FILE if os.geteuid() == 0 and LOCK_FILE.parent.is_dir() else None


class MachineLockWorker(NoOpWorker):
    """The worker of the manifold `machine-lock`, which only has to be there."""

    def __init__(self, lock: HookLock) -> None:
        super().__init__()
        self.lock = lock

    def report(self) -> dict[str, object]:
        """Who has the lock, and how many wait for it."""
        return self.lock.report()


def machine_lock_output(worker: Worker, kind: type) -> object:
    """The output function of the manifold `machine-lock`: MachineLock alone."""
    if not isinstance(worker, MachineLockWorker):
        raise OutputError(f"{type(worker).__name__} is not the worker of the machine lock")
    if kind is not MachineLock:
        raise OutputError(f"machine-lock puts out MachineLock, not {kind.__name__}")
    return worker.lock
