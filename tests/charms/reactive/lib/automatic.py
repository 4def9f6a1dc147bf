"""Flags that are set for the time of one hook: which options have changed."""

from __future__ import annotations

from charmhelpers.core import hookenv
from charms.reactive import clear_flag, get_flags, set_flag


def set_flags() -> None:
    """Set them. What an option was before is kept at the end of a hook that succeeds, and not of one that fails."""
    config = hookenv.config()
    for option in config:
        if config.changed(option):
            set_flag(f"config.changed.{option}")


def clear_flags() -> None:
    """Clear them."""
    for flag in get_flags():
        if flag.startswith("config.changed."):
            clear_flag(flag)
