"""The client of the hook tools, where there was no compiler for `client.c`; it does the same.

It is a process for each call, run as `python -I -S -E`, and imports nothing that takes time. wire.py has the protocol.
"""

from __future__ import annotations

import _socket
import posix
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

LARGEST_CHUNK = 65536


def fail(text: bytes) -> NoReturn:
    write(2, b"ERROR " + text + b"\n")
    posix._exit(1)


def reason(error: OSError) -> bytes:
    return (error.strerror or str(error)).encode("utf-8", "replace")


def write(fd: int, data: bytes) -> None:
    while data:
        data = data[posix.write(fd, data) :]


def receive(agent: _socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = agent.recv(min(size - len(data), 1 << 20))
        if not piece:
            fail(tool() + b": the agent went away before it had answered")
        data += piece
    return data


def message(agent: _socket.socket, kind: bytes, content: bytes) -> None:
    agent.sendall(kind + len(content).to_bytes(4, "big") + content)


def connect(path: bytes) -> _socket.socket:
    agent = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    address = path
    if len(path) > 107:
        folder, _, name = path.rpartition(b"/")
        address = b"/proc/self/fd/%d/%s" % (
            posix.open(folder, posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC),
            name,
        )
    agent.connect(address)
    return agent


def opened(agent: _socket.socket, name: bytes, stdin_is_closed: bool) -> int:
    try:
        if name != b"-":
            return posix.open(name, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NOCTTY)
        if not stdin_is_closed:
            return 0
        message(agent, b"E", b"stdin required, none supplied")
    except OSError as error:
        message(agent, b"E", reason(error))
    return -1


def send_part(agent: _socket.socket, source: int) -> int:
    if source < 0:
        return -1
    chunk = b""
    try:
        chunk = posix.read(source, LARGEST_CHUNK)
    except OSError as error:
        message(agent, b"E", reason(error))
    else:
        message(agent, b"D", chunk)
    if chunk:
        return source
    if source > 2:
        posix.close(source)
    return -1


def converse(agent: _socket.socket, stdin_is_closed: bool) -> bytes:
    source = -1
    while True:
        header = receive(agent, 5)
        content = receive(agent, int.from_bytes(header[1:], "big"))
        kind = header[:1]
        if kind == b"X":
            return content
        if kind == b"R":
            if source > 2:
                posix.close(source)
            source = send_part(agent, opened(agent, content, stdin_is_closed))
        elif kind == b"M" and source >= 0:
            source = send_part(agent, source)
        else:
            fail(tool() + b": the agent's answer is damaged")


def finish(result: bytes) -> NoReturn:
    out = 9 + int.from_bytes(result[1:5], "big")
    named = out + int.from_bytes(result[5:9], "big")
    if len(result) < max(named, 9):
        fail(tool() + b": the agent's answer is damaged")
    name = result[out:named]
    try:
        write(2, result[named:])
    except OSError:
        pass
    try:
        fd = 1
        if name:
            fd = posix.open(
                name, posix.O_WRONLY | posix.O_CREAT | posix.O_TRUNC | posix.O_CLOEXEC | posix.O_NOCTTY, 0o666
            )
        write(fd, result[9:out])
    except OSError as error:
        fail(tool() + b": cannot write " + (name or b"the output") + b": " + reason(error))
    # Not the interpreter's own end, which takes a millisecond.
    posix._exit(result[0])


def wanted(name: bytes) -> bytes:
    value = posix.environ.get(name)
    if not value:
        fail(name + b" not set")
    return value


def filled_standard_descriptors() -> list[int]:
    closed = []
    for fd in range(3):
        try:
            posix.fstat(fd)
        except OSError:
            closed.append(posix.open("/dev/null", posix.O_RDWR))
    return closed


def folder() -> bytes:
    try:
        found = posix.getcwdb()
    except OSError:
        found = b""
    return found if found.startswith(b"/") else b"/"


def main() -> None:
    stdin_is_closed = 0 in filled_standard_descriptors()
    if tool() in (b"", b"hook-tool"):
        write(2, b"usage: call a hook tool by its own name, such as relation-get, within a hook\n")
        posix._exit(2)
    context, path = wanted(b"JUJU_CONTEXT_ID"), wanted(b"JUJU_AGENT_SOCKET_ADDRESS")
    network = posix.environ.get(b"JUJU_AGENT_SOCKET_NETWORK") or b"unix"
    if network != b"unix":
        fail(tool() + b": JUJU_AGENT_SOCKET_NETWORK is " + network + b", not unix")
    try:
        agent = connect(path)
    except OSError as error:
        fail(tool() + b": cannot reach the agent at " + path + b": " + reason(error))
    body = b"\0".join([context, tool(), folder(), *map(encoded, sys.argv[1:]), b""])
    try:
        agent.sendall(b"UCT1" + len(body).to_bytes(4, "big") + body)
    except OSError:
        pass  # If it does not take all of it, it says why.
    try:
        result = converse(agent, stdin_is_closed)
    except OSError as error:
        fail(tool() + b": the agent did not answer: " + reason(error))
    agent.close()
    finish(result)


def encoded(argument: str) -> bytes:
    return argument.encode(sys.getfilesystemencoding(), "surrogateescape")


def tool() -> bytes:
    return encoded(sys.argv[0]).rpartition(b"/")[2]


if __name__ == "__main__":
    main()
