"""Judge the plugins of an installed distribution in a fresh process, with what needs no fakes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Literal, TypeAlias

import msgspec

from undercroft.plugins.discovery import PLUGINS, STORES, Installed
from undercroft.process import SystemProcess
from undercroft_hookspecs.errors import NotFoundError, UndercroftError

TIMEOUT = 1800.0

Verdict: TypeAlias = Literal["kept", "broken", "skipped"]


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """The verdict on one rule: `why` says what is broken, or why it could not be judged."""

    plugin: str
    subject: str
    rule: str
    verdict: Verdict
    why: str = ""
    sentence: str = ""


class JudgementFailedError(UndercroftError):
    """The process that was to judge a plugin ended without a verdict."""

    def __init__(self, plugin: str, said: str) -> None:
        super().__init__(plugin, said)
        self.plugin, self.said = plugin, said

    def __str__(self) -> str:
        return f"the plugin {self.plugin!r} could not be judged: {self.said}"


async def judge_distribution(name: str) -> Sequence[Row]:
    """Judge every plugin of a distribution.

    Raises:
        NotFoundError: there is no such distribution, or it has no plugin.
        JudgementFailedError: the process that judges died.
    """
    found = Installed.scan().find(name)
    if found is None:
        raise NotFoundError(name, f"no distribution called {name!r} is installed here; install it with pip first")
    plugins = [point.name for point in found.entry_points if point.group == PLUGINS]
    stores = [point.name for point in found.entry_points if point.group == STORES]
    if not plugins and not stores:
        raise NotFoundError(name, f"{name} has no plugin: no entry point in the group {PLUGINS!r} or {STORES!r}")
    rows = [row for plugin in plugins for row in await _judge_plugin(plugin)]
    return [*rows, *(_unopened(scheme) for scheme in stores)]


async def _judge_plugin(plugin: str) -> Sequence[Row]:
    with TemporaryDirectory(prefix="undercroft-conformance-") as folder:
        answer = Path(folder, "answer.json")
        argv = [sys.executable, "-m", "undercroft_conformance.judge", plugin, str(answer)]
        done = await SystemProcess().run(argv, timeout=TIMEOUT, check=False, cwd=Path(folder))
        try:
            return msgspec.json.decode(answer.read_bytes(), type=list[Row])
        except (OSError, msgspec.DecodeError):
            said = (done.stderr or done.stdout).decode("utf-8", "replace").strip().splitlines()
            raise JudgementFailedError(plugin, said[-1] if said else f"it exited {done.returncode}") from None


def _unopened(scheme: str) -> Row:
    why = "a store needs a URL that it can be opened with: subclass StoreConformance in the distribution's own tests"
    return Row(plugin=scheme, subject="store", rule="store", verdict="skipped", why=why)
