"""Wait for what agents do: by the store's own changes, and no longer than was asked for."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

from undercroft_hookspecs.errors import NotValidError
from undercroft_model.commands.frame import Refusal
from undercroft_model.commands.progress import progress
from undercroft_model.hosts import read_hosts
from undercroft_model.modelconfig import duration_seconds
from undercroft_model.tables import APPLICATIONS, MACHINES, MODEL

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from undercroft_hookspecs.store import Revision, Store
    from undercroft_model.operator import Desk

_NUMBER = re.compile(r"[0-9]+(?:\.[0-9]+)?")


def seconds_of(text: str) -> float:
    """The seconds of a duration: `90s`, `1.5m`, `1h30m`, or a number of seconds.

    Raises:
        Refusal: it is not one.
    """
    if _NUMBER.fullmatch(text):
        return float(text)
    try:
        return duration_seconds(text)
    except NotValidError as error:
        raise Refusal(str(error)) from error


async def until(desk: Desk, prefix: str, settled: Callable[[], Awaitable[bool]], *, seconds: float) -> bool:
    """Whether something is so now, or after a change under `prefix` within so many seconds."""
    store = desk.store
    # For the revision alone: what is under the prefix may be much.
    since = (await store.list(MODEL.of(desk.model).prefix)).revision
    if await settled():
        return True
    if seconds <= 0:
        return False
    try:
        async with asyncio.timeout(seconds):
            await _after_a_change(store, prefix, since, settled)
    except TimeoutError:
        return False
    return True


async def _after_a_change(store: Store, prefix: str, since: Revision, settled: Callable[[], Awaitable[bool]]) -> None:
    async with store.watch(prefix, since=since) as commits:
        async for _ in commits:
            if await settled():
                return


async def model_gone(desk: Desk, *, seconds: float) -> str:
    """Wait for the end of a model that is being destroyed, and say how it stands.

    Where no agent is running on the hosts of its units, nobody waits: nothing would come.

    Raises:
        Refusal: it is still there after so many seconds.
    """
    store, table = desk.store, MODEL.of(desk.model)

    async def gone() -> bool:
        return await store.get(table.key("self")) is None

    if not await gone():
        if seconds <= 0:
            return f"Model {desk.record.name} is being destroyed"
        if not await _is_served(desk):
            left = len((await store.list(APPLICATIONS.of(desk.model).prefix)).entries)
            return (
                f"Model {desk.record.name} is being destroyed: {left} application(s) have units that are to run their "
                "last hooks, and go once an agent is running on their hosts (or with --force)"
            )
        async with progress(f"Waiting for the units of {desk.record.name}", clock=desk.operator.clock):
            is_gone = await until(desk, table.prefix, gone, seconds=seconds)
        if not is_gone:
            raise Refusal(f"timed out: model {desk.record.name} is still being destroyed after {seconds:g} s")
    return f"Model {desk.record.name} destroyed"


async def _is_served(desk: Desk) -> bool:
    """Whether an agent is running on any host of the model."""
    hosts, table = await read_hosts(desk.store), MACHINES.of(desk.model)
    machines = [table.decode(entry) for entry in (await desk.store.list(table.prefix)).entries]
    return any(machine.host in hosts and hosts[machine.host].present for machine in machines)
