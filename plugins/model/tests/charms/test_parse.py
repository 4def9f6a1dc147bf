"""The typed charm, from its files."""

from __future__ import annotations

import pytest

from undercroft_hookspecs.charm import Charm, EndpointSpec, OptionSpec, ResourceSpec, StorageSpec
from undercroft_model.charms.errors import CharmFileError
from undercroft_model.charms.parse import parse_charm


def _charm(metadata: str = "", **others: str) -> Charm:
    files = {"metadata.yaml": "name: app\n" + metadata}
    files |= {f"{name}.yaml" if name != "version" else name: text for name, text in others.items()}
    return parse_charm({name: text.encode() for name, text in files.items()})


def test_the_least_charm_has_a_name_alone() -> None:
    assert _charm() == Charm(name="app", sha256="")


@pytest.mark.parametrize("name", ["App", "9app", "app-1", "-app", "app_x", "juju/app", "a b", "../app", "a" * 300])
def test_a_name_that_juju_refuses_is_refused(name: str) -> None:
    with pytest.raises(CharmFileError, match=r"metadata\.yaml: name .*: expected the name of a charm"):
        parse_charm({"metadata.yaml": f"name: {name}".encode()})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "found an empty file"),
        ("summary: x", "name: expected the charm's name, found nothing"),
        ("- a", "expected a mapping, found a list"),
        ("just words", "expected a mapping, found 'just words'"),
    ],
)
def test_metadata_without_a_name_is_refused(text: str, message: str) -> None:
    with pytest.raises(CharmFileError, match=message):
        parse_charm({"metadata.yaml": text.encode()})


def test_an_endpoint_is_a_mapping_or_its_interface_alone() -> None:
    charm = _charm(
        """
provides:
  website: http
requires:
  db: {interface: mysql, limit: 1, optional: true}
  host: {interface: juju-info, scope: container}
peers:
  cluster_2: {interface: cluster}
"""
    )

    assert charm.endpoints == {
        "website": EndpointSpec(name="website", interface="http", role="provider"),
        "db": EndpointSpec(name="db", interface="mysql", role="requirer", limit=1, optional=True),
        "host": EndpointSpec(name="host", interface="juju-info", role="requirer", scope="container"),
        "cluster_2": EndpointSpec(name="cluster_2", interface="cluster", role="peer"),
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("provides: {juju-x: http}", "does not begin with 'juju'"),
        ("requires: {juju: http}", "does not begin with 'juju'"),
        ("provides: {x: juju-info}", "an interface that does not begin with 'juju'"),
        ("provides: {x: a}\nrequires: {x: b}", r"requires\.x .*each endpoint's name once"),
        ("provides: {X: a}", "the name of an endpoint"),
        ("provides: {x: {scope: container}}", r"provides\.x .*`interface`"),
        ("provides: {x: {interface: a, scope: planet}}", r"scope .*'global' or 'container', found 'planet'"),
        ("provides: {x: {interface: a, limit: many}}", r"limit .*a whole number, found 'many'"),
        ("provides: {x: {interface: a, optional: perhaps}}", "true or false"),
        ("provides: [x]", "expected a mapping, found a list"),
        ("subordinate: true", r"requires: expected an endpoint of scope 'container'"),
        ("subordinate: maybe", "true or false"),
        ("extra-bindings: {x: y}", "nothing behind the name"),
        ("extra-bindings: {x: }\nprovides: {x: http}", "that no endpoint has"),
        ("min-juju-version: new", "a version like"),
        ("charm-user: wizard", "'root' or 'sudoer' or 'non-root'"),
        ("resources: {r: {type: file}}", r"resources\.r\.filename"),
        ("resources: {r: {type: file, filename: a/b}}", "a name without a folder"),
        ("resources: {../r: {filename: a}}", "the name of a resource"),
        ("resources: {r: {type: spaceship}}", "found 'spaceship'"),
        ("series: jammy", "expected a list, found 'jammy'"),
        ("devices: {gpu: {countmin: 2, countmax: 1, type: gpu}}", "countmin <= countmax"),
    ],
)
def test_metadata_that_is_wrong_is_refused_with_its_key(text: str, message: str) -> None:
    with pytest.raises(CharmFileError, match=message):
        _charm(text)


def test_a_subordinate_may_require_juju_s_own_names_within_its_container() -> None:
    charm = _charm("subordinate: true\nrequires:\n  juju-info: {interface: juju-info, scope: container}")

    assert charm.subordinate
    assert charm.endpoints["juju-info"].scope == "container"


