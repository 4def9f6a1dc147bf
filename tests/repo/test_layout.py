"""The repository is laid out as it says it is, and every member of the workspace is a whole distribution."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

Members = dict[Path, dict[str, Any]]  # Any: a TOML document is as deep as it likes.


def _package(folder: Path, document: dict[str, Any]) -> Path:
    return folder / "src" / str(document["project"]["name"]).replace("-", "_")


def test_the_top_level_is_as_fixed(tracked: tuple[Path, ...]) -> None:
    names = {path.parts[0] for path in tracked if not path.parts[0].startswith(".")}

    assert names == {"LICENSE", "README.md", "core", "docs", "hookspecs", "plugins", "pyproject.toml", "tests"}


def test_the_license_is_apache_2(root: Path, members: Members) -> None:
    text = (root / "LICENSE").read_text()

    assert "Apache License" in text
    assert "Version 2.0" in text
    assert {document["project"]["license"] for document in members.values()} == {"Apache-2.0"}


def test_every_folder_of_plugins_is_a_member(tracked: tuple[Path, ...], members: Members) -> None:
    folders = {Path(*path.parts[:2]) for path in tracked if path.parts[0] == "plugins"}

    assert folders == {folder for folder in members if folder.parts[0] == "plugins"}


def test_every_member_has_all_that_a_distribution_needs(root: Path, members: Members) -> None:
    missing = [
        str(path)
        for folder, document in members.items()
        for path in (
            folder / "README.md",
            folder / "CHANGELOG.md",
            folder / "tests",
            _package(folder, document) / "__init__.py",
            _package(folder, document) / "py.typed",
        )
        if not (root / path).exists()
    ]

    assert missing == []


def test_every_version_is_static(members: Members) -> None:
    dynamic = [
        str(folder)
        for folder, document in members.items()
        if "dynamic" in document["project"] or not re.fullmatch(r"\d+\.\d+\.\d+", document["project"]["version"])
    ]

    assert dynamic == []


def test_every_changelog_tells_of_the_version_first(root: Path, members: Members) -> None:
    stale = []
    for folder, document in members.items():
        headings = re.findall(r"^## (\S+)", (root / folder / "CHANGELOG.md").read_text(), re.MULTILINE)
        if headings[:1] != [document["project"]["version"]]:
            stale.append(
                f"{folder}: version {document['project']['version']}, its changelog begins with {headings[:1]}"
            )

    assert stale == []


def test_every_readme_begins_with_the_name_of_its_distribution(root: Path, members: Members) -> None:
    strays = [
        str(folder)
        for folder, document in members.items()
        if not (root / folder / "README.md").read_text().startswith(f"# {document['project']['name']}\n")
    ]

    assert strays == []


def test_every_plugin_goes_by_one_name(members: Members) -> None:
    strays = []
    for folder, document in members.items():
        if folder.parts[0] != "plugins":
            continue
        name, project = folder.name, document["project"]
        groups = project["entry-points"]
        values = [value for group in groups.values() for value in group.values()]
        if project["name"] != f"undercroft-{name}":
            strays.append(f"{folder}: its distribution is {project['name']}")
        if groups.get("undercroft.plugins", {name: ""}).keys() != {name}:
            strays.append(f"{folder}: it is registered as {list(groups['undercroft.plugins'])}")
        if any(not value.startswith(f"undercroft_{name}.") for value in values):
            strays.append(f"{folder}: an entry point leads elsewhere: {values}")

    assert strays == []


def test_every_plugin_says_which_hookspecs_it_is_for(members: Members) -> None:
    vague = [
        str(folder)
        for folder, document in members.items()
        if folder.parts[0] == "plugins"
        and not any(
            re.fullmatch(r"undercroft-hookspecs>=\d+\.\d+,<\d+", line) for line in document["project"]["dependencies"]
        )
    ]

    assert vague == []


def test_no_runtime_member_needs_the_conformance_kit(members: Members) -> None:
    needy = [
        str(folder)
        for folder, document in members.items()
        if folder != Path("tests/conformance")
        and any(line.startswith("undercroft-conformance") for line in document["project"]["dependencies"])
    ]

    assert needy == []
