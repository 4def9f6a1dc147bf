"""The contract of a provider's source of filesystems or volumes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from undercroft_conformance.drive import Bench, left_behind, look, turns
from undercroft_conformance.leaks import lines
from undercroft_conformance.rules import storage as rules
from undercroft_conformance.verdict import Check, NotApplicable, expect
from undercroft_hookspecs.identity import FilesystemId, MachineId, VolumeId
from undercroft_hookspecs.storage import (
    AttachInfo,
    AttachParams,
    FilesystemInfo,
    FilesystemParams,
    FilesystemSource,
    VolumeInfo,
    VolumeParams,
    VolumeSource,
)

NUMBERS = (0, 1)


@dataclass(frozen=True, slots=True)
class StorageCase:
    """One source, with how large things shall be and the folder under which they are mounted."""

    source: FilesystemSource | VolumeSource
    kind: Literal["filesystem", "volume"]
    size_mib: int
    folder: Path
    bench: Bench = field(default_factory=Bench)

    async def create(self, number: int = 0) -> FilesystemInfo | VolumeInfo:
        """Create an entity."""
        if self.kind == "filesystem":
            params = FilesystemParams(filesystem=FilesystemId.parse(f"0/{number}"), size_mib=self.size_mib)
            return await self.source.create(params)  # type: ignore[arg-type]  # `kind` says which source it is.
        wanted = VolumeParams(volume=VolumeId.parse(f"0/{number}"), size_mib=self.size_mib)
        return await self.source.create(wanted)  # type: ignore[arg-type]

    def attachment(self, provider_id: str, number: int = 0) -> AttachParams:
        """How an entity is attached."""
        identity = FilesystemId if self.kind == "filesystem" else VolumeId
        path = self.folder / f"mount-{number}" if self.kind == "filesystem" else None
        entity = identity.parse(f"0/{number}")
        return AttachParams(entity=entity, provider_id=provider_id, machine=MachineId.parse("0"), path=path)

    async def destroy(self, number: int = 0) -> None:
        """Destroy an entity."""
        identity = FilesystemId if self.kind == "filesystem" else VolumeId
        await self.source.destroy(identity.parse(f"0/{number}"))  # type: ignore[arg-type]

    @asynccontextmanager
    async def tidied(self) -> AsyncIterator[None]:
        """Afterwards nothing is there, whatever happened."""
        try:
            yield
        finally:
            for number in NUMBERS:
                with suppress(Exception):  # Whatever is wrong with it has been found, or will be by its own rule.
                    info = await self.create(number)
                    await self.source.detach(self.attachment(info.provider_id, number))
                with suppress(Exception):
                    await self.destroy(number)


async def create_info(case: StorageCase) -> None:
    """What is created has a name of its provider's."""
    async with case.tidied():
        info = await case.create()
        kind = FilesystemInfo if case.kind == "filesystem" else VolumeInfo
        expect(isinstance(info, kind), f"create() gives {type(info).__name__}, not {kind.__name__}")
        expect(info.provider_id, f"the provider's name for it is {info.provider_id!r}")


async def create_twice(case: StorageCase) -> None:
    """Created again, it is the one that is there."""
    async with case.tidied():
        first, second = await case.create(), await case.create()
        expect(first == second, f"create() gives {first}, and asked again {second}")


async def create_size(case: StorageCase) -> None:
    """It is as large as was asked for."""
    async with case.tidied():
        info = await case.create()
        expect(info.size_mib >= case.size_mib, f"{case.size_mib} MiB were asked for, and it has {info.size_mib}")


async def create_apart(case: StorageCase) -> None:
    """Two entities are two things."""
    async with case.tidied():
        first, second = await case.create(0), await case.create(1)
        expect(first.provider_id != second.provider_id, f"two of them are both called {first.provider_id!r}")
        await case.destroy(0)
        again = await case.create(1)
        expect(again == second, f"one was destroyed, and the other, {second}, is now {again}")


async def _attached(case: StorageCase) -> tuple[AttachParams, AttachInfo]:
    info = await case.create()
    params = case.attachment(info.provider_id)
    return params, await case.source.attach(params)


