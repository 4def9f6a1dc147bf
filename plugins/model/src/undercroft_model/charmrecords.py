"""Charm records: kept by their archive's checksum for as long as an application or a unit has that charm.

Each deployment and refresh has a URL of its own, `local:NAME-REVISION`; revisions are never given twice in a model.
Whoever begins to use a charm counts its revision up, so that nobody can remove the record at the same time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from undercroft_model.rows import Sequence
from undercroft_model.tables import APPLICATIONS, CHARM_REVISIONS, CHARMS

if TYPE_CHECKING:
    from undercroft_hookspecs.charm import Charm
    from undercroft_hookspecs.identity import ModelId
    from undercroft_hookspecs.state import Application
    from undercroft_model.transaction import Transaction


async def next_charm_url(tx: Transaction, model: ModelId, charm: Charm) -> str:
    """Keep a charm's record, and give the URL for a new use of it."""
    revisions = CHARM_REVISIONS.of(model)
    revision = (await tx.get(revisions, charm.name) or Sequence()).next
    tx.put(revisions, charm.name, record=Sequence(next=revision + 1))
    if await tx.get(CHARMS.of(model), charm.sha256) is None:
        kept = msgspec.structs.replace(charm, revision=revision)
        tx.put(CHARMS.of(model), charm.sha256, record=kept)
    return f"local:{charm.name}-{revision}"


async def charm_of(tx: Transaction, model: ModelId, application: Application) -> Charm:
    """The charm of an application."""
    return await tx.need(CHARMS.of(model), application.charm, what="charm")


async def need_application(tx: Transaction, model: ModelId, name: str) -> Application:
    """The application.

    Raises:
        NotFoundError: there is none of that name.
    """
    return await tx.need(APPLICATIONS.of(model), name, what="application")
