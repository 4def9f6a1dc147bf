"""Read and check the agent's config: one TOML file and two environment variables.

The top-level keys are core's. Each plugin's section `[plugins.NAME]` is kept as it was read, until the plugin's own
struct is known (`Config.section`). Whatever is wrong is a ConfigError that names the file, the key, what was expected
there and what stands there.
"""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import msgspec

from undercroft.settings import ConfigError, convert, suggestion

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

__all__ = ["Config", "ConfigError", "RestartLimit", "config_file", "data_folder", "load"]

C = TypeVar("C", bound=msgspec.Struct)

DISABLED = "UNDERCROFT_DISABLED"
ONLY = "UNDERCROFT_PLUGINS"


class RestartLimit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How often a manifold may fail before it is quarantined: more than `failures` times within `seconds`."""

    failures: Annotated[int, msgspec.Meta(ge=1)] = 10
    seconds: Annotated[float, msgspec.Meta(gt=0)] = 600.0


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    store: str = "sqlite:"
    required: tuple[str, ...] = ()
    disabled: tuple[str, ...] = ()
    allow_reboot: bool = False
    restart_limit: RestartLimit = RestartLimit()
    # Any: a section's shape is known to its plugin alone.
    plugins: dict[str, Any] = {}


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """The config as it was read. `only` is the list of $UNDERCROFT_PLUGINS, None where that is not set."""

    file: Path | None = None
    store: str = "sqlite:"
    required: tuple[str, ...] = ()
    disabled: tuple[str, ...] = ()
    only: tuple[str, ...] | None = None
    allow_reboot: bool = False
    restart_limit: RestartLimit = field(default_factory=RestartLimit)
    # Any: a section's shape is known to its plugin alone.
    sections: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def section(self, name: str, kind: type[C]) -> C:
        """The section `[plugins.NAME]` as `kind`; all defaults where the file has none.

        Raises:
            ConfigError: an unknown key, or a value of the wrong type.
        """
        return convert(self.sections.get(name, {}), kind, file=self.file, prefix=f"plugins.{name}")

    def check_names(self, installed: Collection[str]) -> None:
        """Refuse a section whose plugin is not among `installed`.

        Raises:
            ConfigError: there is such a section.
        """
        for name in self.sections:
            if name not in installed:
                raise ConfigError(
                    file=self.file,
                    key=f"plugins.{name}",
                    found=f"is for a plugin that is not installed{suggestion(name, installed)}",
                    expected=f"one of: {', '.join(sorted(installed)) or '(no plugin is installed)'}",
                )

    def why_disabled(self, name: str) -> str:
        """Why this plugin is not to be loaded, or "" if it is."""
        if name in self.disabled:
            return f"disabled in {self.file or 'the environment'} or by ${DISABLED}"
        if self.only is not None and name not in self.only:
            return f"not among the plugins named by ${ONLY}"
        return ""


def load(path: Path | None, environ: Mapping[str, str]) -> Config:
    """Read the file, if there is one to read, and the two variables.

    Raises:
        ConfigError: the file cannot be read, is not TOML, or has a key or a value that is not core's.
    """
    read = convert(_parse(path) if path else {}, _File, file=path)
    if not re.match(r"[a-z][a-z0-9+.-]*:", read.store):
        expected = 'a URL such as "sqlite:" or "etcd://host:2379"'
        raise ConfigError(file=path, key="store", found=f"is {read.store!r}", expected=expected)
    for name, section in read.plugins.items():
        if not isinstance(section, dict):
            raise ConfigError(
                file=path, key=f"plugins.{name}", found=f"is {section!r}", expected=f"a section [plugins.{name}]"
            )
    only = _names(environ, ONLY)
    return Config(
        file=path,
        store=read.store,
        required=read.required,
        disabled=tuple(dict.fromkeys((*read.disabled, *_names(environ, DISABLED)))),
        only=only or None,
        allow_reboot=read.allow_reboot,
        restart_limit=read.restart_limit,
        sections=read.plugins,
    )


def data_folder(option: str | Path | None, environ: Mapping[str, str]) -> Path:
    """Where the agent keeps everything: `--data`, else $UNDERCROFT_DATA, else the usual place for this user."""
    named = option or environ.get("UNDERCROFT_DATA")
    if named:
        return Path(named).expanduser().absolute()
    if os.geteuid() == 0:
        return Path("/var/lib/undercroft")
    state = environ.get("XDG_STATE_HOME", "")
    # The XDG specification has relative paths ignored.
    return (Path(state) if state.startswith("/") else Path.home() / ".local" / "state") / "undercroft"


def config_file(option: str | Path | None, environ: Mapping[str, str], data: Path) -> Path | None:
    """The config to read: `-c`, else $UNDERCROFT_CONFIG, else undercroft.toml in the data folder if it is there."""
    named = option or environ.get("UNDERCROFT_CONFIG")
    if named:
        return Path(named).expanduser().absolute()
    usual = data / "undercroft.toml"
    try:
        usual.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:
        pass  # It may be there: reading it will say what is the matter.
    return usual


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        found = f"cannot be read: {error.strerror or error}"
        raise ConfigError(file=path, found=found, expected="a readable file") from error
    except UnicodeDecodeError as error:
        found = f"is not UTF-8 at byte {error.start}"
        raise ConfigError(file=path, found=found, expected="a TOML file in UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(file=path, found=f"is not TOML: {error}", expected="a TOML file") from error


def _names(environ: Mapping[str, str], variable: str) -> tuple[str, ...]:
    return tuple(filter(None, map(str.strip, environ.get(variable, "").split(","))))
