"""Write docs/reference/operator-commands.md from the operator's commands themselves.

`uv run python plugins/model/tests/commands/render_commands.py` renews the page; a test fails while it is stale.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path

import click

PAGE = Path(__file__).parents[4] / "docs" / "reference" / "operator-commands.md"

SECTIONS: Mapping[str, Sequence[str]] = {
    "Models": (
        *("add-model", "destroy-model", "models", "show-model", "switch"),
        *("model-config", "model-constraints", "set-model-constraints", "export", "import"),
    ),
    "Applications": (
        *("deploy", "refresh", "pack", "config", "trust", "expose", "unexpose", "integrate", "relate"),
        *("remove-relation", "remove-application", "attach-resource", "resources", "show-application"),
    ),
    "Units and machines": (
        *(
            "add-unit",
            "remove-unit",
            "resolved",
            "set-meter-status",
            "show-unit",
            "machines",
            "remove-machine",
            "ssh",
            "scp",
        ),
    ),
    "What goes on": ("status", "show-status-log", "debug-log", "store"),
    "Storage": (
        *("storage", "show-storage", "add-storage", "attach-storage", "detach-storage", "remove-storage"),
        *("storage-resize", "storage-snapshot", "storage-trim", "import-filesystem"),
        *("storage-pools", "create-storage-pool", "update-storage-pool", "remove-storage-pool"),
    ),
    "Actions": ("run", "exec", "actions", "operations", "show-operation", "show-task", "cancel-task"),
    "Secrets": (
        *("add-secret", "update-secret", "grant-secret", "revoke-secret", "secrets", "show-secret", "remove-secret"),
    ),
    "For clients of juju": (
        *("shim", "controllers", "whoami", "bootstrap", "add-cloud", "update-cloud", "add-credential"),
        *("add-ssh-key", "remove-ssh-key", "set-constraints", "add-machine", "offer", "consume"),
        "destroy-controller",
    ),
}

INTRODUCTION = """\
# The operator's commands

They come with the plugin `model`. Where `juju` has a command, ours has its name, its arguments and its words, so that
who knows one knows the other, and clients such as jubilant work with either:

```python
juju = jubilant.Juju(cli_binary="undercroft")
juju.deploy("./my-charm")
juju.wait(jubilant.all_active)
```

`undercroft shim DIR` writes programs called `juju` and `charmcraft` for suites that look for these on `PATH`.

They work on the store directly, with an agent or without: what is wanted is written down at once, and the agents of the
hosts see to it as soon as they run. Nothing is half done: a command either does all that it was asked for, or refuses
it with one message.

Every command has the options of [all commands](commands.md#options-of-every-command), `-m` for `--model`, and
`--format tabular` for `--format table`; options of juju's that mean nothing here are taken and passed over.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | refused or failed; stderr has `ERROR` and the reason, with `(not found)` behind it where there is no such thing |
| 2 | misused: the command line is not one that the command understands |

`ssh`, and `exec` on a machine, end with the exit code of what was run.

This page is made from the commands by `plugins/model/tests/commands/render_commands.py`.
"""


def commands() -> dict[str, click.Command]:
    """The operator's commands by name."""
    points = metadata.distribution("undercroft-model").entry_points
    return {
        point.name: point.load()
        for point in points
        if point.group == "undercroft.commands" and point.module.startswith("undercroft_model.commands.")
    }


def render() -> str:
    """The page."""
    found = commands()
    parts = [INTRODUCTION]
    for title, names in SECTIONS.items():
        parts.append(f"\n## {title}\n")
        parts += [_section(name, found[name]) for name in names]
    return "".join(parts)


def _section(name: str, command: click.Command) -> str:
    arguments = [p.make_metavar(click.Context(command)) for p in command.params if isinstance(p, click.Argument)]
    options = "\n".join(_options(command))
    usage = " ".join(["undercroft", name, *(["[OPTIONS]"] if options else []), *arguments])
    text = inspect.cleandoc(command.help or "")
    example = (command.epilog or "").removeprefix("Example: ")
    parts = [f"### undercroft {name}", f"```text\n{usage}\n```", text, options, f"```bash\n{example}\n```"]
    return "\n" + "\n\n".join(filter(None, parts)) + "\n"


def _options(command: click.Command) -> Iterator[str]:
    for option in command.params:
        # Of all commands: they have their own page, and are added when a command is run in this process.
        is_common = option.name in ("model", "format") or (option.name or "").startswith("core_")
        if not isinstance(option, click.Option) or option.hidden or is_common:
            continue
        flags = "`, `".join((*option.opts, *option.secondary_opts))
        metavar = f" {option.metavar}" if option.metavar else ""
        yield f"- `{flags}{metavar}`: {option.help}"


if __name__ == "__main__":
    PAGE.write_text(render())
