"""List the block devices, and afterwards read again only what may have changed."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from undercroft_diskmanager import claims, record, udevdb
from undercroft_diskmanager.claims import SWAP
from undercroft_diskmanager.record import Filesystem
from undercroft_diskmanager.sysfs import Node, Roots, Sysfs
from undercroft_hookspecs.errors import UndercroftError

if TYPE_CHECKING:
    from undercroft_diskmanager.filesystems import Filesystems
    from undercroft_diskmanager.touched import Touched
    from undercroft_diskmanager.udevdb import Entry
    from undercroft_hookspecs.records import BlockDevice

UNREADABLE = frozenset({errno.EPERM, errno.EACCES, errno.ENXIO, errno.ENOMEDIUM, errno.ENODEV})
# udev's own rules do not look for filesystems on these.
SKIPPED_BY_UDEV = ("zram", "nbd", "mtdblock")

logger = logging.getLogger(__name__)


class ListingError(UndercroftError):
    """The block devices cannot be listed at all."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One listed device as far as it can be read without running a program."""

    node: Node
    kind: str
    entry: Entry | None
    in_use: bool
    is_readable: bool
    is_doubtful: bool
    """It is in use, and nothing to be seen is the reason."""


class Lister:
    """Keeps the devices as last read. One refresh at a time.

    A full listing asks `names` for all devices. All reading is done in a thread: opening the node of an ailing disk may
    take as long as the disk likes.
    """

    def __init__(
        self, filesystems: Filesystems, *, roots: Roots | None = None, names: Callable[[], Iterable[str]] | None = None
    ) -> None:
        self._roots = roots or Roots()
        self._sysfs = Sysfs(self._roots)
        self._names = names or self._sysfs.names
        self._filesystems = filesystems
        self._nodes: dict[str, Node] = {}
        self._claims: Mapping[str, str] = {}
        self._devices: dict[str, BlockDevice] = {}
        self._doubtful: set[str] = set()

    @property
    def devices(self) -> tuple[BlockDevice, ...]:
        """The devices as last read, sorted by name."""
        return tuple(self._devices[name] for name in sorted(self._devices))

    @property
    def disks(self) -> tuple[str, ...]:
        """The paths of all nodes that were listed."""
        return tuple(f"{self._roots.dev}/{device.device_name}" for device in self._devices.values())

    @property
    def doubtful(self) -> frozenset[str]:
        """The names of those that are in use, though not mounted, swapped to, or part of another device."""
        return frozenset(self._doubtful)

    async def refresh(self, touched: Touched, *, udev_lives: bool) -> tuple[BlockDevice, ...]:
        """Read the devices touched again, and give all. What udev says of filesystems counts only while it lives.

        Raises:
            ListingError: /sys cannot be read.
        """
        try:
            names, seen = await asyncio.to_thread(self._look, touched)
        except OSError as error:
            raise ListingError(f"cannot list the block devices: {error}; is {self._roots.sys} mounted?") from error
        found = await asyncio.gather(*(self._filesystem(one, udev_lives=udev_lives) for one in seen))
        for name in names:
            self._devices.pop(name, None)
        for one, filesystem in zip(seen, found, strict=True):
            self._devices[one.node.name] = self._record(one, filesystem)
        self._doubtful = self._doubtful.difference(names) | {one.node.name for one in seen if one.is_doubtful}
        return self.devices

    async def _filesystem(self, seen: Seen, *, udev_lives: bool) -> Filesystem:
        entry = seen.entry if udev_lives else None
        if entry is not None:
            filesystem = record.filesystem_of(entry.properties)
            if filesystem.type or not seen.node.name.startswith(SKIPPED_BY_UDEV):
                return filesystem
        if not seen.is_readable or not seen.node.size_bytes:
            return Filesystem()
        return await self._filesystems.of(self._roots.dev / seen.node.device_name)

    def _record(self, seen: Seen, filesystem: Filesystem) -> BlockDevice:
        claim = self._claims.get(seen.node.name, "")
        return record.build(
            seen.node,
            seen.kind,
            seen.entry,
            filesystem,
            in_use=seen.in_use,
            mount_point="" if claim == SWAP else claim,
        )

    def _look(self, touched: Touched) -> tuple[Iterable[str], list[Seen]]:
        """The names that were read again, and those of them that are listed. In a thread."""
        if touched.everything:
            return self._look_at_everything()
        names = set(touched.names)
        if touched.claims:
            names |= self._newly_claimed()
        names = self._family(names)
        self._read_nodes(names)
        # A device made of others that is new: from now on it has them in use.
        below = self._family(self._lower(names)) - names
        self._read_nodes(below)
        names |= below
        return names, self._see(names)

    def _look_at_everything(self) -> tuple[Iterable[str], list[Seen]]:
        known = set(self._nodes)
        names = known | {name.replace("/", "!") for name in self._names()}
        self._read_nodes(names)
        self._claims = self._read_claims()
        return names, self._see(names)

    def _read_nodes(self, names: Iterable[str]) -> None:
        for name in names:
            node = self._sysfs.node(name)
            if node is None:
                self._nodes.pop(name, None)
            else:
                self._nodes[name] = node

    def _read_claims(self) -> Mapping[str, str]:
        numbers = {(node.major, node.minor): node.name for node in self._nodes.values()}
        return claims.read(self._roots, numbers)

    def _newly_claimed(self) -> set[str]:
        """The devices whose mount point or use as swap is another than before."""
        before, self._claims = self._claims, self._read_claims()
        return {name for name in {*before, *self._claims} if before.get(name) != self._claims.get(name)}

    def _family(self, names: set[str]) -> set[str]:
        """With the disks and partitions that one cannot use without keeping the other from exclusive use."""
        names = names | self._lower(names)
        disks = {node.disk for name in names if (node := self._nodes.get(name))}
        return names | disks | {node.name for node in self._nodes.values() if node.disk in disks}

    def _lower(self, names: Iterable[str]) -> set[str]:
        return {lower for name in names if (node := self._nodes.get(name)) for lower in node.lower}

    def _see(self, names: Iterable[str]) -> list[Seen]:
        nodes = (node for name in names if (node := self._nodes.get(name)) and not self._is_left_over(node))
        listed = ((node, kind) for node in nodes if (kind := record.kind_of(node)) is not None)
        claimed = {node.disk for name in self._claims if (node := self._nodes.get(name))}
        return [seen for node, kind in listed if (seen := self._see_one(node, kind, claimed)) is not None]

    def _is_left_over(self, node: Node) -> bool:
        """Whether it is a partition of a disk that there is nothing behind any more: a loop device keeps its own."""
        disk = self._nodes.get(node.disk)
        return disk is not None and disk is not node and not disk.size_bytes

    def _see_one(self, node: Node, kind: str, claimed_disks: set[str]) -> Seen | None:
        """None if there is no node for it: a container sees the host's devices in /sys, and has not got them."""
        is_readable, is_doubtful = True, False
        try:
            fd = os.open(
                f"{self._roots.dev}/{node.device_name}", os.O_RDONLY | os.O_EXCL | os.O_NONBLOCK | os.O_CLOEXEC
            )
            os.close(fd)
            in_use = False
        except FileNotFoundError:
            return None
        except OSError as error:
            in_use = True
            is_readable = error.errno not in UNREADABLE
            if error.errno == errno.EBUSY:
                is_doubtful = node.disk not in claimed_disks and not self._sysfs.is_held(node)
            else:
                logger.debug("%s is taken to be in use: %s", node.device_name, error)
        return Seen(node, kind, udevdb.read(self._roots, node), in_use, is_readable, is_doubtful)
