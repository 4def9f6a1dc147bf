"""What a power cut leaves of the files that a program writes: all that was fsynced, and any part of the rest.

The program runs under strace, and its writes, truncations, fsyncs and acknowledgements are read from the trace, in
their order. After a cut at any of them, each file has what it had at its last fsync; of what was written since, any
sectors may have reached the disk, in any order; a name in the folder is there for sure only if the folder was fsynced
since it was made.

Copying the image below a mounted loop device instead proves nothing: a copy takes a while, so that it mixes moments
(the journal of one, the data of another) that no power cut could have left together, and the kernel writes pages back
whenever it likes, which hides an fsync that is missing.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SECTOR = 512
CALLS = "mknod,mknodat,openat,write,pwrite64,pwritev,pwritev2,fsync,fdatasync,ftruncate,unlink,unlinkat,rename,renameat"

_CALL = re.compile(r'^(\w+)\((?:(\d+)<([^>]*)>)?(?:, )?(?:AT_FDCWD(?:<[^>]*>)?, )?(?:"([^"]*)")?(.*)\) += (-?\d+)')


@dataclass(frozen=True, slots=True)
class Call:
    """One system call that matters; `path` is the file's."""

    name: str
    path: Path
    descriptor: int = -1
    data: bytes = b""
    offset: int = 0


@dataclass(slots=True)
class File:
    """A file: what it has for sure, and what was done to it since its last fsync."""

    durable: bytes = b""
    pending: list[Call] = field(default_factory=list)
    has_name: bool = False
    is_going: bool = False

    def synced(self) -> None:
        """Everything is on the disk."""
        content = bytearray(self.durable)
        for call in self.pending:
            _apply(content, call)
        self.durable, self.pending = bytes(content), []

    def after_a_cut(self, rng: random.Random) -> bytes:
        """What may be on the disk: of each thing that was done since the last fsync all, nothing, or some sectors."""
        content = bytearray(self.durable)
        for call in self.pending:
            luck = rng.random()
            if luck < 0.4:
                _apply(content, call)
            elif luck < 0.6 and call.name == "pwrite64":
                _apply_some(content, call, rng)
        return bytes(content)


class Disk:
    """The files of one folder, as calls go on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[Path, File] = {}

    def take(self, call: Call) -> None:
        """See a call."""
        if call.path == self._folder:
            self._files = {path: file for path, file in self._files.items() if not file.is_going}
            for file in self._files.values():
                file.has_name = True
            return
        if call.path.parent != self._folder or call.path.name.endswith("-shm"):
            return  # Shared memory is made anew after a cut.
        file = self._files.setdefault(call.path, File())
        if call.name == "unlink":
            file.is_going = True
        elif file.is_going:
            self._files[call.path] = File()  # A new one of the same name.
        elif call.name in {"fsync", "fdatasync"}:
            file.synced()
        elif call.name in {"pwrite64", "ftruncate"}:
            file.pending.append(call)

    def cut(self, rng: random.Random, to: Path) -> None:
        """Write what may be left after a power cut to another folder."""
        for path, file in self._files.items():
            if (file.has_name and not file.is_going) or rng.random() < 0.5:
                (to / path.name).write_bytes(file.after_a_cut(rng))


def read_trace(text: str) -> Iterator[Call]:
    """The calls of a trace that strace wrote with `-y -xx`.

    Raises:
        ValueError: the program did what this model does not know.
    """
    for line in text.splitlines():
        found = _CALL.match(line)
        if found is None or int(found[6]) < 0:
            continue
        name, descriptor, opened, string, rest, _ = found.groups()
        data = bytes.fromhex((string or "").replace("\\x", ""))
        if name in {"fsync", "fdatasync", "write", "pwrite64", "ftruncate"}:
            path = Path(bytes.fromhex(opened.replace("\\x", "")).decode())
            numbers = re.findall(r"\d+", rest)
            offset = int(numbers[-1]) if name in {"pwrite64", "ftruncate"} else 0
            yield Call(name, path, int(descriptor), data, offset)
        elif name == "unlink":
            yield Call(name, Path(data.decode()))
        elif name in {"mknod", "mknodat"} or (name == "openat" and "O_CREAT" in rest):
            yield Call("create", Path(data.decode()))
        elif name != "openat":
            raise ValueError(line[:200])


def acknowledged(call: Call) -> int | None:
    """What a call acknowledges, if that is what it does."""
    if call.name == "write" and call.descriptor == 1 and call.data.startswith(b"ack "):
        return int(call.data.split()[1])
    return None


def _apply_some(content: bytearray, call: Call, rng: random.Random) -> None:
    """Half of the sectors of a write."""
    for at in range(0, len(call.data), SECTOR):
        if rng.random() < 0.5:
            sector = call.data[at : at + SECTOR]
            _apply(content, Call(call.name, call.path, call.descriptor, sector, call.offset + at))


def _apply(content: bytearray, call: Call) -> None:
    size = call.offset if call.name == "ftruncate" else max(len(content), call.offset + len(call.data))
    content.extend(bytes(max(0, size - len(content))))
    if call.name == "ftruncate":
        del content[size:]
    else:
        content[call.offset : call.offset + len(call.data)] = call.data