async def attach_info(case: StorageCase) -> None:
    """The answer says where it is, and there it is."""
    async with case.tidied():
        _, info = await _attached(case)
        expect(isinstance(info, AttachInfo), f"attach() gives {type(info).__name__}, not AttachInfo")
        if case.kind == "filesystem":
            is_there = Path(info.path).is_absolute() and Path(info.path).is_dir()
            expect(is_there, f"it is said to be mounted on {info.path!r}, which is no folder")
        else:
            expect(info.device_name or info.device_link, f"the answer names no device: {info}")


async def attach_twice(case: StorageCase) -> None:
    """Attached again, the answer is the same."""
    async with case.tidied():
        params, first = await _attached(case)
        second = await case.source.attach(params)
        expect(first == second, f"attach() gives {first}, and asked again {second}")


async def attach_again(case: StorageCase) -> None:
    """What was detached can be attached again."""
    async with case.tidied():
        params, first = await _attached(case)
        await case.source.detach(params)
        second = await case.source.attach(params)
        expect(second.path == first.path, f"it was on {first.path!r}, and attached again it is on {second.path!r}")


async def detach_absent(case: StorageCase) -> None:
    """Detaching what was never attached is nothing."""
    async with case.tidied():
        info = await case.create()
        await case.source.detach(case.attachment(info.provider_id))


async def detach_twice(case: StorageCase) -> None:
    """Detaching twice is nothing."""
    async with case.tidied():
        params, _ = await _attached(case)
        await case.source.detach(params)
        await case.source.detach(params)


async def destroy_missing(case: StorageCase) -> None:
    """Destroying what never was is nothing."""
    async with case.tidied():
        await case.destroy()


async def destroy_twice(case: StorageCase) -> None:
    """Destroying twice is nothing."""
    async with case.tidied():
        await case.create()
        await case.destroy()
        await case.destroy()


async def create_after_destroy(case: StorageCase) -> None:
    """What was destroyed can be created again, and is empty."""
    async with case.tidied():
        params, info = await _attached(case)
        if case.kind == "filesystem":
            Path(info.path, "old").write_text("old")
        await case.source.detach(params)
        await case.destroy()
        _, again = await _attached(case)
        if case.kind == "filesystem":
            expect(not Path(again.path, "old").exists(), "it was destroyed and created again, and its data is there")


async def keeps_data(case: StorageCase) -> None:
    """Detaching keeps what was written."""
    if case.kind != "filesystem":
        raise NotApplicable("a volume has no files")
    async with case.tidied():
        params, info = await _attached(case)
        Path(info.path, "kept").write_text("kept")
        await case.source.detach(params)
        again = await case.source.attach(params)
        expect(Path(again.path, "kept").exists(), "it was detached and attached again, and what was written is gone")


async def _round(case: StorageCase) -> None:
    params, _ = await _attached(case)
    await case.source.detach(params)
    await case.destroy()


async def source_clean(case: StorageCase) -> None:
    """A whole round leaves nothing."""
    async with case.tidied():
        await _round(case)
        before = look((case.folder,))
        for _ in range(3):
            await _round(case)
        left = await left_behind(before, (case.folder,))
        expect(not left, f"after it was destroyed there is:\n{lines(left)}")


async def source_loop_free(case: StorageCase) -> None:
    """A whole round never holds up the loop; the first does not count, for imports that come late."""
    async with case.tidied():
        await _round(case)
        stalls = case.bench.watch.stalls
        await turns(2)
        stalls.clear()
        await _round(case)
        await turns(2)
        expect(not stalls, "the loop was held up:\n" + "\n".join(f"  {stall}" for stall in stalls[:10]))


CHECKS: tuple[Check[StorageCase], ...] = (
    Check(rules.CREATE_INFO, create_info),
    Check(rules.CREATE_TWICE, create_twice),
    Check(rules.CREATE_SIZE, create_size),
    Check(rules.CREATE_APART, create_apart),
    Check(rules.ATTACH_INFO, attach_info),
    Check(rules.ATTACH_TWICE, attach_twice),
    Check(rules.ATTACH_AGAIN, attach_again),
    Check(rules.DETACH_ABSENT, detach_absent),
    Check(rules.DETACH_TWICE, detach_twice),
    Check(rules.DESTROY_MISSING, destroy_missing),
    Check(rules.DESTROY_TWICE, destroy_twice),
    Check(rules.CREATE_AFTER_DESTROY, create_after_destroy),
    Check(rules.KEEPS_DATA, keeps_data),
    Check(rules.SOURCE_CLEAN, source_clean),
    Check(rules.SOURCE_LOOP_FREE, source_loop_free),
)
