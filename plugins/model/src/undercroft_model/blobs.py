"""Charm archives and resources, each kept under the SHA-256 of its content, at a URL that fsspec opens.

A folder of this machine is the default. There, a blob is written durably and appears whole. Elsewhere (s3://, gs://,
sftp://, https:// for reading...) it depends on the service whether half a blob can be seen; nobody is harmed by one, as
every blob is verified as it is read, and one of the wrong size is written again.

Every call to a service has a time limit, and is made in a thread of its own, which is abandoned when that is over:
nothing can interrupt a thread, and the loop's executor is not to be eaten up by a service that hangs.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import hashlib
import os
import re
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar
from urllib.parse import urlsplit

from undercroft.clock import SystemClock, alarm
from undercroft.files import ChecksumError, copy, in_thread
from undercroft_hookspecs.errors import AlreadyExistsError, NotFoundError, NotValidError, UndercroftError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from undercroft_hookspecs.worker import Clock

P = ParamSpec("P")
T = TypeVar("T")

CHUNK_BYTES = 4 * 1024 * 1024
SECONDS = 60.0
PAUSE_SECONDS = 0.05

_SHA256 = re.compile(r"[0-9a-f]{64}")
_OPTIONS: Mapping[str, Any] = {}  # Any: what a file system takes is known to it alone.


class BlobError(UndercroftError):
    """The blobs' service failed, has not answered in time, or cannot do what is asked."""


