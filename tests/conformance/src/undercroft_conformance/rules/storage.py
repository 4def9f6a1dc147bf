"""The rules for a storage provider's source of filesystems or volumes."""

from __future__ import annotations

from undercroft_conformance.rules.rule import Rule

_STORAGE = "undercroft_hookspecs.storage"
_REPEATED = "One entity a call, and every call can be repeated."


def _rule(name: str, sentence: str) -> Rule:
    return Rule(name, sentence, _STORAGE)


CREATE_INFO = _rule("create-info", "`provider_id` is the provider's own name for it.")
CREATE_TWICE = _rule("create-twice", "or find the one made before.")
CREATE_SIZE = Rule("create-size", "What is created is at least as large as was asked for.")
CREATE_APART = _rule("create-apart", _REPEATED)
ATTACH_INFO = _rule("attach-info", "a mount point for a filesystem, a device for a volume.")
ATTACH_TWICE = _rule("attach-twice", "attaching twice gives the same answer.")
ATTACH_AGAIN = _rule("attach-again", _REPEATED)
DETACH_ABSENT = _rule("detach-absent", _REPEATED)
DETACH_TWICE = _rule("detach-twice", _REPEATED)
DESTROY_MISSING = _rule("destroy-missing", "nothing if it is gone.")
DESTROY_TWICE = _rule("destroy-twice", "nothing if it is gone.")
CREATE_AFTER_DESTROY = _rule("create-after-destroy", _REPEATED)
KEEPS_DATA = Rule("keeps-data", "What was written to a filesystem is there again after it was detached and attached.")
SOURCE_CLEAN = Rule(
    "source-clean",
    "A round of create, attach, detach and destroy leaves no task, descriptor, child, mount or loop device.",
)
SOURCE_LOOP_FREE = Rule("source-loop-free", "No callback of a source holds the loop for more than 100 ms.")
