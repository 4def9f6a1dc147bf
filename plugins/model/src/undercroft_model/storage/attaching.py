"""Storage that is there goes to a unit that is being added, in place of some that would be made for it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from undercroft_model.charmrecords import charm_of, need_application
from undercroft_model.rows import StorageRequests
from undercroft_model.storage.adding import wanted_count
from undercroft_model.storage.ending import attach_storage, need_storage
from undercroft_model.tables import STORAGE_REQUESTS, parts_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from undercroft_hookspecs.identity import ModelId
    from undercroft_model.transaction import Transaction


async def where_it_is(tx: Transaction, model: ModelId, names: Sequence[str]) -> list[str]:
    """The machine that the first of these is bound to, as a placement; nothing if all can go anywhere.

    Raises:
        NotFoundError: there is no such storage.
        NotValidError: no storage has such an id.
    """
    for name in names:
        instance = await need_storage(tx, model, name)
        machine = (instance.volume or instance.filesystem).rpartition("/")[0]
        if machine:
            return [machine]
    return []


async def give_to_new(tx: Transaction, model: ModelId, unit: str, names: Sequence[str]) -> None:
    """Give detached storage to a unit that is added in the same transaction.

    Raises:
        NotFoundError, NotValidError: as `attach_storage`.
    """
    application = await need_application(tx, model, parts_of(unit)[0])
    charm = await charm_of(tx, model, application)
    for name in names:
        await attach_storage(tx, model, name, unit)
        requests = await tx.get(STORAGE_REQUESTS.of(model), *parts_of(unit)) or StorageRequests()
        store = parts_of(name)[0]
        made = requests.made.get(store, 0)
        if made < wanted_count(application, charm, requests, store):
            counted = msgspec.structs.replace(requests, made={**requests.made, store: made + 1})
            tx.put(STORAGE_REQUESTS.of(model), *parts_of(unit), record=counted)
