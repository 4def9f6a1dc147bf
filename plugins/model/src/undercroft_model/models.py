"""Models side by side: made, found by name or UUID, and destroyed.

A name is claimed by a record of its own, so that there are never two models of one name. What belongs to a model lies
under its UUID; when it is destroyed, `lifecycle` removes all of that, and the name last.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from uuid import UUID

import msgspec

from undercroft_hookspecs.errors import AlreadyExistsError, NotFoundError, NotValidError
from undercroft_hookspecs.identity import ModelId
from undercroft_hookspecs.state import Life, Model
from undercroft_model.cleanups import ask_cleanup
from undercroft_model.modelconfig import check_model_config
from undercroft_model.rows import ModelName
from undercroft_model.tables import MODEL, MODEL_NAMES

if TYPE_CHECKING:
    import random
    from collections.abc import Mapping
    from datetime import datetime

    from undercroft_hookspecs.store import Store
    from undercroft_model.transaction import Transaction

DEFAULT_MODEL = "default"
OWNER = "admin"
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")


async def create_model(
    tx: Transaction,
    name: str,
    *,
    now: datetime,
    rng: random.Random,
    owner: str = OWNER,
    config: Mapping[str, object] | None = None,
) -> Model:
    """Make a model.

    Raises:
        AlreadyExistsError: there is one of that name.
        NotValidError: it cannot be named so, or the config has an unknown or mistyped key.
    """
    if len(name) > 100 or _NAME.fullmatch(name) is None:
        message = f'"{name}" is not a valid name: model names may only contain lowercase letters, digits and hyphens'
        raise NotValidError(message, field="model")
    if await tx.get(MODEL_NAMES, name) is not None:
        raise AlreadyExistsError(name, f'model "{name}" for {owner} already exists')
    uuid = str(UUID(int=rng.getrandbits(128), version=4))
    model = Model(uuid=uuid, name=name, owner=owner, created=now, config=check_model_config(config or {}))
    tx.put(MODEL_NAMES, name, record=ModelName(uuid=uuid))
    tx.put(MODEL.of(model_id(model)), "self", record=model)
    return model


async def find_model(tx: Transaction, name: str) -> Model:
    """The model of that name (`model`, `owner/model` or `controller:owner/model`) or UUID.

    Raises:
        NotFoundError: there is none.
    """
    short = name.rpartition(":")[2].rpartition("/")[2]
    index = await tx.get(MODEL_NAMES, short)
    uuid = index.uuid if index is not None else short
    if ModelId.form.fullmatch(uuid):
        model = await tx.get(MODEL.of(ModelId.parse(uuid)), "self")
        if model is not None:
            return model
    raise NotFoundError(name, f"model {OWNER}/{short} not found")


async def open_model(tx: Transaction, wanted: str | None, *, now: datetime, rng: random.Random) -> Model:
    """The model that a command works on: the one wanted, or `default`, which is made on first use.

    Raises:
        NotFoundError: the one wanted does not exist.
    """
    if wanted is not None and wanted != DEFAULT_MODEL:
        return await find_model(tx, wanted)
    if await tx.get(MODEL_NAMES, DEFAULT_MODEL) is None:
        return await create_model(tx, DEFAULT_MODEL, now=now, rng=rng)
    return await find_model(tx, DEFAULT_MODEL)


async def list_models(store: Store) -> list[Model]:
    """All models, by name."""
    names = await store.list(MODEL_NAMES.prefix)
    models = []
    for entry in names.entries:
        table = MODEL.of(ModelId.parse(MODEL_NAMES.decode(entry).uuid))
        found = await store.get(table.key("self"))
        if found is not None:  # Else it has been removed since.
            models.append(table.decode(found))
    return models


async def destroy_model(tx: Transaction, model: ModelId, *, force: bool = False) -> None:
    """Let a model die: first its applications, then everything in it. With `force`, without waiting for its units.

    Raises:
        NotFoundError: there is no such model.
    """
    record = await tx.need(MODEL.of(model), "self", what="model")
    tx.put(MODEL.of(model), "self", record=msgspec.structs.replace(record, life=Life.DYING))
    await ask_cleanup(tx, model, "model", "self", force=force)


async def living_model(tx: Transaction, model: ModelId) -> Model:
    """The model, to add something to it.

    Raises:
        NotFoundError: there is no such model.
        NotValidError: it is being destroyed.
    """
    record = await tx.need(MODEL.of(model), "self", what="model")
    if record.life is not Life.ALIVE:
        raise NotValidError(f'model "{record.name}" is no longer alive: it is being destroyed', field="model")
    return record


def model_id(model: Model) -> ModelId:
    """The model's identity."""
    return ModelId.parse(model.uuid)
