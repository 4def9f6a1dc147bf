"""Real receivers, each a process of its own on a free port of this machine."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

PATIENCE = 30.0
INSTALL = "{0} is not installed: `apt-get install -y --no-install-recommends {0}`"

# Listens where no other machine reaches it, which the package itself does not offer, and tells what it has parsed.
_OTEL_SINK = """
import json, logging, sys
from http.server import HTTPServer
from google.protobuf.json_format import MessageToDict
from oteltest import sink
from oteltest.sink.handler import RequestHandler

class Teller(RequestHandler):
    def handle_logs(self, request, headers): pass
    def handle_trace(self, request, headers): pass
    def handle_metrics(self, request, headers):
        print(json.dumps(MessageToDict(request)), flush=True)

class Local(HTTPServer):
    def __init__(self, address, handler):
        super().__init__(("127.0.0.1", address[1]), handler)

sink.HTTPServer = Local
sink.HttpSink(Teller(), logging.getLogger(), int(sys.argv[1])).run_server()
"""


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


def get(url: str) -> bytes:
    """What is there. Raises OSError if nobody is."""
    with urllib.request.urlopen(url, timeout=10) as answer:
        content: bytes = answer.read()
        return content


def put(url: str, body: bytes) -> None:
    """Put a body there. Raises OSError, with what the server says, if it is refused."""
    try:
        urllib.request.urlopen(urllib.request.Request(url, data=body, method="PUT"), timeout=10).close()
    except urllib.error.HTTPError as error:
        raise OSError(error.read().decode()) from error


@contextmanager
def running(argv: Sequence[str], ready: str, log: Path) -> Iterator[None]:
    """A server, once it listens (or answers, if `ready` is a URL), until the block ends."""
    with log.open("wb") as output:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=log.parent)
    try:
        deadline = time.monotonic() + PATIENCE
        while not _answers(ready):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        yield
    finally:
        process.kill()
        process.wait()


def _answers(ready: str) -> bool:
    try:
        if ready.startswith("http"):
            get(ready)
        else:
            socket.create_connection(("127.0.0.1", int(ready)), timeout=1).close()
    except OSError:
        return False
    return True


def need(program: str) -> str:
    """The path of a program, or the test is skipped with what installs it."""
    if (found := shutil.which(program)) is None:
        pytest.skip(INSTALL.format(program))
    return found


@contextmanager
def prometheus(folder: Path) -> Iterator[str]:
    """Prometheus with its receiver of remote write: the URL of its API."""
    program, port = need("prometheus"), free_port()
    (folder / "prometheus.yml").write_text("global: {}\n")
    argv = [
        program,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--web.enable-remote-write-receiver",
    ]
    with running(argv, f"http://127.0.0.1:{port}/-/ready", folder / "prometheus.log"):
        yield f"http://127.0.0.1:{port}/api/v1"


@contextmanager
def pushgateway(folder: Path) -> Iterator[str]:
    """Prometheus' Pushgateway, which reads the text format with the parser that Prometheus has."""
    program, port = need("prometheus-pushgateway"), free_port()
    argv = [program, f"--web.listen-address=127.0.0.1:{port}"]
    with running(argv, f"http://127.0.0.1:{port}/-/ready", folder / "pushgateway.log"):
        yield f"http://127.0.0.1:{port}"


class OtelSink:
    """The sink of `oteltest`, a parser of OTLP that is not ours."""

    def __init__(self, url: str, log: Path) -> None:
        self.url, self._log = url, log

    # Any: JSON
    def points(self) -> list[dict[str, Any]]:
        """All data points that it has parsed, each with the `metric` that it is of, in the order of arrival."""
        return [
            {"metric": metric["name"], **point}
            for line in self._log.read_text().splitlines()
            if line.startswith("{")
            for resource in json.loads(line)["resourceMetrics"]
            for scope in resource["scopeMetrics"]
            for metric in scope["metrics"]
            for point in (metric.get("gauge") or metric["sum"])["dataPoints"]
        ]


@contextmanager
def otel_sink(folder: Path) -> Iterator[OtelSink]:
    """The sink, for as long as the block lasts."""
    pytest.importorskip("oteltest", reason="oteltest is not installed: `uv sync`")
    port, log = free_port(), folder / "sink.log"
    with running([sys.executable, "-c", _OTEL_SINK, str(port)], str(port), log):
        yield OtelSink(f"http://127.0.0.1:{port}/v1/metrics", log)
