"""What charm code finds in its environment: all that Juju gives it, and nothing of the agent's."""

from __future__ import annotations

import pytest
from plugins.uniter.tests.stage import UNIT, Stage

from undercroft_hookspecs.state import MeterStatus
from undercroft_hookspecs.storage_facades import UnitStorage
from undercroft_model.modelconfig import set_model_config
from undercroft_model.tables import METER
from undercroft_uniter.runner.environment import own_base, own_path, proxies

SHOWN = "env -0 | sort -z | tr '\\n\\0' ' \\n'"
ALWAYS = {
    "APT_LISTCHANGES_FRONTEND",
    "CHARM_DIR",
    "CLOUD_API_VERSION",
    "DEBIAN_FRONTEND",
    "HOME",
    "JUJU_AGENT_SOCKET_ADDRESS",
    "JUJU_AGENT_SOCKET_NETWORK",
    "JUJU_API_ADDRESSES",
    "JUJU_AVAILABILITY_ZONE",
    "JUJU_CHARM_DIR",
    "JUJU_CHARM_FTP_PROXY",
    "JUJU_CHARM_HTTPS_PROXY",
    "JUJU_CHARM_HTTP_PROXY",
    "JUJU_CHARM_NO_PROXY",
    "JUJU_CONTEXT_ID",
    "JUJU_DISPATCH_PATH",
    "JUJU_HOOK_NAME",
    "JUJU_MACHINE_ID",
    "JUJU_METER_INFO",
    "JUJU_METER_STATUS",
    "JUJU_MODEL_NAME",
    "JUJU_MODEL_UUID",
    "JUJU_PRINCIPAL_UNIT",
    "JUJU_SLA",
    "JUJU_TARGET_BASE",
    "JUJU_TARGET_SERIES",
    "JUJU_UNIT_NAME",
    "JUJU_VERSION",
    "LANG",
    "NO_PROXY",
    "PATH",
    "TERM",
    "no_proxy",
}
BASH_OWN = {"PWD", "SHLVL", "_", "OLDPWD"}


def parsed(text: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in text.splitlines())
    return {name: value for name, _, value in pairs if name not in BASH_OWN}


