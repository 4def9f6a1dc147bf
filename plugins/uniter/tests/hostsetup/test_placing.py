"""What `undercroft host-setup` puts in place, below a root of the test's own."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path, PurePosixPath

import pytest
from click.testing import CliRunner

from undercroft.process import SystemProcess
from undercroft_hookspecs import NotValidError
from undercroft_uniter.hostsetup import placing
from undercroft_uniter.hostsetup.command import host_setup
from undercroft_uniter.hostsetup.programs import Program, juju_version, programs

TOOL = Program(PurePosixPath("usr/bin/tool"), b"one\n")
OTHER = Program(PurePosixPath("opt/deep/down/other"), b"other\n")


def files(root: Path) -> set[str]:
    """All that is there, but for folders."""
    return {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir() or path.is_symlink()}


def test_programs_are_put_in_place_executable(tmp_path: Path) -> None:
    put = placing.put(tmp_path, [TOOL, OTHER])

    assert put == [tmp_path / "usr/bin/tool", tmp_path / "opt/deep/down/other"]
    assert put[0].read_bytes() == b"one\n"
    assert put[0].stat().st_mode & 0o777 == 0o755


def test_removal_leaves_nothing_of_ours_behind(tmp_path: Path) -> None:
    placing.put(tmp_path, [TOOL, OTHER])

    gone, left = placing.remove(tmp_path)

    assert (sorted(gone), left) == ([tmp_path / "opt/deep/down/other", tmp_path / "usr/bin/tool"], [])
    assert list(tmp_path.iterdir()) == []


def test_removal_leaves_what_was_there_before(tmp_path: Path) -> None:
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "opt").mkdir()

    placing.put(tmp_path, [TOOL, OTHER])
    (tmp_path / "usr/bin/theirs").write_text("theirs")
    placing.remove(tmp_path)

    assert files(tmp_path) == {"usr/bin/theirs"}
    assert (tmp_path / "opt").is_dir()
    assert not (tmp_path / "opt/deep").exists()


@pytest.mark.parametrize("kind", ["file", "link", "broken link", "folder"])
def test_what_is_somebody_elses_is_not_overwritten_and_nothing_else_is_changed(tmp_path: Path, kind: str) -> None:
    path = tmp_path / TOOL.path
    path.parent.mkdir(parents=True)
    if kind == "file":
        path.write_text("theirs")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to("elsewhere")
    if kind == "link":
        path.with_name("elsewhere").write_text("theirs")
    before = files(tmp_path)

    with pytest.raises(placing.NotOurs, match="usr/bin/tool is in the way"):
        placing.put(tmp_path, [OTHER, TOOL])

    assert files(tmp_path) == before


def test_a_new_version_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    placing.put(tmp_path, [TOOL])

    placing.put(tmp_path, [Program(TOOL.path, b"two\n")])

    assert (tmp_path / TOOL.path).read_bytes() == b"two\n"
    placing.remove(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_what_somebody_has_changed_since_is_left_and_named(tmp_path: Path) -> None:
    placing.put(tmp_path, [TOOL, OTHER])
    (tmp_path / TOOL.path).write_text("changed")

    with pytest.raises(placing.NotOurs):
        placing.put(tmp_path, [TOOL])
    gone, left = placing.remove(tmp_path)

    assert (gone, left) == ([tmp_path / OTHER.path], [tmp_path / TOOL.path])
    assert files(tmp_path) == {"usr/bin/tool"}


def test_what_was_cut_off_between_the_record_and_the_files_is_gone_on_with(tmp_path: Path) -> None:
    placing.put(tmp_path, [TOOL])
    new = Program(TOOL.path, b"two\n")
    digests = ", ".join(f'"{hashlib.sha256(program.content).hexdigest()}"' for program in (TOOL, new))
    (tmp_path / placing.RECORD).write_text(f'{{"files": {{"usr/bin/tool": [{digests}]}}}}')

    placing.put(tmp_path, [new])

    assert (tmp_path / TOOL.path).read_bytes() == b"two\n"


def test_a_link_out_of_the_root_is_not_followed(tmp_path: Path) -> None:
    root, outside = tmp_path / "root", tmp_path / "outside"
    root.mkdir()
    outside.mkdir()
    (root / "usr").symlink_to(outside)

    with pytest.raises(NotValidError, match="leads out of"):
        placing.put(root, [TOOL])

    assert list(outside.iterdir()) == []


def test_a_damaged_record_is_named_and_nothing_is_changed(tmp_path: Path) -> None:
    placing.put(tmp_path, [TOOL])
    (tmp_path / placing.RECORD).write_text("{")

    with pytest.raises(NotValidError, match=r"undercroft-host-setup\.json is damaged"):
        placing.remove(tmp_path)

    assert (tmp_path / TOOL.path).exists()


def test_removing_what_was_never_there_is_nothing(tmp_path: Path) -> None:
    assert placing.remove(tmp_path) == ([], [])


async def test_the_stand_in_for_jujud_says_its_version(tmp_path: Path) -> None:
    *_, jujud = placing.put(tmp_path, programs(tmp_path / "data"))

    done = await SystemProcess().run([str(jujud), "version"], timeout=30)
    other = await SystemProcess().run([str(jujud), "machine"], timeout=30, check=False)

    assert done.stdout.decode() == f"{juju_version()}\n"
    assert juju_version().startswith("3.6.9-ubuntu-")
    assert (other.returncode, other.stdout) == (2, b"")
    # charmhelpers looks for it so.
    assert list(tmp_path.glob("var/lib/juju/tools/machine-*/jujud")) == [jujud]


@pytest.mark.skipif(os.geteuid() == 0, reason="run by root: root may change this machine")
def test_this_machine_is_changed_by_root_alone() -> None:
    result = CliRunner().invoke(host_setup, [])

    assert result.exit_code == 1
    assert "only root" in result.output
