"""Names within a charm's archive: which are safe, and where symbolic links lead."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_NAME_BYTES = 255
MAX_PATH_BYTES = 2048
MAX_HOPS = 40


class UnsafeName(ValueError):
    """A name or a link leads out of the charm, or is not one that a file can have; the text says why."""


def parts_of(name: str) -> tuple[str, ...]:
    """The parts of an entry's name; none for the root itself.

    Raises:
        UnsafeName: it is not a relative path that stays inside.
    """
    if not name:
        raise UnsafeName("an empty name")
    if "\\" in name or "\0" in name:
        raise UnsafeName("a name with a backslash or a NUL")
    if name.startswith("/"):
        raise UnsafeName("an absolute name")
    encoded = name.encode("utf-8", "surrogateescape")
    if len(encoded) > MAX_PATH_BYTES:
        raise UnsafeName(f"a name of more than {MAX_PATH_BYTES} bytes")
    parts = name.removesuffix("/").split("/")
    while parts and parts[0] in {".", ""}:
        parts.pop(0)
    for part in parts:
        if part in {"", ".", ".."}:
            raise UnsafeName("a name with an empty part, '.' or '..'")
        if len(part.encode("utf-8", "surrogateescape")) > MAX_NAME_BYTES:
            raise UnsafeName(f"a name with a part of more than {MAX_NAME_BYTES} bytes")
    return tuple(parts)


def check_links(links: Mapping[tuple[str, ...], str]) -> None:
    """See that every symbolic link ends inside, also by way of others. What it points to need not exist.

    Raises:
        UnsafeName: one does not; its text begins with the link's name.
    """
    for link, target in links.items():
        try:
            follow(link[:-1], target, links)
        except UnsafeName as error:
            raise UnsafeName(f"{'/'.join(link)} is a symbolic link to {target[:80]!r}, {error}") from None


def follow(folder: tuple[str, ...], target: str, links: Mapping[tuple[str, ...], str]) -> tuple[str, ...]:
    """Where a link in `folder` ends: its target is walked part by part, as the kernel would, through links on the way.

    Raises:
        UnsafeName: that is outside, or nowhere.
    """
    if not target or "\0" in target or len(target) > MAX_PATH_BYTES:
        raise UnsafeName("which is no path")
    here, hops = list(folder), 0
    rest = _steps(target)
    while rest:
        step = rest.pop()
        if step == "..":
            if not here:
                raise UnsafeName("which leads out of the charm")
            here.pop()
            continue
        here.append(step)
        if (further := links.get(tuple(here))) is not None:
            hops += 1
            if hops > MAX_HOPS:
                raise UnsafeName("which leads nowhere but in circles")
            here.pop()
            rest += _steps(further)
    return tuple(here)


def _steps(target: str) -> list[str]:
    """The steps of a target, the first one last."""
    if target.startswith("/"):
        raise UnsafeName("which is absolute")
    return [step for step in reversed(target.split("/")) if step not in {"", "."}]
