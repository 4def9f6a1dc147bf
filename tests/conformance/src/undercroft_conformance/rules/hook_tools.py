"""The rules for a hook tool."""

from __future__ import annotations

from undercroft_conformance.rules.rule import Rule


def _rule(name: str, sentence: str) -> Rule:
    return Rule(name, sentence, "undercroft_hookspecs.hook_tools")


TOOL_WHOLE = _rule("tool-whole", "A hook tool that charms can call.")
TOOL_NAME = Rule("tool-name", "A tool's name has lowercase letters, digits and hyphens only.")
TOOL_HELP = _rule("tool-help", "One line for the help.")
TOOL_FORMATS = _rule("tool-formats", "Which of `smart`, `json` and `yaml` the answer can be printed in,")
TOOL_ARITY = _rule("tool-arity", "The fewest and the most arguments; None: any number.")
TOOL_FLAGS = Rule("tool-flags", "No flag has dashes in front of its names, or a name of another or of the uniter's.")
TOOL_FLAGS_ANYWHERE = Rule("tool-flags-anywhere", "The flags can be told in every hook, and are the same each time.")
TOOL_ANSWER = _rule("tool-answer", "what `formats` can print, None for nothing.")
TOOL_POOR_HOOK = Rule(
    "tool-poor-hook", "In a hook that has nothing to offer a tool answers, or raises an UndercroftError."
)
TOOL_ANY_WORDS = Rule(
    "tool-any-words", "Whatever words it is called with, a tool answers, or raises an UndercroftError."
)
TOOL_UNREADABLE = _rule(
    "tool-unreadable", "Raises UndercroftError when it cannot be read, or is larger than a tool takes."
)
TOOL_CANCELLED = Rule("tool-cancelled", "A call that is cancelled, as when its hook ends, ends at once.")
TOOL_CLEAN = Rule("tool-clean", "A call leaves no task, descriptor or child.")
TOOL_LOOP_FREE = Rule("tool-loop-free", "No call holds the loop for more than 100 ms.")
