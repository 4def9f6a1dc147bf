"""The model that a command was given, or that is the current one, for the commands of other plugins."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from undercroft_hookspecs import NotFoundError
from undercroft_model.modelconfig import model_settings, update_status_seconds
from undercroft_model.tables import MODEL
from undercroft_model.watching import newest, record

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from undercroft_hookspecs.state import Model
    from undercroft_model.operator import Desk, Operator


class ChosenModel:
    """The facade `ModelFacade` as commands have it. Raises NotFoundError where there is no such model."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator

    async def model(self) -> Model:
        """The model's record."""
        return (await self._desk()).record

    async def model_settings(self) -> Mapping[str, str | bool | int]:
        """All settings of the model."""
        return {key: setting.value for key, setting in model_settings(await self.model()).items()}

    @asynccontextmanager
    async def watch_update_status_seconds(self) -> AsyncIterator[AsyncIterator[float]]:
        """How long to wait between two update-status hooks."""
        operator, desk = self._operator, await self._desk()
        model = record(MODEL.of(desk.model), "self")
        watch = newest(
            [model],
            lambda: update_status_seconds(model.need()),
            store=operator.store,
            clock=operator.clock,
            rng=operator.rng,
        )
        async with watch as states:
            yield states

    async def _desk(self) -> Desk:
        desk = await self._operator.desk_if_any()
        if desk is None:
            name = self._operator.wanted or "default"
            raise NotFoundError(name, f'model "{name}" not found')
        return desk
