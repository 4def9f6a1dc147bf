from __future__ import annotations

import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from undercroft.agent.host import AgentRunningError, DataFolderError, host_id, make_folders, prepare, sole_agent

HOLDER = """
import sys
from pathlib import Path
from undercroft.agent.host import sole_agent
with sole_agent(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


# Becomes another user; the folders above tmp_path are closed to others, so it is there before it does.
STRANGER = """
import os, sys
from pathlib import Path
from undercroft.agent.host import DataFolderError, prepare
os.chdir(sys.argv[1])
os.setgroups([]); os.setgid(65534); os.setuid(65534)
try:
    prepare(Path("data"))
except DataFolderError as error:
    print(error)
"""


def test_the_data_folder_is_made_closed_to_others(tmp_path: Path) -> None:
    prepare(tmp_path / "deep" / "data")

    assert stat.S_IMODE((tmp_path / "deep" / "data").stat().st_mode) == 0o700


def test_a_data_folder_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    tmp_path.chmod(0o750)

    prepare(tmp_path)

    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o750


def test_a_data_folder_that_everyone_can_write_to_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)

    with pytest.raises(DataFolderError, match="chmod o-w"):
        prepare(tmp_path)


def test_a_file_in_place_of_the_data_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("")

    with pytest.raises(DataFolderError, match=r"data: is not a folder"):
        prepare(tmp_path / "data")


def test_a_data_folder_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(DataFolderError, match="not a directory"):
        prepare(tmp_path / "file" / "data")


@pytest.mark.root
@pytest.mark.parametrize("mode", [0o700, 0o755])
def test_a_data_folder_of_somebody_else_is_refused(tmp_path: Path, mode: int) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "data").mkdir(mode=mode)

    said = subprocess.run(
        [sys.executable, "-c", STRANGER, tmp_path], capture_output=True, text=True, timeout=60, check=False
    )

    assert said.returncode == 0, said.stderr
    assert "data: user 65534 cannot read and write it" in said.stdout


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_a_data_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir(mode=0o500)

    with pytest.raises(DataFolderError, match="cannot read and write"):
        prepare(tmp_path / "data")


def test_a_host_id_is_made_once_and_then_read(tmp_path: Path) -> None:
    first, second = host_id(tmp_path), host_id(tmp_path)

    assert first == second
    assert (tmp_path / "host-id").read_text() == f"{first}\n"
    assert [each.name for each in tmp_path.iterdir()] == ["host-id"]


def test_those_who_ask_for_a_new_host_id_at_once_get_the_same(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = set(pool.map(host_id, [tmp_path] * 32))

    assert len(found) == 1


@pytest.mark.parametrize("content", ["", "not a uuid\n", "0B2FF3A6-5C12-4F0C-8A70-5D4B3B5D1E0F", "\xff\x00"])
def test_a_host_id_that_is_none_is_refused_and_left_alone(tmp_path: Path, content: str) -> None:
    path = tmp_path / "host-id"
    path.write_bytes(content.encode("latin-1"))

    with pytest.raises(DataFolderError, match=r"host-id: .*restore it"):
        host_id(tmp_path)

    assert path.read_bytes() == content.encode("latin-1")


def test_a_host_id_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "host-id").mkdir()

    with pytest.raises(DataFolderError, match=r"host-id: is a directory"):
        host_id(tmp_path)


def test_the_lock_says_who_holds_it_and_is_free_again_afterwards(tmp_path: Path) -> None:
    with sole_agent(tmp_path):
        held = (tmp_path / "agent.lock").read_text()

    with sole_agent(tmp_path):
        pass
    assert held == f"{os.getpid()}\n"


def test_a_second_agent_is_refused_with_the_folder_and_the_pid_of_the_first(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()

        with pytest.raises(AgentRunningError) as caught, sole_agent(tmp_path):
            pass

        holder.kill()
    assert str(tmp_path) in str(caught.value)
    assert f"pid {holder.pid}" in str(caught.value)


def test_a_killed_agent_leaves_no_lock(tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, tmp_path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        holder.kill()

    with sole_agent(tmp_path):
        held = (tmp_path / "agent.lock").read_text()

    assert held == f"{os.getpid()}\n"


def test_a_lock_held_by_nobody_known_is_still_a_lock(tmp_path: Path) -> None:
    with sole_agent(tmp_path):
        (tmp_path / "agent.lock").write_text("")

        with pytest.raises(AgentRunningError, match="an agent runs on"), sole_agent(tmp_path):
            pass


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("precious")
    (tmp_path / "agent.lock").symlink_to(tmp_path / "elsewhere")

    with pytest.raises(DataFolderError, match=r"agent\.lock"), sole_agent(tmp_path):
        pass

    assert (tmp_path / "elsewhere").read_text() == "precious"


def test_folders_are_made_closed_to_others_on_the_whole_way(tmp_path: Path) -> None:
    make_folders([tmp_path / "a" / "b", tmp_path / "a" / "b"])

    assert [stat.S_IMODE(each.stat().st_mode) for each in (tmp_path / "a", tmp_path / "a" / "b")] == [0o700, 0o700]


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")

    with pytest.raises(DataFolderError, match="a/b"):
        make_folders([tmp_path / "a" / "b"])