class Blobs:
    """The blobs at `url`: a folder, or any URL of fsspec, with `options` for its file system.

    A blob is named by its SHA-256 in hexadecimal. Any number of callers and machines may use one place.
    """

    def __init__(
        self, url: str, *, options: Mapping[str, Any] = _OPTIONS, clock: Clock | None = None, timeout: float = SECONDS
    ) -> None:
        self._url = url
        self._clock: Clock = clock or SystemClock()
        self._timeout = timeout
        self._folder = _local_folder(url)
        # Any: fsspec has no types.
        self._filesystem: Any = None
        self._root = ""
        if self._folder is None:
            self._filesystem, self._root = _opened(url, options)

    async def put(self, source: Path, *, claim: Callable[[str], Awaitable[None]] | None = None) -> str:
        """Keep the content of a file, and give its SHA-256. What is there already is not written again.

        `claim` is awaited with the SHA-256 before anything is looked for or written.

        Raises:
            BlobError: the place cannot be written to.
        """
        sha256, size = await in_thread(_measured, source)
        if claim is not None:
            await claim(sha256)
        if self._folder is not None:
            await self._put_locally(self._folder, source, sha256)
        elif await self._size(sha256) != size:
            await self._upload(source, sha256)
        return sha256

    async def fetch(self, sha256: str, to: Path) -> None:
        """Write the blob to `to`, verified, durably, and whole or not at all.

        Raises:
            NotFoundError: there is no such blob.
            ChecksumError: what is kept is damaged.
            BlobError: it cannot be read.
        """
        name = _checked(sha256)
        if self._folder is None:
            await self._download(name, to)
            return
        try:
            await copy(self._path(self._folder, name), to, expected=name)
        except FileNotFoundError as error:
            if await in_thread(self._path(self._folder, name).exists):
                raise  # It is the place to write to that is missing.
            raise self._missing(name) from error

    async def has(self, sha256: str) -> bool:
        """Whether there is such a blob; it may be damaged."""
        return await self._size(_checked(sha256)) is not None

    async def ids(self) -> frozenset[str]:
        """The SHA-256 of every blob. Who needs which is not known here."""
        if self._folder is not None:
            found = await in_thread(_names_in, self._folder)
        else:
            found = await self._call(self._names)
        return frozenset(name for name in found if _SHA256.fullmatch(name))

    async def remove(self, sha256: str) -> None:
        """Remove a blob; one that is not there is no error."""
        name = _checked(sha256)
        if self._folder is not None:
            await in_thread(self._path(self._folder, name).unlink, missing_ok=True)
            return
        with contextlib.suppress(FileNotFoundError):
            await self._call(self._filesystem.rm_file, self._key(name))

    async def _put_locally(self, folder: Path, source: Path, name: str) -> None:
        path = self._path(folder, name)
        until = self._clock.monotonic() + self._timeout
        while not await self._copied(source, path, name):
            # Somebody else is writing the same; nothing tells when that is over, not even if it is given up.
            if self._clock.monotonic() > until:
                raise BlobError(f"{path} is being written by somebody else for more than {self._timeout:g} s")
            await self._clock.sleep(PAUSE_SECONDS)

    async def _copied(self, source: Path, path: Path, name: str) -> bool:
        """Whether the blob is there now; not if somebody else is writing it."""
        with contextlib.suppress(OSError):
            if (await in_thread(_measured, path))[0] == name:
                return True  # One that is damaged is written again.
        try:
            await in_thread(path.parent.mkdir, mode=0o700, parents=True, exist_ok=True)
            await copy(source, path, expected=name)
        except AlreadyExistsError:
            return False
        except ChecksumError as error:
            raise BlobError(f"{source} was changed while it was being kept; try again") from error
        except OSError as error:
            raise self._failed(error) from error
        return True

    async def _upload(self, source: Path, name: str) -> None:
        key = self._key(name)
        try:
            await self._call(self._filesystem.makedirs, key.rpartition("/")[0], exist_ok=True)
            file = await self._call(self._filesystem.open, key, "wb")
        except NotImplementedError as error:
            raise BlobError(f"the blobs at {_shown(self._url)} can be read only") from error
        try:
            await self._send(source, file, name)
        except BaseException:
            # Closing the file, or forgetting it, would make half a blob of it.
            with contextlib.suppress(Exception):
                file.discard()
            raise
        await self._call(file.close)

    # Any: fsspec has no types.
    async def _send(self, source: Path, file: Any, name: str) -> None:
        digest = hashlib.sha256()
        with await in_thread(source.open, "rb") as opened:
            while chunk := await in_thread(opened.read, CHUNK_BYTES):
                digest.update(chunk)
                await self._call(file.write, chunk)
        if digest.hexdigest() != name:
            raise BlobError(f"{source} was changed while it was being kept; try again")

    async def _download(self, name: str, to: Path) -> None:
        part = to.with_name(f".{to.name}.download")
        digest = hashlib.sha256()
        try:
            remote = await self._call(self._filesystem.open, self._key(name), "rb")
        except FileNotFoundError as error:
            raise self._missing(name) from error
        try:
            with await in_thread(_private, part) as file:
                while chunk := await self._call(remote.read, CHUNK_BYTES):
                    digest.update(chunk)
                    await in_thread(file.write, chunk)
            if digest.hexdigest() != name:
                raise ChecksumError(Path(self._key(name)), name, digest.hexdigest())
            await copy(part, to, expected=name)
        finally:
            await in_thread(part.unlink, missing_ok=True)
            remote.close()

    async def _size(self, name: str) -> int | None:
        """The size of a blob; None where there is none."""
        try:
            if self._folder is not None:
                return (await in_thread(self._path(self._folder, name).stat)).st_size
            size: int = (await self._call(self._filesystem.info, self._key(name)))["size"]
        except FileNotFoundError:
            return None
        return size

    def _names(self) -> list[str]:
        try:
            return [str(path).rpartition("/")[2] for path in self._filesystem.find(self._root)]
        except FileNotFoundError:
            return []

    def _path(self, folder: Path, name: str) -> Path:
        return folder / name[:2] / name

    def _key(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name[:2]}/{name}"

    def _missing(self, name: str) -> NotFoundError:
        return NotFoundError(name, f"there is no blob {name} at {_shown(self._url)}")

    def _failed(self, error: BaseException) -> BlobError:
        said = " ".join(str(error).split()) or type(error).__name__
        return BlobError(f"the blobs at {_shown(self._url)} cannot be used: {said}")

    async def _call(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call the service in a thread of its own, for as long as the time limit allows."""
        try:
            return await _within(self._clock, self._timeout, functools.partial(work, *args, **kwargs))
        except (FileNotFoundError, NotImplementedError):
            raise
        except TimeoutError as error:
            raise BlobError(f"the blobs at {_shown(self._url)} did not answer in {self._timeout:g} s") from error
        except Exception as error:  # An edge: each service has errors of its own.
            raise self._failed(error) from error


async def _within(clock: Clock, seconds: float, work: Callable[[], T]) -> T:
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, error: BaseException | None) -> None:
        if done.done():
            return
        if error is not None:
            done.set_exception(error)
        else:
            done.set_result(result)  # type: ignore[arg-type]  # T may be None itself.

    def run() -> None:
        try:
            outcome: tuple[T | None, BaseException | None] = work(), None
        except BaseException as error:  # It is handed to the caller.
            outcome = None, error
        with contextlib.suppress(RuntimeError):  # The loop is closed: nobody waits any more.
            loop.call_soon_threadsafe(settle, *outcome)

    timer = alarm(clock, seconds, lambda: settle(None, TimeoutError()))
    try:
        threading.Thread(target=run, name="undercroft-blobs", daemon=True).start()
        return await done
    finally:
        timer.cancel()


def _local_folder(url: str) -> Path | None:
    """The folder of a URL without a scheme, or with that of files."""
    scheme, colon, rest = url.partition("://")
    if not colon:
        return Path(url).absolute()
    if scheme in {"file", "local"}:
        return Path(rest).absolute()
    return None


# Any: fsspec has no types.
def _opened(url: str, options: Mapping[str, Any]) -> tuple[Any, str]:
    import fsspec  # type: ignore[import-untyped]  # noqa: PLC0415 - a folder is to do without it.

    try:
        filesystem, root = fsspec.core.url_to_fs(url, **options)
    except ImportError as error:
        raise NotValidError(
            f"blobs: {_shown(url)} needs a package that is not installed: {error}", field="blobs"
        ) from error
    except ValueError as error:
        raise NotValidError(f"blobs: {_shown(url)} is no URL that can be opened: {error}", field="blobs") from error
    return filesystem, str(root)


def _shown(url: str) -> str:
    """A URL without what may be a password."""
    parts = urlsplit(url)
    return url if "@" not in parts.netloc else parts._replace(netloc="...@" + parts.netloc.rpartition("@")[2]).geturl()


def _checked(sha256: str) -> str:
    if _SHA256.fullmatch(sha256) is None:
        raise NotValidError(f"{sha256[:80]!r} is not the SHA-256 of a blob", field="sha256")
    return sha256


def _measured(source: Path) -> tuple[str, int]:
    digest = hashlib.sha256()
    with source.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
        return digest.hexdigest(), file.tell()


def _names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.glob("[0-9a-f][0-9a-f]/*") if path.is_file()]


# Any: see above.
def _private(path: Path) -> Any:
    path.unlink(missing_ok=True)
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")
