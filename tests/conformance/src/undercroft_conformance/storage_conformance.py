"""The class that judges a storage provider."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest

from undercroft_conformance.checks import storage, storage_abilities, storage_abuse, storage_declaration
from undercroft_conformance.checks.storage import Maker, StorageCase
from undercroft_conformance.doors import LOOPS, judge_or_skip, parameters
from undercroft_conformance.verdict import Check
from undercroft_hookspecs.storage import FilesystemSource, StorageProvider, VolumeSource

CHECKS: tuple[Check[StorageCase], ...] = (
    *storage.CHECKS,
    *storage_abuse.CHECKS,
    *storage_declaration.CHECKS,
    *storage_abilities.CHECKS,
)


class StorageProviderConformance:
    """Judge a provider: subclass it, and give it the fixture `provider`.

    `kind` says whether its filesystems or its volumes are judged, `attributes` what a pool of it has, as an operator
    writes it, `size_mib` how large the things are that it is asked for. `keeps_data` is false for what is in memory.
    The storage is in the test's `tmp_path`, and filesystems are mounted there.

    A source without a provider is judged by the fixture `source` instead, as far as one source can be.
    """

    kind: ClassVar[Literal["filesystem", "volume"]] = "filesystem"
    attributes: ClassVar[Mapping[str, str]] = {}
    size_mib: ClassVar[int] = 16
    keeps_data: ClassVar[bool] = True

    @pytest.fixture
    def provider(self) -> StorageProvider[Any] | None:  # Any: each provider has a struct of attributes of its own.
        """The provider; to be overridden, unless there is only a source."""
        return None

    @pytest.fixture
    def source(
        self, provider: StorageProvider[Any] | None, tmp_path: Path
    ) -> FilesystemSource | VolumeSource:  # as above
        """The source, with nothing in it."""
        if provider is None:
            raise NotImplementedError("a subclass of StorageProviderConformance has a fixture `provider`, or `source`")
        return Maker(provider, self.attributes).source(self.kind, tmp_path / "storage")

    @pytest.mark.parametrize("loop", LOOPS)
    @pytest.mark.parametrize("check", parameters(CHECKS))
    def test_storage(
        self,
        check: Check[StorageCase],
        loop: str,
        provider: StorageProvider[Any] | None,  # as above
        source: FilesystemSource | VolumeSource,
        tmp_path: Path,
    ) -> None:
        """The provider keeps one rule on one loop."""
        maker = None if provider is None else Maker(provider, self.attributes)
        judge_or_skip(
            check,
            lambda bench: StorageCase(source, self.kind, self.size_mib, tmp_path, bench, self.keeps_data, maker),
            loop=loop,
        )