@pytest.mark.parametrize(
    ("written", "least", "most"),
    [("1", 1, 1), ("3", 3, 3), ("0-", 0, None), ("2+", 2, None), ("0-1", 0, 1), ("1-4", 1, 4)],
)
def test_a_range_of_storage_is_read(written: str, least: int, most: int | None) -> None:
    store = _charm(f"storage: {{data: {{type: block, multiple: {{range: {written}}}}}}}").storage["data"]

    assert (store.minimum, store.maximum) == (least, most)


@pytest.mark.parametrize(
    ("written", "mib"), [("512", 512), ("64M", 64), ("10G", 10240), ("1.5GiB", 1536), ("2TB", 2097152), ("0.3M", 1)]
)
def test_a_size_of_storage_is_read_in_mebibytes(written: str, mib: int) -> None:
    store = _charm(f"storage: {{data: {{type: block, minimum-size: {written}}}}}").storage["data"]

    assert store.minimum_size_mib == mib


def test_all_that_storage_can_say_is_read() -> None:
    charm = _charm(
        """
storage:
  big-data:
    type: filesystem
    description: Much.
    shared: true
    read-only: true
    location: /srv//data/
    properties: [transient]
"""
    )

    assert charm.storage == {
        "big-data": StorageSpec(
            description="Much.", shared=True, read_only=True, location="/srv/data", properties=("transient",)
        )
    }


@pytest.mark.parametrize(
    ("store", "message"),
    [
        ("{}", "`type`"),
        ("{type: tape}", "found 'tape'"),
        ("{type: block, location: /srv}", "no location for a store of type 'block'"),
        ("{type: filesystem, location: srv}", "an absolute path"),
        ("{type: filesystem, location: /srv/../etc}", "without '..'"),
        ("{type: filesystem, location: /var/lib/juju/storage/x}", "a folder of its own"),
        ("{type: filesystem, location: /}", "a folder of its own"),
        ("{type: block, multiple: {range: 2-1}}", "a range whose end"),
        ("{type: block, multiple: {range: 0}}", "a range whose end"),
        ("{type: block, multiple: {range: some}}", "a range like"),
        ("{type: block, minimum-size: 5X}", "a size like"),
    ],
)
def test_storage_that_is_wrong_is_refused_with_its_key(store: str, message: str) -> None:
    with pytest.raises(CharmFileError, match=rf"metadata\.yaml: storage\.data.*{message}"):
        _charm(f"storage: {{data: {store}}}")


def test_a_location_that_only_looks_like_juju_s_is_fine() -> None:
    store = _charm("storage: {d: {type: filesystem, location: /var/lib/juju/storage-x}}").storage["d"]

    assert store.location == "/var/lib/juju/storage-x"


def test_the_rest_of_the_metadata_is_read() -> None:
    charm = _charm(
        """
display-name: The app
summary: no
description: |
  Long.
maintainer: Someone
tags: [a, b]
series: [jammy, nonesuch]
min-juju-version: 2.9.33
terms: [beta/1]
assumes:
  - juju >= 3.1
  - any-of: [k8s-api, juju < 4]
extra-bindings: {admin: , backup: }
containers: {web: {resource: image}}
payloads: {p: {type: docker}}
resources:
  image: {type: oci-image}
  snap: {type: file, filename: a.snap, description: A snap.}
website: [https://a.example, https://b.example]
charm-user: non-root
unheard-of: {x: 1}
"""
    )

    assert (charm.display_name, charm.summary, charm.description) == ("The app", "no", "Long.\n")
    assert (charm.maintainers, charm.tags, charm.terms) == (("Someone",), ("a", "b"), ("beta/1",))
    assert (charm.series, charm.bases) == (("jammy", "nonesuch"), ("ubuntu@22.04",))
    assert charm.assumes == ("juju >= 3.1", {"any-of": ["k8s-api", "juju < 4"]})
    assert (charm.extra_bindings, charm.containers, charm.payloads) == (("admin", "backup"), ("web",), {"p": "docker"})
    assert charm.resources["snap"] == ResourceSpec(filename="a.snap", description="A snap.")
    assert charm.resources["image"].type == "oci-image"
    assert charm.links == {"website": ("https://a.example", "https://b.example")}
    assert (charm.min_juju_version, charm.charm_user) == ("2.9.33", "non-root")


