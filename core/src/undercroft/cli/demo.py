"""`undercroft demo`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    import asyncio
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

    from undercroft.agent.agent import HostAgent
    from undercroft.cli.demo_view import View
    from undercroft.cli.session import CommandSession
    from undercroft_hookspecs import BlockDevice

    Devices = Sequence[BlockDevice]

FIRST_LIST_SECONDS = 5.0
BUDGET_SECONDS = 10.0


@click.command(epilog="Example: undercroft demo --once --format json")
@click.option("--once", is_flag=True, help="Print what runs and the block devices once, and stop.")
@click.pass_obj
def demo(session: CommandSession, once: bool) -> None:
    """Run an agent in a temporary folder and show this machine: plugins, workers, block devices.

    Follows the devices until Ctrl-C (try `losetup` meanwhile). Needs neither root nor udev, and leaves nothing behind.
    """
    import logging
    import tempfile
    from pathlib import Path

    from undercroft.agent import logs
    from undercroft.cli.demo_view import new_view

    restore = logs.configure(level=logging.DEBUG if session.debug else logging.WARNING, form="text")
    try:
        with tempfile.TemporaryDirectory(prefix="undercroft-demo-") as folder, new_view(session, once=once) as view:
            _run(session, Path(folder), view, once=once)
    finally:
        restore()


def _run(session: CommandSession, folder: Path, view: View, *, once: bool) -> None:
    from undercroft.agent.agent import HostAgent
    from undercroft.agent.setup import set_up
    from undercroft.config import load

    async def main() -> None:
        is_forced = await _show(HostAgent(setup, budget_seconds=BUDGET_SECONDS), view, once=once)
        if is_forced:
            _leave(folder, view)

    with set_up(folder, read_config=lambda: load(None, session.environ)) as setup:
        session.run(main())


async def _show(agent: HostAgent, view: View, *, once: bool) -> bool:
    """Show the agent until it is stopped; says whether that took force."""
    import asyncio

    from undercroft import outcome
    from undercroft.agent.ending import ForcedStopError
    from undercroft.agent.signals import handled
    from undercroft.agent.waiting import first

    with handled(agent):
        following = asyncio.ensure_future(_follow(agent, view, once=once))
        await first(following, outcome(agent))
        following.cancel()
        followed = (await asyncio.gather(following, return_exceptions=True))[0]
        agent.kill()
        error = await outcome(agent)
    if isinstance(followed, Exception):
        raise followed
    if error is not None and not isinstance(error, ForcedStopError):
        raise error
    return error is not None


async def _follow(agent: HostAgent, view: View, *, once: bool) -> None:
    import asyncio

    from undercroft_hookspecs import BlockDeviceView

    await agent.settled()
    plugins = await agent.control.ask({"request": "plugins"})
    graph = await agent.control.ask({"request": "graph"})
    lists: asyncio.Queue[Devices] = asyncio.Queue()
    async with agent.top.expose("model", BlockDeviceView).watch_block_devices() as watched:
        reading = asyncio.ensure_future(_read(watched, lists))
        try:
            view.begin(plugins, graph, await _first_list(lists, patience=_patience(graph)))
            while not once:
                view.update(await lists.get())
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


async def _read(watched: AsyncIterator[Devices], lists: asyncio.Queue[Devices]) -> None:
    async for devices in watched:
        lists.put_nowait(devices)


def _patience(graph: Mapping[str, object]) -> float:
    """How long to wait for the disk manager's first list: not at all where there is nobody to publish one."""
    manifolds = graph.get("manifolds")
    entry = manifolds.get("disk-manager") if isinstance(manifolds, dict) else None
    is_up = isinstance(entry, dict) and entry.get("state") == "started"
    return FIRST_LIST_SECONDS if is_up else 0.0


async def _first_list(lists: asyncio.Queue[Devices], *, patience: float) -> Devices:
    """The first list that is published: before it there is an empty one, which says nothing."""
    import asyncio
    from contextlib import suppress

    devices = await lists.get()
    if not devices and patience:
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                devices = await lists.get()
    return devices


def _leave(folder: Path, view: View) -> None:
    """Leave workers that do not end behind, but no files."""
    import shutil

    from undercroft.agent.main import leave_at_once

    view.close()
    shutil.rmtree(folder, ignore_errors=True)
    leave_at_once()
