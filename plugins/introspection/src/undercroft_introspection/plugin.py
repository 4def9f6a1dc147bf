"""The plugin `introspection`."""

from __future__ import annotations

import msgspec

from undercroft_hookspecs import hookimpl


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section `[plugins.introspection]`."""


@hookimpl
def undercroft_config() -> type[msgspec.Struct]:
    """The struct of this plugin's section."""
    return Config
