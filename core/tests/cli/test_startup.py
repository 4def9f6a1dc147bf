from __future__ import annotations

import subprocess
import sys

import pytest
from core.tests.cli.conftest import CommandLine

HEAVY = (
    "asyncio",
    "importlib.metadata",
    "msgspec",
    "packaging",
    "pluggy",
    "rich",
    "structlog",
    "uvloop",
    "yaml",
)

PROBE = """
import sys
from undercroft.__main__ import main
sys.argv = ["undercroft", *{arguments!r}]
assert main() == 0
loaded = [name for name in {heavy!r} if name in sys.modules]
loaded += [name for name in sys.modules if name.startswith(("undercroft_d", "undercroft_c"))]
assert not loaded, loaded
"""


@pytest.mark.parametrize("arguments", [["--help"], ["version"], ["version", "--help"], ["plugins", "--help"]])
def test_what_starts_often_loads_nothing_heavy_and_no_plugin(undercroft: CommandLine, arguments: list[str]) -> None:
    environment = {name: value for name, value in undercroft.environment.items() if not name.startswith("COV")}

    done = subprocess.run(
        check=False,
        args=[sys.executable, "-c", PROBE.format(arguments=arguments, heavy=HEAVY)],
        env=environment,
        cwd=undercroft.folder,
        capture_output=True,
        text=True,
    )

    assert (done.returncode, done.stderr) == (0, "")


def test_the_script_and_the_module_are_the_same_program(undercroft: CommandLine) -> None:
    script = subprocess.run(
        check=False,
        args=[f"{sys.prefix}/bin/undercroft", "--help"],
        env=undercroft.environment,
        capture_output=True,
        text=True,
    )

    assert script.stdout == undercroft("--help").out
