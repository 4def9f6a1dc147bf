"""Write docs/reference/hook-tools.md from the hook tools themselves.

`uv run python plugins/uniter/tests/jujuc/tools/render_tools.py` renews the page; a test fails while it is stale.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from undercroft.testing import FakeClock
from undercroft_hookspecs.hook_tools import Flag, HookTool, NotInContextError
from undercroft_uniter.jujuc.arguments import dashed
from undercroft_uniter.jujuc.tools.catalogue import builtin_tools

T = TypeVar("T")

PAGE = Path(__file__).parents[5] / "docs" / "reference" / "hook-tools.md"

SECTIONS: Mapping[str, Sequence[str]] = {
    "The unit and its application": (
        *("status-set", "status-get", "application-version-set", "config-get", "goal-state", "resource-get"),
        *("credential-get", "juju-log", "juju-reboot"),
    ),
    "Relations": ("relation-ids", "relation-list", "relation-get", "relation-set", "relation-model-get"),
    "Leadership": ("is-leader", "leader-get", "leader-set"),
    "Addresses and ports": ("network-get", "unit-get", "open-port", "close-port", "opened-ports"),
    "Secrets": (
        *("secret-add", "secret-set", "secret-get", "secret-info-get", "secret-ids"),
        *("secret-grant", "secret-revoke", "secret-remove"),
    ),
    "Storage": ("storage-list", "storage-get", "storage-add"),
    "What the charm keeps": ("state-get", "state-set", "state-delete"),
    "Actions": ("action-get", "action-set", "action-fail", "action-log"),
    "Metrics": ("add-metric",),
    "Without effect": ("payload-register", "payload-unregister", "payload-status-set"),
}
ALIASES = ("function-get", "function-set", "function-fail", "function-log")

INTRODUCTION = """\
# The hook tools

The commands that a charm calls from its hooks and actions. They are those of Juju 3.6 for machine charms, with its
arguments, answers, exit codes and words, so that charms written with ops, with charmhelpers or in bash run unchanged.
`TOOL --help` prints what this page says of it. [Add a hook tool](../how-to/add-a-hook-tool.md) tells how a plugin
brings more, and [Metrics](metrics.md) what becomes of what `add-metric` adds.

## What they have in common

- Flags stand anywhere among the arguments; `--` ends them. `--flag value` and `--flag=value` are the same, and a switch
  may be given as `--switch=true` or `--switch=False`.
- A tool with an answer has `--format`, one of those named below, the first by default, and `-o`, `--output` for a file
  to print to. `smart` prints a text as it is, a list of texts one on each line, a boolean as `True` or `False`, nothing
  at all for what is not there, and anything else as YAML.
- What is read is as it was when the hook first asked, with what the hook itself has changed since.
- The settings of relations, ports, secrets, storage and `state-set` are written at once when the hook has succeeded,
  and dropped when it has failed. Statuses, the log, an action's progress, the workload's version and what the leader
  says to its units are written as they are said.
- One tool at a time runs in a hook. Outside a hook there are none.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | refused or failed; stderr has `ERROR` and the reason |
| 2 | misused: no such flag, a wrong argument, no such relation; stderr has `ERROR` and the reason |

Errors that charms and their libraries look for:

| when | exit code | stderr |
|---|---|---|
| there is no such relation | 2 | `ERROR invalid value "9999" for option -r: relation not found` |
| no relation is named outside a relation's hook | 2 | `ERROR no relation id specified` |
| a follower reads what its own application says, or the relation is gone | 1 | `ERROR permission denied` |
| a follower writes for its application | 1 | `ERROR cannot write relation settings` |
| a secret is not there, or not for this unit | 1 | `ERROR secret "..." not found` |
| a follower changes what is the leader's | 1 | `ERROR this unit is not the leader` |
| the charm has no such binding | 1 | `ERROR no network config found for binding "..."` |

This page is made from the tools by `plugins/uniter/tests/jujuc/tools/render_tools.py`.
"""


class Nowhere:
    """A hook without anything: flags have no defaults that are of a hook."""

    id = "nowhere"
    unit = "specimen/0"
    hook = "start"

    def get(self, kind: type[T]) -> T:
        """Raises NotInContextError."""
        raise NotInContextError(kind.__name__)


def render() -> str:
    """The page."""
    tools = builtin_tools(clock=FakeClock())
    parts = [INTRODUCTION]
    for title, names in SECTIONS.items():
        parts.append(f"\n## {title}\n")
        if title == "Actions":
            aliases = ", ".join(f"`{name}`" for name in ALIASES)
            parts.append(f"\nThey are there as {aliases}, too, as Juju 2.7 called them.\n")
        parts += [_section(tools[name]) for name in names]
    return "".join(parts)


def _section(tool: HookTool) -> str:
    flags = "\n".join(_flags(tool))
    usage = " ".join(filter(None, (tool.name, "[options]" if flags else "", tool.usage)))
    details = tool.details.replace("\n", " ")
    formats = f"Formats: {', '.join(f'`{form}`' for form in tool.formats)}." if tool.formats else ""
    parts = [f"### {tool.name}", f"```text\n{usage}\n```", f"{tool.summary}. {details}".strip(), flags, formats]
    return "\n" + "\n\n".join(filter(None, parts)) + "\n"


def _flags(tool: HookTool) -> Iterator[str]:
    for flag in tool.flags(Nowhere()):
        yield f"- {_names(flag)}: {flag.summary}{f' (default: `{flag.default}`)' if flag.default else ''}"


def _names(flag: Flag) -> str:
    value = f" {flag.value}" if flag.value else ""
    *others, last = sorted(flag.names, key=len)
    return "".join(f"`{dashed(name)}`, " for name in others) + f"`{dashed(last)}{value}`"


if __name__ == "__main__":
    PAGE.write_text(render())
