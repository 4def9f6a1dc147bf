"""What can be wrong with a charm.

NotValidError
└── CharmError             the charm cannot be used
    ├── CharmFileError     what one of its files says, at one key
    └── ArchiveError       its archive or folder is unsafe, damaged or too large
"""

from __future__ import annotations

from undercroft_hookspecs.errors import NotValidError


class CharmError(NotValidError):
    """A charm cannot be used; nothing of it was kept."""

    def __init__(self, message: str, *, field: str = "charm") -> None:
        super().__init__(message, field=field)


class CharmFileError(CharmError):
    """A file of a charm does not say at `key` what it has to: `expected` and `found` are words for people."""

    def __init__(self, file: str, key: str = "", *, expected: str, found: str, line: int | None = None) -> None:
        place = f"{file}: {key}" if key else file
        where = f" (line {line})" if line is not None else ""
        super().__init__(f"{place}{where}: expected {expected}, found {found}", field=place)
        self.file = file
        self.key = key
        self.expected = expected
        self.found = found
        self.line = line


class ArchiveError(CharmError):
    """The archive or folder `path` cannot be taken as a charm; `entry` is the one at fault, if it is one."""

    def __init__(self, path: object, problem: str, *, entry: str = "") -> None:
        at = f", entry {_short(entry)}" if entry else ""
        super().__init__(f"{path}{at}: {problem}", field="archive")
        self.path = str(path)
        self.entry = entry
        self.problem = problem


def _short(entry: str) -> str:
    return repr(entry if len(entry) <= 120 else entry[:117] + "...")
