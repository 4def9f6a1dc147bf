"""The unit whose charm code is run."""

from __future__ import annotations

from plugins.uniter.tests.stage import stage

__all__ = ["stage"]
