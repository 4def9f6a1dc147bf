"""What the agent's end means: to whoever started it, and for the machine."""

from __future__ import annotations

import logging
from enum import Enum
from typing import TYPE_CHECKING

from undercroft import caused_by
from undercroft.agent.plain import text
from undercroft.agent.systemd import service_words
from undercroft.files import in_thread
from undercroft_hookspecs import (
    AgentSignal,
    RebootMachine,
    RestartAgent,
    ShutdownMachine,
    TerminateAgent,
    UndercroftError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from undercroft_hookspecs import Process

_log = logging.getLogger(__name__)

_PATIENCE_SECONDS = 30.0


class Ending(Enum):
    """How the agent ended, for whoever started it."""

    DONE = "done"
    FAILED = "failed"
    RESTART = "restart"
    """It asks to be started again."""


class ForcedStopError(UndercroftError):
    """The agent was left before its workers had ended; `workers` are those that were still up."""

    def __init__(self, workers: Sequence[str]) -> None:
        super().__init__(workers)
        self.workers = tuple(workers)

    def __str__(self) -> str:
        return f"stopped by force; these workers were still up: {', '.join(self.workers) or 'none'}"


async def conclude(
    error: BaseException | None, *, process: Process, environment: Mapping[str, str], allow_reboot: bool, cgroup: Path
) -> Ending:
    """Do what the agent's end asks for, and say how it ended. An error that is nobody's wish is raised.

    `cgroup` is /proc/self/cgroup.
    """
    if error is None:
        return Ending.DONE
    if isinstance(error, ForcedStopError):
        _log.error("%s", error)
        return Ending.FAILED
    signal = caused_by(error, AgentSignal)
    if isinstance(signal, RestartAgent):
        _log.info("restarting as asked: %s", text(signal))
        return Ending.RESTART
    if isinstance(signal, TerminateAgent):
        _log.info("ending for good as asked: %s", text(signal))
        service = service_words(environment, await in_thread(_read, cgroup))
        if service:
            await _systemctl(process, "disable", *service)
        return Ending.DONE
    if isinstance(signal, (RebootMachine, ShutdownMachine)):
        return await _leave_machine(signal, process, allow_reboot=allow_reboot)
    raise error


async def _leave_machine(signal: AgentSignal, process: Process, *, allow_reboot: bool) -> Ending:
    verb = "reboot" if isinstance(signal, RebootMachine) else "poweroff"
    if not allow_reboot:
        _log.error("blocked: %s requested (%s); allow_reboot is false in the config", verb, text(signal))
        return Ending.FAILED
    _log.warning("%s as asked: %s", verb, text(signal))
    return Ending.DONE if await _systemctl(process, verb) else Ending.FAILED


async def _systemctl(process: Process, *words: str) -> bool:
    try:
        await process.run(["systemctl", *words], timeout=_PATIENCE_SECONDS)
    except (UndercroftError, TimeoutError, OSError) as error:
        _log.error("systemctl %s failed: %s", " ".join(words), text(error))
        return False
    return True


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""
