"""Run the agent as this process's one business: on uvloop, until a signal or a worker ends it."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import uvloop

from undercroft import outcome
from undercroft.agent.agent import HostAgent
from undercroft.agent.ending import Ending, ForcedStopError, conclude
from undercroft.agent.setup import set_up
from undercroft.agent.signals import handled
from undercroft.agent.systemd import Notifier
from undercroft.process import SystemProcess

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from undercroft.agent.setup import Setup
    from undercroft.config import Config

_log = logging.getLogger(__name__)

COLLECT_AFTER = (20_000, 20, 20)
"""The cyclic collector's thresholds: the agent makes many lasting objects, and hardly any garbage in cycles."""


def run(
    data_dir: Path, *, read_config: Callable[[], Config], environment: Mapping[str, str], strict: bool = False
) -> Ending:
    """Run the agent to its end.

    Raises:
        DataFolderError, AgentRunningError, ConfigError, RequiredPluginError, StrictError: it cannot run.
    """
    with set_up(data_dir, read_config=read_config, strict=strict) as setup, Notifier(environment) as notifier:
        spare_the_collector()
        _log.info("agent of host %s, pid %d, data in %s", setup.host, os.getpid(), data_dir)
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_run(setup, notifier, environment))


def spare_the_collector() -> None:
    """Keep the cyclic collector from going over what stays for ever: the modules, and every plugin's.

    The agent's choice, not the library's: it is about the whole process. Without it each full collection stalls the
    loop for a time that grows with everything that is loaded.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)


async def _run(setup: Setup, notifier: Notifier, environment: Mapping[str, str]) -> Ending:
    agent = HostAgent(setup, notifier=notifier)
    with handled(agent):
        error = await outcome(agent)
        ending = await conclude(
            error,
            process=SystemProcess(),
            environment=environment,
            allow_reboot=setup.registry.config.allow_reboot,
            cgroup=Path("/proc/self/cgroup"),
        )
    if isinstance(error, ForcedStopError):
        leave_at_once()
    _log.info("stopped")
    return ending


def leave_at_once() -> None:
    """End the process without another look at its tasks: some would not end, and the loop would wait for them."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)
