"""Storage directives: `POOL,COUNT,SIZE` in any order, each part optional, as Juju's storage constraints are written.

A size is a number and one of M, G, T, P, E (powers of 1024; a bare number is MiB), and is kept in MiB, rounded up.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from undercroft_hookspecs.errors import NotValidError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from undercroft_hookspecs.charm import Charm, StorageSpec

DEFAULT_SIZE_MIB = 1024
DEFAULT_POOLS = {"filesystem": "rootfs", "block": "loop"}
LARGEST_SIZE_MIB = 1 << 44
LARGEST_COUNT = 100
"""Of one store of one unit: each piece is made by itself, but all are seen at once."""

POOL_NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9?-]{0,63}")
_SIZE = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]+)?)(?P<unit>[MGTPE]?)(?:i?B)?", re.IGNORECASE)
_COUNT = re.compile(r"-?[0-9]+")
_UNITS = {"": 0, "M": 0, "G": 1, "T": 2, "P": 3, "E": 4}


@dataclass(frozen=True, slots=True, kw_only=True)
class Directive:
    """What is asked for: None or an empty pool where it is left to the charm."""

    pool: str = ""
    count: int | None = None
    size_mib: int | None = None


def parse_directive(text: str, *, store: str) -> Directive:
    """Read a directive for a store of a charm.

    Raises:
        NotValidError: it cannot be read, a part is given twice, or a number is out of range; `field` is the store.
    """
    pool, count, size = "", None, None
    for part in filter(None, (part.strip() for part in text.split(","))):
        if _COUNT.fullmatch(part) and count is None:
            count = _count(part, store)
        elif (found := _SIZE.fullmatch(part)) is not None and size is None:
            size = _size_mib(found, store)
        elif POOL_NAME.fullmatch(part) and not pool:
            pool = part
        else:
            message = (
                f'cannot read "{part}" in the storage directive "{text}": write POOL,COUNT,SIZE, as in "loop,1,2G"'
            )
            raise NotValidError(message, field=store)
    return Directive(pool=pool, count=count, size_mib=size)


def parse_size(text: str, *, field: str) -> int:
    """A size in MiB. Raises NotValidError."""
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise NotValidError(f'"{text}" is no size: write a number of M, G or T, as in "2G"', field=field)
    return _size_mib(found, field)


def settled(directive: Directive, spec: StorageSpec) -> Directive:
    """The directive with what it leaves to the charm filled in. Who says anything wants one piece at least."""
    least = spec.minimum if directive == Directive() else max(spec.minimum, 1)
    return Directive(
        pool=directive.pool or DEFAULT_POOLS[spec.type],
        count=least if directive.count is None else directive.count,
        size_mib=directive.size_mib or max(DEFAULT_SIZE_MIB, spec.minimum_size_mib),
    )


def check_directives(charm: Charm, directives: Mapping[str, str]) -> None:
    """Refuse directives, by store, that the charm does not take; that it has these stores is known.

    Raises:
        NotValidError: one cannot be read, or asks for too little or too much, or the charm has a store that its units
            were to share; `field` is the store.
    """
    refuse_shared(charm)
    for store, text in directives.items():
        check_directive(parse_directive(text, store=store), charm.storage[store], store=store)


def refuse_shared(charm: Charm) -> None:
    """Refuse a charm that has its units share storage, as juju does: each would have a piece of its own.

    Raises:
        NotValidError: it has; `field` is the store.
    """
    for store, spec in sorted(charm.storage.items()):
        if spec.shared:
            message = f'charm "{charm.name}" store "{store}": shared storage support not implemented'
            raise NotValidError(message, field=store)


def check_directive(directive: Directive, spec: StorageSpec, *, store: str) -> None:
    """Refuse what the charm does not take.

    Raises:
        NotValidError: too few, too many, or too small; `field` is the store.
    """
    if directive.count is not None:
        if directive.count < spec.minimum:
            message = f'charm store "{store}" needs at least {spec.minimum} instances, {directive.count} specified'
            raise NotValidError(message, field=store)
        check_count(directive.count, spec, store=store)
    if directive.size_mib is not None and directive.size_mib < spec.minimum_size_mib:
        message = f'charm store "{store}" needs at least {spec.minimum_size_mib} MiB, not {directive.size_mib}'
        raise NotValidError(message, field=store)


def check_count(count: int, spec: StorageSpec, *, store: str) -> None:
    """Refuse more than the charm takes. Raises NotValidError."""
    most = LARGEST_COUNT if spec.maximum is None else min(spec.maximum, LARGEST_COUNT)
    if count > most:
        message = f'charm store "{store}" takes at most {most} instances, {count} specified'
        raise NotValidError(message, field=store)


def _count(text: str, store: str) -> int:
    count = int(text)
    if not 0 < count <= LARGEST_COUNT:
        raise NotValidError(f'cannot make {count} of storage "{store}": 1 to {LARGEST_COUNT}', field=store)
    return count


def _size_mib(found: re.Match[str], field: str) -> int:
    size = math.ceil(float(found["number"]) * float(1024 ** _UNITS[found["unit"].upper()]))
    if not 0 < size <= LARGEST_SIZE_MIB:
        raise NotValidError(f'"{found[0]}" is no size that anything could have', field=field)
    return size
