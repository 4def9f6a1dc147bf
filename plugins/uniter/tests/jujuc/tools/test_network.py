"""network-get and unit-get."""

from __future__ import annotations

import pytest
from plugins.uniter.tests.jujuc.tools.fakes import Bench, FakeHook, done, failure, misused

from undercroft_hookspecs.hook_tools import RelationContext
from undercroft_hookspecs.unit_facades import InterfaceAddress, NetworkInfo, NetworkInterface

ETH0 = NetworkInterface(
    name="eth0",
    mac_address="52:54:00:aa:bb:cc",
    addresses=[
        InterfaceAddress(value="10.0.0.5", cidr="10.0.0.0/24"),
        InterfaceAddress(value="fd00::5", cidr="fd00::/64", hostname="here"),
    ],
)
DB = NetworkInfo(
    bind_addresses=["10.0.0.5", "fd00::5"],
    ingress_addresses=["198.51.100.7"],
    egress_subnets=["198.51.100.7/32"],
    interfaces=[ETH0],
)
DB_JSON = (
    '{"bind-addresses":[{"mac-address":"52:54:00:aa:bb:cc","interface-name":"eth0","addresses":'
    '[{"hostname":"","value":"10.0.0.5","cidr":"10.0.0.0/24"},'
    '{"hostname":"here","value":"fd00::5","cidr":"fd00::/64"}]}],'
    '"egress-subnets":["198.51.100.7/32"],"ingress-addresses":["198.51.100.7"]}\n'
)
DB_YAML = """\
bind-addresses:
- mac-address: 52:54:00:aa:bb:cc
  interface-name: eth0
  addresses:
  - hostname: ""
    value: 10.0.0.5
    cidr: 10.0.0.0/24
    address: 10.0.0.5
  - hostname: here
    value: fd00::5
    cidr: fd00::/64
    address: fd00::5
  macaddress: 52:54:00:aa:bb:cc
  interfacename: eth0
egress-subnets:
- 198.51.100.7/32
ingress-addresses:
- 198.51.100.7
"""


@pytest.fixture(autouse=True)
def _bindings(hook: FakeHook) -> None:
    hook.network.bindings = {
        "db": DB,
        "plain": NetworkInfo(bind_addresses=["10.0.0.6"], ingress_addresses=[], egress_subnets=[]),
        "none": NetworkInfo(bind_addresses=[], ingress_addresses=[], egress_subnets=[]),
    }


async def test_a_binding_is_a_document(bench: Bench) -> None:
    assert await bench("network-get", "--format=json", "db") == done(DB_JSON)
    assert await bench("network-get", "db", "--format", "yaml") == done(DB_YAML)
    assert await bench("network-get", "db") == done(DB_YAML)


async def test_what_is_not_known_is_left_out(bench: Bench) -> None:
    assert await bench("network-get", "--format=json", "plain") == done(
        '{"bind-addresses":[{"mac-address":"","interface-name":"",'
        '"addresses":[{"hostname":"","value":"10.0.0.6","cidr":""}]}]}\n'
    )


@pytest.mark.parametrize(
    ("flags", "text"),
    [
        (["--primary-address"], "10.0.0.5\n"),
        (["--bind-address"], "10.0.0.5\n"),
        (["--ingress-address"], "198.51.100.7\n"),
        (["--egress-subnets"], "198.51.100.7/32\n"),
        (["--egress-subnets", "--format=json"], '["198.51.100.7/32"]\n'),
        (["--bind-address", "--ingress-address"], "bind-address: 10.0.0.5\ningress-address: 198.51.100.7\n"),
        (
            ["--ingress-address", "--bind-address", "--egress-subnets", "--format=json"],
            '{"bind-address":"10.0.0.5","egress-subnets":["198.51.100.7/32"],"ingress-address":"198.51.100.7"}\n',
        ),
    ],
)
async def test_flags_ask_for_one_thing_or_several(bench: Bench, flags: list[str], text: str) -> None:
    assert await bench("network-get", *flags, "db") == done(text)


async def test_ingress_is_where_the_unit_listens_if_nowhere_else(bench: Bench) -> None:
    assert await bench("network-get", "plain", "--ingress-address") == done("10.0.0.6\n")
    assert await bench("network-get", "plain", "--egress-subnets") == done()


@pytest.mark.parametrize("flag", ["--bind-address", "--ingress-address", "--egress-subnets"])
async def test_the_primary_address_stands_alone(bench: Bench, flag: str) -> None:
    answer = await bench("network-get", "--primary-address", flag, "db")

    assert answer == failure("--primary-address must be the only flag specified")


@pytest.mark.parametrize("flags", [[], ["--primary-address"], ["--bind-address"]])
@pytest.mark.parametrize("binding", ["unknown", "none"])
async def test_an_unknown_binding_is_an_error(bench: Bench, binding: str, flags: list[str]) -> None:
    answer = await bench("network-get", *flags, binding)

    assert answer == failure(f'no network config found for binding "{binding}"')


async def test_a_binding_has_to_be_named(bench: Bench) -> None:
    assert (await bench("network-get")).code == 2
    assert await bench("network-get", "") == misused("no binding name specified")
    assert await bench("network-get", "db", "x") == misused('unrecognized args: ["x"]')


async def test_a_relation_may_be_named_but_has_to_exist(bench: Bench, hook: FakeHook) -> None:
    hook.relations.add(RelationContext(id=1, endpoint="db", remote_application="mysql", members=()))

    assert await bench("network-get", "--bind-address", "-r", "1", "db") == done("10.0.0.5\n")
    assert await bench("network-get", "-r", "2", "db") == misused('invalid value "2" for option -r: relation not found')


@pytest.mark.parametrize(
    ("key", "form", "text"),
    [
        ("private-address", "smart", "10.0.0.5\n"),
        ("private-address", "yaml", "10.0.0.5\n"),
        ("private-address", "json", '"10.0.0.5"\n'),
        ("public-address", "smart", "198.51.100.7\n"),
        ("public-address", "yaml", "198.51.100.7\n"),
        ("public-address", "json", '"198.51.100.7"\n'),
    ],
)
async def test_the_unit_has_two_addresses(bench: Bench, key: str, form: str, text: str) -> None:
    assert await bench("unit-get", "--format", form, key) == done(text)


@pytest.mark.parametrize("key", ["private-address", "public-address"])
async def test_an_address_that_is_not_known_is_an_error(bench: Bench, hook: FakeHook, key: str) -> None:
    hook.network.private = hook.network.public = ""

    assert await bench("unit-get", key) == failure(f"{key} not set")


async def test_the_unit_has_nothing_else(bench: Bench) -> None:
    assert (await bench("unit-get")).code == 2
    assert (await bench("unit-get", "protected-address")).stderr.startswith('ERROR unknown setting "protected-address"')
    assert (await bench("unit-get", "protected-address")).code == 2
    assert await bench("unit-get", "private-address", "x") == misused('unrecognized args: ["x"]')
