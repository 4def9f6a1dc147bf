"""The `Session` of one run of the command line. It imports what a command asks it for, when it is asked."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Literal, TypeVar, cast

import click

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    import msgspec

    from undercroft.cli.root import Root
    from undercroft.config import Config

    C = TypeVar("C", bound=msgspec.Struct)

T = TypeVar("T")


class CommandSession:
    """What a command gets by `@click.pass_obj`: the contract's `Session`, and for core's commands `settings`.

    `options` is filled from the command line before the command runs.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.options: dict[str, object] = {}

    @property
    def debug(self) -> bool:
        """Whether errors are shown with their traceback."""
        return bool(self.options.get("debug"))

    @property
    def format(self) -> Literal["table", "json", "yaml"]:
        """How to answer; another word of a command's own `--format` counts as a table."""
        chosen = self.options.get("format")
        return "json" if chosen == "json" else "yaml" if chosen == "yaml" else "table"

    @property
    def model(self) -> str | None:
        """The model's name as `--model` or $UNDERCROFT_MODEL gave it."""
        return self._option("model") or self.environ.get("UNDERCROFT_MODEL") or None

    @cached_property
    def data_dir(self) -> Path:
        """The data folder."""
        from undercroft.config import data_folder

        return data_folder(self._option("data"), self.environ)

    @cached_property
    def settings(self) -> Config:
        """The whole config.

        Raises:
            ConfigError: it cannot be used.
        """
        from undercroft.config import config_file, load

        return load(config_file(self._option("config"), self.environ, self.data_dir), self.environ)

    @property
    def store(self) -> str:
        """The URL of the store.

        Raises:
            ConfigError: the config cannot be used.
        """
        return self.settings.store

    def config(self, kind: type[C]) -> C:
        """The section of the command's own plugin, validated.

        Raises:
            ConfigError: it does not validate.
            NotValidError: the command's distribution has no plugin.
        """
        return self.settings.section(_own_plugin(), kind)

    def open(self, name: str, kind: type[T]) -> AbstractAsyncContextManager[T]:
        """`store` or `model` as `kind`, in a private engine."""
        from undercroft.agent.client import open_private

        if not self.debug:
            _silence_log()
        return open_private(name, kind, data_dir=self.data_dir, config=self.settings, model=self.model)

    def run(self, main: Coroutine[object, object, T]) -> T:
        """Run a coroutine to its end, on uvloop."""
        import asyncio

        import uvloop

        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(main)

    def emit(self, document: object, *, table: Callable[[], str] | None = None) -> None:
        """Print the answer, in the format asked for."""
        from undercroft.cli.output import rendered

        click.echo(rendered(document, self.format, table))

    def ask(self, request: Mapping[str, object]) -> Mapping[str, object]:
        """Ask the running agent over its control socket.

        Raises:
            NotRunningError: there is none.
            RefusedError: it answered with an error.
            TimeoutError: it did not answer in time.
        """
        from undercroft.cli.control import ask

        return ask(self.data_dir, request)

    def _option(self, name: str) -> str | None:
        value = self.options.get(name)
        return str(value) if value else None


def _silence_log() -> None:
    """Leave what the private engine logs unsaid: the command's error says it, and without a traceback."""
    import logging

    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(logging.NullHandler())


def hidden_commands() -> Sequence[str]:
    """A sentence for each command of a distribution that somebody else has the name of."""
    return _root().hidden_claims()


def _root() -> Root:
    command = click.get_current_context().find_root().command
    return cast("Root", command)


def _own_plugin() -> str:
    """The plugin of the distribution that the running command comes from."""
    from undercroft.plugins.discovery import PLUGINS
    from undercroft_hookspecs.errors import NotValidError

    root = _root()
    name = click.get_current_context().find_root().invoked_subcommand or ""
    point = root.added.get(name)
    distribution, package = (point.distribution, point.module.partition(".")[0]) if point else ("", "")
    found = [plugin for plugin in root.installed.entry_points(PLUGINS) if plugin.distribution == distribution]
    if len(found) > 1:
        found = [plugin for plugin in found if plugin.module.partition(".")[0] == package]
    if found:
        return found[0].name
    raise NotValidError(f"the command {name!r} belongs to no plugin, so it has no section in the config", field="kind")
