"""How secrets are named, and what all tools of secrets do alike."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from undercroft_hookspecs.errors import NotFoundError, NotLeaderError, NotPermittedError
from undercroft_hookspecs.hook_tools import ToolUsageError
from undercroft_uniter.jujuc.quoting import quoted
from undercroft_uniter.jujuc.tools.tool import NOT_LEADER

if TYPE_CHECKING:
    from undercroft_hookspecs.hook_tools import ToolCall


def secret_of(call: ToolCall) -> str:
    """The secret that the first argument names.

    Raises:
        ToolUsageError: it is empty.
    """
    if not call.arguments or not call.arguments[0]:
        raise ToolUsageError("missing secret URI")
    return call.arguments[0]


def bare(name: str) -> str:
    """The id alone of `secret:ID`, `secret://MODEL/ID` and `ID`; a label is as it is."""
    text = name.removeprefix("secret:")
    return text.rpartition("/")[2] if text.startswith("//") else text


@contextmanager
def told(name: str) -> Iterator[None]:
    """Say what went wrong with a secret as charms, and ops for them, know it."""
    try:
        yield
    except NotLeaderError:
        raise NotLeaderError(NOT_LEADER) from None
    except NotPermittedError:
        raise NotPermittedError("permission denied") from None
    except NotFoundError as error:
        if bare(error.name) != bare(name):
            raise
        raise NotFoundError(name, f"secret {quoted(bare(name))} not found") from None
