"""What a store's URL says: `etcd://HOST[:PORT][,HOST[:PORT]...]/[?OPTION=VALUE&...]`."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from undercroft_hookspecs.errors import NotValidError

SCHEME = "etcd"
PORT = 2379
MAX_PREFIX_BYTES = 256
OPTIONS = ("ca", "cert", "compact", "key", "password_file", "prefix", "tls", "user")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where one member of the cluster listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def target(self) -> str:
        """The endpoint as gRPC wants it named."""
        try:
            version = ipaddress.ip_address(self.host).version
        except ValueError:
            return f"dns:///{self}"
        return f"ipv{version}:{self}"

    @property
    def is_here(self) -> bool:
        """Whether what is sent there cannot leave this machine."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    """A cluster, and how to reach it. The files are not read yet; without `ca` the system's authorities count."""

    endpoints: Sequence[Endpoint]
    is_encrypted: bool = False
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None
    user: str = ""
    password_file: Path | None = None
    prefix: str = ""
    compacts: bool = True
    """Whether the history, which is the whole cluster's, is compacted by those who write."""


def parse_address(url: str, *, data_dir: Path) -> Address:
    """Read a URL. File names in it that are not absolute are meant from the data folder.

    Raises:
        NotValidError: the URL is not of that form.
    """
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise _wrong(url, str(error)) from None
    if parts.scheme != SCHEME or not parts.netloc or parts.path.strip("/") or parts.fragment:
        raise _wrong(url, f"expected '{SCHEME}://HOST[:PORT][,HOST[:PORT]...]/[?OPTION=VALUE&...]'")
    if "@" in parts.netloc:
        raise NotValidError(
            f"an {SCHEME}: URL is shown to people and has no place for a user or password: write "
            "'?user=NAME&password_file=FILE'",
            field="store",
        )
    endpoints = tuple(_endpoint(url, text) for text in parts.netloc.split(","))
    if len(set(endpoints)) < len(endpoints):
        raise _wrong(url, "an endpoint is named twice")
    options = _options(url, parts.query)
    files = {name: data_dir / options[name] for name in ("ca", "cert", "key", "password_file") if name in options}
    return Address(
        endpoints=endpoints,
        is_encrypted=_is_encrypted(url, options),
        ca=files.get("ca"),
        cert=files.get("cert"),
        key=files.get("key"),
        user=options.get("user", ""),
        password_file=files.get("password_file"),
        prefix=options.get("prefix", ""),
        compacts=_choice(url, options, "compact") is not False,
    )


def _endpoint(url: str, text: str) -> Endpoint:
    host, colon, port = text.rpartition(":")
    if not colon or (port.endswith("]") and host.startswith("[")):
        host, port = text, str(PORT)
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        try:
            ipaddress.IPv6Address(host)
        except ValueError:
            raise _wrong(url, f"{text!r} is no endpoint: in brackets there has to be an IPv6 address") from None
    elif ":" in host:
        raise _wrong(url, f"{text!r} is no endpoint: write an IPv6 address in brackets, like [::1]:{PORT}")
    host = unquote(host)
    if not host or any(letter.isspace() or letter in "/%" for letter in host):
        raise _wrong(url, f"{text!r} is no endpoint: it has no host")
    if not (port.isascii() and port.isdecimal() and 0 < int(port) < 1 << 16):
        raise _wrong(url, f"{text!r} is no endpoint: its port is no number from 1 to 65535")
    return Endpoint(host, int(port))


def _options(url: str, query: str) -> Mapping[str, str]:
    try:
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=True, errors="strict") if query else []
    except ValueError:
        raise _wrong(url, "its options are not NAME=VALUE, joined by '&'") from None
    options = dict(pairs)
    if unknown := sorted(options.keys() - set(OPTIONS)):
        raise _wrong(url, f"there is no option {unknown[0]!r}; there are {', '.join(OPTIONS)}")
    if len(options) < len(pairs):
        raise _wrong(url, "an option is given twice")
    if empty := sorted(name for name, value in options.items() if not value):
        raise _wrong(url, f"the option {empty[0]!r} is empty; leave it out or give it a value")
    for one, other in (("cert", "key"), ("user", "password_file")):
        if (one in options) != (other in options):
            raise _wrong(url, f"the options {one!r} and {other!r} go together: give both or neither")
    prefix = options.get("prefix", "")
    if len(prefix.encode()) > MAX_PREFIX_BYTES or "\0" in prefix:
        raise _wrong(url, f"the prefix has at most {MAX_PREFIX_BYTES} bytes and no NUL")
    return options


def _is_encrypted(url: str, options: Mapping[str, str]) -> bool:
    chosen = _choice(url, options, "tls")
    named = sorted({"ca", "cert"} & options.keys())
    if chosen is False and named:
        raise _wrong(url, f"the option {named[0]!r} means TLS, and 'tls=no' means none")
    return bool(chosen or named)


def _choice(url: str, options: Mapping[str, str], name: str) -> bool | None:
    """What an option says that is `yes` or `no`; None if it is not given."""
    chosen = options.get(name)
    if chosen not in {None, "yes", "no"}:
        raise _wrong(url, f"the option {name!r} is 'yes' or 'no', not {chosen!r}")
    return None if chosen is None else chosen == "yes"


def _wrong(url: str, why: str) -> NotValidError:
    return NotValidError(f"{url!r} is not the URL of a store on etcd: {why}", field="store")
