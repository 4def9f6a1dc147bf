"""Units' engines, with a `unit-deployer` as a plugin would write one."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from undercroft import outcome, stop
from undercroft.agent.agent import HostAgent
from undercroft_hookspecs import ModelId, UnitEngines, UnitName, Worker

if TYPE_CHECKING:
    from core.tests.agent.conftest import Bench

Until = Callable[[Callable[[], object]], Awaitable[None]]

MODEL = "11111111-1111-1111-1111-111111111111"

DEPLOYER = """
from undercroft import outcome
ENGINES = {}
@hookimpl
def undercroft_manifolds(agent):
    def start(context):
        engines = context.get("agent", UnitEngines)
        for unit in UNITS:
            ENGINES[unit] = engines.engine(ModelId.parse("11111111-1111-1111-1111-111111111111"), UnitName.parse(unit))
        async def work(stop):
            await stop.wait()
            for engine in ENGINES.values():
                engine.kill()
            for engine in ENGINES.values():
                LOG.append(await outcome(engine))
        LOG.append("deployer")
        return SimpleWorker(work)
    return {"unit-deployer": Manifold(start=start, inputs=("agent",))}
"""

STORE = """
from contextlib import asynccontextmanager
@asynccontextmanager
async def factory(url, *, data_dir, clock):
    yield object()
"""

UNIT = """
class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    word: str = "hello"

@hookimpl
def undercroft_config():
    return Config

@hookimpl
def undercroft_unit_manifolds(unit):
    word = unit.config(Config).word
    def start(context):
        view = context.get("model", BlockDeviceView)
        LOG.append((str(unit.unit), word, str(unit.machine), unit.data_dir.is_dir(), view is not None))
        unit.meter.gauge("size", "bytes").set(3)
        return NoOpWorker()
    return {"charm": Manifold(start=start, inputs=("model",))}
"""


@pytest.fixture
def deploying(bench: Bench) -> Bench:
    bench.plugin("uniter", "UNITS = ['mysql/0', 'wordpress/12']\n" + DEPLOYER)
    return bench


async def test_every_units_manifolds_run_with_what_the_top_engine_has(deploying: Bench, until: Until) -> None:
    deploying.plugin("acme", UNIT)

    async with deploying.agent():
        await until(lambda: len(deploying.log("acme")) >= 2)

    assert sorted(set(deploying.log("acme"))) == [
        ("mysql/0", "hello", "0", True, True),
        ("wordpress/12", "hello", "0", True, True),
    ]
    folder = deploying.data_dir / "models" / MODEL / "agents"
    assert sorted(each.name for each in folder.iterdir()) == ["unit-mysql-0", "unit-wordpress-12"]


async def test_what_units_take_is_an_input_of_the_deployer(deploying: Bench) -> None:
    deploying.plugin("acme", UNIT)

    async with deploying.agent() as agent:
        inputs = deploying.entries(agent)["unit-deployer"]["inputs"]

    assert inputs == ["agent", "model"]


async def test_a_bounce_of_what_is_passed_through_bounces_deployer_and_units(deploying: Bench, until: Until) -> None:
    deploying.plugin("acme", UNIT)

    async with deploying.agent() as agent:
        await until(lambda: len(deploying.log("acme")) >= 2)
        deploying.log("acme").clear()
        await deploying.ask(agent, "restart", name="model")
        await until(lambda: len(deploying.log("acme")) >= 2)


async def test_unit_manifolds_are_named_by_model_and_unit(deploying: Bench, until: Until) -> None:
    deploying.plugin("acme", UNIT)

    async with deploying.agent() as agent:
        await until(lambda: len(deploying.log("acme")) >= 2)
        await agent.settled()
        graph = (await deploying.ask(agent, "graph"))["manifolds"]
        full = await deploying.ask(agent, "explain", name=f"{MODEL}/mysql/0/charm")
        brief = await deploying.ask(agent, "explain", name="mysql/0/charm")
        nobody = await deploying.ask(agent, "explain", name="mysql/1/charm")
        restarted = await deploying.ask(agent, "restart", name="mysql/0/charm")
        rows = (await deploying.ask(agent, "transitions"))["transitions"]

    assert graph[f"{MODEL}/mysql/0/charm"]["inputs"] == [f"{MODEL}/mysql/0/model"]
    assert graph[f"{MODEL}/mysql/0/model"]["inputs"] == ["model"]
    assert graph[f"{MODEL}/mysql/0/charm"]["plugin"] == "acme"
    assert full["state"] == brief["state"] == "started"
    assert nobody["error"]["kind"] == "NotFoundError"
    assert restarted == {}
    assert ("started", f"{MODEL}/mysql/0/charm") in [(row["kind"], row["path"]) for row in rows]


async def test_a_unit_manifold_whose_input_nobody_provides_is_down_alone(deploying: Bench, until: Until) -> None:
    deploying.plugin(
        "acme",
        UNIT.replace(
            'return {"charm"',
            'lonely = Manifold(start=lambda context: context.get("nowhere"), inputs=("nowhere",))\n'
            '    return {"lonely": lonely, "charm"',
        ),
    )

    async with deploying.agent() as agent:
        await until(lambda: len(deploying.log("acme")) >= 2)
        explained = await deploying.ask(agent, "explain", name="mysql/0/lonely")

    assert "nowhere" in " ".join(explained["sentences"])


async def test_a_unit_manifold_that_takes_the_deployer_breaks_its_plugin(deploying: Bench) -> None:
    deploying.plugin("acme", UNIT.replace('inputs=("model",)', 'inputs=("unit-deployer",)'))

    async with deploying.agent() as agent:
        rows = (await deploying.ask(agent, "plugins"))["plugins"]

    (acme,) = [row for row in rows if row["name"] == "acme"]
    assert acme["state"] == "broken"
    assert "unit-deployer" in acme["why"]


async def test_what_depends_on_the_deployer_is_as_forbidden(deploying: Bench) -> None:
    deploying.plugin(
        "acme",
        UNIT.replace('inputs=("model",)', 'inputs=("above",)')
        + """
