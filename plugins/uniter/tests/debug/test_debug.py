"""Debug sessions, in a real tmux."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from plugins.uniter.tests.stage import UNIT, Stage

from undercroft.process import SystemProcess
from undercroft_hookspecs.hook_facades import HookFacade
from undercroft_uniter.debug.session import DebugSession, is_open, read_session, session_of
from undercroft_uniter.debug.window import attach
from undercroft_uniter.seams import Ending

PATIENCE = 15.0


class Tmux:
    """A session for the unit, on a server of the test's own."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.process = SystemProcess()

    async def __call__(self, *words: str) -> str:
        done = await self.process.run(["tmux", "-L", "undercroft", *words], timeout=PATIENCE, check=False)
        return done.stdout.decode()

    async def begin(self, *hooks: str, at: str = "") -> None:
        """Open the session."""
        await self("new-session", "-d", "-s", UNIT, "-n", "session", "sleep 1000")
        self.stage.paths.debug.write_bytes(msgspec.json.encode(session_of(hooks, at=at)))

    async def type(self, window: str, text: str) -> None:
        """Type into a window once it is there and has a prompt."""
        await self.until(window, "%")
        await self("send-keys", "-t", f"={UNIT}:{window}", text, "Enter")

    async def until(self, window: str, text: str) -> str:
        """What a window shows, once it shows that."""
        async with asyncio.timeout(PATIENCE):
            while text not in (shown := await self("capture-pane", "-p", "-S", "-", "-t", f"={UNIT}:{window}")):
                await asyncio.sleep(0.05)
        return shown


@pytest.fixture
async def tmux(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Tmux]:
    if shutil.which("tmux") is None:
        pytest.skip("needs tmux: apt-get install tmux")
    # For its own server; in charm code, whose environment is made, the wrapper puts it.
    folder = Path("/dev/shm") / f"undercroft-tmux-{os.getpid()}"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("TMUX_TMPDIR", str(folder))
    wrapper = stage.paths.tools / "tmux"
    wrapper.write_text(f'#!/bin/sh\nTMUX_TMPDIR={folder} exec {shutil.which("tmux")} "$@"\n')
    wrapper.chmod(0o755)
    stage.agent.process = SystemProcess()
    opened = Tmux(stage)
    yield opened
    await opened("kill-server")
    shutil.rmtree(folder)


async def begun(stage: Stage, name: str = "install") -> asyncio.Task[Ending]:
    return asyncio.ensure_future((await stage.execution(name)).run())


async def test_a_hook_is_run_by_hand_with_its_environment_and_its_tools(tmux: Tmux) -> None:
    stage = tmux.stage
    stage.script("hooks/install", "state-set by=script")
    await tmux.begin("install")
    running = await begun(stage)

    await tmux.type("install", "echo [$JUJU_UNIT_NAME] [$JUJU_DISPATCH_PATH]; pwd; state-set by=hand; exit")
    ending = await running

    assert ending == Ending()
    assert await stage.of(UNIT, HookFacade).charm_state() == {"by": "hand"}
    assert not list(stage.paths.own.glob("debug-*"))


async def test_its_welcome_says_what_to_run(tmux: Tmux) -> None:
    tmux.stage.script("hooks/install", "true")
    await tmux.begin()
    running = await begun(tmux.stage)

    shown = await tmux.until("install", "%")

    assert "./hooks/install" in shown
    assert "debug session of shop/0" in shown
    await tmux.type("install", "exit")
    assert not (await running).failure


async def test_the_status_of_the_shell_is_the_hook_s(tmux: Tmux) -> None:
    tmux.stage.script("hooks/install", "true")
    await tmux.begin("*")
    running = await begun(tmux.stage)

    await tmux.type("install", "state-set a=b; exit 7")

    assert (await running).failure == "exit status 7"
    assert await tmux.stage.of(UNIT, HookFacade).charm_state() == {}


async def test_a_hook_that_the_charm_has_not_has_a_window_too(tmux: Tmux) -> None:
    await tmux.begin()
    running = await begun(tmux.stage, "start")

    await tmux.type("start", "exit")

    assert not (await running).is_missing


async def test_other_hooks_are_run_as_ever(tmux: Tmux) -> None:
    await tmux.begin("config-changed")

    assert await tmux.stage.printed("echo ran") == "ran"


async def test_a_window_that_is_closed_makes_the_hook_fail(tmux: Tmux) -> None:
    tmux.stage.script("hooks/install", "true")
    await tmux.begin()
    running = await begun(tmux.stage)
    await tmux.until("install", "%")

    await tmux("kill-window", "-t", f"={UNIT}:install")

    async with asyncio.timeout(PATIENCE):
        assert (await running).failure == "exit status 1"


async def test_a_session_that_ends_makes_the_hook_fail_and_the_next_run_as_ever(tmux: Tmux) -> None:
    stage = tmux.stage
    stage.script("hooks/install", "true")
    await tmux.begin()
    running = await begun(stage)
    await tmux.until("install", "%")

    await tmux("kill-session", "-t", f"={UNIT}")
    failed = await running

    assert failed.failure == "exit status 1"
    assert not (await (await stage.execution()).run()).failure


async def test_breakpoints_find_a_terminal_and_where_to_break(tmux: Tmux) -> None:
    stage = tmux.stage
    stage.script("hooks/install", "[ -t 0 ] && state-set at=$JUJU_DEBUG_AT")
    await tmux.begin("install", at="all")

    async with asyncio.timeout(PATIENCE):
        ending = await (await begun(stage))

    assert not ending.failure
    assert await stage.of(UNIT, HookFacade).charm_state() == {"at": "all"}


async def test_breakpoints_are_not_looked_for_in_a_hook_that_is_missing(tmux: Tmux) -> None:
    await tmux.begin(at="all")

    assert (await (await tmux.stage.execution("start")).run()).is_missing


async def test_actions_are_run_by_hand_too(tmux: Tmux) -> None:
    stage = tmux.stage
    stage.script("actions/plain", "true")
    await tmux.begin("plain")
    acting = asyncio.ensure_future(stage.act("plain"))

    await tmux.type("plain", "action-set by=hand; exit")

    assert (await acting).results["by"] == "hand"


async def test_without_the_file_or_tmux_there_is_no_session(stage: Stage) -> None:
    stage.paths.debug.write_bytes(b'{"hooks":[]}')

    assert await stage.printed("echo ran") == "ran"
    assert not await is_open(stage.agent.process, UNIT)


@pytest.mark.parametrize("content", [b"", b"{", b'{"hooks":7}', b'{"unknown":1}'])
def test_a_file_that_is_none_is_no_session(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "debug.json"
    file.write_bytes(content)

    assert read_session(file) is None
    assert read_session(tmp_path / "none") is None


def test_a_star_stands_for_all_hooks() -> None:
    assert session_of(["install", "*"]) == DebugSession()
    assert session_of(["install"]).matches("install")
    assert not session_of(["install"]).matches("start")


def test_attaching_ends_the_session_with_who_looks() -> None:
    argv = attach(UNIT, Path("/d/debug.json"), Path("/d/charm"))

    assert argv[-3:] == [UNIT, "/d/debug.json", "/d/charm"]
    assert "new-session -A -s" in argv[2]
    assert "kill-session" in argv[2]
