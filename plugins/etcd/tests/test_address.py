"""What URLs mean, and what is said of those that mean nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from undercroft_etcd.address import Endpoint, parse_address
from undercroft_hookspecs import NotValidError

DATA = Path("/data")


def test_a_host_is_enough() -> None:
    address = parse_address("etcd://etcd1", data_dir=DATA)

    assert address.endpoints == (Endpoint("etcd1", 2379),)
    assert not address.is_encrypted


def test_endpoints_keep_their_order() -> None:
    address = parse_address("etcd://a:1,[::1]:2,10.0.0.1,[fe80::1]/", data_dir=DATA)

    assert [endpoint.target for endpoint in address.endpoints] == [
        "dns:///a:1",
        "ipv6:[::1]:2",
        "ipv4:10.0.0.1:2379",
        "ipv6:[fe80::1]:2379",
    ]


def test_files_are_meant_from_the_data_folder() -> None:
    url = "etcd://a/?ca=ca.pem&cert=/etc/c.pem&key=k.pem&user=u&password_file=p&prefix=/x%20y"

    address = parse_address(url, data_dir=DATA)

    assert (address.ca, address.cert, address.key) == (DATA / "ca.pem", Path("/etc/c.pem"), DATA / "k.pem")
    assert (address.user, address.password_file, address.prefix) == ("u", DATA / "p", "/x y")


@pytest.mark.parametrize(("query", "is_encrypted"), [("ca=a", True), ("tls=yes", True), ("tls=no", False), ("", False)])
def test_an_authority_or_the_option_means_tls(query: str, is_encrypted: bool) -> None:
    assert parse_address(f"etcd://a/?{query}", data_dir=DATA).is_encrypted is is_encrypted


@pytest.mark.parametrize(("query", "compacts"), [("compact=yes", True), ("compact=no", False), ("", True)])
def test_the_history_is_compacted_unless_that_is_left_to_others(query: str, compacts: bool) -> None:
    assert parse_address(f"etcd://a/?{query}", data_dir=DATA).compacts is compacts


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("etcd:", "expected 'etcd://HOST"),
        ("etcd:///", "expected 'etcd://HOST"),
        ("etcd://a/b", "expected 'etcd://HOST"),
        ("etcd://a#b", "expected 'etcd://HOST"),
        ("sqlite:", "expected 'etcd://HOST"),
        ("etcd://[", "not the URL"),
        ("etcd://u:p@a/", "no place for a user or password"),
        ("etcd://a,,b", "it has no host"),
        ("etcd://:2379", "it has no host"),
        ("etcd://a:x", "its port"),
        ("etcd://a/?compact=1h", "the option 'compact' is 'yes' or 'no', not '1h'"),
        ("etcd://a:0", "its port"),
        ("etcd://a:65536", "its port"),
        ("etcd://::1", "in brackets"),
        ("etcd://a,a:2379", "named twice"),
        ("etcd://a/?port=1", "no option 'port'; there are ca, cert"),
        ("etcd://a/?tls=maybe", "is 'yes' or 'no'"),
        ("etcd://a/?tls=no&ca=x", "means TLS"),
        ("etcd://a/?cert=x", "'cert' and 'key' go together"),
        ("etcd://a/?user=x", "'user' and 'password_file' go together"),
        ("etcd://a/?ca=", "'ca' is empty"),
        ("etcd://a/?ca=x&ca=y", "given twice"),
        ("etcd://a/?ca", "NAME=VALUE"),
        ("etcd://a/?prefix=%00", "no NUL"),
        ("etcd://a/?prefix=" + "x" * 300, "at most 256 bytes"),
    ],
)
def test_what_is_no_url_is_refused_with_the_reason(url: str, why: str) -> None:
    with pytest.raises(NotValidError) as refused:
        parse_address(url, data_dir=DATA)

    assert why in str(refused.value)


@pytest.mark.parametrize(("host", "is_here"), [("localhost", True), ("127.0.0.9", True), ("::1", True), ("a", False)])
def test_what_stays_on_this_machine_is_known(host: str, is_here: bool) -> None:
    assert Endpoint(host, 1).is_here is is_here
