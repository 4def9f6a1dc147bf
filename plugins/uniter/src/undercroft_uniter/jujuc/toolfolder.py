"""The folder of a unit's hook tools, which charms have on their PATH: one client, and a link to it for each tool.

The client is the C program that was compiled when the plugin was installed, or its twin in Python where there was no
compiler. It is copied, so that a hook that runs while the plugin is upgraded goes on finding it.
"""

from __future__ import annotations

import fcntl
import marshal
import os
import re
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from undercroft.files import in_thread, read_bytes
from undercroft_hookspecs import NotValidError

if TYPE_CHECKING:
    from collections.abc import Collection

CLIENT: Final = "hook-tool"

_TOOL = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_LONGEST_SHEBANG: Final = 127


async def fill_tool_folder(folder: Path, tools: Collection[str], *, client: bytes | None = None) -> None:
    """Make the folder hold these tools and nothing else; what is right already is left alone.

    A crash leaves each tool as it was or as it is to be. Several may do so at once. `client` is the program behind all
    of them; without it the best that there is.

    Raises:
        NotValidError: a tool's name cannot be a command's.
        OSError: the folder cannot be made or changed.
    """
    for tool in tools:
        if not _TOOL.fullmatch(tool) or tool == CLIENT:
            raise NotValidError(f"{tool!r} cannot be the name of a hook tool", field="tools")
    if client is None:
        compiled = compiled_client()
        client = await (in_thread(python_client) if compiled is None else read_bytes(compiled))
    await in_thread(_fill, folder, frozenset(tools), client)


def compiled_client() -> Path | None:
    """The compiled client, where the plugin was installed with one."""
    path = Path(__file__).with_name(CLIENT)
    return path if path.is_file() else None


def python_client(interpreter: str | None = None) -> bytes:
    """The client in Python, to be run as a program: by the interpreter behind this one, without site-packages."""
    path = os.path.realpath(sys.executable) if interpreter is None else interpreter
    shebang = f"#!{path} -ISE\n"
    if len(os.fsencode(shebang)) > _LONGEST_SHEBANG or any(char.isspace() for char in path):
        # The kernel takes no such line: a shell does, which reads on to the second line, and Python over both.
        shebang = f"#!/bin/sh\n''':'\nexec {shlex.quote(path)} -ISE \"$0\" \"$@\"\n'''\n"
    source = Path(__file__).with_name("client.py").read_text()
    # Already compiled, which takes longer than all else that it does; for another version of Python, the source.
    quick = source.replace("from __future__ import annotations\n", "")  # For that imports a module.
    code = marshal.dumps(compile(quick, CLIENT, "exec", flags=annotations.compiler_flag, optimize=2))
    program = (
        f"import marshal, sys\nexec(marshal.loads({code!r}) if sys.hexversion == {sys.hexversion} else {source!r})\n"
    )
    return os.fsencode(shebang + program)


def _fill(folder: Path, tools: frozenset[str], client: bytes) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    # The uniter and the hook runner of a unit may both be at it.
    opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        if _differs(folder / CLIENT, client):
            _write(folder / CLIENT, client)
        _remove_all_but(folder, tools | {CLIENT})
        for tool in sorted(tools):
            _link(folder / tool)
        os.fsync(opened)
    finally:
        os.close(opened)


def _differs(path: Path, client: bytes) -> bool:
    try:
        return path.is_symlink() or path.read_bytes() != client or not os.access(path, os.X_OK)
    except OSError:
        return True


def _write(path: Path, client: bytes) -> None:
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    with fresh.open("xb") as file:
        file.write(client)
        file.flush()
        os.fchmod(file.fileno(), 0o755)
        os.fsync(file.fileno())
    fresh.replace(path)


def _remove_all_but(folder: Path, names: frozenset[str]) -> None:
    for path in list(folder.iterdir()):
        if path.name not in names and (path.is_symlink() or not path.is_dir()):
            path.unlink()


def _link(path: Path) -> None:
    if path.is_symlink() and path.readlink() == Path(CLIENT):
        return
    fresh = path.with_name(f".{path.name}.new")
    fresh.symlink_to(CLIENT)
    fresh.replace(path)
