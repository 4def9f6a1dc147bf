"""A whole model as a document: a bundle with more in it, so that the same model can be made again.

Besides juju's bundle: `undercroft-export` (the version of this format), `model`, and for each application the SHA-256
of its charm and of its resources, which is how `import` finds them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from undercroft.files import in_thread
from undercroft_model.commands.lookup import all_units
from undercroft_model.rows import Config
from undercroft_model.tables import APPLICATIONS, CONFIG, RELATIONS, RESOURCES

if TYPE_CHECKING:
    from pathlib import Path

    from undercroft_hookspecs.state import Application
    from undercroft_model.operator import Desk

VERSION = 1


async def export_model(desk: Desk, charms: Path | None) -> dict[str, object]:
    """The model as it is wanted; with `charms` the archives are put there, each named by its SHA-256."""
    table = APPLICATIONS.of(desk.model)
    applications = [table.decode(entry) for entry in (await desk.store.list(table.prefix)).entries]
    document: dict[str, object] = {
        "undercroft-export": VERSION,
        "model": {"name": desk.record.name, "config": dict(desk.record.config)},
        "applications": {application.name: await _application(desk, application) for application in applications},
        "relations": await _relations(desk),
    }
    if charms is not None:
        await in_thread(charms.mkdir, parents=True, exist_ok=True)
        for sha256 in {sha for app in applications for sha in (app.charm, *app.resources.values())}:
            await desk.operator.blobs.fetch(sha256, charms / sha256)
    return document


async def _application(desk: Desk, application: Application) -> dict[str, object]:
    config = await desk.store.get(CONFIG.of(desk.model).key(application.name))
    options = CONFIG.of(desk.model).decode(config) if config is not None else Config()
    units = [unit for unit in await all_units(desk, application.name) if not unit.principal]
    entry: dict[str, object] = {"charm": application.charm_name, "charm-sha256": application.charm}
    if not application.subordinate:
        entry |= {"num_units": len(units), "to": [unit.machine for unit in units]}
    optional: dict[str, object] = {
        "options": dict(options.values),
        "trust": application.trust,
        "expose": application.exposed,
        "channel": application.channel,
        "bindings": dict(application.bindings),
        "storage": dict(application.storage),
        "resources": await _resources(desk, application.name),
    }
    return {key: value for key, value in {**entry, **optional}.items() if value not in ("", False, {}, [])}


async def _resources(desk: Desk, name: str) -> dict[str, object]:
    table = RESOURCES.of(desk.model)
    found: dict[str, object] = {}
    for entry in (await desk.store.list(table.under(name))).entries:
        resource = table.decode(entry)
        found[table.parts(entry.key)[-1]] = {"sha256": resource.sha256, "filename": resource.filename}
    return found


async def _relations(desk: Desk) -> list[list[str]]:
    table = RELATIONS.of(desk.model)
    relations = [table.decode(entry) for entry in (await desk.store.list(table.prefix)).entries]
    pairs = sorted((relation.id, relation.endpoints) for relation in relations if len(relation.endpoints) == 2)
    return [[str(first), str(second)] for _, (first, second) in pairs]
