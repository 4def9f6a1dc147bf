"""Every command explains itself, and costs nothing before it is run."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import click
import pytest

import undercroft_model.commands
from undercroft.cli.options import adopt
from undercroft_model.commands.frame import OperatorCommand

FOLDER = Path(undercroft_model.commands.__path__[0])
POINTS = {
    point.name: point
    for point in metadata.distribution("undercroft-model").entry_points
    if point.group == "undercroft.commands" and point.module.startswith("undercroft_model.commands.")
}
LIGHT = {"click", *sys.stdlib_module_names} - {"asyncio", "sqlite3", "zipfile", "json", "random"}


@pytest.mark.parametrize("name", sorted(POINTS))
def test_the_help_of_each_command_has_an_example(name: str) -> None:
    command = POINTS[name].load()

    assert isinstance(command, click.Command)
    shown = adopt(command).get_help(click.Context(command, info_name=name))

    assert command.help
    assert "Example: undercroft " in " ".join(shown.split())


@pytest.mark.parametrize("name", sorted(POINTS))
def test_each_command_is_called_as_its_entry_point(name: str) -> None:
    command = POINTS[name].load()

    assert isinstance(command, OperatorCommand)
    assert command.name == {"relate": "integrate"}.get(name, name)


@pytest.mark.parametrize("path", sorted({point.module.rpartition(".")[2] for point in POINTS.values()} | {"frame"}))
def test_a_module_of_commands_imports_click_and_light_modules_only(path: str) -> None:
    tree = ast.parse((FOLDER / f"{path}.py").read_text())
    found = set()
    for node in tree.body:
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add(node.module or "")

    heavy = {name for name in found if name.partition(".")[0] not in LIGHT}

    assert heavy <= {"undercroft_model.commands.frame"}


def test_help_loads_nothing_of_the_model() -> None:
    code = (
        "import sys\nfrom undercroft.cli.main import main\nmain(['deploy', '--help'])\n"
        "heavy = ('msgspec', 'asyncio', 'yaml', 'undercroft_model.document')\n"
        "print([name for name in heavy if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.rstrip().endswith("[]")
