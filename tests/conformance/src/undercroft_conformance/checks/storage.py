"""The contract of a provider's source of filesystems or volumes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import msgspec

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
    StorageProvider,
    VolumeInfo,
    VolumeParams,
    VolumeSource,
)

FIRST, SECOND = "0/0", "0/1"


@dataclass(frozen=True, slots=True)
class Maker:
    """A provider, with what a pool of it has for attributes, as an operator writes them."""

    provider: StorageProvider[Any]  # Any: each provider has a struct of attributes of its own.
    attributes: Mapping[str, str] = field(default_factory=dict)

    def source(self, kind: Literal["filesystem", "volume"], folder: Path) -> FilesystemSource | VolumeSource:
        """Its source for the storage in a folder. Raises Broken: it makes none of that kind."""
        make = self.provider.filesystems if kind == "filesystem" else self.provider.volumes
        expect(make is not None, f"the provider makes no {kind}s")
        assert make is not None, "it was just looked at"
        return make(msgspec.convert(dict(self.attributes), self.provider.attributes, strict=False), folder)


@dataclass(frozen=True, slots=True)
class StorageCase:
    """One source, with how large things shall be and the folder under which they are mounted.

    With `maker` what needs more than one source is judged, too: it made this one, in `folder / "storage"`.
    """

    source: FilesystemSource | VolumeSource
    kind: Literal["filesystem", "volume"]
    size_mib: int
    folder: Path
    bench: Bench = field(default_factory=Bench)
    keeps_data: bool = True
    maker: Maker | None = None

    @property
    def known_maker(self) -> Maker:
        """The provider. Raises NotApplicable: it was not given."""
        if self.maker is None:
            raise NotApplicable("the class has no fixture `provider`")
        return self.maker

    def anew(self) -> StorageCase:
        """The same storage with a source that knows nothing of the former one, as after a restart."""
        return replace(self, source=self.known_maker.source(self.kind, self.folder / "storage"))

    async def create(self, entity: str = FIRST, *, size_mib: int = 0) -> FilesystemInfo | VolumeInfo:
        """Create an entity."""
        size = size_mib or self.size_mib
        if self.kind == "filesystem":
            params = FilesystemParams(filesystem=FilesystemId.parse(entity), size_mib=size)
            return await self.source.create(params)  # type: ignore[arg-type]  # `kind` says which source it is.
        wanted = VolumeParams(volume=VolumeId.parse(entity), size_mib=size)
        return await self.source.create(wanted)  # type: ignore[arg-type]

    def attachment(self, provider_id: str, entity: str = FIRST, *, read_only: bool = False) -> AttachParams:
        """How an entity is attached."""
        identity = FilesystemId if self.kind == "filesystem" else VolumeId
        path = self.folder / f"mount-{entity.replace('/', '-')}" if self.kind == "filesystem" else None
        return AttachParams(
            entity=identity.parse(entity),
            provider_id=provider_id,
            machine=MachineId.parse("0"),
            read_only=read_only,
            path=path,
        )

    async def destroy(self, entity: str = FIRST) -> None:
        """Destroy an entity."""
        identity = FilesystemId if self.kind == "filesystem" else VolumeId
        await self.source.destroy(identity.parse(entity))  # type: ignore[arg-type]

    async def round(self, entity: str = FIRST) -> None:
        """Create, attach, detach and destroy an entity."""
        info = await self.create(entity)
        params = self.attachment(info.provider_id, entity)
        await self.source.attach(params)
        await self.source.detach(params)
        await self.destroy(entity)

    @asynccontextmanager
    async def tidied(self, *entities: str) -> AsyncIterator[None]:
        """Afterwards nothing is there, whatever happened."""
        try:
            yield
        finally:
            for entity in entities or (FIRST, SECOND):
                with suppress(Exception):  # Whatever is wrong with it has been found, or will be by its own rule.
                    info = await self.create(entity)
                    await self.source.detach(self.attachment(info.provider_id, entity))
                with suppress(Exception):
                    await self.destroy(entity)


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
        first, second = await case.create(FIRST), await case.create(SECOND)
        expect(first.provider_id != second.provider_id, f"two of them are both called {first.provider_id!r}")
        await case.destroy(FIRST)
        again = await case.create(SECOND)
        expect(again == second, f"one was destroyed, and the other, {second}, is now {again}")


async def attached(case: StorageCase) -> tuple[AttachParams, AttachInfo]:
    info = await case.create()
    params = case.attachment(info.provider_id)
    return params, await case.source.attach(params)


async def attach_info(case: StorageCase) -> None:
    """The answer says where it is, and there it is."""
    async with case.tidied():
        _, info = await attached(case)
        expect(isinstance(info, AttachInfo), f"attach() gives {type(info).__name__}, not AttachInfo")
        if case.kind == "filesystem":
            is_there = Path(info.path).is_absolute() and Path(info.path).is_dir()
            expect(is_there, f"it is said to be mounted on {info.path!r}, which is no folder")
        else:
            expect(info.device_name or info.device_link, f"the answer names no device: {info}")


async def attach_twice(case: StorageCase) -> None:
    """Attached again, the answer is the same."""
    async with case.tidied():
        params, first = await attached(case)
        second = await case.source.attach(params)
        expect(first == second, f"attach() gives {first}, and asked again {second}")


async def attach_again(case: StorageCase) -> None:
    """What was detached can be attached again."""
    async with case.tidied():
        params, first = await attached(case)
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
        params, _ = await attached(case)
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
        params, info = await attached(case)
        if case.kind == "filesystem":
            Path(info.path, "old").write_text("old")
        await case.source.detach(params)
        await case.destroy()
        _, again = await attached(case)
        if case.kind == "filesystem":
            expect(not Path(again.path, "old").exists(), "it was destroyed and created again, and its data is there")


async def keeps_data(case: StorageCase) -> None:
    """Detaching keeps what was written."""
    if case.kind != "filesystem" or not case.keeps_data:
        raise NotApplicable("a volume has no files" if case.kind != "filesystem" else "it is said to keep no data")
    async with case.tidied():
        params, info = await attached(case)
        Path(info.path, "kept").write_text("kept")
        await case.source.detach(params)
        again = await case.source.attach(params)
        expect(Path(again.path, "kept").exists(), "it was detached and attached again, and what was written is gone")


async def source_clean(case: StorageCase) -> None:
    """A whole round leaves nothing."""
    async with case.tidied():
        await case.round()
        before = look((case.folder,))
        for _ in range(3):
            await case.round()
        left = await left_behind(before, (case.folder,))
        expect(not left, f"after it was destroyed there is:\n{lines(left)}")


async def source_loop_free(case: StorageCase) -> None:
    """A whole round never holds up the loop; the first does not count, for imports that come late."""
    async with case.tidied():
        await case.round()
        stalls = case.bench.watch.stalls
        await turns(2)
        stalls.clear()
        await case.round()
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
