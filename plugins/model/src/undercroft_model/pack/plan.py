"""Decide how the charm in a source folder is to be built, before anything is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from undercroft_model.charms.errors import CharmFileError
from undercroft_model.charms.folder import IGNORED, items
from undercroft_model.charms.parse import ACTIONS, CHARMCRAFT, CONFIG, FILES, MANIFEST, METADATA, parse_charm
from undercroft_model.pack.craft import PYTHON_PLUGINS, Craft, read_craft
from undercroft_model.pack.dependencies import Dependencies, find_dependencies
from undercroft_model.pack.errors import PackError
from undercroft_model.pack.locked import PYPROJECT, read_toml, table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from undercroft_hookspecs.charm import Charm
    from undercroft_model.charms.folder import Item
    from undercroft_model.pack.craft import Library, Part

ENTRY = "src/charm.py"
LEFT_OUT = (
    "/tests/",
    "/docs/",
    "/venv/",
    "/parts/",
    "/prime/",
    "/stage/",
    "/node_modules/",
    "/htmlcov/",
    ".github",
    "*.egg-info",
)
"""What of a source folder is not for the charm, besides what never is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a charm is built: of which files, with which dependencies. `notes` are what a person is told beside."""

    source: Path
    charm: Charm
    items: tuple[Item, ...]
    generated: Mapping[str, bytes]
    libraries: Mapping[str, Path]
    dependencies: Dependencies
    entry: str
    writes_dispatch: bool
    is_venv: bool
    requires_python: str
    file_name: str
    notes: tuple[str, ...]


def make_plan(source: Path, *, libraries: Sequence[Path] = ()) -> Plan:
    """Read a source folder. This blocks: call it in a thread.

    Raises:
        PackError: it cannot be built here.
        CharmFileError: one of its files is not right.
        ArchiveError: there is something in it that no charm may have.
    """
    craft = _craft(source)
    _refuse(source, craft)
    part = next((part for part in craft.parts if part.plugin in PYTHON_PLUGINS), None)
    entry = _entry(part)
    found = items(source, ignored=(*IGNORED, *LEFT_OUT))
    names = {item.name for item in found}
    runs_python = entry in names
    if not runs_python and "dispatch" not in names and not any(name.startswith("hooks/") for name in names):
        raise PackError(source, f"there is nothing to run: neither {entry}, nor dispatch, nor hooks/")
    dependencies = find_dependencies(source, part)
    notes = list(_notes(craft, part))
    if not runs_python and part is None and not dependencies.is_empty:
        notes.append(f"{dependencies.origin} is not installed: the charm has no {ENTRY}, its hooks are run as they are")
        dependencies = Dependencies(origin="", inputs=dependencies.inputs)
    generated = {name: data for name, data in craft.files.items() if not (source / name).is_file()}
    charm = parse_charm(_files(source) | generated, where=f"{source}/")
    return Plan(
        source=source,
        charm=charm,
        items=tuple(_with_entry(item, entry) for item in found),
        generated=generated,
        libraries=_libraries(source, craft.libraries, libraries),
        dependencies=dependencies,
        entry=entry,
        writes_dispatch=runs_python and "dispatch" not in names,
        is_venv=part is not None and part.plugin != "charm",
        requires_python=str(table(read_toml(source / PYPROJECT), "project").get("requires-python", "")),
        file_name=f"{charm.name}_{craft.label}.charm" if craft.label else f"{charm.name}.charm",
        notes=tuple(notes),
    )


def needs_packing(folder: Path) -> bool:
    """Whether a folder is a charm's source, as opposed to a charm that is complete. This blocks: call it in a thread.

    It is a source if a file is missing that packing writes (metadata.yaml and the others that charmcraft.yaml stands
    for, dispatch), or if it has Python dependencies that are not there; so is a layer, which packing refuses.

    Raises:
        CharmError: charmcraft.yaml or pyproject.toml cannot be read.
    """
    if not folder.is_dir() or ((folder / MANIFEST).is_file() and (folder / METADATA).is_file()):
        return False
    craft = _craft(folder)
    if any(name != MANIFEST and not (folder / name).is_file() for name in craft.files) or _is_layer(folder, craft):
        return True
    if not (folder / ENTRY).is_file():
        return any(part.plugin in PYTHON_PLUGINS for part in craft.parts) and not (folder / "hooks").is_dir()
    part = next((part for part in craft.parts if part.plugin in PYTHON_PLUGINS), None)
    has_way_in = (folder / "dispatch").is_file() or (folder / "hooks").is_dir()
    return not has_way_in or not (find_dependencies(folder, part).is_empty or (folder / "venv").is_dir())


def _craft(source: Path) -> Craft:
    try:
        return read_craft((source / CHARMCRAFT).read_bytes(), str(source / CHARMCRAFT))
    except FileNotFoundError:
        return Craft(files={})


def _files(source: Path) -> dict[str, bytes]:
    return {name: (source / name).read_bytes() for name in FILES if (source / name).is_file()}


def _refuse(source: Path, craft: Craft) -> None:
    """Say clearly what is not built here."""
    if craft.kind != "charm":
        raise PackError(source, f"it is a {craft.kind}, and only charms are packed (a bundle is deployed as it is)")
    if craft.extensions:
        names = ", ".join(craft.extensions)
        raise PackError(
            source, f"the extension {names} is made by charmcraft alone; pack it there and deploy the .charm"
        )
    if _is_layer(source, craft):
        problem = "it is a reactive charm, which is put together from layers by charm-tools: run `charm build` and "
        raise PackError(source, problem + "deploy the folder that it makes")
    python = [part.name for part in craft.parts if part.plugin in PYTHON_PLUGINS]
    if len(python) > 1:
        raise PackError(source, f"it has more than one Python part ({', '.join(python)})")
    if not (source / METADATA).is_file() and METADATA not in craft.files:
        raise PackError(source, f"it is no charm's source: it has no {METADATA}, nor a {CHARMCRAFT} with a name")
    _refuse_twice(source, craft)


def _is_layer(folder: Path, craft: Craft) -> bool:
    """Whether it is of a reactive charm and not built: what is built has both, layer.yaml and hooks/."""
    is_reactive = (folder / "layer.yaml").is_file() or any(part.plugin == "reactive" for part in craft.parts)
    return is_reactive and not (folder / "hooks").is_dir()


def _refuse_twice(source: Path, craft: Craft) -> None:
    for name in (CONFIG, ACTIONS):
        if name in craft.files and (source / name).is_file():
            key = name.removesuffix(".yaml")
            raise CharmFileError(
                str(source / CHARMCRAFT), key, expected=f"nothing, as there is a {name}, too", found="a mapping"
            )


def _entry(part: Part | None) -> str:
    if part is None or "charm-entrypoint" not in part.keys:
        return ENTRY
    return part.keys["charm-entrypoint"].text()


def _notes(craft: Craft, python: Part | None) -> list[str]:
    """What charmcraft would do that is not done."""
    notes = []
    for part in craft.parts:
        script = part.keys["override-build"].text() if "override-build" in part.keys else ""
        if script:
            rest = ", only what its plugin does" if part is python else ""
            notes.append(f"part {part.name}: override-build is not run{rest}")
        elif part.plugin == "dump" and _source(part) not in {"", ".", "./"}:
            notes.append(f"part {part.name}: not built, as it takes files from {_source(part)}")
        elif part.plugin not in {*PYTHON_PLUGINS, "dump", "nil"}:
            notes.append(f"part {part.name}: not built, as the plugin {part.plugin} is not known here")
        elif part is not python and "organize" in part.keys:
            notes.append(f"part {part.name}: files keep their places, organize is not done")
    return notes


def _source(part: Part) -> str:
    return part.keys["source"].text() if "source" in part.keys and not part.keys["source"].is_null else ""


def _with_entry(item: Item, entry: str) -> Item:
    return replace(item, mode=item.mode | 0o111) if item.name == entry and not item.is_link else item


def _libraries(source: Path, wanted: Sequence[Library], places: Sequence[Path]) -> dict[str, Path]:
    """Where the charm libraries are that charmcraft.yaml names and the source has not got."""
    found: dict[str, Path] = {}
    missing = []
    for library in wanted:
        if (source / "lib" / library.path).is_file():
            continue
        options = [place / inner / library.path for place in places for inner in ("lib", ".")]
        path = next((path for path in options if path.is_file()), None)
        if path is None:
            missing.append(f"lib/{library.path}")
        else:
            found[f"lib/{library.path}"] = path
    if missing:
        problem = f"charm libraries are missing: {', '.join(missing)}; run `charmcraft fetch-libs` there, or pack it "
        raise PackError(
            source, problem + "with `undercroft pack --libs DIR`, DIR being another charm's source with them"
        )
    return found
