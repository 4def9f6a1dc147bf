"""Put the parts together, the same for the worker and for the command."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from undercroft_diskmanager import udev
from undercroft_diskmanager.filesystems import Filesystems
from undercroft_diskmanager.follow import Counted, Follower
from undercroft_diskmanager.lister import Lister
from undercroft_diskmanager.sysfs import Roots

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    import pyudev

    from undercroft_diskmanager.plugin import Config
    from undercroft_hookspecs.agent import Process
    from undercroft_hookspecs.worker import Clock


def new_lister(config: Config, process: Process, context: pyudev.Context, roots: Roots) -> Lister:
    """A lister of the devices below these roots."""
    # libudev knows no other place than /sys.
    names = functools.partial(udev.names, context) if roots.sys == Roots().sys else None
    return Lister(Filesystems(process, blkid=config.blkid), roots=roots, names=names)


def new_follower(
    config: Config,
    *,
    process: Process,
    clock: Clock,
    rng: random.Random,
    roots: Roots | None = None,
    counted: Callable[[Counted], None] | None = None,
) -> Follower:
    """A follower of the devices below these roots.

    Raises:
        LibudevMissingError: libudev cannot be loaded.
    """
    context, roots = udev.new_context(), roots or Roots()
    return Follower(
        new_lister(config, process, context, roots),
        context=context,
        roots=roots,
        clock=clock,
        rng=rng,
        resync_seconds=config.resync_seconds,
        buffer_bytes=config.receive_buffer_bytes,
        counted=counted,
    )
