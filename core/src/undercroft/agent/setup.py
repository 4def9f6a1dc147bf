"""What an agent needs before it can run, made ready in the order in which it can fail: folder, config, lock, plugins.

Synchronous, and without a loop: imports and fsyncs hold nothing up yet.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from undercroft.agent.host import host_id, make_folders, prepare, sole_agent
from undercroft.plugins import Registry
from undercroft_hookspecs import UndercroftError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from undercroft.config import Config
    from undercroft.plugins import Installed
    from undercroft_hookspecs import HostId


class StrictError(UndercroftError):
    """`--strict` was asked for, and plugins are not as they should be: `problems` maps each name to what is wrong."""

    def __init__(self, problems: dict[str, str]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        listed = "; ".join(f"{name} is {problem}" for name, problem in sorted(self.problems.items()))
        return f"not every plugin can be used, and --strict insists on it: {listed}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """An agent's place and plugins, ready to run; `read_config` reads the config again for a reload."""

    data_dir: Path
    host: HostId
    registry: Registry
    read_config: Callable[[], Config]
    strict: bool = False

    def check(self) -> None:
        """Insist on what the config and `--strict` insist on; call it when every plugin has been asked.

        Raises:
            RequiredPluginError: a required plugin is not active.
            StrictError: a plugin is broken, incompatible or shadowed.
        """
        self.registry.check_required()
        problems = {
            plugin.name: f"{plugin.state} ({plugin.why})"
            for plugin in self.registry.plugins
            if plugin.state not in ("active", "disabled")
        }
        if self.strict and problems:
            raise StrictError(problems)


@contextmanager
def set_up(
    data_dir: Path, *, read_config: Callable[[], Config], strict: bool = False, installed: Installed | None = None
) -> Iterator[Setup]:
    """Make the data folder ready, take its lock for the block, and load the plugins.

    Raises:
        DataFolderError: the folder, or a file in it, cannot be used.
        AgentRunningError: another agent runs on it.
        ConfigError: the config cannot be used.
    """
    prepare(data_dir)
    config = read_config()
    with sole_agent(data_dir):
        host = host_id(data_dir)
        registry = Registry.load(config, installed=installed)
        make_folders(data_dir / "plugins" / name for name in registry.active())
        yield Setup(data_dir=data_dir, host=host, registry=registry, read_config=read_config, strict=strict)
