"""Finds who provides an entity: the source of its pool, and whether that can do what is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from undercroft_hookspecs import PermanentError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from undercroft_hookspecs import StorageProvider
    from undercroft_hookspecs.storage import FilesystemSource, VolumeSource
    from undercroft_hookspecs.storage_state import Filesystem, Volume


class Sources:
    """The sources of one model's storage, by the provider and the attributes that each entity was asked for with."""

    # Any: each provider has a struct of attributes of its own.
    def __init__(self, folder: Path, providers: Mapping[str, StorageProvider[Any]]) -> None:
        self._folder, self._providers = folder, providers

    def of_volume(self, volume: Volume, *, is_leaving: bool = False) -> VolumeSource:
        """Who makes a volume; for one that is leaving also with attributes that it takes no more.

        Raises:
            PermanentError: nobody does, or not with such attributes.
        """
        provider = self._provider(volume)
        if provider.volumes is None:
            raise PermanentError(f'the provider "{volume.provider}" makes no volumes')
        return provider.volumes(_attributes(provider, volume, is_leaving=is_leaving), self._folder)

    def of_filesystem(self, filesystem: Filesystem, *, is_leaving: bool = False) -> FilesystemSource:
        """Who makes a filesystem that lies on no volume of ours; as `of_volume`."""
        provider = self._provider(filesystem)
        if provider.filesystems is None:
            raise PermanentError(f'the provider "{filesystem.provider}" makes no filesystems')
        return provider.filesystems(_attributes(provider, filesystem, is_leaving=is_leaving), self._folder)

    # Any: which of the contracts of further methods it is, the caller knows by the word.
    def able(self, entity: Volume | Filesystem, word: str, source: VolumeSource | FilesystemSource) -> Any:
        """The source, as one that can do what a word of `StorageProvider.can` promises. Raises PermanentError."""
        if not self.can(entity, word):
            raise PermanentError(f'the provider "{entity.provider}" cannot {word}')
        return source

    def can(self, entity: Volume | Filesystem, word: str) -> bool:
        """Whether the provider of an entity is there and can do that."""
        return entity.provider in self._providers and word in self._provider(entity).can

    def _provider(self, entity: Volume | Filesystem) -> StorageProvider[Any]:  # as above
        provider = self._providers.get(entity.provider)
        if provider is None:
            raise PermanentError(f'there is no storage provider "{entity.provider}" on this host: install its plugin')
        return provider


def _attributes(provider: StorageProvider[Any], entity: Volume | Filesystem, *, is_leaving: bool) -> Any:  # as above
    given = dict(entity.attributes)
    if is_leaving:
        given = {name: value for name, value in given.items() if _takes(provider, {name: value})}
    try:
        return msgspec.convert(given, provider.attributes, strict=False)
    except msgspec.ValidationError as error:
        message = f'the pool "{entity.pool}" has attributes that "{entity.provider}" does not take: {error}'
        raise PermanentError(message) from error


def _takes(provider: StorageProvider[Any], attributes: Mapping[str, str]) -> bool:  # as above
    try:
        msgspec.convert(attributes, provider.attributes, strict=False)
    except msgspec.ValidationError:
        return False
    return True
