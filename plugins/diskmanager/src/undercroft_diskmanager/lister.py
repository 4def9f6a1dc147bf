"""List the block devices, and afterwards read again only what may have changed."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from undercroft_diskmanager import claims, record
from undercroft_diskmanager.claims import SWAP
from undercroft_diskmanager.sysfs import Node, Roots, Sysfs
from undercroft_diskmanager.udevdb import Database, Entry, Filesystem
from undercroft_hookspecs.errors import UndercroftError

if TYPE_CHECKING:
    from undercroft_diskmanager.filesystems import Filesystems
    from undercroft_diskmanager.touched import Touched
    from undercroft_hookspecs.records import BlockDevice

UNREADABLE = frozenset({errno.EPERM, errno.EACCES, errno.ENXIO, errno.ENOMEDIUM, errno.ENODEV})
# udev's own rules do not look for filesystems on these.
SKIPPED_BY_UDEV = ("zram", "nbd", "mtdblock")

logger = logging.getLogger(__name__)


class ListingError(UndercroftError):
    """The block devices cannot be listed at all."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look has found: the names that were read again, and the devices of these that are listed."""

    names: Collection[str]
    devices: dict[str, BlockDevice] = field(default_factory=dict)
    unknown: list[str] = field(default_factory=list)
    """Those of the devices of which nobody has said what is on them."""
    doubtful: list[str] = field(default_factory=list)
    """Those that are in use for no visible reason."""


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
        self._udev = Database(self._roots)
        self._names = names or self._sysfs.names
        self._filesystems = filesystems
        self._nodes: dict[str, Node] = {}
        self._claims: Mapping[str, str] = {}
        self._devices: dict[str, BlockDevice] = {}
        self._doubtful: set[str] = set()
        self._records: dict[str, tuple[object, BlockDevice]] = {}

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
            seen = await asyncio.to_thread(self._look, touched, udev_lives=udev_lives)
        except OSError as error:
            raise ListingError(f"cannot list the block devices: {error}; is {self._roots.sys} mounted?") from error
        found = dict(seen.devices)
        paths = [self._roots.dev / found[name].device_name for name in seen.unknown]
        for name, filesystem in zip(seen.unknown, await asyncio.gather(*map(self._filesystems.of, paths)), strict=True):
            found[name] = record.with_filesystem(found[name], filesystem)
        for name in seen.names:
            self._devices.pop(name, None)
        self._devices.update(found)
        self._doubtful = self._doubtful.difference(seen.names).union(seen.doubtful)
        return self.devices

    def _look(self, touched: Touched, *, udev_lives: bool) -> Seen:
        """Read what was touched, as far as it takes no other program. In a thread."""
        names = self._read_everything() if touched.everything else self._read(touched)
        return self._see(names, udev_lives=udev_lives)

    def _read(self, touched: Touched) -> Collection[str]:
        names = set(touched.names)
        if touched.claims:
            names |= self._newly_claimed()
        names = self._family(names)
        self._read_nodes(names)
        # A device made of others that is new: from now on it has them in use.
        below = self._family(self._lower(names)) - names
        self._read_nodes(below)
        return names | below

    def _read_everything(self) -> Collection[str]:
        known = set(self._nodes)
        names = known | {name.replace("/", "!") for name in self._names()}
        self._read_nodes(names)
        self._claims = self._read_claims()
        return names

    def _read_nodes(self, names: Iterable[str]) -> None:
        for name in names:
            node = self._sysfs.node(name)
            if node is None:
                self._nodes.pop(name, None)
                self._records.pop(name, None)
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

    def _see(self, names: Collection[str], *, udev_lives: bool) -> Seen:
        seen = Seen(names)
        claimed_disks = {node.disk for name in self._claims if (node := self._nodes.get(name))}
        for node in filter(None, map(self._nodes.get, names)):
            kind = record.kind_of(node)
            held = None if kind is None or self._is_left_over(node) else self._held(node)
            if kind is None or held is None:
                continue
            entry = self._udev.entry(node, self._diskseq(node))
            filesystem = self._filesystem(node, entry) if udev_lives else None
            if filesystem is None and held not in UNREADABLE and node.size_bytes:
                seen.unknown.append(node.name)
            if held == errno.EBUSY and node.disk not in claimed_disks and not self._sysfs.is_held(node):
                seen.doubtful.append(node.name)
            seen.devices[node.name] = self._record(node, kind, entry, filesystem, is_held=held != 0)
        return seen

    def _record(
        self, node: Node, kind: str, entry: Entry | None, filesystem: Filesystem | None, *, is_held: bool
    ) -> BlockDevice:
        """The device's record: the last one again, if it would be made of the same."""
        claim = self._claims.get(node.name, "")
        made_of = (node, entry, filesystem, is_held, claim)
        known = self._records.get(node.name)
        if known is not None and known[0] == made_of:
            return known[1]
        device = record.build(
            node,
            kind,
            entry,
            filesystem or Filesystem(),
            in_use=is_held,
            mount_point="" if claim == SWAP else claim,
        )
        self._records[node.name] = (made_of, device)
        return device

    def _filesystem(self, node: Node, entry: Entry | None) -> Filesystem | None:
        """What udev says is on the device; None if it has not looked."""
        if entry is None:
            return None
        is_skipped = not entry.filesystem.type and node.name.startswith(SKIPPED_BY_UDEV)
        return None if is_skipped else entry.filesystem

    def _diskseq(self, node: Node) -> str:
        """That of the whole disk, for a partition."""
        return (self._nodes.get(node.disk) or node).diskseq

    def _is_left_over(self, node: Node) -> bool:
        """Whether it is a partition of a disk that there is nothing behind any more: a loop device keeps its own."""
        disk = self._nodes.get(node.disk)
        return disk is not None and disk is not node and not disk.size_bytes

    def _held(self, node: Node) -> int | None:
        """0, or the errno of opening it for ourselves alone; None if there is no node to open.

        A container sees the host's devices in /sys, and has not got their nodes.
        """
        try:
            os.close(
                os.open(f"{self._roots.dev}/{node.device_name}", os.O_RDONLY | os.O_EXCL | os.O_NONBLOCK | os.O_CLOEXEC)
            )
        except FileNotFoundError:
            return None
        except OSError as error:
            if error.errno != errno.EBUSY:
                logger.debug("%s is taken to be in use: %s", node.device_name, error)
            return error.errno or errno.EIO
        return 0
