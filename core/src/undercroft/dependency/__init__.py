"""The dependency engine, and what manifolds are made with.

Each name is imported from its module when it is first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from undercroft_hookspecs.lazy import exports, getter

if TYPE_CHECKING:
    from undercroft.dependency.config import EngineConfig
    from undercroft.dependency.engine import Engine
    from undercroft.dependency.errors import (
        Bounce,
        CycleError,
        EngineSignal,
        ExpiredError,
        Missing,
        OutputError,
        Uninstall,
    )
    from undercroft.dependency.manifolds import (
        Installer,
        ValueWorker,
        install,
        self_manifold,
        validate,
        value_output,
    )
    from undercroft.dependency.report import Explanation
    from undercroft_hookspecs.manifold import Context, FilterFunc, Manifold, OutputFunc, StartFunc

_NAMES = exports(
    {
        "undercroft.dependency.config": ("EngineConfig",),
        "undercroft.dependency.engine": ("Engine",),
        "undercroft.dependency.errors": (
            "Bounce",
            "CycleError",
            "EngineSignal",
            "ExpiredError",
            "Missing",
            "OutputError",
            "Uninstall",
        ),
        "undercroft.dependency.manifolds": (
            "Installer",
            "ValueWorker",
            "install",
            "self_manifold",
            "validate",
            "value_output",
        ),
        "undercroft.dependency.report": ("Explanation",),
        "undercroft_hookspecs.manifold": ("Context", "FilterFunc", "Manifold", "OutputFunc", "StartFunc"),
    }
)

__all__ = [
    "Bounce",
    "Context",
    "CycleError",
    "Engine",
    "EngineConfig",
    "EngineSignal",
    "ExpiredError",
    "Explanation",
    "FilterFunc",
    "Installer",
    "Manifold",
    "Missing",
    "OutputError",
    "OutputFunc",
    "StartFunc",
    "Uninstall",
    "ValueWorker",
    "install",
    "self_manifold",
    "validate",
    "value_output",
]

if not TYPE_CHECKING:
    __getattr__ = getter(__name__, globals(), _NAMES)


def __dir__() -> list[str]:
    return __all__
