"""What `undercroft conformance` runs in a fresh process: `python -m undercroft_conformance.judge PLUGIN ANSWER`.

It runs the kit's own class under pytest, with an agent and a store as the only fakes, and writes the verdicts as JSON.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest

from undercroft_conformance.black_box import Row, Verdict
from undercroft_conformance.plugin import load
from undercroft_conformance.rules.rule import Rule
from undercroft_conformance.verdict import Check

TESTS = """
import pytest
from undercroft.testing import FakeAgent, MemoryStore
from undercroft.testing.agent import FakeUnitAgent
from undercroft_conformance import Subject, WorkerConformance
from undercroft_conformance.plugin import specifications
"""

TEST_CLASS = """
class {subject}(WorkerConformance):
    plugin = {plugin!r}

    @pytest.fixture
    def subject(self, tmp_path):
        agent = {agent}(data_dir=tmp_path, answers={{hook: [] for hook in specifications()}})
        return Subject(agent, resources={{"store": MemoryStore()}})
"""

_WORST: Sequence[Verdict] = ("broken", "skipped", "kept")


class Recorder:
    """Takes down what became of each check; both loops together are one verdict, the worse one."""

    def __init__(self, plugin: str) -> None:
        self._plugin = plugin
        self._rows: dict[tuple[str, str], Row] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Look at each report while its test is at hand."""
        report = yield
        if isinstance(item, pytest.Function) and (report.when == "call" or not report.passed):
            check = item.callspec.params["check"]
            assert isinstance(check, Check)
            subject = item.cls.__name__ if item.cls is not None else ""
            self._note(subject, check.rule, report)
        return report

    def _note(self, subject: str, rule: Rule, report: pytest.TestReport) -> None:
        verdict: Verdict = "kept" if report.passed else "skipped" if report.skipped else "broken"
        row = Row(
            plugin=self._plugin,
            subject=subject.lower(),
            rule=rule.id,
            verdict=verdict,
            why=_why(rule, report),
            sentence=rule.sentence,
        )
        known = self._rows.setdefault((subject, rule.id), row)
        if _WORST.index(verdict) < _WORST.index(known.verdict):
            self._rows[subject, rule.id] = row

    def rows(self) -> Sequence[Row]:
        """The verdicts, in the order of the rules."""
        return list(self._rows.values())


def _why(rule: Rule, report: pytest.TestReport) -> str:
    if report.passed:
        return ""
    said = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longreprtext
    found = said.removeprefix("Skipped: ").removeprefix(f"[{rule.id}] ").removeprefix("not judged: ")
    return found.partition("\n  the contract (")[0]


def tests_for(plugin: str) -> str:
    """The test module that judges a plugin: one class for its agent's hooks, one for its units'."""
    hooks = load(plugin).hooks
    for_units = "undercroft_unit_manifolds" in hooks
    kinds = {"Agent": "FakeAgent"} if not for_units or "undercroft_manifolds" in hooks else {}
    if for_units:
        kinds["Unit"] = "FakeUnitAgent"
    return TESTS + "".join(
        TEST_CLASS.format(subject=subject, plugin=plugin, agent=agent) for subject, agent in kinds.items()
    )


def main(arguments: Sequence[str]) -> int:
    """Judge a plugin and write the answer."""
    plugin, answer = arguments
    recorder = Recorder(plugin)
    with TemporaryDirectory(prefix="undercroft-conformance-") as folder:
        module = Path(folder, "test_black_box.py")
        module.write_text(tests_for(plugin))
        options = [
            "-q",
            "-p",
            "no:cacheprovider",
            "-c",
            os.devnull,
            "--rootdir",
            folder,
            "-o",
            "python_classes=Agent Unit",
        ]
        code = pytest.main([*options, f"--basetemp={folder}/tmp", str(module)], plugins=[recorder])
    if code in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}:
        Path(answer).write_bytes(msgspec.json.encode(recorder.rows()))
    return int(code)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
