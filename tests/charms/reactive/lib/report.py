"""The action."""

from __future__ import annotations

from charmhelpers.core import hookenv, unitdata
from charms.reactive import get_flags


def answer() -> None:
    """Tell what the handlers have noted, and which flags are set; no handler is run."""
    assert hookenv.hook_name() == ""
    assert hookenv.action_name() == "report"
    notes = "\n".join(unitdata.kv().get("notes"))
    hookenv.action_set({"notes": notes, "flags": " ".join(get_flags()), "word": hookenv.action_get("word")})
