"""The class that judges a plugin and its workers."""

from __future__ import annotations

from types import ModuleType
from typing import ClassVar

import pytest

from undercroft_conformance.checks import conduct, declarations, engine, exposure, lifecycle
from undercroft_conformance.doors import LOOPS, judge_or_skip, parameters
from undercroft_conformance.life import Case
from undercroft_conformance.plugin import load
from undercroft_conformance.subject import Subject
from undercroft_conformance.verdict import Check

CHECKS: tuple[Check[Case], ...] = (
    *declarations.CHECKS,
    *lifecycle.CHECKS,
    *engine.CHECKS,
    *conduct.CHECKS,
    *exposure.CHECKS,
)


class WorkerConformance:
    """Judge a plugin and its workers: subclass it, say which `plugin`, and give it the fixture `subject`.

    `plugin` is the plugin's name (that of its entry point), or its module, or its module's dotted name. With a
    UnitAgent in the subject it is the manifolds of units that are judged; a plugin with both has two classes.
    """

    plugin: ClassVar[str | ModuleType]

    @pytest.fixture
    def subject(self) -> Subject:
        """What the plugin is judged with; to be overridden."""
        raise NotImplementedError("a subclass of WorkerConformance has a fixture `subject`")

    @pytest.mark.parametrize("loop", LOOPS)
    @pytest.mark.parametrize("check", parameters(CHECKS))
    def test_worker(self, check: Check[Case], loop: str, subject: Subject) -> None:
        """The plugin keeps one rule on one loop."""
        judge_or_skip(check, lambda bench: Case(load(self.plugin), subject, bench), loop=loop)
