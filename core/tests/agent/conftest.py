"""An agent in this process, with plugins that a test writes down."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import pytest

from undercroft.agent.agent import HostAgent
from undercroft.agent.setup import Setup, set_up
from undercroft.config import load
from undercroft.plugins import Installed

if TYPE_CHECKING:
    from core.tests.conftest import Distributions

PRELUDE = """
from collections.abc import Mapping, Sequence
import asyncio
import msgspec
from undercroft import NoOpWorker, SimpleWorker, FinishedWorker
from undercroft_hookspecs import *
from undercroft.dependency import Missing, Bounce, Uninstall, OutputError
LOG = []
"""


class Bench:
    """Writes plugins and a config, and runs an agent with them."""

    def __init__(self, distributions: Distributions, folder: Path) -> None:
        self.distributions, self.data_dir = distributions, folder / "data"
        self.config_file = folder / "undercroft.toml"
        self.config_file.write_text("")

    def plugin(self, name: str, source: str) -> None:
        """A plugin: its module has the usual names imported, and a list LOG."""
        self.distributions.plugin(name, PRELUDE + source)

    def module(self, name: str) -> ModuleType:
        """The plugin's module, once it is loaded."""
        return sys.modules[f"throwaway_{name}"]

    def log(self, name: str) -> list[Any]:  # Any: whatever the plugin's source puts there.
        """The plugin's LOG."""
        found: list[Any] = self.module(name).LOG
        return found

    def config(self, text: str) -> None:
        """Write the config file."""
        self.config_file.write_text(text)

    def set_up(self, *, strict: bool = False, environ: Mapping[str, str] | None = None) -> Any:
        """The context manager `set_up`, with this config and these plugins."""
        return set_up(
            self.data_dir,
            read_config=lambda: load(self.config_file, environ or {}),
            strict=strict,
            installed=Installed.scan([str(self.distributions.folder)]),
        )

    @asynccontextmanager
    async def ready(self, *, strict: bool = False) -> AsyncIterator[Setup]:
        """A Setup, made in a thread as imports may take their time."""
        with ExitStack() as stack:
            yield await asyncio.to_thread(stack.enter_context, self.set_up(strict=strict))

    def entries(self, agent: HostAgent) -> dict[str, dict[str, Any]]:  # Any: a report is for people.
        """The entries of the top engine's report."""
        found: Any = agent.report()["manifolds"]
        return {name: dict(entry) for name, entry in found.items()}

    def states(self, agent: HostAgent) -> dict[str, str]:
        """The state of each of the top engine's manifolds."""
        return {name: entry["state"] for name, entry in self.entries(agent).items()}

    async def ask(self, agent: HostAgent, request: str, **rest: object) -> dict[str, Any]:  # Any: JSON.
        """Ask the agent's control."""
        return dict(await agent.control.ask({"request": request, **rest}))

    @asynccontextmanager
    async def agent(self, *, strict: bool = False, **options: Any) -> AsyncIterator[HostAgent]:
        """An agent that has settled; killed and waited for at the end."""
        async with self.ready(strict=strict) as setup, HostAgent(setup, **options) as agent:
            await agent.settled()
            yield agent


@pytest.fixture
def bench(distributions: Distributions, tmp_path: Path) -> Bench:
    """See Bench."""
    return Bench(distributions, tmp_path)


@pytest.fixture
def until() -> Callable[[Callable[[], object]], Awaitable[None]]:
    """Wait, for a few seconds at most, until a condition holds."""

    async def wait(condition: Callable[[], object]) -> None:
        async with asyncio.timeout(5):
            while not condition():
                await asyncio.sleep(0.005)

    return wait
