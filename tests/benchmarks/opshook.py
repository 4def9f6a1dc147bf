"""A hook of an ops charm under the agent, against the same dispatch run bare, with tools that do nothing.

Ours is from the commit of a setting until the unit is idle again: noticing, the hook, its flush and both statuses are
in it. The bare one has the same environment, charm folder and answers, but its tools are links to `true`, or print a
constant.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import uvloop
from tests.benchmarks.agent import running
from tests.benchmarks.measure import Scale, Table, in_turns, milliseconds
from tests.benchmarks.units import deploy, statuses

from undercroft.clock import SystemClock
from undercroft_hookspecs import Commit, Store
from undercroft_model.applications import set_config
from undercroft_model.models import find_model, model_id
from undercroft_model.sqlite_store import open_sqlite
from undercroft_model.transaction import Transaction, change

CHARM = """\
import json, os, pathlib
import ops

class Charm(ops.CharmBase):
    def __init__(self, framework):
        super().__init__(framework)
        framework.observe(self.on.config_changed, self.configure)

    def configure(self, event):
        number = self.config["number"]
        self.unit.status = ops.MaintenanceStatus(f"taking {number}")
        for port in (8080, 8081, 8082):
            self.unit.open_port("tcp", port)
        self.unit.set_workload_version("1")
        self.unit.is_leader()
        self.unit.status = ops.ActiveStatus("ready")
        pathlib.Path("../environment.json").write_text(json.dumps(dict(os.environ)))

ops.main(Charm)
"""
ANSWERS = {"config-get": '{"number": 1}', "is-leader": "true"}
LIMIT = 1.1


def ops_hook(scale: Scale, table: Table) -> None:
    """config-changed of an ops charm which makes some ten calls."""
    ours, bare = uvloop.run(_ops_hook(scale.rounds(15)))
    table.at_most("a hook of an ops charm", ours, bare, LIMIT, show=milliseconds, of="bare")


async def _ops_hook(rounds: int) -> tuple[float, float]:
    with running() as agent:
        async with open_sqlite("sqlite:", data_dir=agent.data, clock=SystemClock()) as store:
            await deploy(store, agent.data, _charm(agent.data.parent), "hooked", 1)
            (folder,) = agent.data.glob("models/*/agents/*/charm")
            bare = Bare(folder, agent.data.parent)
            numbers = iter(range(2, 1000))

            async def ours() -> list[float]:
                return [await _configure(store, next(numbers))]

            [took], [took_bare] = await in_turns(rounds, ours, bare.run)
    return took, took_bare


async def _configure(store: Store, number: int) -> float:
    async def decide(tx: Transaction) -> None:
        model = model_id(await find_model(tx, "default"))
        await set_config(tx, model, "hooked", {"number": number})

    async with store.watch("/", (await store.list("/no-key/")).revision) as commits:
        following = asyncio.create_task(_idle_again(commits))
        await change(store, decide, clock=SystemClock(), rng=random.Random(1))
        began = time.perf_counter()
        await following
        return time.perf_counter() - began


async def _idle_again(commits: AsyncIterator[Commit]) -> None:
    """Return once the unit is idle after it has done something."""
    is_busy = False
    async with aclosing(statuses(commits, "hooked")) as found, asyncio.timeout(60.0):
        async for kind, _, status in found:
            if kind == "agent" and status.current == "idle" and is_busy:
                return
            is_busy = is_busy or status.current == "executing"


class Bare:
    """The same dispatch by itself."""

    def __init__(self, charm: Path, folder: Path) -> None:
        self._charm, tools = folder / "bare" / "charm", folder / "bare" / "tools"
        shutil.copytree(charm, self._charm, symlinks=True)
        tools.mkdir()
        environment: dict[str, str] = json.loads((charm.parent / "environment.json").read_text())
        real = Path(environment["PATH"].partition(os.pathsep)[0])
        for tool in real.iterdir():
            if tool.name in ANSWERS:
                (tools / tool.name).write_text(f"#!/bin/sh\necho '{ANSWERS[tool.name]}'\n")
                (tools / tool.name).chmod(0o755)
            else:
                (tools / tool.name).symlink_to("/bin/true")
        self._environment = {
            name: value.replace(str(charm), str(self._charm)).replace(str(real), str(tools))
            for name, value in environment.items()
        }

    async def run(self) -> list[float]:
        """Run it once."""
        return [await asyncio.to_thread(self._run)]

    def _run(self) -> float:
        began = time.perf_counter()
        subprocess.run(
            [self._charm / "dispatch"], cwd=self._charm, env=self._environment, check=True, capture_output=True
        )
        return time.perf_counter() - began


def _charm(folder: Path) -> Path:
    """Its dispatch uses the ops of this environment: packing it would take longer than all the hooks."""
    charm = folder / "hooked"
    (charm / "src").mkdir(parents=True)
    (charm / "src" / "charm.py").write_text(CHARM)
    (charm / "metadata.yaml").write_text("name: hooked\nsummary: Has hooks\ndescription: In Python, with ops.\n")
    (charm / "config.yaml").write_text("options:\n  number: {type: int, default: 1, description: Any.}\n")
    dispatch = charm / "dispatch"
    dispatch.write_text(f"#!/bin/sh\nexec {sys.executable} src/charm.py\n")
    dispatch.chmod(0o755)
    return charm
