"""What a command of the `undercroft.commands` group gets by `@click.pass_obj`."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager
from typing import TYPE_CHECKING, Literal, Protocol, TypeVar

import msgspec

if TYPE_CHECKING:
    from pathlib import Path

C = TypeVar("C", bound=msgspec.Struct)
T = TypeVar("T")


class Session(Protocol):
    """One run of the command line: where the data is, how to answer, and the ways to the state and to the agent."""

    @property
    def data_dir(self) -> Path:
        """The data folder."""
        ...

    @property
    def format(self) -> Literal["table", "json", "yaml"]:
        """How to answer."""
        ...

    @property
    def model(self) -> str | None:
        """The model's name as `--model` or `$UNDERCROFT_MODEL` gave it."""
        ...

    @property
    def store(self) -> str:
        """The URL of the store, as configured."""
        ...

    def config(self, kind: type[C]) -> C:
        """The section of the command's own plugin, validated."""
        ...

    def open(self, name: str, kind: type[T]) -> AbstractAsyncContextManager[T]:
        """`store` or `model` as `kind`, in a private engine: no agent needed, no lock taken, nothing renewed or reaped.

        Raises what the start raised, at once.
        """
        ...

    def run(self, main: Coroutine[object, object, T]) -> T:
        """Run a coroutine to its end, on uvloop."""
        ...

    def emit(self, document: object, *, table: Callable[[], str] | None = None) -> None:
        """Print the answer: a table on a terminal or with `--format table`, else the document in the format asked
        for."""

    def ask(self, request: Mapping[str, object]) -> Mapping[str, object]:
        """Ask the running agent over its control socket; exits 3 if there is none."""
        ...
