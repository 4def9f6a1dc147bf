"""`undercroft disks`: list this machine's block devices, as the agent publishes them or, without one, as they are."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from undercroft_diskmanager.plugin import Config
    from undercroft_hookspecs.command import Session
    from undercroft_hookspecs.records import BlockDevice


@click.command(short_help="List this machine's block devices.")
@click.option("--watch", is_flag=True, help="Go on, and list them again whenever they change, until Ctrl-C.")
@click.pass_obj
def disks(session: Session, watch: bool) -> None:
    """List this machine's block devices.

    With an agent that follows the devices, it is the list that the agent publishes; without one, they are looked at
    here. With --watch and --format json, each list is one line.
    """
    from undercroft_diskmanager.plugin import Config

    config = session.config(Config)
    if not watch:
        devices = _published(session) or session.run(_list(config))
        session.emit(devices, table=lambda: _table(devices))
        return
    with contextlib.suppress(KeyboardInterrupt):  # The way to end it.
        session.run(_follow(session, config))


def _published(session: Session) -> Sequence[BlockDevice]:
    """What a running agent publishes; nothing if there is none, or it does not follow the devices."""
    from undercroft_hookspecs.errors import UndercroftError

    try:
        graph = session.ask({"request": "graph"})
    except (UndercroftError, TimeoutError):
        return ()  # None runs, or it does not answer.
    return session.run(_read(session)) if _is_followed(graph) else ()


def _is_followed(graph: Mapping[str, object]) -> bool:
    manifolds = graph.get("manifolds")
    found = manifolds.get("disk-manager") if isinstance(manifolds, dict) else None
    return isinstance(found, dict) and found.get("state") == "started"


async def _read(session: Session) -> Sequence[BlockDevice]:
    from undercroft_hookspecs.facades import BlockDeviceView

    async with session.open("model", BlockDeviceView) as view:
        return await view.block_devices()


async def _list(config: Config) -> Sequence[BlockDevice]:
    from undercroft.process import SystemProcess
    from undercroft_diskmanager.setup import new_lister
    from undercroft_diskmanager.sysfs import Roots
    from undercroft_diskmanager.touched import EVERYTHING
    from undercroft_diskmanager.udev import new_context
    from undercroft_diskmanager.udevd import find

    roots = Roots()
    lister = new_lister(config, SystemProcess(), new_context(), roots)
    return await lister.refresh(EVERYTHING, udev_lives=find(roots.udev) is not None)


async def _follow(session: Session, config: Config) -> None:
    import random

    from undercroft.clock import SystemClock
    from undercroft.process import SystemProcess
    from undercroft_diskmanager.setup import new_follower

    rng = random.Random()  # noqa: S311 - It spreads the resyncs.
    follower = new_follower(config, process=SystemProcess(), clock=SystemClock(), rng=rng)
    async with contextlib.aclosing(follower.listings()) as listings:
        async for devices in listings:
            _show(session, devices)


def _show(session: Session, devices: Sequence[BlockDevice]) -> None:
    if session.format == "json":
        import msgspec

        click.echo(msgspec.json.encode(devices))
        return
    if session.format == "table":
        click.clear()  # On a terminal only.
    session.emit(devices, table=lambda: _table(devices) + "\n")


def _table(devices: Sequence[BlockDevice]) -> str:
    import sys

    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for head in ("NAME", "KIND", "SIZE", "TYPE", "LABEL/UUID", "MOUNTED", "IN USE"):
        table.add_column(head, justify="right" if head == "SIZE" else "left", overflow="fold")
    for device in devices:
        cells = (
            device.device_name,
            device.kind,
            _size(device.size_mib),
            device.filesystem_type,
            device.label or device.uuid,
            device.mount_point,
            "yes" if device.in_use else "no",
        )
        table.add_row(*(Text(_printable(cell)) for cell in cells))
    # What goes elsewhere than to a terminal keeps one device to a line, however long.
    console = Console() if sys.stdout.isatty() else Console(width=10_000)
    with console.capture() as capture:
        console.print(table)
    return "\n".join(line.rstrip() for line in capture.get().rstrip("\n").split("\n"))


def _printable(text: str) -> str:
    """Without what a label or a mount point could do to a terminal."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def _size(mib: int) -> str:
    size, unit = float(mib), "MiB"
    for larger in ("GiB", "TiB", "PiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{size:.0f} {unit}" if unit == "MiB" or size >= 100 else f"{size:.3g} {unit}"
