"""The errors of the unit agent, and the outcomes that steer it.

UndercroftError
├── HookFailed             a hook ended badly: the unit is in error until it is resolved or retried
├── DeployConflict         a charm cannot be upgraded in place
├── CharmMissing           what a charm was to be put in place from is gone
├── ActionNotValid         the charm has no such action, or its parameters do not fit
├── SourceFailed           something that the unit has to follow cannot be followed
├── UnitGone               the unit has been removed
└── (outcomes, raised to steer the loop)
    ├── Waiting            nothing to do, and not idle
    ├── RestartResolving   watch and resolve from anew
    ├── Terminate          the unit has come to its end
    ├── RebootNeeded       the machine is to be rebooted before anything else
    └── Stopping           the worker is to end, and nothing more is begun
"""

from __future__ import annotations

from undercroft_hookspecs import NotFoundError, UndercroftError


class HookFailed(UndercroftError):
    """The script `script` ended badly; `reason` is `exit status 1` and the like."""

    def __init__(self, script: str, reason: str) -> None:
        super().__init__(script, reason)
        self.script = script
        self.reason = reason

    def __str__(self) -> str:
        return f"hook {self.script!r} failed: {self.reason}"


class DeployConflict(UndercroftError):
    """The charm could not be put over the one that is there; the reason is the cause."""


class CharmMissing(NotFoundError):
    """What the charm with that SHA-256 was to be put in place from is gone; the reason is the cause."""

    def __init__(self, sha256: str, reason: str) -> None:
        super().__init__(sha256, reason)
        self.sha256 = sha256
        self.reason = reason

    def __reduce__(self) -> tuple[object, ...]:
        return (type(self), (self.sha256, self.reason))


class ActionNotValid(UndercroftError):
    """The unit's charm does not define the action, or not with such parameters."""


class SourceFailed(UndercroftError):
    """The unit cannot be run, for nobody knows any more what is wanted of it; the reason is the cause."""

    def __init__(self, unit: str, source: str, reason: str) -> None:
        super().__init__(unit, source, reason)
        self.unit = unit
        self.source = source
        self.reason = reason

    def __str__(self) -> str:
        return f"the {self.source} of unit {self.unit!r} cannot be followed: {self.reason}"


class UnitGone(UndercroftError):
    """The unit has been removed: nothing more is to be run for it."""


class Waiting(UndercroftError):
    """Nothing can be done before something changes, and the unit is not idle."""


class RestartResolving(UndercroftError):
    """What was resolved against is out of date as a whole, as after an upgrade: begin again."""


class Terminate(UndercroftError):
    """The unit has nothing left to do but to be dead."""


class RebootNeeded(UndercroftError):
    """A hook has asked for the machine to be rebooted."""


class Stopping(UndercroftError):
    """The unit's agent is asked to stop: what waits is left off, and nothing more is begun."""
