"""TLS with and without client certificates, and users, against real servers."""

from __future__ import annotations

import asyncio
import base64
import shutil
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from plugins.etcd.tests.certificates import Authority
from plugins.etcd.tests.cluster import INSTALL, Cluster, running

from undercroft.clock import SystemClock
from undercroft_etcd.opening import open_etcd
from undercroft_hookspecs import Compacted, NotValidError, Put, Revision, Store, StoreUnavailable

pytestmark = [pytest.mark.slow]


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Whom the server trusts, and who has signed its certificate."""
    return Authority(tmp_path_factory.mktemp("tls") / "authority")


@pytest.fixture(scope="session", params=["tls", "mtls"])
def secure(request: pytest.FixtureRequest, authority: Authority) -> Iterator[tuple[str, Cluster]]:
    """A server that wants TLS, and one that wants certificates of its clients, too."""
    if shutil.which("etcd") is None:
        pytest.skip(INSTALL)
    cert, key = authority.sign("server")
    options = ["--cert-file", str(cert), "--key-file", str(key)]
    if request.param == "mtls":
        options += ["--client-cert-auth", "--trusted-ca-file", str(authority.ca)]
    with running(1, scheme="https", options=options) as cluster:
        yield request.param, cluster


@pytest.fixture(scope="session")
def guarded() -> Iterator[Cluster]:
    """A server that wants users: root, and `somebody`, who may read and write below /mine/ with the password good."""
    if shutil.which("etcd") is None:
        pytest.skip(INSTALL)
    with running(1) as cluster:
        cluster.ask("auth/user/add", name="root", password="root")
        cluster.ask("auth/user/add", name="somebody", password="good")
        cluster.ask("auth/role/add", name="root")
        cluster.ask("auth/role/add", name="mine")
        key, end = (base64.b64encode(text).decode() for text in (b"/mine/", b"/mine0"))
        cluster.ask("auth/role/grant", name="mine", perm={"permType": "READWRITE", "key": key, "range_end": end})
        cluster.ask("auth/user/grant", user="root", role="root")
        cluster.ask("auth/user/grant", user="somebody", role="mine")
        cluster.ask("auth/enable")
        yield cluster


def opened(url: str, folder: Path) -> AbstractAsyncContextManager[Store]:
    """A store on that URL."""
    return open_etcd(url, data_dir=folder, clock=SystemClock())


async def works(store: Store) -> None:
    """Write, read, watch and lease."""
    lease = await store.lease(30)
    before = (await store.list("")).revision
    async with store.watch("", before) as commits:
        revision = await store.transact([], [Put("key", b"v", lease)])
        commit = await anext(commits)
    assert commit.revision == revision
    await store.renew(lease)
    await store.revoke(lease)
    assert await store.get("key") is None


async def test_tls_works_with_what_the_server_asks_for(
    secure: tuple[str, Cluster], authority: Authority, tmp_path: Path
) -> None:
    kind, cluster = secure
    cert, key = await asyncio.to_thread(authority.sign, "client")
    options = {"cert": str(cert), "key": str(key)} if kind == "mtls" else {}

    async with opened(cluster.url(ca=str(authority.ca), **options), tmp_path) as store:
        await works(store)


@pytest.mark.asyncio(loop_factories=["uvloop"])
@pytest.mark.parametrize("secure", ["tls"], indirect=True)
async def test_a_server_of_another_authority_is_not_trusted(
    secure: tuple[str, Cluster], authority: Authority, tmp_path: Path
) -> None:
    stranger = await asyncio.to_thread(Authority, tmp_path / "stranger")

    async with opened(secure[1].url(ca=str(stranger.ca)), tmp_path) as store:
        with pytest.raises(StoreUnavailable, match=r"(?i)certificate") as raised:
            await store.transact([], [Put("key", b"v")])

    assert not raised.value.outcome_unknown


@pytest.mark.asyncio(loop_factories=["uvloop"])
@pytest.mark.parametrize("secure", ["tls"], indirect=True)
async def test_a_client_without_tls_is_told_that_nobody_answers(secure: tuple[str, Cluster], tmp_path: Path) -> None:
    async with opened(secure[1].url(), tmp_path) as store:
        with pytest.raises(StoreUnavailable):
            await store.get("key")


@pytest.mark.asyncio(loop_factories=["uvloop"])
@pytest.mark.parametrize("secure", ["mtls"], indirect=True)
async def test_a_client_without_a_certificate_is_refused_where_one_is_wanted(
    secure: tuple[str, Cluster], authority: Authority, tmp_path: Path
) -> None:
    async with opened(secure[1].url(ca=str(authority.ca)), tmp_path) as store:
        with pytest.raises(StoreUnavailable):
            await store.get("key")


async def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotValidError, match=r"absent\.pem, which cannot be read: No such file"):
        async with opened("etcd://localhost/?ca=absent.pem", tmp_path):
            pass


def login(folder: Path, password: str = "good") -> dict[str, str]:
    """The options of `somebody`."""
    (folder / "password").write_text(f"{password}\n")
    return {"user": "somebody", "password_file": "password"}


async def test_a_user_works_where_it_may(guarded: Cluster, tmp_path: Path) -> None:
    async with opened(guarded.url(prefix="/mine/", **login(tmp_path)), tmp_path) as store:
        await works(store)


async def test_a_user_may_compact_what_is_the_whole_clusters(guarded: Cluster, tmp_path: Path) -> None:
    async with opened(guarded.url(prefix="/mine/", **login(tmp_path)), tmp_path) as store:
        await store.transact([], [Put("key", b"1")])
        revision = await store.transact([], [Put("key", b"2")])

        await store.compact(revision)

        with pytest.raises(Compacted):
            async with store.watch("", Revision(1)):
                pass


async def test_a_user_is_refused_elsewhere(guarded: Cluster, tmp_path: Path) -> None:
    async with opened(guarded.url(**login(tmp_path)), tmp_path) as store:
        for refused in (
            store.get("/yours"),
            store.transact([], [Put("/yours", b"")]),
            store.watch("/yours", Revision(0)).__aenter__(),
        ):
            with pytest.raises(StoreUnavailable, match="permission denied") as raised:
                await refused
            assert not raised.value.outcome_unknown


async def test_a_wrong_password_is_said(guarded: Cluster, tmp_path: Path) -> None:
    async with opened(guarded.url(prefix="/mine/", **login(tmp_path, "bad")), tmp_path) as store:
        with pytest.raises(StoreUnavailable, match="does not let the user 'somebody' in"):
            await store.get("key")


async def test_nobody_gets_in_without_a_user(guarded: Cluster, tmp_path: Path) -> None:
    async with opened(guarded.url(prefix="/mine/"), tmp_path) as store:
        for refused in (store.get("key"), store.watch("", Revision(0)).__aenter__()):
            with pytest.raises(StoreUnavailable, match="user"):
                await refused


@pytest.mark.asyncio(loop_factories=["uvloop"])
@pytest.mark.allow_leaks("child")
async def test_tokens_that_a_server_has_forgotten_are_replaced(guarded: Cluster, tmp_path: Path) -> None:
    member = guarded.members[0]
    async with opened(guarded.url(prefix="/mine/", **login(tmp_path)), tmp_path) as store:
        first = await store.transact([], [Put("key", b"1")])
        async with store.watch("", first) as commits:
            await asyncio.to_thread(member.kill)
            guarded.start()  # Tokens are kept in memory only.
            await asyncio.to_thread(guarded.wait)

            second = await store.transact([], [Put("key", b"2")])

            async with asyncio.timeout(30):
                assert (await anext(commits)).revision == second


async def test_a_password_in_clear_text_over_the_network_is_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    query = "&".join(f"{name}={value}" for name, value in login(tmp_path).items())

    async with opened(f"etcd://etcd.invalid,127.0.0.1/?{query}", tmp_path):
        pass

    assert "the password of 'somebody' goes to etcd.invalid:2379 in clear text" in caplog.text
