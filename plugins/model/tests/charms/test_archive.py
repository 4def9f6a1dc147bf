"""Archives that nobody vouches for."""

from __future__ import annotations

import stat
import struct
import zipfile
from pathlib import Path

import pytest
from plugins.model.tests.charms.zips import Zip, charm

from undercroft_model.charms.archive import Limits, open_archive
from undercroft_model.charms.errors import ArchiveError


def _modes(path: Path) -> dict[str, int]:
    with open_archive(path) as archive:
        return {member.name: stat.S_IMODE(member.mode) for member in archive.members}


def _refused(path: Path, message: str, limits: Limits | None = None) -> None:
    with pytest.raises(ArchiveError, match=message), open_archive(path, limits) as archive:
        for member in archive.members:
            if member.info is not None:
                list(archive.chunks(member))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("../evil", r"'\.\./evil': has a name with an empty part, '\.' or '\.\.'"),
        ("a/../../evil", "'..'"),
        ("/etc/evil", "an absolute name"),
        ("", "an empty name"),
        ("a//b", "an empty part"),
        ("a\\..\\b", "a backslash"),
        ("C:\\evil", "a backslash"),
        ("x" * 300, "more than 255 bytes"),
        ("x/" * 2000 + "x", "more than 2048 bytes"),
    ],
)
def test_a_name_that_leads_out_or_cannot_be_is_refused(tmp_path: Path, name: str, message: str) -> None:
    _refused(charm(tmp_path, {name: b"x"}), message)


@pytest.mark.parametrize(
    ("links", "message"),
    [
        ({"a": "/etc/passwd"}, "a is a symbolic link to '/etc/passwd', which is absolute"),
        ({"a": "../x"}, "leads out of the charm"),
        ({"deep/a": "../../x"}, "leads out of the charm"),
        ({"deep/er/up": "../..", "out": "deep/er/up/../x"}, "out is a symbolic link to .* leads out"),
        ({"a": "b", "b": "a"}, "in circles"),
        ({"a": "a/b"}, "in circles"),
        ({"a": ""}, "no path"),
    ],
)
def test_a_link_that_leads_out_is_refused_also_by_way_of_others(
    tmp_path: Path, links: dict[str, str], message: str
) -> None:
    zipped = Zip(tmp_path / "app.charm")
    for name, target in links.items():
        zipped.link(name, target)

    _refused(zipped.close(), message)


def test_a_link_that_stays_inside_is_fine_even_if_nothing_is_there(tmp_path: Path) -> None:
    path = Zip(tmp_path / "app.charm").link("hooks/install", "../src/charm.py").link("x", "./nowhere").close()

    with open_archive(path) as archive:
        assert {m.name: m.target for m in archive.members if m.target} == {
            "hooks/install": "../src/charm.py",
            "x": "./nowhere",
        }


@pytest.mark.parametrize("kind", [stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK])
def test_devices_pipes_and_sockets_are_refused(tmp_path: Path, kind: int) -> None:
    _refused(Zip(tmp_path / "app.charm").add("dev", mode=kind | 0o666).close(), "neither a file, a folder nor")


def test_an_entry_twice_is_refused(tmp_path: Path) -> None:
    _refused(Zip(tmp_path / "app.charm").add("a", b"1").add("./a", b"2").close(), "'./a': is in the archive twice")


@pytest.mark.parametrize("first", ["file", "link"])
def test_an_entry_beneath_what_is_no_folder_is_refused(tmp_path: Path, first: str) -> None:
    zipped = Zip(tmp_path / "app.charm")
    zipped = zipped.add("a", b"x") if first == "file" else zipped.link("a", "b")

    _refused(zipped.add("a/b/c", b"x").close(), "lies in a, which is no folder")


def test_modes_are_the_owner_s_and_nothing_special(tmp_path: Path) -> None:
    zipped = Zip(tmp_path / "app.charm")
    for name, mode in {"a": 0o4755, "b": 0o666, "c": 0o100, "d": 0o600}.items():
        zipped.add(name, mode=stat.S_IFREG | mode)
    zipped.add("e/", mode=stat.S_IFDIR | 0o1777)

    assert _modes(zipped.close()) == {"a": 0o755, "b": 0o644, "c": 0o755, "d": 0o644, "e": 0o755}


def test_an_archive_from_elsewhere_has_executable_hooks(tmp_path: Path) -> None:
    zipped = Zip(tmp_path / "app.charm")
    for name in ("hooks/install", "dispatch", "src/x.py"):
        zipped.add(name, mode=0, system=0)

    modes = _modes(zipped.close())
    assert (modes["hooks/install"], modes["dispatch"], modes["src/x.py"]) == (0o755, 0o755, 0o644)


def test_a_bomb_is_refused_by_what_it_says_it_becomes(tmp_path: Path) -> None:
    path = charm(tmp_path, {"bomb": b"\0" * (20 * 1024 * 1024)})

    _refused(path, "over 250 times its packed size")


def test_a_charm_that_becomes_too_large_is_refused(tmp_path: Path) -> None:
    path = charm(tmp_path, {"a": b"x" * 600, "b": b"x" * 600})

    _refused(path, "more than 1000 bytes", Limits(total_bytes=1000))


def test_too_many_entries_are_refused(tmp_path: Path) -> None:
    _refused(charm(tmp_path, {str(i): b"" for i in range(10)}), "has 11 entries", Limits(entries=10))


def test_a_bomb_that_lies_about_its_size_is_refused(tmp_path: Path) -> None:
    path = charm(tmp_path, {"bomb": b"\0" * 1_000_000})
    data = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        at = data.rindex(signature)
        data[at + offset : at + offset + 4] = struct.pack("<I", 10)
    path.write_bytes(data)

    _refused(path, "is damaged")


@pytest.mark.parametrize("where", [200, 40])
def test_damage_is_found(tmp_path: Path, where: int) -> None:
    path = charm(tmp_path, {"a": bytes(range(256)) * 4})
    data = bytearray(path.read_bytes())
    data[where] ^= 0xFF
    path.write_bytes(data)

    _refused(path, r"app\.charm")


def test_half_an_archive_is_refused(tmp_path: Path) -> None:
    path = charm(tmp_path, {"a": b"x" * 5000})
    path.write_bytes(path.read_bytes()[:-100])

    _refused(path, "cannot be read as a zip")


def test_an_encrypted_entry_is_refused(tmp_path: Path) -> None:
    path = charm(tmp_path)
    data = bytearray(path.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)

    _refused(path, "is encrypted")


def test_an_unusual_compression_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "app.charm"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as zipped:
        zipped.writestr("metadata.yaml", "name: app")

    _refused(path, "in an unusual way")


def test_what_is_not_there_or_no_zip_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.charm").write_text("no zip")

    _refused(tmp_path / "none.charm", "cannot be opened")
    _refused(tmp_path / "text.charm", "is no charm: it cannot be read as a zip")
