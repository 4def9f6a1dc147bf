"""The parameters of an action, checked in a process of its own: the charm's schema may take for ever to be applied."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

import msgspec

from undercroft_hookspecs import CommandFailedError
from undercroft_uniter.errors import ActionNotValid
from undercroft_uniter.runner.fitting import Answer, Question

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from undercroft_hookspecs import Process

PATIENCE_SECONDS = 10.0
_PROGRAM: Final[Sequence[str]] = ("-P", "-m", "undercroft_uniter.runner.fitting")


async def checked(
    process: Process,
    name: str,
    parameters: Mapping[str, object],
    schema: Mapping[str, object],
    *,
    patience: float = PATIENCE_SECONDS,
) -> Mapping[str, object]:
    """The parameters with the schema's defaults.

    Raises:
        ActionNotValid: they do not fit, or the charm's schema is none, or it cannot be told in `patience` seconds.
    """
    question = msgspec.json.encode(Question(name, dict(parameters), dict(schema)))
    try:
        done = await process.run([sys.executable, *_PROGRAM], timeout=patience, stdin=question)
    except TimeoutError as error:
        message = f'the schema of action "{name}" could not be applied to its parameters within {patience:g} s'
        raise ActionNotValid(f"{message}: look at its patterns and references") from error
    except CommandFailedError as error:
        message = f'the schema of action "{name}" could not be applied to its parameters'
        raise ActionNotValid(f"{message}: {error}") from error
    answer = msgspec.json.decode(done.stdout, type=Answer)
    if answer.refusal:
        raise ActionNotValid(answer.refusal)
    return answer.parameters
