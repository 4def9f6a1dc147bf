"""What is asked about a spool from outside, by commands: one JSON object a line, answered by another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from undercroft_hookspecs.errors import UndercroftError
from undercroft_metrics.spool.folders import kept
from undercroft_metrics.spool.juju import import_pairs
from undercroft_metrics.spool.letters import purge, requeue
from undercroft_metrics.spool.names import FileName

if TYPE_CHECKING:
    from undercroft_metrics.spool.queue import Queue
    from undercroft_metrics.spool.spool import Spool


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is asked for. No `ids`: all of them."""

    op: Literal["inspect", "requeue", "purge", "import"]
    sender: str = ""
    ids: tuple[str, ...] = ()
    quarantine: bool = False
    folder: str = ""


def answer(spool: Spool, request: bytes) -> bytes:
    """Do what is asked for, and say what came of it; blocks."""
    try:
        return msgspec.json.encode(_done(spool, msgspec.json.decode(request, type=Request))) + b"\n"
    except (UndercroftError, OSError, msgspec.DecodeError) as error:
        return msgspec.json.encode({"error": str(error)}) + b"\n"


def _done(spool: Spool, request: Request) -> dict[str, object]:
    owner = spool.owner
    if request.op == "import":
        return import_pairs(spool, Path(request.folder))
    queues = [spool.known(request.sender)] if request.sender else list(spool.queues.values())
    ids = set(request.ids) or None
    match request.op:
        case "requeue":
            return {"requeued": sum(requeue(queue, owner, ids, spool.fresh) for queue in queues)}
        case "purge":
            return {"purged": sum(purge(queue, owner, ids, quarantine=request.quarantine) for queue in queues)}
    return {queue.sender: _inspected(spool, queue) for queue in queues}


def _inspected(spool: Spool, queue: Queue) -> dict[str, object]:
    stats, folders = queue.stats(), spool.owner.folders
    dead = [
        {
            "id": why.ids[0] if why is not None and why.ids else name.id if name is not None else path.name,
            "reason": why.reason if why is not None else "",
            "at": why.at if why is not None else None,
        }
        for path, why in kept(folders.dead(queue.sender))
        for name in (FileName.parse(path.name),)
    ]
    quarantined = [
        {"file": path.name, "reason": why.reason if why is not None else "", "at": why.at if why is not None else None}
        for path, why in kept(folders.quarantine(queue.sender))
    ]
    return {
        "batches": stats.batches,
        "bytes": stats.bytes,
        "oldest": stats.oldest,
        "gaps": queue.ledger.waiting(),
        "dead-letters": dead,
        "quarantine": quarantined,
    }
