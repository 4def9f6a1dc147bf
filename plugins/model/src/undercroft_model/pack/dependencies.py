"""Decide where a charm's Python dependencies are written down."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from undercroft_model.pack.errors import PackError
from undercroft_model.pack.locked import (
    POETRY_LOCK,
    PYPROJECT,
    UV_LOCK,
    locked_elsewhere,
    locked_versions,
    poetry_requirements,
    project_requirements,
    read_toml,
    sourced_elsewhere,
    table,
)

if TYPE_CHECKING:
    from pathlib import Path

    from undercroft_model.pack.craft import Part
    from undercroft_model.pack.locked import Table

REQUIREMENTS = "requirements.txt"
CHARM_LIBS = "charm-libs"


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependencies:
    """What is to be installed: `lines` and the requirement `files`, within `constraints`.

    With `is_exported`, uv's export of uv.lock says more (hashes, platforms); the rest stands for it where uv is not.
    """

    origin: str
    lines: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    constraints: tuple[str, ...] = ()
    extras: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    is_exported: bool = False
    elsewhere: tuple[str, ...] = ()
    """What of it comes from no index. To ask one for these names would be to install a stranger's package."""
    inputs: tuple[str, ...] = ()
    """The files that were looked at."""

    @property
    def is_empty(self) -> bool:
        """There is nothing to install."""
        return not self.lines and not self.files


def find_dependencies(source: Path, part: Part | None) -> Dependencies:
    """The dependencies of the charm in a folder. This blocks: call it in a thread.

    What its Python part names comes first. Otherwise it is the first of uv.lock, pyproject's `[project]`, Poetry's
    dependencies and requirements.txt; for the plugins `charm` and `python` requirements.txt comes before the others.

    Raises:
        PackError: one of the files cannot be understood.
    """
    pyproject = read_toml(source / PYPROJECT)
    plugin = part.plugin if part is not None else ""
    named = _named(source, part) if part is not None else None
    if named is not None:
        return named
    if plugin in {"charm", "python"} and (source / REQUIREMENTS).is_file():
        return Dependencies(origin=REQUIREMENTS, files=(REQUIREMENTS,), inputs=(REQUIREMENTS,))
    if plugin != "poetry" and (source / UV_LOCK).is_file():
        return _of_uv(source, pyproject, part)
    if plugin == "poetry" or "poetry" in table(pyproject, "tool"):
        return _of_poetry(source, pyproject, part)
    if lines := project_requirements(pyproject):
        if elsewhere := sourced_elsewhere(pyproject, lines):
            names = ", ".join(elsewhere)
            raise PackError(
                source, f"[tool.uv.sources] of {PYPROJECT} says where {names} come from; run `uv lock` there"
            )
        return Dependencies(origin=PYPROJECT, lines=tuple(lines), inputs=(PYPROJECT,))
    if (source / REQUIREMENTS).is_file():
        return Dependencies(origin=REQUIREMENTS, files=(REQUIREMENTS,), inputs=(REQUIREMENTS,))
    return Dependencies(origin="", inputs=(PYPROJECT, UV_LOCK, REQUIREMENTS))


def _named(source: Path, part: Part) -> Dependencies | None:
    """The requirement files and packages that the part names. A file that is only made while building is not there."""
    files = [*part.texts("charm-requirements"), *part.texts("python-requirements")]
    lines = [
        *part.texts("charm-python-packages"),
        *part.texts("charm-binary-python-packages"),
        *part.texts("python-packages"),
    ]
    # charmcraft's own tools for installing are no dependencies of the charm.
    lines = [line for line in lines if line not in {"pip", "setuptools", "wheel"}]
    there = tuple(name for name in files if (source / name).is_file())
    if not there and (files or not lines):
        return None
    return Dependencies(origin=", ".join(there) or "charmcraft.yaml", lines=tuple(lines), files=there, inputs=there)


def _of_uv(source: Path, pyproject: Table, part: Part | None) -> Dependencies:
    extras = part.texts("uv-extras") if part is not None else ()
    groups = part.texts("uv-groups") if part is not None else ()
    return Dependencies(
        origin=UV_LOCK,
        lines=tuple(project_requirements(pyproject, extras=extras, groups=groups)),
        constraints=tuple(locked_versions(source, UV_LOCK)),
        extras=extras,
        groups=groups,
        is_exported=True,
        elsewhere=tuple(locked_elsewhere(source)),
        inputs=(PYPROJECT, UV_LOCK),
    )


def _of_poetry(source: Path, pyproject: Table, part: Part | None) -> Dependencies:
    is_locked = (source / POETRY_LOCK).is_file()
    groups = tuple(dict.fromkeys([*_poetry_groups(part), CHARM_LIBS]))
    lines = poetry_requirements(source, pyproject, groups=groups, is_locked=is_locked)
    return Dependencies(
        origin=POETRY_LOCK if is_locked else PYPROJECT,
        lines=tuple(dict.fromkeys([*project_requirements(pyproject, groups=groups), *lines])),
        constraints=tuple(locked_versions(source, POETRY_LOCK)) if is_locked else (),
        inputs=(PYPROJECT, POETRY_LOCK),
    )


def _poetry_groups(part: Part | None) -> list[str]:
    """The groups that the part asks for, `main` aside, which is always there."""
    if part is None:
        return []
    arguments = list(part.texts("poetry-export-extra-args"))
    values = [value for flag, value in itertools.pairwise(arguments) if flag in {"--only", "--with"}]
    values += [word.partition("=")[2] for word in arguments if word.startswith(("--only=", "--with="))]
    names = [*part.texts("poetry-with"), *(name.strip() for value in values for name in value.split(","))]
    return [name for name in names if name and name != "main"]
