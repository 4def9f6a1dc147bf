"""juju-exec: run commands in a unit of this machine, as its hooks are run.

`undercroft host-setup` installs the text of this file as a program, which Python runs with `-ISE`: charms start it from
cron and systemd timers, so it imports nothing that takes time, and nothing of Undercroft.
"""

import os
import posix

USAGE = """\
Usage: juju-exec [options] <unit> <commands>

Run commands in a unit of this machine, with bash, as its hooks are run: after the one that runs now.

    -r, --relation R       in the context of a relation: its id, as in 4 or db:4
    --remote-unit U        the unit of the relation; need not be said where there is but one
    --force-remote-unit    even if that unit is not in the relation any more
    --no-context           outside of any unit, but not while one of its hooks runs; no <unit> is given
    --model M              where several models have such a unit: the model's UUID or name
    -h, --help             show this
"""
VALUED = {"-r": "relation", "--relation": "relation", "--remote-unit": "remote-unit", "--model": "model"}
SWITCHES = {
    "--force-remote-unit": "force-remote-unit",
    "--no-context": "no-context",
    "--operator": "operator",
    "-h": "help",
    "--help": "help",
}
PROXIES = "/home/ubuntu/.juju-proxy"
SYSTEM_FOLDERS = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


class Refused(Exception):
    """What is wrong, and the exit status: 2 if the command line is."""

    def __init__(self, message: str, code: int = 1) -> None:
        super().__init__(message)
        self.code = code


def main(arguments: list[str], *, data: str, lock: str, undercroft: list[str]) -> int:
    """Do as the arguments say.

    `data` is the agent's data folder, `lock` the file of the machine's lock, `undercroft` the command that knows the
    models.
    """
    try:
        options, rest = parsed(arguments)
        if "help" in options:
            write(1, USAGE.encode())
            return 0
        context = os.environ.get("JUJU_CONTEXT_ID")
        if context:
            raise Refused("juju-exec cannot be called from within a hook: call the hook tools, or run the commands")
        if "no-context" in options:
            return outside_of_units(the_commands(rest), lock)
        if not rest:
            raise Refused("missing unit-name", 2)
        unit = folder_name(rest[0])
        request = request_of(options, the_commands(rest[1:]))
        folder = found(os.environ.get("UNDERCROFT_DATA") or data, unit, options.get("model", ""), undercroft)
        return in_unit(folder, request)
    except Refused as error:
        write(2, os.fsencode(f"ERROR {error}\n"))
        return error.code
    except OSError as error:
        write(2, os.fsencode(f"ERROR {error}\n"))
        return 1
    except KeyboardInterrupt:
        return 130


def parsed(arguments: list[str]) -> tuple[dict[str, str], list[str]]:
    """The options and the rest; options may stand anywhere before a `--`."""
    options: dict[str, str] = {}
    rest: list[str] = []
    left = list(arguments)
    while left:
        argument = left.pop(0)
        if argument == "--":
            rest += left
            break
        name, equals, value = argument.partition("=")
        if argument in SWITCHES:
            options[SWITCHES[argument]] = "yes"
        elif name in VALUED:
            if not equals and not left:
                raise Refused(f"option needs an argument: {name}", 2)
            options[VALUED[name]] = value if equals else left.pop(0)
        elif argument.startswith("-r") and len(argument) > 2 and not argument.startswith("--"):
            options["relation"] = argument[2:]
        elif argument.startswith("-") and argument != "-":
            raise Refused(f"option provided but not defined: {name}", 2)
        else:
            rest.append(argument)
    return options, rest


def the_commands(rest: list[str]) -> str:
    """The one argument that holds the commands."""
    if not rest:
        raise Refused("missing commands", 2)
    if len(rest) > 1:
        raise Refused(f"unrecognized args: {rest[1:]}: quote the commands, so that they are one argument", 2)
    return rest[0]


def folder_name(unit: str) -> str:
    """The name of a unit's folder, from its name (mysql/0) or its tag (unit-mysql-0)."""
    if "/" in unit:
        application, _, number = unit.partition("/")
    else:
        prefix, _, name = unit.partition("-")
        application, _, number = name.rpartition("-")
        if prefix != "unit":
            application = ""
    is_plain = application.isascii() and application[:1].isalpha() and application.replace("-", "").isalnum()
    if not is_plain or not (number.isascii() and number.isdigit()):
        raise Refused(f'"{unit}" is not a valid unit: it is written as mysql/0 or unit-mysql-0', 2)
    return f"unit-{application}-{number}"


def request_of(options: dict[str, str], commands: str) -> dict[str, object]:
    """What the unit's agent is asked."""
    relation = options.get("relation", "")
    number = relation.rpartition(":")[2]
    if relation and not (number.isascii() and number.isdigit()):
        raise Refused(f'invalid relation id "{relation}": it is written as 4 or db:4', 2)
    remote = options.get("remote-unit", "")
    if remote and not relation:
        raise Refused(f"remote unit provided without a relation: {remote}", 2)
    request: dict[str, object] = {"commands": commands, "remote_unit": remote}
    if relation:
        request["relation"] = int(number)
    if "force-remote-unit" in options:
        request["force_remote_unit"] = True
    return request