@hookimpl
def undercroft_manifolds(agent):
    return {"above": Manifold(start=lambda context: NoOpWorker(), inputs=("unit-deployer",))}
""",
    )

    async with deploying.agent() as agent:
        rows = (await deploying.ask(agent, "plugins"))["plugins"]
        states = deploying.states(agent)

    assert [row["state"] for row in rows if row["name"] == "acme"] == ["broken"]
    assert "above" not in states


async def test_two_plugins_that_claim_one_unit_manifold_the_later_is_broken(deploying: Bench) -> None:
    deploying.plugin("acme", UNIT)
    deploying.plugin("beta", UNIT)

    async with deploying.agent() as agent:
        rows = (await deploying.ask(agent, "plugins"))["plugins"]

    (beta,) = [row for row in rows if row["name"] == "beta"]
    assert beta["state"] == "broken"
    assert "'charm'" in beta["why"]
    assert "'acme'" in beta["why"]


async def test_manifolds_that_depend_on_the_unit_are_left_out(
    deploying: Bench, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    deploying.plugin("acme", UNIT.replace('{"charm"', '{f"charm-{unit.unit.application}"'))

    async with deploying.agent():
        await until(lambda: "other names or inputs than for the specimen" in caplog.text)


async def test_an_error_for_one_unit_costs_that_unit_the_plugins_manifolds_alone(
    deploying: Bench, until: Until, caplog: pytest.LogCaptureFixture
) -> None:
    deploying.plugin("acme", UNIT.replace("    word =", "    assert str(unit.unit) != 'mysql/0'\n    word ="))

    async with deploying.agent() as agent:
        await until(lambda: deploying.log("acme"))
        rows = (await deploying.ask(agent, "plugins"))["plugins"]

    assert {entry[0] for entry in deploying.log("acme")} == {"wordpress/12"}
    assert [row["state"] for row in rows if row["name"] == "acme"] == ["active"]
    assert "acme" in caplog.text


async def test_an_error_for_the_specimen_breaks_the_plugin(deploying: Bench) -> None:
    deploying.plugin("acme", UNIT.replace("    word =", "    1 / 0\n    word ="))

    async with deploying.agent() as agent:
        rows = (await deploying.ask(agent, "plugins"))["plugins"]

    assert [row["state"] for row in rows if row["name"] == "acme"] == ["broken"]


async def test_an_agent_signal_in_a_unit_ends_its_engine_with_it(deploying: Bench, until: Until) -> None:
    deploying.plugin("acme", UNIT.replace("        return NoOpWorker()", "        raise RestartAgent('unit')"))

    async with deploying.agent():
        await until(lambda: deploying.log("acme"))

    assert "unit" in [str(entry) for entry in deploying.log("uniter")]


async def test_a_unit_whose_worker_keeps_failing_has_its_own_quarantine(deploying: Bench, until: Until) -> None:
    deploying.config("restart_limit = {failures = 1, seconds = 600}")
    fails = "        assert str(unit.unit) != 'mysql/0'\n        return NoOpWorker()"
    deploying.plugin("acme", UNIT.replace("        return NoOpWorker()", fails))

    async with deploying.agent(error_delay=0.0) as agent:

        async def state(unit: str) -> object:
            return (await deploying.ask(agent, "explain", name=f"{unit}/charm")).get("state")

        await until(lambda: [entry[0] for entry in deploying.log("acme")].count("mysql/0") >= 2)
        await agent.settled()
        states = [await state("mysql/0"), await state("wordpress/12")]

    assert states == ["quarantined", "started"]


async def test_a_reload_replaces_a_units_manifolds_and_leaves_the_deployer(deploying: Bench, until: Until) -> None:
    deploying.plugin("acme", UNIT)

    async with deploying.agent() as agent:
        await until(lambda: len(deploying.log("acme")) >= 2)
        await agent.settled()
        deployed = len(deploying.log("uniter"))
        deploying.log("acme").clear()
        deploying.config("[plugins.acme]\nword = 'bye'")
        await deploying.ask(agent, "reload")
        await until(lambda: len(deploying.log("acme")) == 2)
        unchanged = len(deploying.log("uniter")) == deployed

    assert {entry[1] for entry in deploying.log("acme")} == {"bye"}
    assert unchanged


async def test_a_unit_engine_killed_at_once_ends_cleanly(deploying: Bench) -> None:
    deploying.plugin("acme", UNIT)

    async with deploying.ready() as setup, HostAgent(setup) as agent:
        await agent.settled()
        engines = agent.top.expose("agent", UnitEngines)
        engine = engines.engine(ModelId.parse(MODEL), UnitName.parse("late/0"))
        await stop(engine)
        error = await outcome(engine)

    assert error is None


async def test_a_unit_that_two_models_have_must_be_named_in_full(deploying: Bench, until: Until) -> None:
    deploying.plugin("acme", UNIT)
    other = MODEL.replace("1", "2")

    async with deploying.agent() as agent:
        await until(lambda: len(deploying.log("acme")) >= 2)
        engines = agent.top.expose("agent", UnitEngines)
        async with closing(engines.engine(ModelId.parse(other), UnitName.parse("mysql/0"))):
            await until(lambda: len(deploying.log("acme")) >= 3)
            brief = await deploying.ask(agent, "explain", name="mysql/0/charm")
            full = await deploying.ask(agent, "explain", name=f"{other}/mysql/0/charm")

    assert brief["error"]["kind"] == "NotValidError"
    assert f"{other}/mysql/0/charm" in brief["error"]["message"]
    assert "sentences" in full


async def test_the_machine_is_what_the_model_says(bench: Bench, until: Until) -> None:
    bench.plugin("uniter", "UNITS = ['mysql/0']\n" + DEPLOYER)
    bench.plugin("acme", UNIT.replace('context.get("model", BlockDeviceView)', 'context.get("model", Number)'))
    bench.distributions.add(
        "undercroft-store", modules={"throwaway_store": STORE}, stores={"sqlite": "throwaway_store:factory"}
    )
    bench.plugin(
        "model",
        """
class Model(NoOpWorker):
    def for_unit(self, model, unit):
        return {MachineId: MachineId.parse("7"), int: 3}.__getitem__
@hookimpl
def undercroft_manifolds(agent):
    return {"model": Manifold(start=lambda context: Model())}
""",
    )
    path = bench.distributions.folder / "throwaway_acme.py"
    path.write_text(path.read_text().replace("Number", "int"))

    async with bench.agent():
        await until(lambda: bench.log("acme"))

    assert bench.log("acme")[0][:3] == ("mysql/0", "hello", "7")


@asynccontextmanager
async def closing(worker: Worker) -> AsyncIterator[None]:
    try:
        yield
    finally:
        await stop(worker)
