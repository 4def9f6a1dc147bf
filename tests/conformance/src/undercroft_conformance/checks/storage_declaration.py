"""What a storage provider says of itself is so."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import msgspec

from undercroft_conformance.checks.storage import StorageCase
from undercroft_conformance.rules import storage as rules
from undercroft_conformance.verdict import Broken, Check, describe, expect

_POOL = re.compile(r"[a-zA-Z][a-zA-Z0-9?-]{0,63}")
_METHODS = {
    "release": ("release",),
    "grow": ("grow",),
    "snapshot": ("snapshot", "remove_snapshot"),
    "import": ("import_existing",),
    "trim": (),
}


async def provider_attributes(case: StorageCase) -> None:
    """The struct of attributes refuses what it does not know, cannot be changed, and can be left out."""
    attributes = case.known_maker.provider.attributes
    expect(issubclass(attributes, msgspec.Struct), f"{attributes.__name__} is no msgspec Struct")
    settings = attributes.__struct_config__
    expect(settings.frozen, f"{attributes.__name__} is not frozen")
    expect(settings.forbid_unknown_fields, f"{attributes.__name__} takes fields that it does not know")
    try:
        attributes()
    except TypeError as error:
        raise Broken(f"a pool without attributes is refused: {describe(error)}") from error


async def provider_pools(case: StorageCase) -> None:
    """Default pools have names that an operator can write, and attributes of the provider's."""
    provider = case.known_maker.provider
    for name, attributes in provider.default_pools.items():
        expect(_POOL.fullmatch(name), f"no operator can write the name of the default pool {name!r}")
        expect(isinstance(attributes, provider.attributes), f"the default pool {name!r} has {attributes!r}")


async def provider_source(case: StorageCase) -> None:
    """Making a source leaves the folder as it was, and it is one."""
    folder = case.folder / "untouched"
    source = case.known_maker.source(case.kind, folder)
    expect(not Path(folder).exists(), "making the source has made its folder")
    for name in ("create", "attach", "detach", "destroy"):
        _expect_method(source, name, "a source has it")


async def provider_can(case: StorageCase) -> None:
    """Each promise has its methods."""
    provider = case.known_maker.provider
    source = case.known_maker.source(case.kind, case.folder / "storage")
    for word in sorted(provider.can):
        expect(word in _METHODS, f"it can {word!r}, which nothing asks for")
        for name in _METHODS[word]:
            _expect_method(source, name, f"it can {word!r}")


def _expect_method(source: object, name: str, why: str) -> None:
    method = getattr(source, name, None)
    expect(inspect.iscoroutinefunction(method), f"{why}, and {type(source).__name__} has no async {name}()")


CHECKS: tuple[Check[StorageCase], ...] = (
    Check(rules.PROVIDER_ATTRIBUTES, provider_attributes),
    Check(rules.PROVIDER_POOLS, provider_pools),
    Check(rules.PROVIDER_SOURCE, provider_source),
    Check(rules.PROVIDER_CAN, provider_can),
)
