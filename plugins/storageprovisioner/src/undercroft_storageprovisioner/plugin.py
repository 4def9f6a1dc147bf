"""The plugin `storageprovisioner`: its config, its manifold `storage-provisioner`, and its providers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from undercroft_hookspecs import (
    Agent,
    BlockDeviceView,
    Context,
    Manifold,
    PlacementFacade,
    StorageProvider,
    Worker,
    hookimpl,
)
from undercroft_hookspecs.storage_facades import ProvisionerFacade

if TYPE_CHECKING:
    from pathlib import Path


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section `[plugins.storageprovisioner]`."""

    parallel: Annotated[int, msgspec.Meta(ge=1)] = 4
    """How many steps are taken at once, in all models."""
    resync_seconds: Annotated[float, msgspec.Meta(gt=0)] = 300.0
    """How often all that is attached is looked at, whatever the events say."""
    usage_seconds: Annotated[float, msgspec.Meta(gt=0)] = 60.0
    """How often it is looked at how full filesystems are."""


@hookimpl
def undercroft_config() -> type[msgspec.Struct]:
    """The struct of this plugin's section."""
    return Config


@hookimpl
def undercroft_manifolds(agent: Agent) -> Mapping[str, Manifold]:
    """The worker `storage-provisioner`, which is told by `model` what is wanted."""
    from undercroft_storageprovisioner.threads import Hangs  # noqa: PLC0415 - Late: other commands should not pay.

    hangs = Hangs()

    def start(context: Context) -> Worker:
        placement, facade = context.get("model", PlacementFacade), context.get("model", ProvisionerFacade)
        # Late: other commands should not pay for it.
        from undercroft_storageprovisioner.worker import StorageProvisioner  # noqa: PLC0415

        # Any: each provider has a struct of attributes of its own.
        providers: dict[str, StorageProvider[Any]] = {}
        for _, found in agent.collect("undercroft_storage_providers"):
            if isinstance(found, Mapping):
                providers.update(found)
        return StorageProvisioner(
            agent,
            agent.config(Config),
            placement=placement,
            facade=facade,
            providers=providers,
            devices=context.get("model", BlockDeviceView),
            hangs=hangs,
        )

    return {"storage-provisioner": Manifold(start=start, inputs=("model",))}


@hookimpl
def undercroft_storage_providers(agent: Agent) -> Mapping[str, StorageProvider[Any]]:  # as above
    """The providers that need nothing but this machine."""
    # Late, as above; the structs are needed to judge pools.
    from undercroft_storageprovisioner.providers.btrfs import BtrfsAttributes, BtrfsSubvolumes  # noqa: PLC0415
    from undercroft_storageprovisioner.providers.loop import LoopAttributes, LoopVolumes  # noqa: PLC0415
    from undercroft_storageprovisioner.providers.rootfs import (  # noqa: PLC0415
        DirectoryFilesystems,
        FolderAttributes,
        RootfsFilesystems,
    )
    from undercroft_storageprovisioner.providers.tmpfs import TmpfsAttributes, TmpfsFilesystems  # noqa: PLC0415

    def loop(_: LoopAttributes, folder: Path) -> LoopVolumes:
        return LoopVolumes(folder, agent.clock)

    def tmpfs(_: TmpfsAttributes, folder: Path) -> TmpfsFilesystems:
        return TmpfsFilesystems(folder)

    def rootfs(_: FolderAttributes, folder: Path) -> RootfsFilesystems:
        return RootfsFilesystems(folder)

    def btrfs(attributes: BtrfsAttributes, folder: Path) -> BtrfsSubvolumes:
        return BtrfsSubvolumes(attributes, folder, agent.process)

    def directory(_: FolderAttributes, folder: Path) -> DirectoryFilesystems:
        return DirectoryFilesystems(folder)

    return {
        "loop": StorageProvider(
            attributes=LoopAttributes, volumes=loop, can=frozenset({"release", "grow", "trim", "import"})
        ),
        "tmpfs": StorageProvider(attributes=TmpfsAttributes, filesystems=tmpfs),
        "rootfs": StorageProvider(
            attributes=FolderAttributes, filesystems=rootfs, can=frozenset({"release", "import"})
        ),
        "btrfs": StorageProvider(
            attributes=BtrfsAttributes,
            filesystems=btrfs,
            can=frozenset({"release", "grow", "snapshot", "import"}),
        ),
        "directory": StorageProvider(attributes=FolderAttributes, filesystems=directory, can=frozenset({"release"})),
    }


@hookimpl
def undercroft_check(agent: Agent) -> Sequence[str]:
    """What this host lacks, and the remedy."""
    from undercroft_storageprovisioner.check import missing  # noqa: PLC0415 - As above.

    return missing()
