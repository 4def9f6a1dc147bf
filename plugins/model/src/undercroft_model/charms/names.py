"""The names that a charm may give, by Juju's rules."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from undercroft_model.charms.document import Entry

MAX_LENGTH = 200

CHARM = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]*[a-z][a-z0-9]*)*")
ENDPOINT = re.compile(r"[a-z][a-z0-9]*(?:[_-][a-z0-9]+)*")
STORAGE = CHARM
ACTION = re.compile(r"[a-z0-9](?:[a-z0-9-]*[a-z0-9])?")
# Juju has no rule for these. Ours keeps out what could not be written on a command line, or is no name of a file.
OPTION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")
BINDING = OPTION
RESOURCE = OPTION
METRIC = OPTION


def check(entry: Entry, name: str, rule: re.Pattern[str], kind: str) -> str:
    """The name, if it follows the rule; `entry` is where it stands.

    Raises:
        CharmFileError: it does not.
    """
    if len(name) > MAX_LENGTH or rule.fullmatch(name) is None:
        raise entry.error(f"the name of {kind} ({_words(rule)})", repr(name[:80]))
    return name


def is_reserved(name: str, charm: str) -> bool:
    """Whether a name is Juju's own: `juju` and `juju-...`, which only charms called so may use."""
    return (name == "juju" or name.startswith("juju-")) and not charm.startswith("juju-")


def _words(rule: re.Pattern[str]) -> str:
    if rule is CHARM:
        return "lower-case letters, digits and hyphens, beginning with a letter, no part of digits alone"
    if rule is ENDPOINT:
        return "lower-case letters and digits, parted by single hyphens or underscores, beginning with a letter"
    if rule is ACTION:
        return "lower-case letters, digits and hyphens, none at the ends"
    return "letters, digits, '_', '-' and '.'"
