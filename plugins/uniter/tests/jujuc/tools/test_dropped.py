"""What Juju has given up: payloads, and metrics where no plugin collects them."""

from __future__ import annotations

import pytest
from plugins.uniter.tests.jujuc.tools.fakes import Bench, FakeHook, done, failure, misused

METADATA = "name: shop\npayloads:\n  web: {type: docker}\n  odd: text\n"


@pytest.fixture(autouse=True)
def _metadata(bench: Bench) -> None:
    (bench.folder / "metadata.yaml").write_text(METADATA)


async def test_a_payload_s_class_and_type_are_the_charm_s(bench: Bench) -> None:
    assert await bench("payload-register", "docker", "web", "id1", "label") == done()
    assert await bench("payload-register", "docker", "odd", "id1") == failure(
        'payload "odd" not found in metadata.yaml'
    )
    assert await bench("payload-register", "kvm", "web", "id1") == failure(
        'incorrect type "kvm" for payload "web", expected "docker"'
    )
    assert (await bench("payload-register", "docker", "web")).code == 2


@pytest.mark.parametrize("metadata", [b"[", b"\xff", b"[a]", b"payloads: {web: {type: {}}}", b"[" * 100_000])
async def test_metadata_that_is_none_fails_the_tool(bench: Bench, metadata: bytes) -> None:
    (bench.folder / "metadata.yaml").write_bytes(metadata)

    assert (await bench("payload-register", "docker", "web", "id1")).code == 1


async def test_metadata_that_is_not_there_fails_the_tool(bench: Bench) -> None:
    (bench.folder / "metadata.yaml").unlink()

    assert (await bench("payload-register", "docker", "web", "id1")).code == 1


async def test_payloads_are_unregistered(bench: Bench) -> None:
    assert await bench("payload-unregister", "web", "id1") == done()
    assert (await bench("payload-unregister", "web")).code == 2
    assert await bench("payload-unregister", "web", "id1", "x") == misused('unrecognized args: ["x"]')


@pytest.mark.parametrize("status", ["starting", "running", "stopping", "stopped"])
async def test_payloads_have_four_statuses(bench: Bench, status: str) -> None:
    assert await bench("payload-status-set", "web", "id1", status) == done()


async def test_payloads_have_no_other_status(bench: Bench) -> None:
    assert await bench("payload-status-set", "web", "id1", "created") == failure(
        'status "created" not supported; expected one of [starting running stopping stopped]'
    )
    assert (await bench("payload-status-set", "web", "id1")).code == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ["users=5"],
        ["users=5", "requests=1.5"],
        [" users = 5 "],
        ["-l", "a=b,c=d", "users=5"],
        ["users=5", "--labels=a=b"],
    ],
)
async def test_metrics_are_added_to_nothing(bench: Bench, hook: FakeHook, arguments: list[str]) -> None:
    hook.hook = "collect-metrics"

    assert await bench("add-metric", *arguments) == done()


@pytest.mark.parametrize(
    "arguments",
    [[], ["users"], ["=5"], [" =5"], ["users="], ["users= "], ["users=5", "users=6"], ["--labels", "a", "users=5"]],
)
async def test_metrics_are_pairs(bench: Bench, hook: FakeHook, arguments: list[str]) -> None:
    hook.hook = "collect-metrics"

    answer = await bench("add-metric", *arguments)

    assert answer.code == 2
    assert answer.stderr.startswith("ERROR ")


async def test_some_metrics_are_juju_s(bench: Bench, hook: FakeHook) -> None:
    hook.hook = "collect-metrics"

    assert await bench("add-metric", "juju-units=1") == failure('"juju-units" uses the reserved prefix "juju-"')


async def test_metrics_are_added_in_their_hook_only(bench: Bench) -> None:
    assert await bench("add-metric", "users=5") == failure(
        "cannot add metrics: they are allowed in the hook collect-metrics only"
    )
