"""A reload exchanges what has changed, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from undercroft.agent.agent import HostAgent

if TYPE_CHECKING:
    from core.tests.agent.conftest import Bench

Until = Callable[[Callable[[], object]], Awaitable[None]]

PLUGIN = """
class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    number: int = 1

@hookimpl
def undercroft_config():
    return Config

@hookimpl
def undercroft_manifolds(agent):
    number = agent.config(Config).number
    def start(context):
        LOG.append(number)
        return NoOpWorker()
    return {NAME: Manifold(start=start)}
"""


def two(bench: Bench) -> None:
    bench.plugin("acme", "NAME = 'acme'\n" + PLUGIN)
    bench.plugin("beta", "NAME = 'beta'\n" + PLUGIN)


async def test_only_the_plugin_whose_section_changed_is_replaced(bench: Bench, until: Until) -> None:
    two(bench)

    async with bench.agent() as agent:
        bench.config("[plugins.beta]\nnumber = 2")
        answer = await bench.ask(agent, "reload")
        await until(lambda: bench.log("beta") == [1, 2])

    assert answer == {"changed": ["beta"], "needs_restart": [], "errors": []}
    assert bench.log("acme") == [1]


async def test_a_reload_of_the_same_config_changes_nothing(bench: Bench) -> None:
    two(bench)

    async with bench.agent() as agent:
        answer = await bench.ask(agent, "reload")
        await agent.settled()

    assert answer == {"changed": [], "needs_restart": [], "errors": []}
    assert bench.log("acme") == [1]


async def test_a_section_that_does_not_validate_changes_nothing_and_is_reported(bench: Bench) -> None:
    two(bench)

    async with bench.agent() as agent:
        bench.config("[plugins.acme]\nnumber = 2\n[plugins.beta]\nnumber = 'many'")
        answer = await bench.ask(agent, "reload")
        await agent.settled()

    assert answer["changed"] == []
    assert "plugins.beta.number" in answer["errors"][0]
    assert bench.log("acme") == [1]


async def test_a_file_that_is_no_toml_changes_nothing_and_is_reported(bench: Bench) -> None:
    async with bench.agent() as agent:
        bench.config("= nonsense")
        answer = await bench.ask(agent, "reload")

    assert "undercroft.toml" in answer["errors"][0]


async def test_what_takes_a_restart_is_said(bench: Bench) -> None:
    async with bench.agent() as agent:
        bench.config('store = "sqlite:other"')
        (bench.data_dir / "host-id").write_text("11111111-1111-1111-1111-111111111111\n")
        answer = await bench.ask(agent, "reload")

    assert answer["needs_restart"] == ["store", "host-id"]


async def test_whoever_collected_a_hook_of_a_changed_plugin_is_replaced_too(bench: Bench, until: Until) -> None:
    bench.plugin(
        "acme",
        "NAME = 'acme'\n"
        + PLUGIN
        + """
@hookimpl
def undercroft_metric_senders(agent):
    return {"sender": agent.config(Config).number}
""",
    )
    bench.plugin(
        "collector",
        """
@hookimpl
def undercroft_manifolds(agent):
    async def start(context):
        await asyncio.sleep(0)
        LOG.append(dict(agent.collect("undercroft_metric_senders")))
        return NoOpWorker()
    return {"collecting": Manifold(start=start), "bystander": Manifold(start=bystander)}
def bystander(context):
    LOG.append("bystander")
    return NoOpWorker()
""",
    )

    async with bench.agent() as agent:
        bench.log("collector").remove("bystander")
        bench.config("[plugins.acme]\nnumber = 2")
        await bench.ask(agent, "reload")
        await until(lambda: len(bench.log("collector")) == 2)

    assert bench.log("collector") == [{"acme": {"sender": 1}}, {"acme": {"sender": 2}}]


async def test_a_plugin_that_collects_in_its_hook_is_asked_again(bench: Bench, until: Until) -> None:
    bench.plugin(
        "acme", "NAME = 'acme'\n" + PLUGIN + "@hookimpl\ndef undercroft_metric_senders(agent):\n    return {'s': 1}\n"
    )
    bench.plugin(
        "collector",
        """
@hookimpl
def undercroft_manifolds(agent):
    LOG.append(agent.collect("undercroft_metric_senders"))
    return {}
""",
    )

    async with bench.agent() as agent:
        bench.config("[plugins.acme]\nnumber = 2")
        await bench.ask(agent, "reload")

    assert len(bench.log("collector")) == 2


async def test_a_plugin_that_breaks_at_a_reload_is_taken_out(bench: Bench) -> None:
    two(bench)
    source = "    number = agent.config(Config).number\n"
    bench.plugin("gamma", "NAME = 'gamma'\n" + PLUGIN.replace(source, source + "    assert number == 1, 'not one'\n"))

    async with bench.agent() as agent:
        bench.config("[plugins.gamma]\nnumber = 2")
        answer = await bench.ask(agent, "reload")
        states = bench.states(agent)

    assert "'gamma' is broken" in answer["errors"][0]
    assert "gamma" not in states
    assert states["acme"] == "started"


async def test_manifolds_that_come_and_go_with_the_config_do(bench: Bench) -> None:
    bench.plugin("acme", PLUGIN.replace("{NAME:", "{f'acme-{number}':"))

    async with bench.agent() as agent:
        bench.config("[plugins.acme]\nnumber = 2")
        await bench.ask(agent, "reload")
        await agent.settled()
        states = bench.states(agent)

    assert "acme-1" not in states
    assert states["acme-2"] == "started"


async def test_a_limit_and_allow_reboot_hold_from_the_reload_on(bench: Bench, until: Until) -> None:
    bench.plugin(
        "acme",
        """
ASKED = asyncio.Event()
@hookimpl
def undercroft_manifolds(agent):
    async def work(stop):
        await ASKED.wait()
        raise RebootMachine("kernel")
    return {"acme": Manifold(start=lambda context: SimpleWorker(work, grace=0))}
""",
    )

    async with bench.ready() as setup:
        agent = HostAgent(setup)
        await agent.settled()
        bench.config("allow_reboot = true")
        await bench.ask(agent, "reload")
        bench.module("acme").ASKED.set()
        async with asyncio.timeout(5):
            results = await asyncio.gather(agent.wait(), return_exceptions=True)

    assert type(results[0]).__name__ == "RebootMachine"


async def test_reloads_that_are_asked_for_at_once_are_done_one_after_another(bench: Bench, until: Until) -> None:
    two(bench)

    async with bench.agent() as agent:
        bench.config("[plugins.beta]\nnumber = 2")
        answers = await asyncio.gather(*(bench.ask(agent, "reload") for _ in range(5)))
        await until(lambda: bench.log("beta") == [1, 2])

    assert [answer["changed"] for answer in answers] == [["beta"], [], [], [], []]


async def test_a_request_from_a_signal_reloads(bench: Bench, until: Until) -> None:
    two(bench)

    async with bench.agent() as agent:
        bench.config("[plugins.beta]\nnumber = 2")
        agent.request_reload()
        await until(lambda: bench.log("beta") == [1, 2])
