"""The page about the operator's commands is made from them."""

from __future__ import annotations

from plugins.model.tests.commands import render_commands


def test_the_page_is_fresh() -> None:
    fresh = render_commands.render()

    command = "uv run python plugins/model/tests/commands/render_commands.py"
    assert render_commands.PAGE.read_text() == fresh, f"run: {command}"


def test_the_page_has_every_command_once() -> None:
    listed = [name for names in render_commands.SECTIONS.values() for name in names]

    assert sorted(listed) == sorted(render_commands.commands())
