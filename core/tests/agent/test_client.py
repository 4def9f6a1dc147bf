from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from undercroft.agent.client import ModelUnusableError, open_private
from undercroft.agent.host import sole_agent
from undercroft.config import load
from undercroft.plugins import Installed
from undercroft_hookspecs import BlockDevice, BlockDeviceFacade, BlockDeviceView, NotValidError, Role, Store

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager
    from typing import Any

    from core.tests.agent.conftest import Bench

MODEL = """
@hookimpl
def undercroft_manifolds(agent):
    def start(context):
        role = context.get("agent", Role)
        LOG.append((role.role, role.model))
        if FAILS:
            raise OSError("disk full")
        return ValueWorker(context.get("store", Store))
    return {
        "model": Manifold(start=start, inputs=INPUTS, output=value_output),
        "renewer": Manifold(start=lambda context: LOG.append("renewer")),
    }
from undercroft.dependency import ValueWorker, value_output
"""

STORE = """
from contextlib import asynccontextmanager
from undercroft.testing.store import MemoryStore

@asynccontextmanager
async def factory(url, *, data_dir, clock):
    yield MemoryStore()
"""


def opened(
    bench: Bench, name: str, kind: type[Any], model: str | None = None, patience: float = 10.0
) -> AbstractAsyncContextManager[Any]:
    return open_private(
        name,
        kind,
        data_dir=bench.data_dir,
        config=load(bench.config_file, {}),
        model=model,
        installed=Installed.scan([str(bench.distributions.folder)]),
        patience=patience,
    )


def with_model(bench: Bench, *, fails: bool = False, inputs: str = '("agent", "store")') -> None:
    bench.plugin("model", f"FAILS = {fails}\nINPUTS = {inputs}\n" + MODEL)
    bench.distributions.add(
        "undercroft-store", modules={"throwaway_store": STORE}, stores={"sqlite": "throwaway_store:factory"}
    )


async def test_without_a_model_plugin_both_are_in_memory(bench: Bench) -> None:
    async with opened(bench, "model", BlockDeviceView) as view, opened(bench, "store", Store) as store:
        devices = await view.block_devices()
        entries = (await store.list("")).entries

    assert devices == ()
    assert list(entries) == []


async def test_what_is_opened_works(bench: Bench) -> None:
    async with opened(bench, "model", BlockDeviceFacade) as facade:
        await facade.set_block_devices([BlockDevice(device_name="sda")])
        devices = await facade.block_devices()

    assert [device.device_name for device in devices] == ["sda"]


async def test_the_model_plugin_is_a_client_and_runs_nothing_else(bench: Bench) -> None:
    with_model(bench)

    async with opened(bench, "model", Store, model="prod"):
        pass

    assert set(bench.log("model")) == {("client", "prod")}


async def test_what_other_plugins_answer_can_be_collected(bench: Bench) -> None:
    """Storage pools could not be made, for a command knew of no provider: only the plugin `model` was loaded."""
    collecting = 'LOG.append(("asked", [name for name, _ in agent.collect("undercroft_storage_providers")]))\n        '
    bench.plugin(
        "model",
        "FAILS = False\nINPUTS = ('agent', 'store')\n" + MODEL.replace("if FAILS", collecting + "if FAILS", 1),
    )
    bench.distributions.add(
        "undercroft-store", modules={"throwaway_store": STORE}, stores={"sqlite": "throwaway_store:factory"}
    )
    bench.plugin("shelf", "@hookimpl\ndef undercroft_storage_providers(agent):\n    return {}\n")

    async with opened(bench, "model", Store):
        pass

    assert ("asked", ["shelf"]) in bench.log("model")


async def test_no_lock_is_taken_and_none_is_needed(bench: Bench) -> None:
    bench.data_dir.mkdir(mode=0o700)

    with sole_agent(bench.data_dir):
        async with opened(bench, "store", Store):
            pass


async def test_the_host_is_given_its_identity_if_no_agent_has_done_so_yet(bench: Bench) -> None:
    async with opened(bench, "store", Store):
        pass

    assert (bench.data_dir / "host-id").exists()
    assert not (bench.data_dir / "agent.lock").exists()


async def test_a_start_that_fails_raises_its_error_at_once(bench: Bench) -> None:
    with_model(bench, fails=True)

    with pytest.raises(OSError, match="disk full"):
        async with opened(bench, "model", Store):
            pass

    assert bench.log("model")[-1] == ("client", None)


async def test_a_kind_that_the_model_has_not_is_an_error_at_once(bench: Bench) -> None:
    with pytest.raises(TypeError, match="Role"):
        async with opened(bench, "model", Role):
            pass


async def test_the_bodys_own_error_passes_through(bench: Bench) -> None:
    with pytest.raises(KeyError):
        async with opened(bench, "store", Store):
            raise KeyError


async def test_only_store_and_model_can_be_opened(bench: Bench) -> None:
    with pytest.raises(NotValidError, match="'disk-manager'"):
        async with opened(bench, "disk-manager", Store):
            pass


@pytest.mark.parametrize("config", ['disabled = ["model"]', ""])
async def test_a_model_plugin_that_cannot_be_used_is_named(bench: Bench, config: str) -> None:
    bench.plugin("model", "raise RuntimeError('no')")
    bench.config(config)

    with pytest.raises(ModelUnusableError, match=r"'model' is (disabled|broken)"):
        async with opened(bench, "store", Store):
            pass


async def test_a_model_that_takes_what_only_an_agent_has_is_an_error_at_once(bench: Bench) -> None:
    with_model(bench, inputs='("agent", "store", "elsewhere")')

    with pytest.raises(ModelUnusableError, match="'elsewhere'"):
        async with opened(bench, "model", Store):
            pass


async def test_a_model_that_does_not_come_up_in_time_is_given_up(bench: Bench) -> None:
    with_model(bench)
    bench.distributions.folder.joinpath("throwaway_store.py").write_text(
        STORE.replace("    yield MemoryStore()", "    import asyncio\n    await asyncio.Event().wait()\n    yield")
    )

    with pytest.raises(TimeoutError, match="`model` was not up"):
        async with opened(bench, "model", Store, patience=0.05):
            pass


async def test_a_model_that_is_done_at_once_is_an_error(bench: Bench) -> None:
    with_model(bench)
    path = bench.distributions.folder / "throwaway_model.py"
    path.write_text(path.read_text().replace('ValueWorker(context.get("store", Store))', "FinishedWorker()"))

    with pytest.raises(TimeoutError):
        async with opened(bench, "model", Store, patience=0.1):
            pass
