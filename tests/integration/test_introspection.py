"""What a real agent tells over HTTP, to a client, to the parser of Prometheus' library, and to Prometheus."""

from __future__ import annotations

import http.client
import json
import socket
import urllib.parse
from pathlib import Path
from typing import Any

import pytest
from plugins.metrics.tests.senders.servers import free_port, get, need, running
from prometheus_client.parser import text_string_to_metric_families
from tests.integration.conftest import Agents

INSTRUMENTS = """
@hookimpl
def undercroft_manifolds(agent):
    def start(context):
        samples = context.get("agent", Samples)
        agent.meter.gauge("heat", 'how "hot"\\nit\\\\is', ["place"]).set(36.6, 'a"b\\\\c\\nd')
        agent.meter.gauge("heat", 'how "hot"\\nit\\\\is', ["place"]).set(float("-inf"), "\\u00fc {}")
        agent.meter.counter("calls", "calls").add(3)
        agent.meter.counter("falls_total", "falls").add(2 ** 53)
        found = [[each.name, each.kind, dict(each.labels), each.value] for each in samples.samples()]
        agent.data_dir.joinpath("samples").write_text(repr(found))
        return NoOpWorker()
    async def fail(stop):
        raise ValueError("as the <test> asks")
    manifolds = {"acme": Manifold(start=start, inputs=["agent"])}
    if agent.data_dir.parent.joinpath("ill").exists():
        manifolds["broken"] = Manifold(start=lambda context: SimpleWorker(fail))
    return manifolds
"""


class UnixConnection(http.client.HTTPConnection):
    """HTTP over a unix socket, by the standard library's client."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=30)
        self._path = path

    def connect(self) -> None:
        """Connect."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(30)
        self.sock.connect(str(self._path))


def ask(agents: Agents, target: str) -> tuple[int, bytes]:
    """The status and the body of an answer."""
    connection = UnixConnection(agents.data_dir / "introspection.sock")
    try:
        connection.request("GET", target)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@pytest.fixture
def watched(agents: Agents) -> Agents:
    """An agent with instruments, and with this plugin."""
    agents.plugin("acme", INSTRUMENTS)
    agents.environment["UNDERCROFT_PLUGINS"] += ",introspection"
    return agents


def instruments(agents: Agents) -> list[tuple[str, str, dict[str, str], float]]:
    """What `Samples` had."""
    text = (agents.data_dir / "plugins" / "acme" / "samples").read_text()
    found: list[tuple[str, str, dict[str, str], float]] = eval(text, {"inf": float("inf")})
    return found


def test_what_the_agent_tells_over_http_is_what_it_has_and_what_its_control_socket_says(watched: Agents) -> None:
    watched.start()

    status, body = ask(watched, "/metrics")

    families = text_string_to_metric_families(body.decode())
    found = {
        (each.name, family.type, *each.labels.items()): each.value for family in families for each in family.samples
    }
    suffix = {"gauge": "", "counter": "_total"}
    assert status == 200
    assert found == {
        (name.removesuffix("_total") + suffix[kind], kind, *labels.items()): value
        for name, kind, labels, value in instruments(watched)
    }
    assert len(found) == 4
    assert json.loads(ask(watched, "/graph")[1]) == watched.ask("graph")
    assert json.loads(ask(watched, "/explain/acme")[1])["state"] == "started"
    assert ask(watched, "/health")[0] == 200


def test_a_worker_that_fails_makes_the_health_503_and_is_named(watched: Agents) -> None:
    (watched.data_dir / "plugins").mkdir(parents=True, mode=0o700)
    watched.data_dir.chmod(0o700)
    (watched.data_dir / "plugins" / "ill").touch()
    watched.start()

    status, body = ask(watched, "/health")

    down: Any = json.loads(body)["down"]  # Any: JSON.
    assert status == 503
    assert list(down) == ["broken"]
    assert "as the <test> asks" in down["broken"]["error"]


def test_prometheus_scrapes_what_the_instruments_stand_at(watched: Agents, tmp_path: Path) -> None:
    program, port, scraped = need("prometheus"), free_port(), free_port()
    watched.config_file.write_text(f'[plugins.introspection]\nlisten = "127.0.0.1:{scraped}"\n')
    jobs = [{"job_name": "undercroft", "static_configs": [{"targets": [f"127.0.0.1:{scraped}"]}]}]
    config = {"global": {"scrape_interval": "200ms", "scrape_timeout": "200ms"}, "scrape_configs": jobs}
    (tmp_path / "prometheus.yml").write_text(json.dumps(config))
    watched.start()
    argv = [
        program,
        f"--config.file={tmp_path / 'prometheus.yml'}",
        f"--storage.tsdb.path={tmp_path / 'tsdb'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]

    def query(text: str) -> dict[str, str]:
        url = f"http://127.0.0.1:{port}/api/v1/query?{urllib.parse.urlencode({'query': text})}"
        results = json.loads(get(url))["data"]["result"]
        return {each["metric"].get("place", ""): each["value"][1] for each in results}

    with running(argv, f"http://127.0.0.1:{port}/-/ready", tmp_path / "prometheus.log"):
        watched.until(lambda: query("undercroft_acme_heat"))

        assert query("undercroft_acme_heat") == {'a"b\\c\nd': "36.6", "ü {}": "-Inf"}
        assert query("undercroft_acme_calls_total") == {"": "3"}
        assert query("undercroft_acme_falls_total") == {"": "9007199254740992"}
        assert query('up{job="undercroft"}') == {"": "1"}


def test_an_address_that_others_can_reach_is_refused_by_name(watched: Agents) -> None:
    watched.config_file.write_text('[plugins.introspection]\nlisten = "0.0.0.0:9160"\n')

    done = watched.run("agent")

    assert done.returncode == 78
    assert "plugins.introspection.listen is '0.0.0.0:9160'; expected a loopback address" in done.stderr