async def test_a_hook_has_all_variables_and_no_other(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPERATOR_DISPATCH", "1")
    monkeypatch.setenv("PYTHONPATH", "/nowhere")
    await stage.world.run(set_model_config, {"juju-http-proxy": "http://p:1"})

    found = parsed(await stage.printed(SHOWN))

    assert set(found) == ALWAYS
    assert found["JUJU_VERSION"] == "3.6.9"
    assert found["JUJU_UNIT_NAME"] == UNIT
    assert found["JUJU_MODEL_NAME"] == "test"
    assert found["JUJU_MODEL_UUID"] == str(stage.world.model)
    assert found["JUJU_MACHINE_ID"] == "0"
    assert found["CHARM_DIR"] == found["JUJU_CHARM_DIR"] == str(stage.paths.charm)
    assert found["JUJU_HOOK_NAME"] == "install"
    assert found["JUJU_DISPATCH_PATH"] == "hooks/install"
    assert found["PATH"].startswith(f"{stage.paths.tools}:")
    assert found["JUJU_CHARM_HTTP_PROXY"] == "http://p:1"
    assert found["JUJU_CHARM_FTP_PROXY"] == ""
    assert found["JUJU_PRINCIPAL_UNIT"] == ""
    assert found["JUJU_METER_STATUS"] == "NOT SET"
    assert found["LANG"] == "C.UTF-8"
    assert found["TERM"] == "tmux-256color"
    assert found["JUJU_AGENT_SOCKET_NETWORK"] == "unix"


async def test_a_hook_is_told_what_runs_on_the_machine(stage: Stage) -> None:
    shown = ". /etc/os-release; echo $ID@$VERSION_ID $VERSION_CODENAME; echo $JUJU_TARGET_BASE $JUJU_TARGET_SERIES"

    said, told = (await stage.printed(shown)).splitlines()

    assert told == said


@pytest.mark.parametrize(
    ("release", "told"),
    [
        ({"ID": "ubuntu", "VERSION_ID": "24.04", "VERSION_CODENAME": "noble"}, ("ubuntu@24.04", "noble")),
        ({"ID": "debian"}, ("", "")),
        (None, ("", "")),
    ],
)
def test_a_machine_is_known_by_what_runs_there(
    monkeypatch: pytest.MonkeyPatch, release: dict[str, str] | None, told: tuple[str, str]
) -> None:
    def read() -> dict[str, str]:
        if release is None:
            raise FileNotFoundError
        return release

    monkeypatch.setattr("platform.freedesktop_os_release", read)

    assert own_base() == told


async def test_every_run_has_another_context_id(stage: Stage) -> None:
    first = await stage.printed("echo $JUJU_CONTEXT_ID")
    second = await stage.printed("echo $JUJU_CONTEXT_ID")

    assert first.startswith(f"{UNIT}-install-")
    assert len(first) >= len(f"{UNIT}-install-") + 32
    assert first != second


async def test_the_meter_s_colour_is_told(stage: Stage) -> None:
    red = MeterStatus(code="RED", info="pay")
    await stage.world.change(lambda tx: _put(tx, stage, red))

    assert await stage.printed("echo $JUJU_METER_STATUS $JUJU_METER_INFO") == "RED pay"


async def _put(tx, stage: Stage, status: MeterStatus) -> None:  # type: ignore[no-untyped-def]
    tx.put(METER.of(stage.world.model), "shop", "0", record=status)


async def test_a_hook_of_a_remote_unit_has_the_relation_and_the_unit(stage: Stage) -> None:
    relation = await stage.related()

    found = parsed(
        await stage.printed(
            SHOWN,
            "db-relation-joined",
            kind="relation-joined",
            relation=relation,
            remote_unit="mysql/0",
            remote_application="mysql",
        )
    )

    assert {name: found[name] for name in set(found) - ALWAYS} == {
        "JUJU_RELATION": "db",
        "JUJU_RELATION_ID": f"db:{relation}",
        "JUJU_REMOTE_APP": "mysql",
        "JUJU_REMOTE_UNIT": "mysql/0",
    }


@pytest.mark.parametrize("kind", ["relation-created", "relation-changed", "relation-broken"])
async def test_without_a_remote_unit_its_variable_is_there_and_empty(stage: Stage, kind: str) -> None:
    relation = await stage.related()

    told = await stage.printed(
        "echo [${JUJU_REMOTE_UNIT-none}] $JUJU_REMOTE_APP ${JUJU_DEPARTING_UNIT-none}",
        f"db-{kind}",
        kind=kind,
        relation=relation,
        remote_application="mysql",
    )

    assert told == "[] mysql none"


async def test_a_departing_unit_is_named(stage: Stage) -> None:
    relation = await stage.related()

    told = await stage.printed(
        "echo $JUJU_REMOTE_UNIT $JUJU_DEPARTING_UNIT",
        "db-relation-departed",
        kind="relation-departed",
        relation=relation,
        remote_unit="mysql/0",
        remote_application="mysql",
        departing_unit="shop/0",
    )

    assert told == "mysql/0 shop/0"


async def test_storage_is_told_with_its_place(stage: Stage) -> None:
    stage.attachments.present = [UnitStorage(id="data/1", kind="filesystem", location="/srv/data")]
    stage.storage.ids = frozenset({"data/1"})

    told = await stage.printed(
        "echo $JUJU_STORAGE_ID $JUJU_STORAGE_KIND $JUJU_STORAGE_LOCATION; storage-list; storage-get location",
        "data-storage-attached",
        kind="storage-attached",
        storage="data/1",
    )

    assert told == "data/1 filesystem /srv/data\ndata/1\n/srv/data"


async def test_storage_that_was_not_announced_is_not_listed(stage: Stage) -> None:
    stage.attachments.present = [UnitStorage(id="data/1", kind="filesystem", location="/srv/data")]

    assert await stage.printed("storage-list") == ""


async def test_a_secret_is_told_by_its_uri(stage: Stage) -> None:
    number = "c" * 20

    told = await stage.printed(
        "echo $JUJU_SECRET_ID $JUJU_SECRET_LABEL $JUJU_SECRET_REVISION",
        "secret-remove",
        secret=number,
        secret_label="key",
        secret_revision=4,
    )
    other = await stage.printed("echo $JUJU_SECRET_ID ${JUJU_SECRET_REVISION-none}", "secret-changed", secret=number)

    assert told == f"secret:{number} key 4"
    assert other == f"secret:{number} none"


async def test_an_action_has_no_hook_name_and_its_own_variables(stage: Stage) -> None:
    stage.script("actions/plain", SHOWN)

    ended = await stage.act("plain")

    found = parsed(str(ended.results["stdout"]))
    assert set(found) - ALWAYS == {"JUJU_ACTION_NAME", "JUJU_ACTION_UUID", "JUJU_ACTION_TAG"}
    assert found["JUJU_ACTION_NAME"] == "plain"
    assert found["JUJU_ACTION_UUID"] == str(ended.id)
    assert found["JUJU_HOOK_NAME"] == ""
    assert found["JUJU_DISPATCH_PATH"] == "actions/plain"


async def test_commands_have_no_path_of_a_script(stage: Stage) -> None:
    relation = await stage.related()

    answer = await stage.commands(SHOWN, relation=relation, remote_unit="mysql/1")

    found = parsed(answer.stdout.decode())
    assert set(found) - ALWAYS == {"JUJU_RELATION", "JUJU_RELATION_ID", "JUJU_REMOTE_APP", "JUJU_REMOTE_UNIT"}
    assert ALWAYS - set(found) == {"JUJU_DISPATCH_PATH"}
    assert found["JUJU_HOOK_NAME"] == ""


async def test_the_agent_s_virtual_environment_is_no_charm_s() -> None:
    path = own_path("/opt/agent/bin:/usr/bin:/bin", prefix="/opt/agent", base="/usr")

    assert path == "/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"


async def test_without_a_path_there_is_one() -> None:
    assert own_path("", prefix="/usr", base="/usr").startswith("/bin:/usr/bin")


async def test_proxies_of_the_system_are_there_only_where_they_are_set() -> None:
    found = proxies({"http-proxy": "http://p", "no-proxy": "", "juju-no-proxy": "localhost"})

    assert found == {
        "HTTP_PROXY": "http://p",
        "http_proxy": "http://p",
        "JUJU_CHARM_FTP_PROXY": "",
        "JUJU_CHARM_HTTPS_PROXY": "",
        "JUJU_CHARM_HTTP_PROXY": "",
        "JUJU_CHARM_NO_PROXY": "localhost",
    }
