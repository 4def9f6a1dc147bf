"""The documentation holds together: its links lead somewhere, and its index leaves nothing out."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

LINK = re.compile(r"(?<!!)\[[^\]\[]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^ {0,3}(```|~~~).*?^ {0,3}\1", re.MULTILINE | re.DOTALL)


def _prose(path: Path) -> str:
    return FENCE.sub("", path.read_text())


def _anchor(heading: str) -> str:
    """The anchor that a Markdown viewer gives a heading."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def _anchors(path: Path) -> set[str]:
    return {_anchor(heading) for heading in re.findall(r"^#+ (.*)$", _prose(path), re.MULTILINE)}


def _links(page: Path) -> Iterator[tuple[str, Path, str]]:
    """Every link of a page that does not leave the repository: as written, the file it means, and the anchor."""
    for link in LINK.findall(_prose(page)):
        if re.match(r"[a-z]+:", link):
            continue
        target, _, anchor = link.partition("#")
        yield link, (page.parent / target).resolve() if target else page, anchor


def test_every_link_leads_somewhere(root: Path, tracked: tuple[Path, ...]) -> None:
    broken = []
    for page in (root / path for path in tracked if path.suffix == ".md"):
        for link, target, anchor in _links(page):
            if not target.exists() or (anchor and target.suffix == ".md" and anchor not in _anchors(target)):
                broken.append(f"{page.relative_to(root)}: {link}")

    assert broken == []


def test_the_index_has_every_page(root: Path, tracked: tuple[Path, ...]) -> None:
    index = root / "docs" / "README.md"
    linked = {target for _, target, _ in _links(index)}
    pages = {root / path for path in tracked if path.parts[0] == "docs" and path.suffix == ".md"} - {index}

    assert sorted(str(page.relative_to(root)) for page in pages - linked) == []


def test_every_page_begins_with_its_title(root: Path, tracked: tuple[Path, ...]) -> None:
    untitled = [
        str(path) for path in tracked if path.suffix == ".md" and not (root / path).read_text().startswith("# ")
    ]

    assert untitled == []


def test_decisions_are_numbered_without_a_gap(root: Path) -> None:
    numbers = sorted(int(path.name[:4]) for path in (root / "docs" / "decisions").glob("*.md"))

    assert numbers == list(range(1, len(numbers) + 1))


def test_every_decision_says_what_was_decided_and_why(root: Path) -> None:
    vague = [
        path.name
        for path in (root / "docs" / "decisions").glob("*.md")
        if not {"context", "decision", "consequences"} <= _anchors(path)
    ]

    assert vague == []
