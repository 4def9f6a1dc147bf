"""Every tool called from a charm's scripts: real processes, the real client and server, a real model in SQLite."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from plugins.uniter.tests.stage import Stage, open_stage

from undercroft.testing import FakeClock
from undercroft_hookspecs.hook_facades import HookChanges, HookFacade, SecretFacade
from undercroft_hookspecs.relation_facades import LeadershipFacade, RelationFacade
from undercroft_hookspecs.storage_facades import UnitStorage
from undercroft_hookspecs.unit_facades import NetworkFacade, StatusFacade, UnitFacade
from undercroft_model.rows import Resource
from undercroft_model.tables import APPLICATIONS, RESOURCES
from undercroft_model.transaction import Transaction
from undercroft_uniter.jujuc.tools.catalogue import builtin_tools

HOOK = """
set -eu
config-get colour
config-get --format=json
goal-state --format=json | grep -o '"shop/1"'
unit-get private-address
network-get db --ingress-address
network-get --format=json db | grep -o '"value":"10.0.0.1"'
juju-log -l WARNING "a line"
application-version-set 1.2.3
status-set waiting "for db"
status-get --include-data --format=json
opened-ports
open-port 80/tcp
open-port icmp
open-port --endpoints db 8000-8010/udp
close-port icmp
opened-ports --endpoints
state-set --file - <<< '{"emoji": "\\ud83d\\ude00", "b": "2"}'
state-set a=1
state-delete b
state-get --format=json
storage-list
storage-add data=2
payload-register docker web id1
payload-status-set web id1 running
payload-unregister web id1
! credential-get 2> refused
cat refused
"""
HOOK_SAYS = """\
red
{"colour":"red"}
"shop/1"
10.0.0.1
10.0.0.1
"value":"10.0.0.1"
{"message":"for db","status":"waiting","status-data":{}}
80/tcp (*)
8000-8010/udp (db)
{"a":"1","emoji":"\U0001f600"}
ERROR cannot access cloud credentials: the application is not trusted"""

LEADER = """
set -eu
is-leader
leader-set a=1 b=2
leader-get
leader-set a=
leader-get --format=json -
status-set --application=True active -- "all is well"
status-get --application --include-data --format=json | grep -o '"message":"all is well"'
id=$(secret-add --label db-password --owner application --rotate daily password=hunter2 user=me)
secret-ids
secret-get "$id" --format=json
secret-get --label db-password | grep user
secret-set "$id" password=hunter3 user=me
secret-get "$id" --peek password
secret-info-get --label db-password --format=json | grep -o '"revision":[0-9]*,"label":"db-password"'
secret-grant "$id" -r RELATION
secret-revoke "$id" --app mysql
other=$(secret-add --owner unit one=1one)
secret-remove "$other"
secret-get "$other" 2>&1 | sed "s/${other#secret:}/ID/"
"""

RELATION = """
set -eu
relation-ids
relation-list
relation-list --app
relation-get host
relation-get --format=json - mysql/0 | grep -o '"host":"h0"'
relation-set --file - <<< 'user: shop'
relation-set database=orders ingress-address=
relation-get - shop/0 --format=json
relation-model-get --format=json
! relation-get -r 9999 2>&1
! relation-set --app a=b 2>&1
! relation-get --app - shop 2>&1
juju-log "a line"
"""

ACTION = """
set -eu
action-get where
action-get --format=json
action-log half way
action-set size=5 deep.er="a b"
! juju-reboot 2>&1
function-get level
function-log nearly
function-set done=yes
function-fail early
action-fail "out of space"
"""

STORAGE = """
set -eu
storage-list --format=json
storage-get location
storage-get -s data/1 --format=json
cat "$(resource-get blob)"
! add-metric users=1 2>&1
juju-reboot
"""


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """The unit that the scripts are of."""
    async with open_stage(tmp_path) as made:
        (made.paths.charm / "metadata.yaml").write_text("name: shop\npayloads: {web: {type: docker}}\n")
        yield made


async def test_a_hook_calls_what_every_hook_may(stage: Stage) -> None:
    said = await stage.printed(HOOK)

    assert said == HOOK_SAYS
    assert stage.log.said(logging.WARNING, "juju-log") == ["a line"]
    unit = await stage.of("shop/0", UnitFacade).unit()
    assert unit.workload_version == "1.2.3"
    status = await stage.of("shop/0", StatusFacade).workload_status()
    assert (status.current, status.message) == ("waiting", "for db")
    opened = await stage.of("shop/0", NetworkFacade).opened_ports()
    assert [f"{one}@{one.endpoint}" for one in opened] == ["80/tcp@", "8000-8010/udp@db"]
    assert await stage.of("shop/0", HookFacade).charm_state() == {"a": "1", "emoji": "\U0001f600"}


async def test_a_trusted_application_sees_the_cloud_that_its_machines_are(stage: Stage) -> None:
    async def trust(tx: Transaction) -> None:
        table = APPLICATIONS.of(stage.world.model)
        shop = await tx.get(table, "shop")
        assert shop is not None
        tx.put(table, "shop", record=msgspec.structs.replace(shop, trust=True))

    await stage.world.change(trust)

    assert await stage.printed("credential-get --format=json") == (
        '{"credential":{"attrs":{},"auth-type":"empty","redacted":[]},"name":"localhost","region":"localhost","type":"manual"}'
    )


async def test_a_leader_speaks_for_its_application_and_keeps_its_secrets(stage: Stage) -> None:
    relation = await stage.related()
    await stage.lead()

    said = await stage.printed(LEADER.replace("RELATION", str(relation)))

    lines = said.splitlines()
    assert re.fullmatch(r"[0-9a-v]{20}", lines.pop(5))
    assert lines == [
        "True",
        'a: "1"',
        'b: "2"',
        '{"b":"2"}',
        '"message":"all is well"',
        '{"password":"hunter2","user":"me"}',
        "user: me",
        "hunter3",
        '"revision":1,"label":"db-password"',
        'ERROR secret "ID" not found',
    ]
    (kept,) = await stage.of("shop/0", SecretFacade).owned_secrets()
    assert (kept.secret.label, kept.secret.rotation, kept.secret.latest) == ("db-password", "daily", 1)
    assert await stage.of("shop/1", LeadershipFacade).leader_settings() == {"b": "2"}


async def test_a_relation_s_hook_speaks_and_listens(stage: Stage) -> None:
    relation = await stage.related()
    await stage.of("mysql/0", HookFacade).commit(HookChanges(unit_settings={relation: {"host": "h0"}}))

    said = await stage.printed(
        RELATION,
        "db-relation-changed",
        kind="relation-changed",
        relation=relation,
        remote_unit="mysql/0",
        remote_application="mysql",
    )

    own = '{"database":"orders","egress-subnets":"10.0.0.1/32","private-address":"10.0.0.1","user":"shop"}'
    assert said.splitlines() == [
        f"db:{relation}",
        "mysql/0",
        "mysql/1",
        "mysql",
        "h0",
        '"host":"h0"',
        own,
        f'{{"uuid":"{stage.world.model}"}}',
        'ERROR invalid value "9999" for option -r: relation not found',
        "ERROR cannot write relation settings",
        "ERROR permission denied",
    ]
    assert stage.log.said(logging.INFO, "juju-log") == [f"db:{relation}: a line"]
    settings = await stage.of("mysql/0", RelationFacade).read_settings(relation, "shop/0")
    assert (settings["database"], settings["user"], "ingress-address" in settings) == ("orders", "shop", False)


async def test_an_action_has_parameters_progress_results_and_a_failure(stage: Stage) -> None:
    stage.script("actions/backup", ACTION)

    task = await stage.act("backup", level=3)

    assert task.status == "failed"
    assert task.message == "out of space"
    assert [line for _, line in task.log] == ["half way", "nearly"]
    assert task.results["size"] == "5"
    assert task.results["done"] == "yes"
    assert task.results["deep"] == {"er": "a b"}
    assert task.results["stdout"] == (
        '/var\n{"deep":{"er":"x"},"level":3,"where":"/var"}\n'
        "ERROR juju-reboot is not supported when running an action\n3\n"
    )


async def test_a_storage_s_hook_sees_storage_and_resources(stage: Stage) -> None:
    stage.attachments.present = [UnitStorage(id="data/1", kind="filesystem", location="/srv/data")]
    stage.storage.ids = frozenset(("data/1",))
    content = b"the resource's content"
    sha256 = hashlib.sha256(content).hexdigest()
    stage.blobs.content[sha256] = content
    blob = Resource(sha256=sha256, size_bytes=len(content), filename="blob.txt")

    async def attach(tx: Transaction) -> None:
        tx.put(RESOURCES.of(stage.world.model), "shop", "blob", record=blob)

    await stage.world.change(attach)
    stage.script("hooks/data-storage-attached", STORAGE)
    ending = await stage.hook(name="data-storage-attached", kind="storage-attached", storage="data/1")

    said = stage.log.said(logging.DEBUG, "data-storage-attached")
    assert said == [
        '["data/1"]',
        "/srv/data",
        '{"kind":"filesystem","location":"/srv/data"}',
        content.decode() + "ERROR cannot add metrics: they are allowed in the hook collect-metrics only",
    ]
    assert (ending.failure, ending.reboot) == ("", "after")


def test_every_tool_was_called() -> None:
    scripts = HOOK + LEADER + RELATION + ACTION + STORAGE

    assert not [name for name in builtin_tools(clock=FakeClock()) if not re.search(rf"\b{name}\b", scripts)]
