"""What a source of filesystems or volumes makes of strange sizes, ids and folders, of haste, and of being cut off."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from undercroft_conformance.checks.storage import StorageCase, attached
from undercroft_conformance.drive import turns
from undercroft_conformance.rules import storage as rules
from undercroft_conformance.verdict import Broken, Check, NotApplicable, describe, expect
from undercroft_hookspecs.errors import NotValidError
from undercroft_hookspecs.storage import PermanentError

ABSURD_MIB = 1 << 44
"""16 EiB: the largest size that an operator can write."""
STRANGE = ("7", "0/7", "0/lxd/1/7", "0/2147483647")
MANY = tuple(f"0/{number}" for number in range(10, 14))
MOMENTS = (0, 1, 2, 5, 20)
"""After how many turns of the loop a call is cancelled."""


async def size_larger(case: StorageCase) -> None:
    """Asked for again and larger, it is larger or refused."""
    async with case.tidied():
        await case.create()
        larger = case.size_mib * 2
        try:
            info = await case.create(size_mib=larger)
        except Exception:
            return
        expect(info.size_mib >= larger, f"{larger} MiB were asked for, and without a word it has {info.size_mib}")


async def size_absurd(case: StorageCase) -> None:
    """An absurd size is refused for good, and does not get into the way of another."""
    async with case.tidied():
        try:
            await case.create(size_mib=ABSURD_MIB)
        except (PermanentError, NotValidError):
            pass
        except Exception as error:
            raise Broken(f"asked for {ABSURD_MIB} MiB, it raises {describe(error)}, which is tried again") from error
        await case.destroy()
        info = await case.create()
        expect(info.size_mib >= case.size_mib, f"after an absurd size {case.size_mib} MiB gave {info.size_mib}")


async def ids_apart(case: StorageCase) -> None:
    """Ids that differ in their machine alone are different things."""
    async with case.tidied(*STRANGE):
        names = {entity: (await case.create(entity)).provider_id for entity in STRANGE}
        expect(len(set(names.values())) == len(names), f"two of these have one name: {names}")
        for entity, name in names.items():
            await case.source.attach(case.attachment(name, entity))
        for entity, name in names.items():
            await case.source.detach(case.attachment(name, entity))
            await case.destroy(entity)


async def attach_missing(case: StorageCase) -> None:
    """What was never made is not attached."""
    async with case.tidied():
        try:
            info = await case.source.attach(case.attachment("never-made"))
        except Exception:
            return
        raise Broken(f"it was never made, and attach() gives {info}")


async def attach_read_only(case: StorageCase) -> None:
    """Read-only is read-only, or refused."""
    async with case.tidied():
        params = case.attachment((await case.create()).provider_id, read_only=True)
        try:
            info = await case.source.attach(params)
        except (PermanentError, NotValidError):
            return
        expect(info.read_only, f"read-only was asked for, and the answer is {info}")
        if case.kind == "filesystem":
            with suppress(OSError):
                Path(info.path, "written").write_text("written")
                raise Broken("read-only was asked for, and a file can be written")


async def attach_content(case: StorageCase) -> None:
    """A folder with something in it keeps it."""
    if case.kind != "filesystem":
        raise NotApplicable("a volume is mounted nowhere")
    async with case.tidied():
        params = case.attachment((await case.create()).provider_id)
        assert params.path is not None, "a filesystem has one"
        params.path.mkdir()
        theirs = params.path / "theirs"
        theirs.write_text("theirs")
        with suppress(Exception):  # Refusing is right; what counts is the file.
            await case.source.attach(params)
        expect(theirs.is_file(), f"{theirs} was there, and attach() has hidden or removed it")
        with suppress(Exception):
            await case.source.detach(params)
        expect(theirs.is_file(), f"{theirs} was there, and detach() has removed it")
        theirs.unlink()
        params.path.rmdir()


async def at_once(case: StorageCase) -> None:
    """Several go through a whole round at the same time."""
    async with case.tidied(*MANY), asyncio.TaskGroup() as group:
        for entity in MANY:
            group.create_task(case.round(entity))


async def call_cancelled(case: StorageCase) -> None:
    """Each call is cut off at several moments, and made again."""
    async with case.tidied():
        params = case.attachment((await case.create()).provider_id)
        await case.destroy()
        calls: tuple[Callable[[], Awaitable[object]], ...] = (
            case.create,
            lambda: case.source.attach(params),
            lambda: case.source.detach(params),
            case.destroy,
        )
        for moment in MOMENTS:
            for call in calls:
                await _cut_off(call, moment)
                await call()


async def _cut_off(call: Callable[[], Awaitable[object]], moment: int) -> None:
    task = asyncio.ensure_future(call())
    await turns(moment)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def restart_same(case: StorageCase) -> None:
    """A source made anew gives the same answers."""
    async with case.tidied():
        made = await case.create()
        params, first = await attached(case)
        anew = case.anew()
        found = await anew.create()
        expect(found == made, f"create() gave {made}, and after a restart {found}")
        second = await anew.source.attach(params)
        expect(second == first, f"attach() gave {first}, and after a restart {second}")


async def restart_clean(case: StorageCase) -> None:
    """A source made anew detaches and destroys."""
    async with case.tidied():
        params, info = await attached(case)
        anew = case.anew()
        await anew.source.detach(params)
        await anew.destroy()
        if case.kind == "filesystem":
            place = Path(info.path)
            expect(not place.is_mount() and not place.is_symlink(), f"after a restart {place} stays attached")
        await case.round()


CHECKS: tuple[Check[StorageCase], ...] = (
    Check(rules.SIZE_LARGER, size_larger),
    Check(rules.SIZE_ABSURD, size_absurd),
    Check(rules.IDS_APART, ids_apart),
    Check(rules.ATTACH_MISSING, attach_missing),
    Check(rules.ATTACH_READ_ONLY, attach_read_only),
    Check(rules.ATTACH_CONTENT, attach_content),
    Check(rules.AT_ONCE, at_once),
    Check(rules.CALL_CANCELLED, call_cancelled),
    Check(rules.RESTART_SAME, restart_same),
    Check(rules.RESTART_CLEAN, restart_clean),
)