def found(data: str, unit: str, model: str, undercroft: list[str]) -> str:
    """The folder of a unit, in whatever model it is."""
    models = os.path.join(data, "models")
    try:
        known = os.listdir(models)
    except FileNotFoundError:
        known = []
    names = sorted(name for name in known if os.path.isdir(os.path.join(models, name, "agents", unit)))
    if model and names:
        names = [name for name in names if name == model] or [
            name for name in names if name == uuid_of(model, data, undercroft)
        ]
    if not names:
        application, _, number = unit[5:].rpartition("-")
        where = f' in model "{model}"' if model else ""
        raise Refused(f'unit "{application}/{number}" not found on this machine{where}, in {models}')
    if len(names) > 1:
        raise Refused(f"several models have such a unit: say --model and one of {', '.join(names)}")
    return os.path.join(models, names[0], "agents", unit)


def uuid_of(model: str, data: str, undercroft: list[str]) -> str:
    """The UUID of the model of that name; only the model knows."""
    import json  # noqa: PLC0415 - This, as all that takes time, only when it is needed.
    import subprocess  # noqa: PLC0415

    argv = [*undercroft, "models", "--data", data, "--format", "json"]
    done = subprocess.run(argv, capture_output=True, check=False)
    if done.returncode:
        raise Refused(f"cannot ask for the models: {done.stderr.decode('utf-8', 'replace').strip()}")
    for known in json.loads(done.stdout)["models"]:
        if model in (known.get("name"), known.get("short-name")):
            return str(known["model-uuid"])
    raise Refused(f"model {model} not found")


def in_unit(folder: str, request: dict[str, object]) -> int:
    """Have the unit's agent run the commands, and print what they have printed; their exit status."""
    import binascii  # noqa: PLC0415
    import json  # noqa: PLC0415

    answer = asked(folder, json.dumps(request).encode() + b"\n")
    try:
        told = json.loads(answer)
        code, failure = int(told["returncode"]), str(told.get("failure") or "")
        stdout, stderr = (binascii.a2b_base64(told.get(name) or "") for name in ("stdout", "stderr"))
    except (ValueError, KeyError, TypeError):
        raise Refused("the agent of the unit went away before it had answered: command execution aborted") from None
    write(1, stdout)
    write(2, stderr)
    if failure:
        write(2, os.fsencode(f"ERROR {failure}\n"))
        return code or 1
    # A process that was killed by a signal ends as a shell would say that.
    return code if code >= 0 else 128 - code


def asked(folder: str, request: bytes) -> bytes:
    """The agent's answer to a request."""
    import _socket  # noqa: PLC0415

    agent = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
    # Through an open folder the address is short, however deep that lies.
    at = posix.open(folder, posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
    try:
        agent.connect(f"/proc/self/fd/{at}/run.socket")
    except (FileNotFoundError, ConnectionRefusedError):
        raise Refused(f"the agent of the unit is not running (nobody listens at {folder}/run.socket)") from None
    except PermissionError:
        raise Refused("only root and the agent's own user may run commands in a unit") from None
    agent.sendall(request)
    pieces = []
    while piece := agent.recv(1 << 20):
        pieces.append(piece)
    return b"".join(pieces)


def outside_of_units(commands: str, lock_file: str) -> int:
    """Run commands on this machine while no hook runs; their exit status."""
    lock = locked(lock_file)
    script = posix.memfd_create("commands", posix.MFD_CLOEXEC)
    text = f'[ -f "{PROXIES}" ] && . "{PROXIES}"\n{commands}\n'
    write(script, os.fsencode(text))
    posix.lseek(script, 0, 0)
    environment = dict(os.environ)
    environment.setdefault("PATH", SYSTEM_FOLDERS)
    bash = posix.posix_spawn(
        "/bin/bash", ["/bin/bash", "-s"], environment, file_actions=[(posix.POSIX_SPAWN_DUP2, script, 0)]
    )
    _, status = posix.waitpid(bash, 0)
    if lock >= 0:
        posix.close(lock)
    code = posix.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def locked(file: str) -> int:
    """The machine's lock, for as long as it is open; who is not root cannot have it, and goes without."""
    if posix.geteuid() != 0:
        return -1
    import fcntl  # noqa: PLC0415

    flags = posix.O_RDWR | posix.O_NOFOLLOW | posix.O_CLOEXEC
    try:
        lock = posix.open(file, flags)
    except FileNotFoundError:
        lock = posix.open(file, flags | posix.O_CREAT, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def write(fd: int, data: bytes) -> None:
    while data:
        data = data[posix.write(fd, data) :]
