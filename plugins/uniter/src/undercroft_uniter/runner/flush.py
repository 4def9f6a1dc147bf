"""Write what charm code has changed, in one commit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from undercroft_hookspecs import UndercroftError

if TYPE_CHECKING:
    from undercroft_uniter.context.context import UnitContext


async def flush(context: UnitContext) -> str:
    """Write the changes; gives why that failed, in which case none of them was written."""
    try:
        await context.changes.commit()
    except UndercroftError as error:
        return f"what it has changed could not be written: {error}"
    return ""
