"""Make the typed charm of its files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from undercroft_hookspecs.charm import Charm
from undercroft_model.charms.actions import read_actions
from undercroft_model.charms.bases import Bases, bases_of_series, read_bases, read_manifest
from undercroft_model.charms.document import Entry, read
from undercroft_model.charms.errors import CharmFileError
from undercroft_model.charms.metadata import read_metadata
from undercroft_model.charms.metrics import read_metrics
from undercroft_model.charms.options import read_options

if TYPE_CHECKING:
    from collections.abc import Mapping

METADATA = "metadata.yaml"
CHARMCRAFT = "charmcraft.yaml"
CONFIG = "config.yaml"
ACTIONS = "actions.yaml"
METRICS = "metrics.yaml"
MANIFEST = "manifest.yaml"
VERSION = "version"
FILES = (METADATA, CHARMCRAFT, CONFIG, ACTIONS, METRICS, MANIFEST, VERSION)
"""What is read of a charm. Of others, lxd-profile.yaml among them, nothing is asked."""

MAX_VERSION_BYTES = 1024


def parse_charm(files: Mapping[str, bytes], *, sha256: str = "", size_bytes: int = 0, where: str = "") -> Charm:
    """The charm that these of its FILES describe; which are missing is missing in `files`.

    `where` is put before a file's name in messages: the folder, with its slash.

    What metadata.yaml, config.yaml or actions.yaml would say may stand in charmcraft.yaml instead. Keys that nobody
    knows are passed over, as Juju does.

    Raises:
        CharmFileError: the first thing that is wrong.
    """
    roots = {name: read(data, where + name) for name, data in files.items() if name != VERSION}
    craft = roots.get(CHARMCRAFT)
    crafted = craft.mapping() if craft is not None and METADATA not in roots else {}
    root = roots.get(METADATA) or craft
    if root is None:
        raise CharmFileError(
            where + METADATA, expected=f"this file, or a {CHARMCRAFT} that says the same", found="neither"
        )
    meta = read_metadata(root)
    metrics, plan_required = read_metrics(roots[METRICS]) if METRICS in roots else ({}, False)
    options, actions = _section(roots, crafted, CONFIG), _section(roots, crafted, ACTIONS)
    bases = _bases(roots, meta.series)
    return Charm(
        name=meta.name,
        sha256=sha256,
        size_bytes=size_bytes,
        summary=meta.summary,
        description=meta.description,
        version=_version(files.get(VERSION, b"")),
        subordinate=meta.subordinate,
        min_juju_version=meta.min_juju_version,
        assumes=meta.assumes,
        bases=bases.bases,
        endpoints=meta.endpoints,
        extra_bindings=meta.extra_bindings,
        options=read_options(options) if options is not None else {},
        actions=read_actions(actions, meta.name) if actions is not None else {},
        storage=meta.storage,
        resources=meta.resources,
        metrics=metrics,
        terms=meta.terms,
        containers=meta.containers,
        display_name=meta.display_name,
        maintainers=meta.maintainers,
        tags=meta.tags,
        links=meta.links,
        series=meta.series,
        architectures=bases.architectures,
        charm_user=meta.charm_user,
        devices=meta.devices,
        payloads=meta.payloads,
        plan_required=plan_required,
    )


def _section(roots: Mapping[str, Entry], crafted: Mapping[str, Entry], file: str) -> Entry | None:
    """The file, or what stands for it in charmcraft.yaml; both at once is a mistake, as it is for charmcraft."""
    inside = crafted.get(file.removesuffix(".yaml"))
    outside = roots.get(file)
    if inside is not None and outside is not None:
        raise inside.error(f"nothing, as there is a {file}, too", "a mapping")
    return inside if outside is None else outside


def _bases(roots: Mapping[str, Entry], series: tuple[str, ...]) -> Bases:
    """What manifest.yaml says of the built charm, else what charmcraft.yaml says it is to be built for."""
    if MANIFEST in roots:
        return read_manifest(roots[MANIFEST])
    if CHARMCRAFT in roots and (found := read_bases(roots[CHARMCRAFT].mapping())).bases:
        return found
    return Bases(bases_of_series(series))


def _version(data: bytes) -> str:
    """The first line of the version file, which is for people."""
    text = data[:MAX_VERSION_BYTES].decode("utf-8", "replace").strip()
    return text.splitlines()[0].strip() if text else ""
