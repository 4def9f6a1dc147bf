"""Facades: the narrow parts of the model that workers take, under the manifold name `model`. Those of a unit are in
`unit_facades`, `relation_facades` and `hook_facades`.

A worker takes only its own. Facades are bound: in the top engine to this host, in a unit's engine to that unit. A watch
is an async context manager that yields an async iterator: its first item comes at once, then always the newest state,
never a backlog.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from pathlib import Path

    from undercroft_hookspecs.charm import Charm
    from undercroft_hookspecs.identity import ModelId
    from undercroft_hookspecs.records import BlockDevice
    from undercroft_hookspecs.state import RemovedUnit, Unit


@runtime_checkable
class BlockDeviceFacade(Protocol):
    """The disk manager's: devices are the host's, not a model's."""

    async def set_block_devices(self, devices: Sequence[BlockDevice]) -> None:
        """Replace the whole list of this host's block devices; nothing is written if it is the same."""


@runtime_checkable
class BlockDeviceView(Protocol):
    """Everyone's view of this host's block devices."""

    async def block_devices(self) -> Sequence[BlockDevice]:
        """The devices last published, sorted by name."""
        ...

    def watch_block_devices(self) -> AbstractAsyncContextManager[AsyncIterator[Sequence[BlockDevice]]]:
        """The devices now, and again whenever they have changed."""
        ...


@runtime_checkable
class PlacementFacade(Protocol):
    """The unit deployer's: the units that are placed on this host, in all models."""

    def watch_models(self) -> AbstractAsyncContextManager[AsyncIterator[Sequence[ModelId]]]:
        """The models that there are. One that is no longer among them has been destroyed."""
        ...

    def watch_units(self, model: ModelId) -> AbstractAsyncContextManager[AsyncIterator[Mapping[str, Unit]]]:
        """A model's units on this host, by name, whatever their life; one that has been removed is no longer there."""
        ...

    async def unit_gone(self, model: ModelId, unit: str) -> None:
        """Nothing of a dead unit is left on this host: its records can go.

        Raises:
            NotValidError: it is not dead.
        """


@runtime_checkable
class RemovedUnitsFacade(Protocol):
    """The unit deployer's: the units of this host whose records have gone, whoever removed them, and whoever was
    looking. Nothing else says that a unit is no more: a record may be absent for other reasons."""

    def watch_removed(self) -> AbstractAsyncContextManager[AsyncIterator[Sequence[RemovedUnit]]]:
        """Those of which something may be left here."""
        ...

    async def forget_removed(self, removed: RemovedUnit) -> None:
        """Nothing of that one is left; nothing happens if that is known already."""


@runtime_checkable
class CharmFacade(Protocol):
    """The unit's charm, as parsed once at deploy or refresh; no other plugin parses a charm file."""

    async def charm(self, sha256: str) -> Charm:
        """The charm whose archive has that SHA-256.

        Raises:
            NotFoundError: nobody uses it any more.
        """
        ...


@runtime_checkable
class BlobFacade(Protocol):
    """Charm archives and resources, by the SHA-256 of their content."""

    async def fetch(self, sha256: str, to: Path) -> None:
        """Write the blob to `to`, verified.

        Raises:
            NotFoundError: there is no such blob.
        """


@runtime_checkable
class CharmArchiveFacade(Protocol):
    """Charm archives, put into folders by whoever knows how to do that safely; no other plugin opens one."""

    async def unpack(self, sha256: str, to: Path) -> Sequence[str]:
        """Unpack a charm over the folder `to`, made if need be, and give the sorted paths that are the charm's.

        Files and links replace whatever has their name, folders merge, the rest stays. Nothing is written before the
        archive was verified and judged whole, and never anything outside `to`. After an interruption, call it again.

        Raises:
            NotFoundError: there is no such archive.
            NotValidError: it is not safe, or `to` is no folder.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class HookResult:
    """How a hook ended: its exit status, or `missing` where the charm has no such hook."""

    returncode: int
    missing: bool = False


@runtime_checkable
class HookRunner(Protocol):
    """The output of the unit manifold `hook-runner`: how metrics and meterstatus run a unit's hooks."""

    async def run(
        self, hook: str, *, tools: Collection[str], environment: Mapping[str, str], timeout: float
    ) -> HookResult:
        """Run a hook in the restricted context, with `tools` alone, on a socket of its own.

        Takes the machine lock, except for `collect-metrics`. After `timeout` seconds the hook is killed.
        """
        ...
