"""Why a charm cannot be built."""

from __future__ import annotations

from undercroft_model.charms.errors import CharmError


class PackError(CharmError):
    """The charm in the folder `source` cannot be built here; the text says why, and what to do."""

    def __init__(self, source: object, problem: str) -> None:
        super().__init__(f"{source} cannot be packed: {problem}", field="source")
        self.source = str(source)
        self.problem = problem
