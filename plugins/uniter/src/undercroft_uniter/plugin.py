"""The plugin `uniter`: its config, and its manifolds."""

from __future__ import annotations

from typing import Annotated

import msgspec

from undercroft_hookspecs import hookimpl


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section `[plugins.uniter]`."""

    machine_lock_patience: Annotated[float, msgspec.Meta(gt=0)] = 300.0
    """For how many seconds a hook may keep those of other units waiting."""


@hookimpl
def undercroft_config() -> type[msgspec.Struct]:
    """The struct of this plugin's section."""
    return Config
