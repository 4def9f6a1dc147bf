"""The errors that packages must agree on.

    UndercroftError
    ├── NotValidError          a bad argument, config or plan, and which (also a ValueError)
    ├── NotFoundError          no such thing (also a LookupError)
    ├── AlreadyExistsError     the name is taken
    ├── CannotEnterScope       the unit has no business in the relation, or one of them is on its way out
    │   └── CannotEnterScopeYet    ... for as long as an old subordinate is there
    ├── UnitHasSubordinates    they have to go first
    ├── NotPermittedError      whoever asks may not
    │   └── NotLeaderError         ... for only the leader of its application may
    └── AgentSignal            a worker's wish about the whole agent or its machine
        ├── TerminateAgent
        ├── RestartAgent
        ├── RebootMachine
        └── ShutdownMachine

The Store's errors are in `undercroft_hookspecs.store`; those of the supervision library in `undercroft`.
"""

from __future__ import annotations


class UndercroftError(Exception):
    """The root of every error that this project defines."""


class NotValidError(UndercroftError, ValueError):
    """An argument, a config or a plan is not usable; `field` says which part of it."""

    def __init__(self, message: str = "", *, field: str) -> None:
        super().__init__(message or f"{field} is not valid")
        self.field = field

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.args, self.__dict__))


class NotFoundError(UndercroftError, LookupError):
    """There is nothing called `name`."""

    def __init__(self, name: str, message: str = "") -> None:
        super().__init__(message or f"{name!r} was not found")
        self.name = name

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.args, self.__dict__))


class AlreadyExistsError(UndercroftError):
    """There is something called `name` already."""

    def __init__(self, name: str, message: str = "") -> None:
        super().__init__(message or f"{name!r} exists already")
        self.name = name

    def __reduce__(self) -> tuple[object, ...]:
        return (_rebuild, (type(self), self.args, self.__dict__))


class CannotEnterScope(UndercroftError):
    """The unit, the relation or the other side is on its way out, or the relation is none of the unit's."""


class CannotEnterScopeYet(CannotEnterScope):
    """A subordinate of the same application is still on its way out: try again when it is gone."""


class UnitHasSubordinates(UndercroftError):
    """A unit cannot be dead before its subordinates are gone."""


class NotPermittedError(UndercroftError):
    """There may be such a thing, but not for the one who asks."""


class NotLeaderError(NotPermittedError):
    """Only the leader of its application may do this, and the unit is not, or not any more."""


class AgentSignal(UndercroftError):
    """What a worker wishes for the agent around it. The supervision library gives it no meaning; the agent does."""


class TerminateAgent(AgentSignal):
    """Stop the agent for good: it exits 0 and is not started again."""


class RestartAgent(AgentSignal):
    """Stop the agent in order and have it started again."""


class RebootMachine(AgentSignal):
    """Reboot this machine, once everything has stopped."""


class ShutdownMachine(AgentSignal):
    """Power this machine off, once everything has stopped."""


def _rebuild(kind: type[BaseException], args: tuple[object, ...], state: dict[str, object]) -> BaseException:
    """Unpickle an error whose constructor takes keywords, with its fields as they were."""
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error
