"""Real HTTP over the real sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from plugins.introspection.tests.fakes import HOSTILE, SAMPLES, Running, entry, running
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics_families
from prometheus_client.parser import text_string_to_metric_families

from undercroft_introspection import server  # noqa: F401 - Its import takes longer than a turn of the loop may.


@pytest.fixture
async def serving(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path, listen="127.0.0.1:0") as up:
        yield up


@pytest.mark.parametrize("request_name", ["report", "graph", "transitions", "plugins"])
async def test_a_path_gives_the_control_sockets_answer(serving: Running, request_name: str) -> None:
    reply = await serving.get(f"/{request_name}?heed=not")

    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json"
    assert reply.json == serving.inside.answers[request_name]
    assert serving.inside.asked == [{"request": request_name}]


@pytest.mark.parametrize("target", ["/explain/mysql/0/uniter", "/explain/mysql%2F0%2funiter"])
async def test_explain_takes_a_name_with_slashes(serving: Running, target: str) -> None:
    reply = await serving.get(target)

    assert (reply.status, reply.json["sentences"]) == (200, ["It is up."])


async def test_explain_answers_404_for_a_worker_that_is_not_there(serving: Running) -> None:
    reply = await serving.get("/explain/nobody")

    assert (reply.status, reply.error) == (404, "NotFoundError")


async def test_the_metrics_are_what_the_instruments_stand_at(serving: Running) -> None:
    reply = await serving.get("/metrics")

    families = list(text_string_to_metric_families(reply.body.decode()))
    found = {(each.name, *each.labels.values()): each.value for family in families for each in family.samples}
    suffix = {"gauge": "", "counter": "_total"}
    assert reply.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert found == {
        (each.name.removesuffix("_total") + suffix[each.kind], *each.labels.values()): each.value for each in SAMPLES
    }
    assert {family.name: (family.type, family.documentation) for family in families} == {
        each.name.removesuffix("_total"): (each.kind, each.summary) for each in SAMPLES
    }


async def test_who_asks_for_openmetrics_gets_it(serving: Running) -> None:
    reply = await serving.get("/metrics", "Accept: application/openmetrics-text; version=1.0.0")

    families = {family.name: family.type for family in openmetrics_families(reply.body.decode())}  # type: ignore[no-untyped-call]
    assert reply.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert families == {
        "undercroft_a_bytes": "gauge",
        "undercroft_a_calls": "counter",
        "undercroft_a_fails": "counter",
    }


async def test_a_version_that_is_none_gets_the_plain_format(serving: Running) -> None:
    reply = await serving.get("/metrics", "Accept: application/openmetrics-text; version=one")

    assert (reply.status, reply.headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")


async def test_an_agent_is_healthy_while_all_workers_are_up_or_done(serving: Running) -> None:
    reply = await serving.get("/health")

    assert reply.status == 200
    assert reply.json == {"healthy": True, "workers": 2, "down": {}}


@pytest.mark.parametrize(
    "ill", [entry("starting", "it failed"), entry("stopped", missing=["a"]), entry("quarantined", "too often")]
)
async def test_an_agent_is_ill_with_a_worker_that_is_not_up(serving: Running, ill: dict[str, object]) -> None:
    serving.inside.answers["graph"] = {"manifolds": {"a": entry(), "b": ill}}

    reply = await serving.get("/health")

    assert reply.status == 503
    assert reply.json["down"] == {"b": {key: ill[key] for key in ("state", "error", "missing")}}


async def test_the_page_loads_nothing_and_runs_nothing_else(serving: Running) -> None:
    reply = await serving.get("/")

    policy = reply.headers["content-security-policy"]
    assert reply.headers["content-type"] == "text/html; charset=utf-8"
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert not any(word in reply.body.decode() for word in ("http://", "https://", "src=", "innerHTML", "<link"))


@pytest.mark.parametrize(
    "target", ["/nobody", "/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "//etc/passwd", "/report/", "/restart"]
)
async def test_a_path_that_is_not_there_is_404_in_json(serving: Running, target: str) -> None:
    reply = await serving.get(target)

    assert (reply.status, reply.error, reply.headers["content-type"]) == (404, "NotFoundError", "application/json")
    assert serving.inside.asked == []


@pytest.mark.parametrize("target", ["/%ff", "http://evil.example/report", "*"])
async def test_a_target_that_is_no_path_is_400(serving: Running, target: str) -> None:
    reply = await serving.get(target)

    assert (reply.status, reply.error) == (400, "NotValidError")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH"])
@pytest.mark.parametrize("door", ["local", "loopback"])
async def test_nothing_but_get_is_served_at_either_socket(serving: Running, method: str, door: str) -> None:
    async with getattr(serving, door)() as client:
        client.writer.write(f"{method} /restart HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        line = await client.reader.readline()

    assert line.startswith(b"HTTP/1.1 405 ")
    assert serving.inside.asked == []


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST:9160", "127.0.0.1:9160", "[::1]", "[::1]:9160", "127.8.8.8"])
@pytest.mark.parametrize("door", ["local", "loopback"])
async def test_a_host_that_is_this_machine_is_served(serving: Running, host: str, door: str) -> None:
    async with getattr(serving, door)() as client:
        reply = await client.get("/health", host=host)

    assert reply.status == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:9160", "localhost.evil.example", "10.0.0.1", "0.0.0.0", ""]
)
@pytest.mark.parametrize("door", ["local", "loopback"])
async def test_another_host_is_refused(serving: Running, host: str, door: str) -> None:
    async with getattr(serving, door)() as client:
        reply = await client.get("/report", "Accept: */*", host=host)

    assert (reply.status, reply.error) == (421 if host else 400, "NotValidError")
    assert serving.inside.asked == []


async def test_two_hosts_are_refused(serving: Running) -> None:
    async with serving.loopback() as client:
        reply = await client.get("/report", "Host: evil.example")

    assert reply.status in (400, 421)
    assert serving.inside.asked == []


async def test_one_connection_serves_many_requests(serving: Running) -> None:
    async with serving.loopback() as client:
        statuses = [(await client.get("/health")).status for _ in range(20)]

    assert statuses == [200] * 20


async def test_a_failing_answer_is_an_error_without_its_reason(
    serving: Running, caplog: pytest.LogCaptureFixture
) -> None:
    del serving.inside.answers["report"]

    reply = await serving.get("/report")

    assert (reply.status, reply.error) == (500, "InternalError")
    assert b"KeyError" not in reply.body
    assert "KeyError" in caplog.text


async def test_names_from_outside_are_told_as_data(serving: Running) -> None:
    reply = await serving.get("/plugins")

    assert reply.json["plugins"][0]["name"] == HOSTILE
    assert (reply.headers["content-type"], reply.headers["x-content-type-options"]) == ("application/json", "nosniff")
