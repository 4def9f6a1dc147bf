"""What pyproject.toml and the locks say, without uv and poetry."""

from __future__ import annotations

from pathlib import Path

import pytest

from undercroft_model.pack.craft import read_craft
from undercroft_model.pack.dependencies import Dependencies, find_dependencies
from undercroft_model.pack.errors import PackError
from undercroft_model.pack.locked import locked_versions

UV_LOCK = """
version = 1
[[package]]
name = "ops"
version = "3.1.0"
source = { registry = "https://index.example/simple" }
[[package]]
name = "app"
version = "0"
source = { virtual = "." }
[[package]]
name = "twice"
version = "1.0"
source = { registry = "https://index.example/simple" }
[[package]]
name = "twice"
version = "2.0"
source = { registry = "https://index.example/simple" }
"""

POETRY_LOCK = """
[[package]]
name = "ops"
version = "2.9.0"
[[package]]
name = "mine"
version = "1.0"
[package.source]
type = "git"
url = "https://git.example/mine"
"""


def _find(folder: Path, craft: str = "", **files: str) -> Dependencies:
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    parts = read_craft(craft.encode()).parts
    return find_dependencies(folder, parts[0] if parts else None)


def _poetry(dependencies: str) -> str:
    return f"[tool.poetry]\nname = 'app'\n[tool.poetry.dependencies]\n{dependencies}\n"


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("^1.2.3", "x>=1.2.3,<2"),
        ("^0.2.3", "x>=0.2.3,<0.3"),
        ("^0.0.3", "x>=0.0.3,<0.0.4"),
        ("^1", "x>=1,<2"),
        ("~1.2", "x>=1.2,<1.3"),
        ("~1.2.3", "x>=1.2.3,<1.3"),
        ("~1", "x>=1,<2"),
        ("1.2.*", "x==1.2.*"),
        ("1.2", "x==1.2"),
        (">=1, <3", "x>=1,<3"),
        ("~=1.4", "x~=1.4"),
        ("*", "x"),
    ],
)
def test_poetry_s_versions_are_put_in_pip_s_words(tmp_path: Path, version: str, expected: str) -> None:
    found = _find(tmp_path, pyproject_toml=_poetry(f'python = "^3.10"\nx = "{version}"'))

    assert found.lines == (expected,)


def test_a_version_that_is_not_understood_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PackError, match=r"the version of x, '1 \|\| 2', is not understood"):
        _find(tmp_path, pyproject_toml=_poetry('x = "1 || 2"'))


def test_all_kinds_of_poetry_s_dependencies_are_read(tmp_path: Path) -> None:
    found = _find(
        tmp_path,
        pyproject_toml=_poetry(
            """
a = { version = "^1", extras = ["fast", "safe"], markers = "sys_platform == 'linux'" }
b = { git = "https://git.example/b", tag = "v1" }
c = { path = "libs/c" }
d = { version = "*", optional = true }
[tool.poetry.group.charm-libs.dependencies]
e = "1.0"
[tool.poetry.group.dev.dependencies]
f = "1.0"
"""
        ),
    )

    assert found.lines == (
        "a[fast,safe]>=1,<2 ; sys_platform == 'linux'",
        "b @ git+https://git.example/b@v1",
        f"c @ {(tmp_path / 'libs/c').as_uri()}",
        "e==1.0",
    )


def test_poetry_s_lock_decides_the_versions(tmp_path: Path) -> None:
    (tmp_path / "poetry.lock").write_text(POETRY_LOCK)

    found = _find(tmp_path, pyproject_toml=_poetry('ops = ">=2 || 3"'))

    assert (found.origin, found.lines, found.constraints) == ("poetry.lock", ("ops",), ("ops==2.9.0",))


def test_poetry_s_groups_are_those_that_the_part_asks_for(tmp_path: Path) -> None:
    text = _poetry("") + "[tool.poetry.group.more.dependencies]\nx = '*'\n[tool.poetry.group.dev.dependencies]\ny = '*'"

    found = _find(
        tmp_path,
        "parts: {charm: {plugin: poetry, poetry-export-extra-args: [--only, 'main,more']}}",
        pyproject_toml=text,
    )

    assert found.lines == ("x",)


def test_uv_s_lock_comes_before_the_rest_and_is_read_for_where_uv_is_not(tmp_path: Path) -> None:
    (tmp_path / "uv.lock").write_text(UV_LOCK)

    found = _find(
        tmp_path,
        "parts: {charm: {plugin: uv, uv-extras: [fast]}}",
        pyproject_toml="[project]\nname='app'\ndependencies=['ops']\n[project.optional-dependencies]\nfast=['twice']",
        requirements_txt="other",
    )

    assert found.is_exported
    assert (found.origin, found.lines, found.extras) == ("uv.lock", ("ops", "twice"), ("fast",))
    assert found.constraints == ("ops==3.1.0",)
    assert locked_versions(tmp_path, "uv.lock") == ["ops==3.1.0"]


def test_the_plugin_charm_takes_what_it_names(tmp_path: Path) -> None:
    (tmp_path / "extra.txt").write_text("x")
    part = "{plugin: charm, charm-requirements: [extra.txt], charm-binary-python-packages: [pip, ops]}"

    found = _find(tmp_path, f"parts: {{charm: {part}}}")

    assert (found.files, found.lines) == (("extra.txt",), ("ops",))


def test_a_requirements_file_that_a_build_script_would_make_gives_way_to_the_lock(tmp_path: Path) -> None:
    (tmp_path / "uv.lock").write_text(UV_LOCK)

    found = _find(tmp_path, "parts: {charm: {charm-requirements: [requirements.txt]}}", pyproject_toml="")

    assert found.origin == "uv.lock"


def test_requirements_are_the_last_to_be_asked(tmp_path: Path) -> None:
    assert _find(tmp_path, requirements_txt="ops").files == ("requirements.txt",)
    assert _find(tmp_path, pyproject_toml="[project]\nname='a'\ndependencies=['ops']").lines == ("ops",)


def test_a_folder_without_any_has_none(tmp_path: Path) -> None:
    assert _find(tmp_path).is_empty


def test_toml_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PackError, match=r"pyproject\.toml cannot be read"):
        _find(tmp_path, pyproject_toml="[project")


def test_a_package_that_comes_from_elsewhere_is_never_asked_of_an_index(tmp_path: Path) -> None:
    text = "[project]\nname='a'\ndependencies=['My_Lib>=1']\n[tool.uv.sources]\nmy-lib={path='../lib'}"

    with pytest.raises(PackError, match=r"says where My_Lib come from; run `uv lock`"):
        _find(tmp_path, pyproject_toml=text)


def test_what_a_lock_takes_from_elsewhere_is_told(tmp_path: Path) -> None:
    lock = UV_LOCK + '[[package]]\nname = "mine"\nversion = "1"\nsource = { directory = "../mine" }\n'
    (tmp_path / "uv.lock").write_text(lock)

    assert _find(tmp_path, pyproject_toml="").elsewhere == ("mine",)
