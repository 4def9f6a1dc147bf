"""What a command works with: the operator's side of the model, which `Session.open("model", Operator)` gives.

    async with session.open("model", Operator) as operator:
        desk = await operator.desk()
        await desk.run(set_exposed, "mysql", True)

The worker of `model` makes an `Operator` of what it has. Which model a desk is at: the one asked for (`--model`,
$UNDERCROFT_MODEL), else what `undercroft switch` wrote, else `default`, made on first use.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

from undercroft.files import in_thread, write_atomic
from undercroft_hookspecs.errors import NotFoundError
from undercroft_model.blobholds import holding
from undercroft_model.blobremoval import remove_unneeded
from undercroft_model.blobs import BlobError
from undercroft_model.hosts import describe_host
from undercroft_model.lifecycle import reap
from undercroft_model.models import find_model, model_id, open_model
from undercroft_model.transaction import Transaction, change

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable
    from contextlib import AbstractAsyncContextManager

    from undercroft_hookspecs.identity import HostId, ModelId
    from undercroft_hookspecs.state import Host, Model
    from undercroft_hookspecs.store import Store
    from undercroft_hookspecs.worker import Clock
    from undercroft_model.blobholds import BlobHold
    from undercroft_model.blobs import Blobs
    from undercroft_model.encryption import Keyring
    from undercroft_model.storage.pools import Providers

P = ParamSpec("P")
T = TypeVar("T")

CURRENT = "current-model"

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operator:
    """The whole state as an operator may change it. `data_dir` is the plugin's own folder, `host` this machine.

    `wanted` is the model's name as the command was given it.
    """

    store: Store
    host: HostId
    data_dir: Path
    clock: Clock
    rng: random.Random
    blobs: Blobs
    keyring: Keyring
    providers: Callable[[], Providers] = dict
    """The storage providers of the plugins that are installed here."""
    wanted: str | None = None

    async def change(self, decide: Callable[[Transaction], Awaitable[T]]) -> T:
        """Make one change, all or nothing; tried again where somebody else was faster."""
        return await change(self.store, decide, clock=self.clock, rng=self.rng)

    async def desk(self, wanted: str | None = None) -> Desk:
        """A desk at a model: the one `wanted`, else the one chosen.

        Raises:
            NotFoundError: there is no such model.
        """
        name = wanted or self.wanted or await self.current()

        async def decide(tx: Transaction) -> Model:
            return await open_model(tx, name, now=self.clock.now(), rng=self.rng)

        return Desk(operator=self, record=await self.change(decide))

    async def desk_if_any(self, wanted: str | None = None) -> Desk | None:
        """As `desk`, but nothing is made; None where there is no such model."""
        name = wanted or self.wanted or await self.current() or "default"
        try:
            return Desk(operator=self, record=await find_model(Transaction(self.store), name))
        except NotFoundError:
            return None

    async def current(self) -> str | None:
        """The model that `undercroft switch` wrote, if it did; one that has been destroyed counts for nothing."""
        uuid = await in_thread(self._read_current)
        if uuid is None:
            return None
        try:
            return (await find_model(Transaction(self.store), uuid)).uuid
        except NotFoundError:
            return None

    async def switch(self, model: Model) -> None:
        """Make a model the current one. It is remembered by its UUID: a namesake that comes later is another."""
        await in_thread(self.data_dir.mkdir, mode=0o700, parents=True, exist_ok=True)
        await write_atomic(self.data_dir / CURRENT, f"{model.uuid}\n".encode())

    def holding(self) -> AbstractAsyncContextManager[BlobHold]:
        """Hold blobs while this is open; see `blobholds`."""
        return holding(self.store, clock=self.clock, rng=self.rng)

    async def here(self) -> Host:
        """What this machine is."""
        return await describe_host(self.host)

    def _read_current(self) -> str | None:
        try:
            return (self.data_dir / CURRENT).read_text().strip() or None
        except FileNotFoundError:
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """An operator at one model."""

    operator: Operator
    record: Model

    @property
    def model(self) -> ModelId:
        """The model's identity."""
        return model_id(self.record)

    @property
    def store(self) -> Store:
        """The store."""
        return self.operator.store

    async def run(
        self, operation: Callable[Concatenate[Transaction, ModelId, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run one operation of the model as a change of its own."""
        return await self.operator.change(lambda tx: operation(tx, self.model, *args, **kwargs))

    async def look(
        self, operation: Callable[Concatenate[Transaction, ModelId, P], Awaitable[T]], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run one operation that only reads."""
        return await operation(Transaction(self.store), self.model, *args, **kwargs)

    async def reap(self) -> None:
        """Remove what can be removed by now."""
        await reap(self.store, self.model, clock=self.operator.clock, rng=self.operator.rng)
        try:
            await remove_unneeded(self.store, self.operator.blobs, clock=self.operator.clock)
        except BlobError as error:  # The agents will see to it.
            logger.warning("charms and resources that nobody needs are left for now: %s", error)
