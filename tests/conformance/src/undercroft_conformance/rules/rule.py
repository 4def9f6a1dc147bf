"""What a rule is."""

from __future__ import annotations

from dataclasses import dataclass

KIT = "undercroft_conformance"
"""The source of a rule that the kit itself lays down."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One sentence of a contract, under a name. `source` is the module in whose text the sentence stands.

    Rules of the kit itself (`KIT`) stand nowhere else: they follow from the design.
    """

    id: str
    sentence: str
    source: str = KIT
