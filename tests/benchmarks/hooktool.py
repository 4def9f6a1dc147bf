"""Hook tools: what a call costs the charm, and the agent."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import uvloop
from plugins.uniter.tests.jujuc.tools.fakes import FakeHook
from tests.benchmarks.measure import Scale, Table, milliseconds, per_second

from undercroft.clock import SystemClock
from undercroft_hookspecs.hook_tools import HookContext, LogContext, RelationsContext
from undercroft_uniter.context.context import CharmContext
from undercroft_uniter.jujuc.server import ToolServer
from undercroft_uniter.jujuc.toolfolder import compiled_client, fill_tool_folder, python_client
from undercroft_uniter.jujuc.tools.catalogue import builtin_tools
from undercroft_uniter.jujuc.wire import Request, encode_request

CLIENT_LIMIT, FALLBACK_LIMIT, SERVER_LIMIT, RATE_LIMIT = 1.3, 1.15, 150e-6, 1000.0
TRUE = ["/bin/true"]
PYTHON = [os.path.realpath(sys.executable), "-I", "-S", "-E", "-c", "pass"]
NO_COMPILER = "the client was not compiled: install gcc and libc6-dev, and undercroft-uniter once more"
CALLERS = 8
CALLS = {
    "juju-log": ("juju-log", "--log-level", "DEBUG", "--", "Emitting Juju event config_changed."),
    "relation-ids": ("relation-ids", "db", "--format=json"),
    "relation-get": ("relation-get", "--format=json", "-r", "db:3", "-", "mysql/0"),
}


def hook_tool(scale: Scale, table: Table) -> None:
    """A client's round trip, from spawn to exit, against spawning what does nothing; and what the agent does for it."""
    uvloop.run(_hook_tool(scale, table))


async def _hook_tool(scale: Scale, table: Table) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fake = FakeHook()
        context = _context(fake.id)
        async with AsyncExitStack() as served:
            server = await served.enter_async_context(ToolServer(folder / "agent.socket", clock=SystemClock()))
            beside = [_context(f"{fake.id}-{number}") for number in range(CALLERS)]
            for one in (context, *beside):
                await served.enter_async_context(server.serving(one, builtin_tools(clock=SystemClock())))
            hook = Hook(context, server, folder)
            await _round_trips(hook, scale, table)
            await _of_the_server(hook, scale, table)
            await _at_once(f"hook tools from {CALLERS} shells in one hook", hook, [fake.id] * CALLERS, scale, table)
            what = f"hook tools from {CALLERS} actions at once"
            await _at_once(what, hook, [one.id for one in beside], scale, table)


def _context(name: str) -> CharmContext:
    fake = FakeHook()
    parts: dict[type, object] = {LogContext: fake.log, RelationsContext: fake.relations}
    return CharmContext(id=name, unit=fake.unit, hook=fake.hook, parts=parts)


class Hook:
    """A hook that is being run, and its tools in `folder`."""

    def __init__(self, context: HookContext, server: ToolServer, folder: Path) -> None:
        self.context = context
        self.folder = folder
        self.socket = server.environment()["JUJU_AGENT_SOCKET_ADDRESS"]
        self._environment = {"JUJU_CONTEXT_ID": context.id, **server.environment()}

    async def do(self, what: str, **order: object) -> Mapping[str, float]:
        """Let a process in the hook do it, and give what it has found."""
        return await asyncio.to_thread(self._do, {"do": what, **order})

    def _do(self, order: Mapping[str, object]) -> Mapping[str, float]:
        done = subprocess.run(
            [sys.executable, "-m", "tests.benchmarks.callers"],
            input=json.dumps(order).encode(),
            env={**os.environ, **self._environment},
            check=True,
            stdout=subprocess.PIPE,
        )
        found: Mapping[str, float] = json.loads(done.stdout)
        return found


async def _round_trips(hook: Hook, scale: Scale, table: Table) -> None:
    compiled = compiled_client()
    clients = {"python": python_client(), **({} if compiled is None else {"compiled": compiled.read_bytes()})}
    sides = {"true": TRUE, "pass": PYTHON}
    tool = CALLS["relation-ids"]
    for kind, client in clients.items():
        await fill_tool_folder(hook.folder / kind, [tool[0]], client=client)
        sides[kind] = [str(hook.folder / kind / tool[0]), *tool[1:]]
    found = await hook.do("spawn", sides=sides, rounds=5 if scale.short else 500)
    what = "hook tool, from spawn to exit"
    if compiled is None:
        table.add(f"{what}, compiled client", NO_COMPILER)
    else:
        _at_most(table, f"{what}, compiled client", found["compiled"], found["true"], CLIENT_LIMIT, of="/bin/true")
        best = found["compiled, best"], found["true, best"]
        _at_most(table, f"{what}, compiled client, the best fifth", *best, None, of="/bin/true")
    _at_most(table, f"{what}, client in Python", found["python"], found["pass"], FALLBACK_LIMIT, of="python -ISE pass")


def _at_most(table: Table, what: str, ours: float, peer: float, limit: float | None, *, of: str) -> None:
    table.at_most(what, ours, peer, limit, show=milliseconds, of=of)


async def _of_the_server(hook: Hook, scale: Scale, table: Table) -> None:
    """The processor's time that the agent spends on a call."""
    calls = 200 if scale.short else 5000
    for tool, words in CALLS.items():
        request = encode_request(Request(hook.context.id, words[0], "/", words[1:]))
        began = time.thread_time()
        found = await hook.do("ask", path=hook.socket, request=request.hex(), calls=calls)
        spent = (time.thread_time() - began) / calls
        table.within(f"hook tool, the agent's share: {tool}", spent, SERVER_LIMIT, show=milliseconds)
        table.add(f"hook tool, one after another without spawning: {tool}", per_second(found["rate"]))


async def _at_once(what: str, hook: Hook, contexts: Sequence[str], scale: Scale, table: Table) -> None:
    """A shell in each of these contexts."""
    if compiled_client() is None:
        table.add(what, NO_COMPILER)
        return
    each = 20 if scale.short else 500
    ours = await hook.do("loops", command=f"{hook.folder}/compiled/relation-ids db", contexts=contexts, each=each)
    peer = await hook.do("loops", command=TRUE[0], contexts=contexts, each=each)
    table.add(
        what,
        per_second(ours["rate"]),
        peer=f"/bin/true {per_second(peer['rate'])}",
        result=f"{ours['rate'] / peer['rate']:.2f}x",
        target=f">= {per_second(RATE_LIMIT)}",
        met=ours["rate"] >= RATE_LIMIT,
    )
