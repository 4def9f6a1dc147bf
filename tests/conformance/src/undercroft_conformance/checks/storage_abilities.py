"""What a storage provider says that it can do besides, it does, and can be asked for twice."""

from __future__ import annotations

from typing import Any

from undercroft_conformance.checks.storage import FIRST, StorageCase, attached
from undercroft_conformance.rules import storage as rules
from undercroft_conformance.verdict import Broken, Check, NotApplicable, describe, expect
from undercroft_hookspecs.errors import NotFoundError, NotValidError
from undercroft_hookspecs.identity import FilesystemId, VolumeId
from undercroft_hookspecs.storage import PermanentError


def _able(case: StorageCase, word: str) -> tuple[Any, VolumeId | FilesystemId]:  # Any: what else it is, `can` says.
    """The source, and the entity that it is asked about. Raises NotApplicable: it does not say that it can."""
    if word not in case.known_maker.provider.can:
        raise NotApplicable(f"it does not say that it can {word!r}")
    return case.source, (FilesystemId if case.kind == "filesystem" else VolumeId).parse(FIRST)


async def grow(case: StorageCase) -> None:
    """It grows while it is attached and while it is not, and asked again stays as it is."""
    source, entity = _able(case, "grow")
    async with case.tidied():
        params, _ = await attached(case)
        for factor, how in ((2, "attached"), (3, "detached")):
            if how == "detached":
                await source.detach(params)
            wanted = case.size_mib * factor
            first, second = await source.grow(entity, wanted), await source.grow(entity, wanted)
            expect(first.size_mib >= wanted, f"{how}, it was to grow to {wanted} MiB, and has {first.size_mib}")
            expect(first == second, f"grow() gives {first}, and asked again {second}")


async def snapshot(case: StorageCase) -> None:
    """A snapshot taken twice is one, and removed twice is gone."""
    source, entity = _able(case, "snapshot")
    async with case.tidied():
        params, _ = await attached(case)
        first, second = await source.snapshot(entity, "first"), await source.snapshot(entity, "first")
        expect(first and first == second, f"snapshot() gives {first!r}, and asked again {second!r}")
        other = await source.snapshot(entity, "second")
        expect(other != first, f"two snapshots are both called {first!r}")
        for name in ("first", "first", "second"):
            await source.remove_snapshot(entity, name)
        await source.detach(params)


async def release(case: StorageCase) -> None:
    """What is let go of is let go of once."""
    source, entity = _able(case, "release")
    async with case.tidied():
        await case.create()
        await source.release(entity)
        await source.release(entity)


async def import_missing(case: StorageCase) -> None:
    """What is not there cannot be taken over."""
    source, entity = _able(case, "import")
    async with case.tidied():
        try:
            info = await source.import_existing(entity, "there-is-no-such-thing")
        except (PermanentError, NotFoundError, NotValidError):
            return
        except Exception as error:
            raise Broken(f"there is no such thing, and import_existing() raises {describe(error)}") from error
        raise Broken(f"there is no such thing, and import_existing() gives {info}")


CHECKS: tuple[Check[StorageCase], ...] = (
    Check(rules.GROW, grow),
    Check(rules.SNAPSHOT, snapshot),
    Check(rules.RELEASE, release),
    Check(rules.IMPORT_MISSING, import_missing),
)