def test_options_have_types_and_defaults_of_them() -> None:
    charm = _charm(
        config="""
options:
  a: {type: string, default: no, description: Text.}
  b: {type: int, default: 0x10}
  c: {type: float, default: 2}
  d: {type: boolean, default: off}
  e: {type: secret}
  f: {default: 1.10}
  g: {type: string, default: ""}
"""
    )

    assert charm.options == {
        "a": OptionSpec(description="Text.", default="no"),
        "b": OptionSpec(type="int", default=16),
        "c": OptionSpec(type="float", default=2.0),
        "d": OptionSpec(type="boolean", default=False),
        "e": OptionSpec(type="secret"),
        "f": OptionSpec(default="1.10"),
        "g": OptionSpec(default=""),
    }
    assert isinstance(charm.options["c"].default, float)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ("", "options: expected a mapping of options"),
        ("other: 1", "options: expected a mapping of options"),
        ("options: {a: {type: integer}}", r"options\.a\.type .*found 'integer'"),
        ("options: {a: {type: int, default: many}}", r"options\.a\.default .*a whole number, found 'many'"),
        ("options: {a: {type: int, default: 1.5}}", "a whole number, found the number 1.5"),
        ("options: {a: {type: int, default: true}}", "a whole number, found the boolean true"),
        ("options: {a: {type: float, default: yes}}", "a number, found the boolean yes"),
        ("options: {a: {type: boolean, default: 1}}", "true or false, found the number 1"),
        ("options: {a: {type: secret, default: hunter2}}", "the id of a secret"),
        ("options: {a b: {}}", "the name of an option"),
        ("options: {a=b: {}}", "the name of an option"),
        ("options: {a: int}", "a mapping, found 'int'"),
    ],
)
def test_options_that_are_wrong_are_refused_with_their_key(config: str, message: str) -> None:
    with pytest.raises(CharmFileError, match=r"config\.yaml: .*" + message):
        _charm(config=config)


def test_an_action_s_parameters_become_a_json_schema() -> None:
    action = _charm(
        actions="""
backup:
  description: Back up.
  params:
    target: {type: string, enum: [a, b], default: a}
    tags: {type: array, items: {type: string}}
    on: {type: boolean}
  required: [target]
  additionalProperties: false
  parallel: true
  execution-group: disk
"""
    ).actions["backup"]

    assert action.description == "Back up."
    assert (action.parallel, action.execution_group) == (True, "disk")
    assert action.parameters == {
        "type": "object",
        "title": "backup",
        "description": "Back up.",
        "properties": {
            "target": {"type": "string", "enum": ["a", "b"], "default": "a"},
            "tags": {"type": "array", "items": {"type": "string"}},
            "on": {"type": "boolean"},
        },
        "required": ["target"],
        "additionalProperties": False,
    }


def test_an_action_may_say_nothing() -> None:
    assert _charm(actions="pause:\nresume: {}").actions.keys() == {"pause", "resume"}


@pytest.mark.parametrize(
    ("actions", "message"),
    [
        ("Bad: {}", "the name of an action"),
        ("a-: {}", "the name of an action"),
        ("juju-run: {}", "does not begin with 'juju'"),
        ("a: {params: [x]}", "expected a mapping, found a list"),
        ("a: {params: {x: string}}", r"a\.params\.x .*expected a mapping, found 'string'"),
        ("a: {params: {x: {type: text}}}", r"a\.params\.x\.type .*found 'text'"),
        ("a: {params: {x: {$ref: y}}}", r"a schema without \$ref"),
        ("a: {params: {x: {type: object, properties: {y: {type: 5}}}}}", r"x\.properties\.y\.type"),
        ("a: {params: {x: {enum: []}}}", "at least one value"),
        ("a: {required: x}", "expected a list"),
        ("a: {parallel: sometimes}", "true or false"),
        ("a: {additionalProperties: some}", "true or false"),
        ("a: run it", "expected a mapping"),
    ],
)
def test_actions_that_are_wrong_are_refused_with_their_key(actions: str, message: str) -> None:
    with pytest.raises(CharmFileError, match=r"actions\.yaml: .*" + message):
        _charm(actions=actions)


