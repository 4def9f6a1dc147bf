"""Proves that a plugin keeps Undercroft's contracts: a pytest class for each kind of subject, and a command.

`undercroft_conformance.strict` is the pytest plugin that holds a project's own tests to the rules of its workers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from undercroft_hookspecs.lazy import exports, getter

if TYPE_CHECKING:
    from undercroft_conformance.hook_tool_conformance import HookToolConformance
    from undercroft_conformance.storage_conformance import StorageProviderConformance
    from undercroft_conformance.store_conformance import StoreConformance
    from undercroft_conformance.stores import OpenStore
    from undercroft_conformance.subject import Subject
    from undercroft_conformance.worker_conformance import WorkerConformance

_NAMES = exports(
    {
        "undercroft_conformance.hook_tool_conformance": ("HookToolConformance",),
        "undercroft_conformance.storage_conformance": ("StorageProviderConformance",),
        "undercroft_conformance.store_conformance": ("StoreConformance",),
        "undercroft_conformance.stores": ("OpenStore",),
        "undercroft_conformance.subject": ("Subject",),
        "undercroft_conformance.worker_conformance": ("WorkerConformance",),
    }
)

__all__ = [
    "HookToolConformance",
    "OpenStore",
    "StorageProviderConformance",
    "StoreConformance",
    "Subject",
    "WorkerConformance",
]

if not TYPE_CHECKING:
    __getattr__ = getter(__name__, globals(), _NAMES)


def __dir__() -> list[str]:
    return __all__
