"""The notes that tell `lifecycle.reap` what to take down or remove.

Whoever marks something as dying or dead asks for its cleanup in the same transaction. Whoever takes away what something
that is dying may wait for (its last unit, its last relation) notes the loss, as a key of its own that is always written
anew: so a reaper that has looked a moment too early finds its note changed, and looks again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias

from undercroft_model.rows import Cleanup
from undercroft_model.tables import CLEANUPS

if TYPE_CHECKING:
    from undercroft_hookspecs.identity import ModelId
    from undercroft_model.transaction import Transaction

CleanupKind: TypeAlias = Literal["unit", "relation", "application", "machine", "charm", "model"]

LOSS = "loss"


async def ask_cleanup(tx: Transaction, model: ModelId, kind: CleanupKind, *parts: str, force: bool = False) -> None:
    """Ask for something's cleanup; who has asked for it with force keeps that."""
    before = await tx.get(CLEANUPS.of(model), kind, *parts)
    forced = force or (before is not None and before.force)
    tx.put(CLEANUPS.of(model), kind, *parts, record=Cleanup(force=forced))


def note_loss(tx: Transaction, model: ModelId, kind: CleanupKind, *parts: str) -> None:
    """Note that something has lost what it may wait for."""
    tx.put(CLEANUPS.of(model), LOSS, kind, *parts, record=Cleanup())
