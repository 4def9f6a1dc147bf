from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest

from undercroft import NoOpWorker
from undercroft.agent.agent import HostAgent
from undercroft.agent.top import outputs_manifold
from undercroft.dependency import OutputError
from undercroft.settings import ConfigError
from undercroft.testing import StubContext
from undercroft_hookspecs import Role, Store

if TYPE_CHECKING:
    from core.tests.agent.conftest import Bench

Until = Callable[[Callable[[], object]], Awaitable[None]]

MODEL = """
@hookimpl
def undercroft_manifolds(agent):
    def start(context):
        LOG.append(context.get("store", Store))
        return NoOpWorker()
    return {"model": Manifold(start=start, inputs=("store",))}
"""

STORE = """
import asyncio
from contextlib import asynccontextmanager
from undercroft.testing.store import MemoryStore

LOG = []
STORE = MemoryStore()
GATE = None
ERROR = None

@asynccontextmanager
async def factory(url, *, data_dir, clock):
    LOG.append((url, data_dir.name))
    try:
        if ERROR is not None:
            raise ERROR
        if GATE is not None:
            await GATE.wait()
        yield STORE
    finally:
        LOG.append("closed")
"""


@pytest.fixture
def stored(bench: Bench) -> Bench:
    bench.plugin("model", MODEL)
    bench.distributions.add(
        "undercroft-store", modules={"throwaway_store": STORE}, stores={"sqlite": "throwaway_store:factory"}
    )
    return bench


async def test_with_a_model_plugin_the_store_is_what_the_urls_scheme_names(stored: Bench) -> None:
    stored.config('store = "sqlite:state.db?x=1"')

    async with stored.agent() as agent:
        states = stored.states(agent)
        store = agent.top.expose("store", Store)
        with pytest.raises(OutputError):
            agent.top.expose("store", Role)

    opened = sys.modules["throwaway_store"]
    assert states["model"] == "started"
    assert store is opened.STORE
    assert stored.log("model") == [opened.STORE]
    assert opened.LOG == [("sqlite:state.db?x=1", "data"), "closed"]


async def test_a_store_that_cannot_be_opened_says_why_and_is_tried_again(stored: Bench) -> None:
    stored.distributions.folder.joinpath("throwaway_store.py").write_text(
        STORE.replace("ERROR = None", "ERROR = OSError('disk full')", 1)
    )

    async with stored.agent() as agent:
        graph = (await stored.ask(agent, "graph"))["manifolds"]

    assert graph["store"]["error"] == "disk full"
    assert graph["model"]["missing"] == ["store"]


async def test_a_store_that_is_away_for_long_is_tried_until_it_is_back(stored: Bench, until: Until) -> None:
    stored.config("restart_limit = {failures = 1, seconds = 600}")
    changes = {
        "import asyncio": "import asyncio\nfrom undercroft_hookspecs import StoreUnavailable",
        "ERROR = None": "ERROR = StoreUnavailable()",
        "if ERROR is not None:": 'if LOG.count("closed") < 5:',
    }
    source = STORE
    for old, new in changes.items():
        source = source.replace(old, new, 1)
    stored.distributions.folder.joinpath("throwaway_store.py").write_text(source)

    async with stored.agent(error_delay=0.0) as agent:
        await until(lambda: stored.states(agent)["model"] == "started")

    assert sys.modules["throwaway_store"].LOG.count("closed") == 6


async def test_an_agent_that_is_stopped_while_its_store_opens_ends(stored: Bench, until: Until) -> None:
    stored.distributions.folder.joinpath("throwaway_store.py").write_text(
        STORE.replace("GATE = None", "GATE = asyncio.Event()", 1)
    )

    async with stored.ready() as setup, HostAgent(setup):
        await until(lambda: "throwaway_store" in sys.modules and sys.modules["throwaway_store"].LOG)

    assert sys.modules["throwaway_store"].LOG[-1] == "closed"


async def test_a_scheme_that_nothing_opens_is_a_mistake_in_the_config(stored: Bench) -> None:
    stored.config('store = "etcd://host:2379"')

    async with stored.ready() as setup:
        with pytest.raises(ConfigError, match="undercroft-etcd") as caught:
            HostAgent(setup)

    assert caught.value.key == "store"
    assert '"sqlite:"' in str(caught.value)


async def test_a_model_plugin_that_is_disabled_leaves_what_needs_it_waiting(stored: Bench) -> None:
    stored.config('disabled = ["model"]')
    stored.plugin(
        "acme",
        """
@hookimpl
def undercroft_manifolds(agent):
    return {"acme": Manifold(start=lambda context: context.get("model"), inputs=("model",))}
""",
    )

    async with stored.agent() as agent:
        states = stored.states(agent)
        explained = await stored.ask(agent, "explain", name="acme")

    assert "model" not in states
    assert states["acme"] == "stopped"
    assert "model is not installed." in explained["sentences"]


async def test_core_s_names_cannot_be_claimed(bench: Bench) -> None:
    bench.plugin("acme", MODEL.replace('"model"', '"agent"'))

    async with bench.agent() as agent:
        rows = (await bench.ask(agent, "plugins"))["plugins"]

    assert rows[0]["state"] == "broken"
    assert "core has" in rows[0]["why"]


async def test_ready_made_objects_are_put_out_as_exactly_their_kind() -> None:
    manifold = outputs_manifold({int: 3})
    assert manifold.output is not None
    worker = manifold.start(StubContext({}))
    assert not isinstance(worker, Awaitable)

    assert manifold.output(worker, int) == 3
    for kind in (bool, str):
        with pytest.raises(OutputError, match="int"):
            manifold.output(worker, kind)
    other = NoOpWorker()
    with pytest.raises(OutputError):
        manifold.output(other, int)
    for each in (worker, other):
        each.kill()
        await each.wait()
    await asyncio.sleep(0)
