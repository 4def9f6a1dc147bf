"""A set-up is the same everywhere and at any time, and no file says where packages come from."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

Members = dict[Path, dict[str, Any]]  # Any: a TOML document is as deep as it likes.

# Spelt in two halves, or this file would name them.
HOSTS = tuple(
    "".join(halves)
    for halves in (
        ("pypi.", "org"),
        ("python", "hosted.org"),
        ("pypi.", "python.org"),
        ("npm", "js.org"),
        ("npm", "js.com"),
        ("deb.", "debian.org"),
        ("archive.", "ubuntu.com"),
        ("crates.", "io"),
        ("proxy.", "golang.org"),
        ("conda.", "anaconda.org"),
    )
)
LOCK_LIKE = re.compile(
    r"(\.lock|lock\.json|pylock.*\.toml|requirements.*\.txt|constraints.*\.txt|pyproject\.toml|\.cfg)$"
)
MACHINE_PATHS = re.compile("|".join(("/wor" + "k/", "/tmp/" + "brief", "/ro" + "ot/", r"\.pye" + "nv", "/Use" + "rs/")))


def _pins(lines: Iterable[str]) -> dict[str, str]:
    pins: dict[str, str] = {}
    for line in lines:
        name, _, version = line.partition("==")
        pins[canonicalize_name(name)] = version
    return pins


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def test_every_pin_is_one_exact_version(workspace: dict[str, Any]) -> None:
    lines = (
        workspace["tool"]["uv"]["constraint-dependencies"] + workspace["tool"]["uv"]["build-constraint-dependencies"]
    )

    assert [line for line in lines if not re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line)] == []


def test_pins_are_sorted_and_named_once(workspace: dict[str, Any]) -> None:
    names = [line.partition("==")[0] for line in workspace["tool"]["uv"]["constraint-dependencies"]]

    assert names == sorted(set(names))


def test_every_direct_dependency_is_pinned(workspace: dict[str, Any], members: Members) -> None:
    own = {document["project"]["name"] for document in members.values()}
    lines = list(workspace["project"]["dependencies"]) + list(workspace["dependency-groups"]["dev"])
    for document in members.values():
        lines += document["project"]["dependencies"]
        lines += [line for extra in document["project"].get("optional-dependencies", {}).values() for line in extra]
    names = {canonicalize_name(Requirement(line).name) for line in lines} - own

    assert sorted(names - _pins(workspace["tool"]["uv"]["constraint-dependencies"]).keys()) == []


def test_every_pin_lies_in_the_range_that_the_members_declare(workspace: dict[str, Any], members: Members) -> None:
    pins = _pins(workspace["tool"]["uv"]["constraint-dependencies"])
    outside = []
    for folder, document in members.items():
        for requirement in map(Requirement, document["project"]["dependencies"]):
            pin = pins.get(canonicalize_name(requirement.name))
            if pin is not None and pin not in requirement.specifier:
                outside.append(f"{folder}: {requirement} but {pin} is pinned")

    assert outside == []


def test_every_build_backend_is_pinned(workspace: dict[str, Any], members: Members) -> None:
    backends = {line for document in members.values() for line in document["build-system"]["requires"]}

    assert sorted(backends - _pins(workspace["tool"]["uv"]["build-constraint-dependencies"]).keys()) == []


def test_whatever_is_installed_is_pinned(root: Path, workspace: dict[str, Any]) -> None:
    """What direct dependencies bring along counts, too: uv's own lock, which git ignores, has the whole list."""
    lock = root / "uv.lock"
    if not lock.exists():
        pytest.skip("there is no uv.lock to compare with: run the tests with `uv run pytest` to include this one")
    pins = _pins(workspace["tool"]["uv"]["constraint-dependencies"])
    packages = tomllib.loads(lock.read_text())["package"]
    installed = {package["name"]: package["version"] for package in packages if "registry" in package["source"]}

    assert {name: version for name, version in installed.items() if pins.get(name) != version} == {}


def test_the_lock_file_is_not_tracked(tracked: tuple[Path, ...]) -> None:
    assert [str(path) for path in tracked if path.name in {"uv.lock", "poetry.lock", "pylock.toml"}] == []


def test_no_tracked_file_names_a_package_host(root: Path, tracked: tuple[Path, ...]) -> None:
    named = [f"{path}: {host}" for path in tracked for host in HOSTS if host in _text(root / path).lower()]

    assert named == []


def test_no_file_of_pins_holds_a_url(root: Path, tracked: tuple[Path, ...]) -> None:
    lock_like = [path for path in tracked if LOCK_LIKE.search(path.name) or path.parts[0] == ".ci"]

    assert [str(path) for path in lock_like if re.search(r"https?://", _text(root / path))] == []


def test_no_tracked_file_tells_where_it_was_written(root: Path, tracked: tuple[Path, ...]) -> None:
    told = [
        f"{path}:{number}: {line.strip()[:100]}"
        for path in tracked
        for number, line in enumerate(_text(root / path).splitlines(), start=1)
        if MACHINE_PATHS.search(line)
    ]

    assert told == []
