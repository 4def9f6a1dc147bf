"""What the pages about the command line, the config and plugins say is so."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import cast

import pytest
from core.tests.cli import render_commands
from core.tests.cli.conftest import CommandLine
from core.tests.conftest import Distributions

from undercroft.cli.exits import ExitCode
from undercroft.config import Config, load

DOCS = Path(__file__).parents[3] / "docs"
CONFIG = DOCS / "reference" / "config.md"
PLUGIN = DOCS / "how-to" / "write-a-plugin.md"


def blocks(page: Path, language: str) -> list[str]:
    """The code blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def test_the_page_of_the_commands_is_made_from_them() -> None:
    fresh = render_commands.render()

    assert render_commands.PAGE.read_text() == fresh, "run: uv run python core/tests/cli/render_commands.py"


@pytest.mark.parametrize("code", list(ExitCode))
def test_the_page_of_the_commands_has_every_exit_code(code: ExitCode) -> None:
    assert f"\n| {code:d} | " in render_commands.PAGE.read_text()


def test_the_page_of_the_config_shows_every_key_with_its_default(tmp_path: Path) -> None:
    (shown,) = blocks(CONFIG, "toml")
    file = tmp_path / "undercroft.toml"
    file.write_text(shown.replace('["diskmanager"]', "[]"))

    assert load(file, {}) == Config(file=file, sections={"diskmanager": {}})
    described = set(re.findall(r"^\| `([a-z_]+)` \|", CONFIG.read_text(), re.MULTILINE))
    assert described == set(tomllib.loads(shown)) - {"plugins"}


def test_the_page_of_the_config_quotes_a_real_message(undercroft: CommandLine) -> None:
    file = undercroft.config("restart_limit = { failure = 3 }")

    said = undercroft("check").err.replace(str(file), "/etc/undercroft.toml")

    assert said in blocks(CONFIG, "text")


def type_in(distributions: Distributions) -> None:
    """Type the guide's plugin in, and install it as pip does."""
    (project,) = (tomllib.loads(block) for block in blocks(PLUGIN, "toml"))
    package = distributions.folder / "undercroft_smart"
    package.mkdir()
    (package / "__init__.py").touch()
    for block in blocks(PLUGIN, "python"):
        name = re.match(r"# src/undercroft_smart/(\w+\.py)", block)
        assert name is not None
        with (package / name[1]).open("a") as module:
            module.write(block.replace("from __future__ import annotations\n", "") if module.tell() else block)
    about = project["project"]
    distributions.add(
        about["name"],
        version=about["version"],
        requires=about["dependencies"],
        plugins=about["entry-points"]["undercroft.plugins"],
    )


def test_the_guides_plugin_is_active_when_it_is_typed_in(undercroft: CommandLine, distributions: Distributions) -> None:
    type_in(distributions)
    undercroft.path = [distributions.folder]

    rows = cast("list[dict[str, object]]", undercroft("plugins", "--format", "json").document)

    (smart,) = [row for row in rows if row["name"] == "smart"]
    assert (smart["state"], smart["manifolds"]) == ("active", ["smart"])


def test_the_guides_plugin_says_what_the_host_lacks_and_checks_its_settings(
    undercroft: CommandLine, distributions: Distributions
) -> None:
    type_in(distributions)
    undercroft.path = [distributions.folder]
    undercroft.config("[plugins.smart]\nsmartctl = 'no-such-program'")

    assert "smart: smartctl is missing" in undercroft("check").out
    undercroft.config("[plugins.smart]\npoll_seconds = 0")
    assert undercroft("check").code == 78
