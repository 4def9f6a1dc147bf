"""Pools: named ways to make storage. Every provider is a pool of its own name, and may have more by default."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec

from undercroft_hookspecs.errors import AlreadyExistsError, NotFoundError, NotValidError
from undercroft_hookspecs.storage_state import Pool
from undercroft_model.storage.directives import POOL_NAME
from undercroft_model.tables import STORAGE, STORAGE_POOLS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from undercroft_hookspecs.identity import ModelId
    from undercroft_hookspecs.storage import StorageProvider
    from undercroft_model.transaction import Transaction

# Any: each provider has a struct of attributes of its own.
Providers: TypeAlias = "Mapping[str, StorageProvider[Any]]"


def collected(answers: Sequence[tuple[str, object]]) -> Providers:
    """The providers of all plugins, of what `collect("undercroft_storage_providers")` gave."""
    return {name: provider for _, found in answers if isinstance(found, Mapping) for name, provider in found.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A pool with its provider."""

    pool: Pool
    provider: StorageProvider[Any]


async def find_pool(tx: Transaction, model: ModelId, name: str, providers: Providers) -> Source:
    """A pool by its name: one that was made, one of a provider's defaults, or a provider.

    Raises:
        NotFoundError: there is none, or its provider is not installed.
    """
    pool = await tx.get(STORAGE_POOLS.of(model), name) or default_pools(providers).get(name)
    if pool is None:
        raise NotFoundError(name, f'storage pool "{name}" not found: `undercroft storage-pools` lists those there are')
    provider = providers.get(pool.provider)
    if provider is None:
        message = f'storage provider "{pool.provider}" not found: no installed plugin has it'
        raise NotFoundError(pool.provider, message)
    return Source(pool=pool, provider=provider)


def default_pools(providers: Providers) -> dict[str, Pool]:
    """The pools that are there without being made."""
    pools = {}
    for name, provider in providers.items():
        if provider.dynamic:
            pools[name] = Pool(name=name, provider=name)
        for pool, attributes in provider.default_pools.items():
            written = {key: str(value) for key, value in msgspec.to_builtins(attributes).items()}
            pools[pool] = Pool(name=pool, provider=name, attributes=written)
    return pools


async def list_pools(tx: Transaction, model: ModelId, providers: Providers) -> list[Pool]:
    """All pools, by name."""
    made = {pool.name: pool for pool in (await tx.look(STORAGE_POOLS.of(model))).values()}
    return [pool for _, pool in sorted((default_pools(providers) | made).items())]


async def create_pool(
    tx: Transaction, model: ModelId, name: str, provider: str, attributes: Mapping[str, str], *, providers: Providers
) -> None:
    """Make a pool.

    Raises:
        AlreadyExistsError: there is one of that name.
        NotFoundError: there is no such provider.
        NotValidError: the name or an attribute is not usable.
    """
    if POOL_NAME.fullmatch(name) is None:
        raise NotValidError(f'pool name "{name}" not valid: a letter, then letters, digits and hyphens', field="name")
    if name in default_pools(providers) or await tx.get(STORAGE_POOLS.of(model), name) is not None:
        raise AlreadyExistsError(name, f'storage pool "{name}" already exists')
    _check_attributes(provider, attributes, providers)
    tx.put(STORAGE_POOLS.of(model), name, record=Pool(name=name, provider=provider, attributes=dict(attributes)))


async def update_pool(
    tx: Transaction, model: ModelId, name: str, attributes: Mapping[str, str], *, providers: Providers
) -> None:
    """Set attributes of a pool, for what is made of it from now on; an empty value takes one away."""
    pool = await _made(tx, model, name, providers)
    merged = {key: value for key, value in {**pool.attributes, **attributes}.items() if value}
    _check_attributes(pool.provider, merged, providers)
    tx.put(STORAGE_POOLS.of(model), name, record=msgspec.structs.replace(pool, attributes=merged))


async def remove_pool(tx: Transaction, model: ModelId, name: str, *, providers: Providers) -> None:
    """Remove a pool that nothing was made of.

    Raises:
        NotFoundError: there is none of that name.
        NotValidError: it is a provider's, or storage was made of it.
    """
    await _made(tx, model, name, providers)
    users = [instance.id for instance in (await tx.look(STORAGE.of(model))).values() if instance.pool == name]
    if users:
        raise NotValidError(f'storage pool "{name}" in use by {", ".join(users)}', field="name")
    tx.delete(STORAGE_POOLS.of(model), name)


async def _made(tx: Transaction, model: ModelId, name: str, providers: Providers) -> Pool:
    pool = await tx.get(STORAGE_POOLS.of(model), name)
    if pool is not None:
        return pool
    if name in default_pools(providers):
        raise NotValidError(f'storage pool "{name}" is the provider\'s own, and cannot be changed', field="name")
    raise NotFoundError(name, f'storage pool "{name}" not found')


def _check_attributes(provider: str, attributes: Mapping[str, str], providers: Providers) -> None:
    known = providers.get(provider)
    if known is None:
        names = ", ".join(sorted(providers)) or "none: install undercroft-storageprovisioner"
        raise NotFoundError(provider, f'storage provider "{provider}" not found; there are: {names}')
    try:
        msgspec.convert(attributes, known.attributes, strict=False)
    except msgspec.ValidationError as error:
        raise NotValidError(f'provider "{provider}" does not take that: {error}', field="attributes") from error
