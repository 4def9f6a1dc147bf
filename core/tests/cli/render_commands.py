"""Write docs/reference/commands.md from core's commands themselves.

`uv run python core/tests/cli/render_commands.py` renews the page; a test fails while it is stale.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import click

from undercroft.cli.options import adopt
from undercroft.cli.table import CORE_COMMANDS

PAGE = Path(__file__).parents[3] / "docs" / "reference" / "commands.md"

INTRODUCTION = """\
# The commands

Everything is one command, `undercroft`, with a subcommand for each thing to do. This page has those of core. Installed
plugins add theirs, which `undercroft --help` lists by the distribution that they come from; `undercroft COMMAND --help`
explains any of them.

`undercroft --help` and shell completion read names from the metadata of the installed distributions and import no
plugin; what a command is for is the first sentence of its function's docstring, read from the source. Where a plugin
claims a command that core has, core's is run; where two plugins claim one, that of the first distribution by name is.
`undercroft plugins` and `undercroft check` report the other.

## Options of every command

{options}

An option of the same name that a command has of its own replaces the common one.

## Answers and errors

Answers go to stdout, everything else to stderr. Without `--format` an answer is for people: a table where it has rows,
in colour on a terminal unless `NO_COLOR` is set, and one plain line a row elsewhere. `--format json` is for programs:
one line of JSON (laid out when it goes to a terminal), and a command that follows something writes one line for each
change. `--format yaml` is the same document as YAML. Documents only ever gain keys.

An error is one message on stderr that names the file, plugin, key or worker, and says what to do. `--debug` shows the
traceback before it. A reader that leaves early (`undercroft transitions | head -3`) is no error.

| exit code | meaning |
|---|---|
| 0 | done |
| 1 | it failed; the message says why |
| 2 | misused: the command line is not one that the command understands |
| 3 | no agent is running on this data folder |
| 4 | there is no such thing: no worker, no plugin of that name |
| 5 | it timed out |
| 75 | of `undercroft agent` alone: it wants to be started again, as systemd does |
| 78 | the config cannot be used |
| 130 | interrupted with Ctrl-C |

## Shell completion

Names of commands, options and, while an agent runs, of its workers are completed in bash, zsh and fish:

```bash
eval "$(_UNDERCROFT_COMPLETE=bash_source undercroft)"       # bash: add it to ~/.bashrc
eval "$(_UNDERCROFT_COMPLETE=zsh_source undercroft)"        # zsh: add it to ~/.zshrc
_UNDERCROFT_COMPLETE=fish_source undercroft | source        # fish: add it to its config
```

This page is made from the commands by `core/tests/cli/render_commands.py`.
"""


def render() -> str:
    """The page."""
    common = "\n".join(_options(adopt(click.Command("any")), of_core=True))
    return INTRODUCTION.format(options=common) + "".join(_section(name) for name in CORE_COMMANDS)


def _section(name: str) -> str:
    found = CORE_COMMANDS[name]
    command = getattr(import_module(found.module), found.attribute)
    assert isinstance(command, click.Command)
    arguments = [p.make_metavar(click.Context(command)) for p in command.params if isinstance(p, click.Argument)]
    usage = " ".join(["undercroft", name, *(["[OPTIONS]"] if any(_options(command)) else []), *arguments])
    help_text = inspect.cleandoc(command.help or "")
    options = "\n".join(_options(command))
    example = (command.epilog or "").removeprefix("Example: ")
    parts = [f"## undercroft {name}", f"```text\n{usage}\n```", help_text, options, f"```bash\n{example}\n```"]
    return "\n" + "\n\n".join(filter(None, parts)) + "\n"


def _options(command: click.Command, *, of_core: bool = False) -> Iterator[str]:
    for option in command.params:
        if isinstance(option, click.Option) and of_core == (option.name or "").startswith("core_"):
            flags = "`, `".join(option.opts)
            choices = f" ({' or '.join(option.type.choices)})" if isinstance(option.type, click.Choice) else ""
            metavar = f" {option.metavar}" if option.metavar else ""
            yield f"- `{flags}{metavar}`{choices}: {option.help}"


if __name__ == "__main__":
    PAGE.write_text(render())
