"""Back up, restore and check a store's file. Synchronous; none of it needs the agent, and only restoring minds it."""

from __future__ import annotations

import fcntl
import os
from contextlib import ExitStack, closing, contextmanager, suppress
from typing import TYPE_CHECKING
from uuid import uuid4

from undercroft.files import sync
from undercroft_hookspecs.errors import AlreadyExistsError, NotFoundError, UndercroftError
from undercroft_model.signalfile import alone
from undercroft_model.soundness import Verdict, judge
from undercroft_model.sqlite import Connection, StoreDamagedError, log_path, make_private

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

AGENT_LOCK = "agent.lock"
"""What an agent holds locked in its data folder for as long as it runs."""


class BackupUnusableError(UndercroftError):
    """The file cannot be restored from; nothing was touched."""


class AgentRunsError(UndercroftError):
    """An agent runs on the data folder, and has to be stopped first."""


def backup(path: Path, target: Path, *, force: bool = False) -> Verdict:
    """Copy the store, as it is at one moment, into one file that is complete and checked; others go on meanwhile.

    Raises:
        NotFoundError: there is no store yet.
        AlreadyExistsError: the target is there, and `force` was not given. It stays as it is.
        StoreDamagedError: the store is damaged.
        OSError: the target cannot be written.
    """
    _require(path)
    if target.is_dir():
        raise AlreadyExistsError(str(target), f"{target} is a folder: name a file in it")
    if not force and (target.exists() or target.is_symlink()):
        raise _exists(target)
    with _draft(target) as draft:
        with closing(Connection(path, is_reader=True)) as source:
            verdict = _copy(source, draft)
        if verdict.problems:
            raise StoreDamagedError(path, "; ".join(verdict.problems))
        _put_in_place(draft, target, force=force)
        sync(target.parent)
    return verdict


def check(path: Path) -> Verdict:
    """Look for damage, with the agent up or down.

    Raises:
        NotFoundError: there is no store yet.
        StoreUnavailable: it cannot be read now.
    """
    _require(path)
    try:
        with closing(Connection(path, is_reader=True)) as connection:
            return judge(connection, path)
    except StoreDamagedError as error:
        return Verdict(problems=[error.reason])


def restore(path: Path, source: Path, *, data_dir: Path, now: datetime) -> tuple[Verdict, Path | None]:
    """Put a backup in the store's place, and keep the old file beside it; gives the name that it has now.

    A crash at any moment leaves the old store or the new one.

    Raises:
        NotFoundError: there is no such backup.
        BackupUnusableError: it is damaged, no store, or a newer version's.
        AgentRunsError: an agent runs on the data folder.
        StoreUnavailable: somebody else has the store open.
    """
    if not source.is_file():
        raise NotFoundError(str(source))
    with ExitStack() as held:
        held.enter_context(_no_agent(data_dir))
        draft = held.enter_context(_draft(path))
        verdict = _validated(source, draft)
        held.enter_context(alone(path))
        kept = _kept_name(path, now) if path.exists() else None
        if kept is not None:
            _set_aside(path, kept)
        draft.replace(path)
        sync(path.parent)
    return verdict, kept


def _put_in_place(draft: Path, target: Path, *, force: bool) -> None:
    if force:
        draft.replace(target)
        return
    try:
        os.link(draft, target)  # Fails, as a rename would not, if somebody else was faster.
    except FileExistsError:
        raise _exists(target) from None


def _validated(source: Path, draft: Path) -> Verdict:
    try:
        with closing(Connection(source, is_reader=True)) as connection:
            verdict = _copy(connection, draft)
    except (UndercroftError, OSError) as error:
        raise BackupUnusableError(f"{source} cannot be restored from: {getattr(error, 'reason', error)}") from error
    if verdict.problems:
        raise BackupUnusableError(f"{source} cannot be restored from: {'; '.join(verdict.problems)}")
    return verdict


def _copy(source: Connection, draft: Path) -> Verdict:
    """Copy a store into one file that stands alone, durably, and judge the copy."""
    make_private(draft)
    with closing(Connection(draft)) as copy:
        source.copy_to(copy)
        copy.row("PRAGMA journal_mode = DELETE")  # All in the one file, whoever copies it.
        return judge(copy, draft)


def _set_aside(path: Path, kept: Path) -> None:
    """Give the old store another name as well. Its log must not lie beside the new one, which it would be put into."""
    with suppress(StoreDamagedError), closing(Connection(path)) as last:
        last.row("SELECT count(*) FROM sqlite_schema")  # Whoever closes last takes the log into the file.
    log = log_path(path)
    os.link(path, kept)
    if log.exists():
        log.replace(log_path(kept))  # It is damaged, and goes with what it belongs to.
    path.with_name(f"{path.name}-shm").unlink(missing_ok=True)
    sync(path.parent)


def _kept_name(path: Path, now: datetime) -> Path:
    name = f"{path.name}-replaced-{now:%Y%m%d-%H%M%S}"
    free = (path.with_name(f"{name}{f'-{number}' if number else ''}") for number in range(1000))
    return next(candidate for candidate in free if not candidate.exists())


@contextmanager
def _draft(target: Path) -> Iterator[Path]:
    """A name beside `target` for what is not complete yet; nothing is left of it."""
    draft = target.with_name(f".{target.name}.{uuid4().hex[:8]}")
    try:
        yield draft
    finally:
        for each in (draft, log_path(draft), *(draft.with_name(f"{draft.name}-{end}") for end in ("shm", "journal"))):
            each.unlink(missing_ok=True)


@contextmanager
def _no_agent(data_dir: Path) -> Iterator[None]:
    """Keep agents from the data folder; the lock is that which they hold themselves."""
    descriptor = os.open(data_dir / AGENT_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AgentRunsError(
                f"an agent runs on {data_dir}: stop it first (`systemctl stop undercroft`, if it is the service)"
            ) from None
        yield
    finally:
        os.close(descriptor)


def _require(path: Path) -> None:
    if not path.is_file():
        raise NotFoundError(str(path), f"there is no store yet: {path}")


def _exists(target: Path) -> AlreadyExistsError:
    return AlreadyExistsError(str(target), f"{target} is there already: give another name, or --force to replace it")