def test_metrics_are_read_and_built_in_ones_say_nothing() -> None:
    declared = "metrics:\n  juju-units:\n  x: {type: absolute, description: X.}\n  y: {type: counter, description: Y.}"
    charm = _charm(metrics=f"plan: {{required: true}}\n{declared}")

    assert charm.plan_required
    assert {name: spec.type for name, spec in charm.metrics.items()} == {
        "juju-units": "gauge",
        "x": "absolute",
        "y": "counter",
    }


@pytest.mark.parametrize(
    ("metric", "message"),
    [
        ("x: {type: gauge}", "`description`"),
        ("x: {description: X.}", "`type`"),
        ("x: {type: dial, description: X.}", "found 'dial'"),
        ("juju-units: {type: gauge}", "built in"),
    ],
)
def test_metrics_that_are_wrong_are_refused(metric: str, message: str) -> None:
    with pytest.raises(CharmFileError, match=r"metrics\.yaml: .*" + message):
        _charm(metrics=f"metrics: {{{metric}}}")


def test_a_built_charm_s_bases_are_its_manifest_s() -> None:
    manifest = (
        "bases:\n- {name: ubuntu, channel: 22.04/stable, architectures: [amd64]}\n- {name: ubuntu, channel: '24.04'}"
    )
    charm = _charm("series: [focal]", manifest=manifest)

    assert charm.bases == ("ubuntu@22.04", "ubuntu@24.04")
    assert charm.architectures == ("amd64",)


def test_the_version_is_the_first_line_of_its_file() -> None:
    assert _charm(version="v1.2-3-gabc\nmore\n").version == "v1.2-3-gabc"


CRAFT = """
name: app
type: charm
title: The app
summary: S.
description: D.
base: ubuntu@24.04
platforms: {amd64: , arm64: }
links:
  contact: [a@example, b@example]
  issues: https://issues.example
requires: {db: mysql}
config: {options: {x: {type: int, default: 1}}}
actions: {go: {description: Go.}}
parts: {charm: {plugin: uv}}
"""


def test_charmcraft_s_file_alone_says_everything() -> None:
    charm = parse_charm({"charmcraft.yaml": CRAFT.encode()})

    assert (charm.name, charm.display_name, charm.maintainers) == ("app", "The app", ("a@example", "b@example"))
    assert (charm.bases, charm.architectures) == (("ubuntu@24.04",), ("amd64", "arm64"))
    assert (charm.options["x"].default, charm.actions["go"].description) == (1, "Go.")
    assert charm.links == {"issues": ("https://issues.example",)}
    assert charm.endpoints.keys() == {"db"}


def test_one_thing_in_two_files_is_refused() -> None:
    with pytest.raises(CharmFileError, match=r"charmcraft\.yaml: config .*there is a config\.yaml, too"):
        parse_charm({"charmcraft.yaml": CRAFT.encode(), "config.yaml": b"options: {}"})


def test_neither_file_is_refused() -> None:
    with pytest.raises(CharmFileError, match="neither"):
        parse_charm({})


RUN_ON = """
bases:
- build-on: [{name: ubuntu, channel: "24.04"}]
  run-on:
  - {name: ubuntu, channel: "22.04", architectures: [amd64]}
  - {name: ubuntu, channel: "20.04"}
"""


@pytest.mark.parametrize(
    ("text", "bases", "architectures"),
    [
        ("bases: [{name: ubuntu, channel: '22.04'}]", ("ubuntu@22.04",), ()),
        (
            RUN_ON,
            ("ubuntu@22.04", "ubuntu@20.04"),
            ("amd64",),
        ),
        (
            "platforms: {ubuntu@22.04:amd64: , ubuntu@24.04:arm64: }",
            ("ubuntu@22.04", "ubuntu@24.04"),
            ("amd64", "arm64"),
        ),
        ("base: ubuntu@24.04\nplatforms: {amd64: }", ("ubuntu@24.04",), ("amd64",)),
        ("summary: x", (), ()),
    ],
)
def test_charmcraft_s_file_says_what_the_charm_is_for(
    text: str, bases: tuple[str, ...], architectures: tuple[str, ...]
) -> None:
    charm = parse_charm({"charmcraft.yaml": f"name: app\n{text}".encode()})

    assert (charm.bases, charm.architectures) == (bases, architectures)


def test_a_base_without_a_channel_is_refused() -> None:
    with pytest.raises(CharmFileError, match=r"manifest\.yaml: bases\[0\] .*`name` and `channel`"):
        _charm(manifest="bases: [{name: ubuntu}]")
