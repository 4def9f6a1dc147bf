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
SIZE_LARGER = Rule("size-larger", "Asked for more than there is, a source gives that much or refuses, never less.")
SIZE_ABSURD = Rule(
    "size-absurd",
    "A size that cannot be had is refused for good, by PermanentError or NotValidError, and nothing is half made.",
)
IDS_APART = Rule("ids-apart", "`7`, `0/7` and `0/lxd/1/7` are three things, and any number will do.")
ATTACH_MISSING = Rule("attach-missing", "What was never made is not attached: the call raises.")
ATTACH_READ_ONLY = Rule(
    "attach-read-only", "What is attached read-only cannot be written to and says so, or is refused."
)
ATTACH_CONTENT = Rule(
    "attach-content", "What is in the folder where a filesystem is to be mounted is neither hidden nor lost."
)
AT_ONCE = Rule("at-once", "Calls about different entities may run at the same time.")
CALL_CANCELLED = Rule("call-cancelled", "A call that is cancelled at any moment can be made again.")
RESTART_SAME = Rule("restart-same", "A source made anew finds what a former one has made and attached.")
RESTART_CLEAN = Rule("restart-clean", "A source made anew takes down what a former one has attached.")
PROVIDER_ATTRIBUTES = Rule(
    "provider-attributes",
    "The attributes are a frozen Struct that refuses unknown fields and has defaults.",
)
PROVIDER_POOLS = _rule("provider-pools", "`default_pools` are there without being made.")
PROVIDER_SOURCE = Rule("provider-source", "Making a source touches nothing: it is made for every call.")
PROVIDER_CAN = _rule("provider-can", "Each word of `can` promises that the source is also one of `Releases`,")
GROW = _rule("grow", "Make it at least that large, attached or not; nothing if it is.")
SNAPSHOT = _rule("snapshot", "Keep what is in it now under a name, or find what was kept so;")
RELEASE = _rule("release", "Let go of the entity and keep it, with its data; nothing if it is gone.")
IMPORT_MISSING = _rule("import-missing", "there is no such thing, or it cannot be taken.")
