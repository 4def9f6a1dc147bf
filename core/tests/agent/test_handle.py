from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from core.tests.agent.conftest import Bench

PLUGIN = """
class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    number: int = 1

class Other(msgspec.Struct, frozen=True):
    number: int = 1

@hookimpl
def undercroft_config():
    return Config

@hookimpl
def undercroft_manifolds(agent):
    LOG.append(agent)
    return {}

@hookimpl
def undercroft_unit_manifolds(unit):
    LOG.append(unit)
    return {}

@hookimpl
def undercroft_metric_senders(agent):
    return {f"{NAME}-sender": agent.config(Config).number}

@hookimpl
def undercroft_hook_tools(unit):
    return {f"{NAME}-tool": str(unit.unit)}
"""


async def test_each_plugin_gets_its_own_agent(bench: Bench) -> None:
    for name in ("acme", "beta"):
        bench.plugin(name, f"NAME = {name!r}\n" + PLUGIN)
    bench.config("[plugins.beta]\nnumber = 2")

    async with bench.agent():
        acme, beta = bench.log("acme")[0], bench.log("beta")[0]

        assert acme.data_dir == bench.data_dir / "plugins" / "acme"
        assert acme.data_dir.is_dir()
        assert acme.host == beta.host
        assert acme.config(bench.module("acme").Config).number == 1
        assert beta.config(bench.module("beta").Config).number == 2
        assert acme.rng is acme.rng
        assert acme.rng is not beta.rng
        assert acme.clock.monotonic() > 0
        assert (await acme.process.run(["true"], timeout=5)).returncode == 0


async def test_a_config_is_had_as_the_struct_that_the_plugin_names_only(bench: Bench) -> None:
    bench.plugin("acme", "NAME = 'acme'\n" + PLUGIN)

    async with bench.agent():
        with pytest.raises(ValueError, match=r"as Other, but its undercroft_config names Config"):
            bench.log("acme")[0].config(bench.module("acme").Other)


async def test_collect_asks_every_plugin_with_its_own_agent(bench: Bench) -> None:
    for name in ("acme", "beta"):
        bench.plugin(name, f"NAME = {name!r}\n" + PLUGIN)
    bench.config("[plugins.beta]\nnumber = 2")

    async with bench.agent():
        answers = bench.log("acme")[0].collect("undercroft_metric_senders")

    assert answers == [("acme", {"acme-sender": 1}), ("beta", {"beta-sender": 2})]


async def test_collect_applies_the_rule_for_duplicates(bench: Bench) -> None:
    bench.plugin("acme", "NAME = 'acme'\n" + PLUGIN)
    bench.plugin("beta", "NAME = 'acme'\n" + PLUGIN)

    async with bench.agent() as agent:
        answers = bench.log("acme")[0].collect("undercroft_metric_senders")
        rows = (await bench.ask(agent, "plugins"))["plugins"]

    assert [plugin for plugin, _ in answers] == ["acme"]
    assert [row["state"] for row in rows] == ["active", "broken"]


@pytest.mark.parametrize(
    "hook", ["undercroft_hook_tools", "undercroft_config", "undercroft_worker_event", "undercroft_nonsense"]
)
async def test_a_top_agent_cannot_collect_what_is_a_units_or_core_s_or_nobodys(bench: Bench, hook: str) -> None:
    bench.plugin("acme", "NAME = 'acme'\n" + PLUGIN)

    async with bench.agent():
        with pytest.raises(ValueError, match="hook"):
            bench.log("acme")[0].collect(hook)


async def test_a_unit_agent_collects_for_its_unit(bench: Bench) -> None:
    bench.plugin("acme", "NAME = 'acme'\n" + PLUGIN)

    async with bench.agent():
        specimen = bench.log("acme")[1]
        tools = specimen.collect("undercroft_hook_tools")
        senders = specimen.collect("undercroft_metric_senders")
        with pytest.raises(ValueError, match="core's to ask"):
            specimen.collect("undercroft_config")

    assert tools == [("acme", {"acme-tool": "specimen/0"})]
    assert senders == [("acme", {"acme-sender": 1})]


async def test_a_unit_agent_knows_its_unit(bench: Bench) -> None:
    bench.plugin("acme", "NAME = 'acme'\n" + PLUGIN)

    async with bench.agent() as agent:
        specimen = bench.log("acme")[1]
        specimen.meter.gauge("size", "bytes").set(3)
        bench.log("acme")[0].meter.gauge("depth", "bytes").set(4)
        from undercroft_hookspecs import Samples

        samples = agent.top.expose("agent", Samples).samples()

    zero = "00000000-0000-0000-0000-000000000000"
    assert (str(specimen.model), str(specimen.unit), str(specimen.machine)) == (zero, "specimen/0", "0")
    assert specimen.unit_dir == bench.data_dir / "models" / zero / "agents" / "unit-specimen-0"
    assert specimen.data_dir == specimen.unit_dir / "acme"
    assert [(sample.name, dict(sample.labels)) for sample in samples] == [
        ("undercroft_acme_depth", {}),
        ("undercroft_acme_size", {"model": zero, "unit": "specimen/0"}),
    ]
