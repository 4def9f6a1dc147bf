"""Find a Python, and install a charm's dependencies for it, with uv or else pip."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from undercroft.files import in_thread
from undercroft_hookspecs.agent import CommandFailedError
from undercroft_hookspecs.errors import NotFoundError, NotValidError
from undercroft_model.pack.errors import PackError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from undercroft_hookspecs.agent import Process
    from undercroft_model.pack.dependencies import Dependencies

INSTALL_SECONDS = 900.0
PROBE_SECONDS = 30.0
MINORS = range(14, 7, -1)

# What a virtual environment around us would have to say is not meant for the charm's.
_ENVIRONMENT = {
    "VIRTUAL_ENV": "",
    "PYTHONPATH": "",
    "PYTHONHOME": "",
    "PIP_REQUIRE_VIRTUALENV": "0",
    "PIP_USER": "0",
    "UV_NO_PROGRESS": "1",
}
_PROBE = (
    "import json, platform, sys; v = sys.version_info; "
    "print(json.dumps({'executable': sys.executable, 'version': f'{v[0]}.{v[1]}', 'full': platform.python_version()}))"
)


class Python(msgspec.Struct, frozen=True):
    """An interpreter: its path, its version as 3.11 and in `full`."""

    executable: str
    version: str
    full: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Installer:
    """Installs with `uv`, the path of that program, or with pip where it is None."""

    process: Process
    source: Path
    python: Python
    uv: str | None

    async def install(self, found: Dependencies, *, scratch: Path, venv: Path, is_venv: bool) -> None:
        """Install dependencies into `venv`: a virtual environment, or a plain folder of packages.

        Raises:
            PackError: the installer says that it cannot be done.
        """
        if self.uv is None and found.elsewhere:
            names = ", ".join(found.elsewhere)
            raise PackError(self.source, f"only uv knows where {names} come from: install uv (pip install uv)")
        words = await self._requirements(found, scratch)
        packages = venv / "lib" / f"python{self.python.version}" / "site-packages"
        if self.uv is None:
            await self._pip(words, packages if is_venv else venv)
        elif is_venv:
            await self._run(
                [self.uv, "venv", "-q", "--no-project", "--relocatable", "--python", self.python.executable, str(venv)]
            )
            await self._run([self.uv, "pip", "install", "-q", "--python", str(venv / "bin/python"), *words])
        else:
            python = ["--python", self.python.executable, "--target", str(venv)]
            await self._run([self.uv, "pip", "install", "-q", *python, *words])
        await in_thread(_tidy, venv)

    async def _requirements(self, found: Dependencies, scratch: Path) -> list[str]:
        """The words that tell the installer what to install."""
        lines, constraints = found.lines, found.constraints
        if found.is_exported and self.uv is not None:
            lines, constraints = await self._exported(found), ()
        words: list[str] = []
        for name, text in (("requirements", lines), ("constraints", constraints)):
            if text:
                path = scratch / f"{name}.txt"
                await in_thread(path.write_text, "\n".join(text) + "\n")
                words += ["-r" if name == "requirements" else "-c", str(path)]
        for file in found.files:
            words += ["-r", str(self.source / file)]
        return words

    async def _exported(self, found: Dependencies) -> tuple[str, ...]:
        assert self.uv is not None
        chosen = [word for extra in found.extras for word in ("--extra", extra)]
        chosen += [word for group in found.groups for word in ("--group", group)]
        argv = [self.uv, "export", "-q", "--frozen", "--no-dev", "--no-emit-project", "--no-header", "--no-annotate"]
        done = await self._run([*argv, *chosen])
        return tuple(done.decode().splitlines())

    async def _pip(self, words: Sequence[str], target: Path) -> None:
        argv = [self.python.executable, "-m", "pip"]
        try:
            await self.process.run([*argv, "--version"], timeout=PROBE_SECONDS, env=_ENVIRONMENT)
        except CommandFailedError as error:
            problem = f"there is neither uv nor pip for {self.python.executable}: install uv (pip install uv)"
            raise PackError(self.source, problem) from error
        await self._run([*argv, "install", "-q", "--no-input", "--no-compile", "--target", str(target), *words])

    async def _run(self, argv: Sequence[str]) -> bytes:
        try:
            done = await self.process.run(argv, timeout=INSTALL_SECONDS, env=_ENVIRONMENT, cwd=self.source)
        except CommandFailedError as error:
            said = error.completed.stderr.decode("utf-8", "replace").strip()
            raise PackError(self.source, f"{' '.join(argv[:3])} failed:\n{said[-2000:]}") from error
        except TimeoutError as error:
            raise PackError(self.source, str(error)) from error
        return done.stdout


def find_uv() -> str | None:
    """The program uv: the one on the PATH, or one that is installed beside us."""
    return shutil.which("uv") or shutil.which("uv", path=str(Path(sys.executable).parent))


async def find_python(process: Process, source: Path, *, wanted: str | None, requires: str) -> Python:
    """The interpreter to build for: the wanted one, or the first on the PATH that satisfies `requires-python`.

    Raises:
        PackError: there is none.
    """
    try:
        allowed = SpecifierSet(requires)
    except InvalidSpecifier as error:
        raise PackError(
            source, f"pyproject.toml: project.requires-python is no version specifier: {requires!r}"
        ) from error
    names = [wanted] if wanted is not None else ["python3", *(f"python3.{minor}" for minor in MINORS)]
    for name in names:
        python = await _probed(process, name)
        if python is not None and (wanted is not None or allowed.contains(python.full, prereleases=True)):
            return python
    if wanted is not None:
        raise PackError(source, f"{wanted} is no Python interpreter that can be run")
    raise PackError(source, f"it needs Python {requires or '3'}, and no such python3 is on the PATH; install one")


async def _probed(process: Process, name: str) -> Python | None:
    path = shutil.which(name, path=_path())
    if path is None:
        return None
    try:
        done = await process.run([path, "-I", "-c", _PROBE], timeout=PROBE_SECONDS, env=_ENVIRONMENT)
        return msgspec.json.decode(done.stdout, type=Python)
    except (CommandFailedError, NotFoundError, NotValidError, TimeoutError, msgspec.DecodeError):
        return None  # Something of that name which is no Python, such as a shim for a version that is not there.


def _path() -> str:
    """The PATH without the virtual environment that we run in: a charm's hooks are not run by that."""
    folders = os.environ.get("PATH", os.defpath).split(os.pathsep)
    return os.pathsep.join(
        folder for folder in folders if folder != str(Path(sys.prefix, "bin")) or sys.prefix == sys.base_prefix
    )


def _tidy(venv: Path) -> None:
    """Take away what belongs to this machine: the interpreter, and where it was; `dispatch` sees to both."""
    for name in ("pyvenv.cfg", ".gitignore", "CACHEDIR.TAG", ".lock"):
        (venv / name).unlink(missing_ok=True)
    for path in (venv / "bin").glob("*"):
        if path.is_symlink() or path.suffix == ".bat" or path.name.lower().startswith(("activate", "deactivate")):
            path.unlink()
    if (venv / "lib64").is_symlink():
        (venv / "lib64").unlink()
