"""The class that judges a storage provider's source."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Literal

import pytest

from undercroft_conformance.checks.storage import CHECKS, StorageCase
from undercroft_conformance.doors import LOOPS, judge_or_skip, parameters
from undercroft_conformance.verdict import Check
from undercroft_hookspecs.storage import FilesystemSource, VolumeSource


class StorageProviderConformance:
    """Judge a source: subclass it, and give it the fixture `source`.

    `kind` says whether it is one of filesystems or of volumes, `size_mib` how large the things are that it is asked
    for. Filesystems are mounted under the test's `tmp_path`.
    """

    kind: ClassVar[Literal["filesystem", "volume"]] = "filesystem"
    size_mib: ClassVar[int] = 16

    @pytest.fixture
    def source(self) -> FilesystemSource | VolumeSource:
        """The source, with nothing in it; to be overridden."""
        raise NotImplementedError("a subclass of StorageProviderConformance has a fixture `source`")

    @pytest.mark.parametrize("loop", LOOPS)
    @pytest.mark.parametrize("check", parameters(CHECKS))
    def test_storage(
        self, check: Check[StorageCase], loop: str, source: FilesystemSource | VolumeSource, tmp_path: Path
    ) -> None:
        """The source keeps one rule on one loop."""
        judge_or_skip(check, lambda bench: StorageCase(source, self.kind, self.size_mib, tmp_path, bench), loop=loop)
