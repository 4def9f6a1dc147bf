"""Read what pyproject.toml, uv.lock and poetry.lock say of a charm's dependencies, without uv or poetry."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from undercroft_model.pack.errors import PackError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

Table = dict[str, object]

PYPROJECT = "pyproject.toml"
UV_LOCK = "uv.lock"
POETRY_LOCK = "poetry.lock"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_RELEASE = re.compile(r"[0-9]+(?:\.[0-9]+)*")


def read_toml(path: Path) -> Table:
    """The content of a TOML file; empty where there is none.

    Raises:
        PackError: it is no TOML.
    """
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise PackError(path.parent, f"{path.name} cannot be read: {error}") from error


def table(found: Mapping[str, object], *keys: str) -> Table:
    """The table at the end of these keys; empty where there is none."""
    here: object = found
    for key in keys:
        here = here.get(key) if isinstance(here, dict) else None
    return dict(here) if isinstance(here, dict) else {}


def texts(found: object) -> list[str]:
    """The texts of a list; empty for anything else."""
    return [item for item in found if isinstance(item, str)] if isinstance(found, list) else []


def project_requirements(pyproject: Table, *, extras: Iterable[str] = (), groups: Iterable[str] = ()) -> list[str]:
    """The requirements of `[project]`, with those of extras and of dependency groups."""
    project = table(pyproject, "project")
    lines = texts(project.get("dependencies"))
    for extra in extras:
        lines += texts(table(project, "optional-dependencies").get(extra))
    for group in groups:
        lines += texts(table(pyproject, "dependency-groups").get(group))
    return lines


def poetry_requirements(source: Path, pyproject: Table, *, groups: Iterable[str], is_locked: bool) -> list[str]:
    """The requirements of `[tool.poetry]`, main and groups. Where versions are locked, names will do."""
    poetry = table(pyproject, "tool", "poetry")
    tables = [table(poetry, "dependencies")] + [table(poetry, "group", name, "dependencies") for name in groups]
    found = {name: spec for each in tables for name, spec in each.items() if name.lower() != "python"}
    lines = [_poetry_line(source, name, spec, is_locked=is_locked) for name, spec in found.items()]
    return [line for line in lines if line]


def locked_versions(source: Path, lock: str) -> list[str]:
    """`name==version` for each package of a uv.lock or poetry.lock that comes from an index, once.

    A package that is locked more than once, for different platforms, is left out: there is no one version.
    """
    packages = read_toml(source / lock).get("package")
    entries = [entry for entry in packages if isinstance(entry, dict)] if isinstance(packages, list) else []
    times = Counter(str(entry.get("name")) for entry in entries)
    lines = []
    for entry in entries:
        name, version, origin = entry.get("name"), entry.get("version"), table(entry, "source")
        is_from_index = "registry" in origin or (lock == POETRY_LOCK and origin.get("type") in {None, "legacy"})
        if isinstance(name, str) and isinstance(version, str) and is_from_index and times[name] == 1:
            lines.append(f"{name}=={version}")
    return lines


def locked_elsewhere(source: Path) -> list[str]:
    """The packages of a uv.lock that come from no index, this project aside: only uv knows how to get them."""
    packages = read_toml(source / UV_LOCK).get("package")
    entries = [entry for entry in packages if isinstance(entry, dict)] if isinstance(packages, list) else []
    found = [(str(entry.get("name")), table(entry, "source")) for entry in entries]
    return [name for name, origin in found if "registry" not in origin and "." not in origin.values()]


def sourced_elsewhere(pyproject: Table, lines: Iterable[str]) -> list[str]:
    """The requirements that `[tool.uv.sources]` says come from elsewhere than an index."""
    sources = {canonicalize_name(name) for name in table(pyproject, "tool", "uv", "sources")}
    names = (_NAME.match(line.strip()) for line in lines)
    return [match[0] for match in names if match is not None and canonicalize_name(match[0]) in sources]


def _poetry_line(source: Path, name: str, spec: object, *, is_locked: bool) -> str:
    if isinstance(spec, list):
        # One for each platform; the first that is not for another is as good as any where the lock decides.
        spec = next(iter(spec), "*")
    details: Table = dict(spec) if isinstance(spec, dict) else {"version": spec}
    if details.get("optional"):
        return ""
    extras = ",".join(texts(details.get("extras")))
    line = f"{name}[{extras}]" if extras else name
    if "git" in details:
        revision = details.get("rev") or details.get("tag") or details.get("branch")
        line += f" @ git+{details['git']}" + (f"@{revision}" if revision else "")
    elif "path" in details:
        line += f" @ {(source / str(details['path'])).resolve().as_uri()}"
    elif "url" in details:
        line += f" @ {details['url']}"
    elif not is_locked:
        line += _specifier(source, name, str(details.get("version", "*")))
    return f"{line} ; {details['markers']}" if "markers" in details else line


def _specifier(source: Path, name: str, version: str) -> str:
    """A version as Poetry writes it, in pip's words."""
    return ",".join(filter(None, (_one(source, name, part.strip()) for part in version.split(","))))


def _one(source: Path, name: str, version: str) -> str:
    if version in {"", "*"}:
        return ""
    if version[0] in "^~" and not version.startswith("~="):
        text = version[1:].strip()
        if _RELEASE.fullmatch(text) is None:
            raise PackError(source, f"{PYPROJECT}: the version of {name}, {version!r}, is not understood; lock it")
        return f">={text},<{_next(version[0], [int(part) for part in text.split('.')])}"
    if "|" not in version and version[0].isdigit():
        return f"=={version}"
    if "|" not in version and version[0] in "<>=!~":
        return version.replace(" ", "")
    raise PackError(source, f"{PYPROJECT}: the version of {name}, {version!r}, is not understood; lock it")


def _next(sign: str, release: list[int]) -> str:
    """The first version that `^release` or `~release` leaves out."""
    if sign == "~":
        kept = min(2, len(release))
    else:
        kept = next((i + 1 for i, number in enumerate(release) if number), len(release))
    return ".".join(str(number) for number in [*release[: kept - 1], release[kept - 1] + 1])
