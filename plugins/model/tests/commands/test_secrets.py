from __future__ import annotations

import base64
from pathlib import Path

from plugins.model.tests.commands.conftest import CommandLine


def add(undercroft: CommandLine, name: str = "db", *words: str) -> str:
    """Add a secret; its id."""
    return undercroft.ok("add-secret", name, *(words or ("password=hunter2",))).out.strip().removeprefix("secret:")


def held(undercroft: CommandLine, name: str, *words: str) -> object:
    """What a secret holds."""
    (entry,) = undercroft.json("show-secret", name, "--reveal", *words).values()
    return entry["content"]["Data"]


def test_a_secret_is_shown_by_its_name_and_its_uri(undercroft: CommandLine) -> None:
    number = add(undercroft, "db", "password=a=b", "--info", "of the database")

    by_name = undercroft.json("show-secret", "db")
    assert by_name == undercroft.json("show-secret", f"secret:{number}")
    assert by_name[number]["owner"] == "<model>"
    assert (by_name[number]["name"], by_name[number]["description"]) == ("db", "of the database")
    assert held(undercroft, "db") == {"password": "a=b"}


def test_what_a_secret_holds_is_neither_shown_unasked_nor_stored_in_the_open(undercroft: CommandLine) -> None:
    number = add(undercroft)

    shown = [undercroft.ok(*words).out for words in (("secrets",), ("show-secret", "db"), ("export",))]
    assert not any("hunter2" in text for text in shown)
    assert not any(b"hunter2" in value for value in undercroft.stored().values())
    assert any(number in key for key in undercroft.stored())


def test_values_come_from_files_and_base64(undercroft: CommandLine) -> None:
    Path("key.pem").write_text("KEY\n")
    encoded = base64.b64encode(b"plain").decode()

    add(undercroft, "db", "private-key#file=key.pem", f"token#base64={encoded}")

    assert held(undercroft, "db") == {"private-key": "KEY\n", "token": "plain"}
    assert "is not base64" in undercroft.refused("add-secret", "other", "token#base64=!")


def test_new_content_is_a_new_revision_and_equal_content_is_none(undercroft: CommandLine) -> None:
    number = add(undercroft)

    undercroft.ok("update-secret", "db", "--file", "-", stdin="password: hunter3\n")
    undercroft.ok("update-secret", "db", "password=hunter3", "--info", "changed")

    assert [each["revision"] for each in undercroft.json("show-secret", "db", "--revisions")[number]["revisions"]] == [
        1,
        2,
    ]
    assert held(undercroft, "db", "--revision", "1") == {"password": "hunter2"}
    assert held(undercroft, "db") == {"password": "hunter3"}


def test_a_secret_is_renamed_and_a_name_is_taken_once(undercroft: CommandLine) -> None:
    add(undercroft, "one")
    add(undercroft, "two")

    undercroft.ok("update-secret", "one", "--name", "three")
    assert held(undercroft, "three") == {"password": "hunter2"}
    assert "already exists" in undercroft.refused("update-secret", "three", "--name", "two")
    assert "already exists" in undercroft.refused("add-secret", "two", "x-y-z=1")
    assert 'secret "one" not found (not found)' in undercroft.refused("show-secret", "one")


def test_a_secret_is_granted_and_revoked(undercroft: CommandLine, server: str, client: str) -> None:
    number = add(undercroft)
    undercroft.ok("deploy", server)
    undercroft.ok("deploy", client)

    undercroft.ok("grant-secret", "db", "server,client")
    undercroft.ok("revoke-secret", "db", "client")

    (access,) = undercroft.json("show-secret", "db")[number]["access"]
    assert (access["target"], access["role"]) == ("application-server", "view")
    assert 'application "absent" not found' in undercroft.refused("grant-secret", "db", "client,absent")
    assert len(undercroft.json("show-secret", "db")[number]["access"]) == 1


def test_secrets_are_listed_by_their_owner(undercroft: CommandLine) -> None:
    number = add(undercroft)

    assert list(undercroft.json("secrets", "--owner", "model-x")) == [number]
    assert undercroft.json("secrets", "--owner", "application-server") == {}
    assert undercroft.ok("secrets").out.splitlines()[1].split()[:5] == [number, "db", "<model>", "never", "1"]


def test_a_removed_secret_leaves_no_key_behind(undercroft: CommandLine, server: str) -> None:
    undercroft.ok("deploy", server)
    before = set(undercroft.stored())
    add(undercroft)
    undercroft.ok("update-secret", "db", "password=hunter3")
    undercroft.ok("grant-secret", "db", "server")

    undercroft.ok("remove-secret", "db", "--revision", "1")
    assert held(undercroft, "db") == {"password": "hunter3"}
    undercroft.ok("remove-secret", "db")

    assert set(undercroft.stored()) == before


def test_what_is_wrong_with_a_secret_is_said(undercroft: CommandLine) -> None:
    add(undercroft)

    assert "missing secret value" in undercroft.refused("add-secret", "empty")
    assert "is not a key of a secret" in undercroft.refused("add-secret", "short", "a=1")
    assert "not both" in undercroft.refused("show-secret", "db", "--reveal", "--revisions")
    assert "not found (not found)" in undercroft.refused("show-secret", "db", "--revision", "9")
    assert "not found (not found)" in undercroft.refused("remove-secret", "absent")
    undercroft.refused("add-secret", "db", "password", code=2)
