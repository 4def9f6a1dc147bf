"""Core's commands: where each is found, and the line that `undercroft --help` shows, so that listing imports none."""

from __future__ import annotations

from typing import NamedTuple


class CoreCommand(NamedTuple):
    """Where a command of core is, and what it is for."""

    module: str
    attribute: str
    summary: str


CORE_COMMANDS = {
    "agent": CoreCommand("undercroft.cli.agent", "agent", "Run the agent in the foreground."),
    "check": CoreCommand("undercroft.cli.check", "check", "Check the config and the plugins without running them."),
    "demo": CoreCommand("undercroft.cli.demo", "demo", "Run an agent in a temporary folder and show this machine."),
    "explain": CoreCommand("undercroft.cli.engine", "explain", "Say why a worker is not running."),
    "graph": CoreCommand("undercroft.cli.graph", "graph", "Draw which worker needs which."),
    "plugins": CoreCommand("undercroft.cli.plugins", "plugins", "List the plugins and the state of each."),
    "report": CoreCommand("undercroft.cli.engine", "report", "Show what the agent's workers report."),
    "restart": CoreCommand("undercroft.cli.engine", "restart", "Stop a worker and start it again."),
    "transitions": CoreCommand("undercroft.cli.engine", "transitions", "Show what happened to the workers of late."),
    "version": CoreCommand("undercroft.cli.version", "version", "Show the version."),
}
