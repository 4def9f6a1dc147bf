"""The process's signals, turned into what they ask of the agent."""

from __future__ import annotations

import asyncio
import logging
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator

_log = logging.getLogger(__name__)

_STOP = (signal.SIGTERM, signal.SIGINT)


class Signalled(Protocol):
    """What can be asked of an agent from outside."""

    def kill(self) -> None:
        """Stop in order."""

    def force(self) -> None:
        """Stop waiting for workers that do not end."""

    def request_reload(self) -> None:
        """Read the config again."""


@contextmanager
def handled(agent: Signalled) -> Iterator[None]:
    """Heed signals while the block runs.

    SIGTERM and SIGINT stop the agent in order, a second one by force; SIGHUP has it read its config again.
    """
    loop = asyncio.get_running_loop()
    seen: list[signal.Signals] = []

    def on_stop(number: signal.Signals) -> None:
        seen.append(number)
        if len(seen) == 1:
            _log.info("%s: stopping; a second signal stops by force", number.name)
            agent.kill()
        else:
            _log.warning("%s again: stopping by force", number.name)
            agent.force()

    for number in _STOP:
        loop.add_signal_handler(number, on_stop, number)
    loop.add_signal_handler(signal.SIGHUP, agent.request_reload)
    try:
        yield
    finally:
        for number in (*_STOP, signal.SIGHUP):
            loop.remove_signal_handler(number)
