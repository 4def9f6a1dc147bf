"""Lazy re-exports (PEP 562): a package's names are imported from their modules when they are first asked for."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


def exports(where: Mapping[str, Iterable[str]]) -> dict[str, str]:
    """Turn {module: its names} into {name: module}."""
    return {name: module for module, names in where.items() for name in names}


def getter(package: str, namespace: dict[str, object], names: Mapping[str, str]) -> Callable[[str], object]:
    """The `__getattr__` of a package that re-exports `names`; each is looked up once and then stays in `namespace`."""

    def get(name: str) -> object:
        try:
            module = names[name]
        except KeyError:
            raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name) from None
        value: object = getattr(import_module(module), name)
        namespace[name] = value
        return value

    return get
