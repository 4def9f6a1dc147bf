"""The rules: each is quoted from where it says, has a name of its own, and stands in the reference."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from undercroft_conformance import hook_tool_conformance, storage_conformance, store_conformance, worker_conformance
from undercroft_conformance.rules import hook_tools as tool_rules
from undercroft_conformance.rules import storage as storage_rules
from undercroft_conformance.rules import store as store_rules
from undercroft_conformance.rules import worker as worker_rules
from undercroft_conformance.rules.rule import KIT, Rule

PAGE = Path(__file__).parents[3] / "docs/reference/conformance.md"

CHECKED = {
    "The rules for a plugin and its workers": [check.rule for check in worker_conformance.CHECKS],
    "The rules for a store": [check.rule for check in store_conformance.CHECKS],
    "The rules for a source of storage": [check.rule for check in storage_conformance.CHECKS],
    "The rules for a hook tool": [check.rule for check in hook_tool_conformance.CHECKS],
}
RULES = [rule for rules in CHECKED.values() for rule in rules]


def _plain(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.source != KIT], ids=lambda rule: rule.id)
def test_a_rule_is_quoted_from_where_it_says(rule: Rule) -> None:
    source = import_module(rule.source).__file__
    assert source is not None

    assert _plain(rule.sentence) in _plain(Path(source).read_text())


def test_every_rule_has_a_name_of_its_own() -> None:
    names = [rule.id for rule in RULES]

    assert sorted(set(names)) == sorted(names)
    assert all(re.fullmatch(r"[a-z]+(-[a-z]+)*", name) for name in names)


@pytest.mark.parametrize(
    "module", [worker_rules, store_rules, storage_rules, tool_rules], ids=lambda module: module.__name__
)
def test_every_rule_that_is_laid_down_is_checked(module: object) -> None:
    laid_down = {value.id for value in vars(module).values() if isinstance(value, Rule)}

    assert laid_down <= {rule.id for rule in RULES}
    assert laid_down


@pytest.mark.parametrize("section", CHECKED)
def test_the_reference_lists_exactly_the_rules_that_are_checked(section: str) -> None:
    text = PAGE.read_text().partition(f"\n## {section}\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `([a-z-]+)` \| (.*) \| `([a-z_.]+)` \|$", text, re.MULTILINE)

    assert rows == [(rule.id, rule.sentence, rule.source) for rule in CHECKED[section]]
