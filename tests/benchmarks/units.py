"""Units on a running agent: how soon a charm is active, how fast a hundred are, and what they take when idle."""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path

import msgspec
import uvloop
from tests.benchmarks.agent import COMMAND, IDLE_LIMIT, cpu, running, wake_ups
from tests.benchmarks.measure import Scale, Table, megabytes, memory, milliseconds, percent

from undercroft.clock import SystemClock
from undercroft_hookspecs import Commit, Put, Store
from undercroft_hookspecs.state import Status
from undercroft_model.sqlite_store import open_sqlite

STEADY = """#!/bin/bash
set -eu
juju-log "$(config-get)"
status-set active ready
"""
ACTIVE_LIMIT, UNIT_LIMIT, WAKE_UP_LIMIT, PEERS_LIMIT = 0.5, 1024 * 1024, 1.0, 30.0
UNITS = 100


def deploying(scale: Scale, table: Table) -> None:
    """One unit of a charm in bash, again and again on the same agent."""
    taken, committed = uvloop.run(_deploying(scale.rounds(15)))
    table.within(
        "a bash charm is active, from the commit of its deployment", committed, ACTIVE_LIMIT, show=milliseconds
    )
    table.within("the same, from the start of `undercroft deploy`", taken, None, show=milliseconds)


async def _deploying(rounds: int) -> tuple[float, float]:
    whole, after_commit = [], []
    with running() as agent:
        async with open_sqlite("sqlite:", data_dir=agent.data, clock=SystemClock()) as store:
            for number in range(rounds):
                began = time.perf_counter()
                seen, active = await deploy(store, agent.data, _charm(agent.data.parent), f"app-{chr(97 + number)}", 1)
                whole.append(active - began)
                after_commit.append(active - seen)
    return statistics.median(whole), statistics.median(after_commit)


def hundred_units(scale: Scale, table: Table) -> None:
    """A hundred units of it on one agent."""
    uvloop.run(_hundred_units(scale, table))


async def _hundred_units(scale: Scale, table: Table) -> None:
    number = 3 if scale.short else UNITS
    with running() as agent:
        async with open_sqlite("sqlite:", data_dir=agent.data, clock=SystemClock()) as store:
            await deploy(store, agent.data, _charm(agent.data.parent), "first", 1)
            alone = memory(pid=agent.pid)
            began, active = await deploy(store, agent.data, _charm(agent.data.parent), "many", number)
        rate = number / (active - began) * 60
        table.add(f"{number} units deployed on one agent", f"{rate:,.0f}/min")
        await asyncio.sleep(scale.seconds(15.0))
        each = (memory(pid=agent.pid) - alone) / number
        table.within(f"memory of each of {number} idle units", each, UNIT_LIMIT, show=megabytes)
        used, woken, began = cpu(agent.pid), wake_ups(agent.pid), time.perf_counter()
        await asyncio.sleep(scale.seconds(30.0))
        seconds = time.perf_counter() - began
        share, rate = (cpu(agent.pid) - used) / seconds, (wake_ups(agent.pid) - woken) / seconds
    table.within(f"{number} idle units, share of a core", share, IDLE_LIMIT, show=percent)
    met = rate <= WAKE_UP_LIMIT
    table.add(
        f"{number} idle units, wake-ups of the loop", f"{rate:.2f}/s", result=f"{rate:.2f}/s", target="<= 1/s", met=met
    )


def peers(scale: Scale, table: Table) -> None:
    """A hundred units that are one another's peers, of a charm without a hook for that: 10,000 pairs."""
    number = 3 if scale.short else UNITS
    settled = uvloop.run(_peers(number))
    table.within(f"{number} peers have met, whose charm has no hook for it", settled, PEERS_LIMIT, show=milliseconds)


async def _peers(number: int) -> float:
    with running() as agent:
        async with open_sqlite("sqlite:", data_dir=agent.data, clock=SystemClock()) as store:
            charm = _charm(agent.data.parent, more="peers:\n  ring: {interface: ring}\n")
            began, _ = await deploy(store, agent.data, charm, "many", number)
        async with asyncio.timeout(600.0):
            while not _have_met(agent.data, number):
                await asyncio.sleep(0.1)
        return time.perf_counter() - began


def _have_met(data: Path, number: int) -> bool:
    """Whether the records of all units have all others."""
    records = [msgspec.json.decode(path.read_bytes()) for path in data.glob("models/*/agents/*/uniter/relations.json")]
    met = [record for record in records if [len(one["members"]) for one in record["relations"]] == [number - 1]]
    return len(met) == number


def _charm(folder: Path, *, more: str = "") -> Path:
    """A charm without a peer relation, unless `more` has one."""
    charm = folder / "steady"
    (charm / "hooks").mkdir(parents=True, exist_ok=True)
    (charm / "metadata.yaml").write_text(f"name: steady\nsummary: Is active\ndescription: In bash.\n{more}")
    for hook in ("install", "config-changed", "start"):
        (charm / "hooks" / hook).write_text(STEADY)
        (charm / "hooks" / hook).chmod(0o755)
    return charm


async def deploy(store: Store, data: Path, charm: Path, application: str, number: int) -> tuple[float, float]:
    """When the deployment was committed, and when all units were active and idle."""
    argv: list[str | Path] = [COMMAND, "deploy", charm, application, "-n", str(number), "--data", data]
    foreign = ("UNDERCROFT", "JUJU")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    async with store.watch("/", (await store.list("/no-key/")).revision) as commits:
        with subprocess.Popen(argv, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as command:
            async with aclosing(statuses(commits, application)) as found, asyncio.timeout(600.0):
                seen = await _settled(found, number)
            if command.wait() != 0:
                raise RuntimeError(command.stderr.read().decode() if command.stderr else argv)
    return seen, time.perf_counter()


async def _settled(statuses: AsyncIterator[tuple[str, str, Status]], number: int) -> float:
    """When the first status was set; returns once so many units are active and idle."""
    wanted = {(kind, str(unit)) for kind in ("unit", "agent") for unit in range(number)}
    settled: set[tuple[str, str]] = set()
    seen = 0.0
    async for kind, unit, status in statuses:
        seen = seen or time.perf_counter()
        is_settled = status.current == ("active" if kind == "unit" else "idle")
        (settled.add if is_settled else settled.discard)((kind, unit))
        if settled == wanted:
            break
    return seen


async def statuses(commits: AsyncIterator[Commit], application: str) -> AsyncGenerator[tuple[str, str, Status]]:
    """The statuses of an application's units and their agents, as they are set."""
    async for commit in commits:
        for change in commit.changes:
            parts = change.key.split("/")
            if isinstance(change, Put) and parts[-4:-3] == ["status"] and parts[-2] == application:
                yield parts[-3], parts[-1], msgspec.json.decode(change.value, type=Status)
