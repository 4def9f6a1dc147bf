"""What the kit adds to every pytest run in whose environment it is installed: its marks, and nothing else.

The plugin that judges a project's own tests is `undercroft_conformance.strict`; it is loaded by name only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest


def pytest_configure(config: pytest.Config) -> None:
    """Declare the kit's marks."""
    config.addinivalue_line("markers", "conformance(rule): the check of one rule of Undercroft's contracts, by its id")
