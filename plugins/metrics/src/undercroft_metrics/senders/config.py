"""What `[plugins.metrics.senders.NAME]` may hold: `kind` says which of these it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, TypeAlias

import msgspec

Positive: TypeAlias = Annotated[float, msgspec.Meta(gt=0)]
NAME = r"^[a-z][a-z0-9_-]{0,62}\Z"
SenderName: TypeAlias = Annotated[str, msgspec.Meta(pattern=NAME)]
"""Names of senders are names of folders and labels, too."""
Count: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]


class _Kind(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """What all kinds of sender are made from."""


class StoreConfig(_Kind, frozen=True, kw_only=True, tag="store"):
    """The embedded store, which `undercroft metrics` reads. Without `path` it is in the plugin's own folder."""

    path: str = ""
    keep_days: Positive = 30.0
    """For how many days samples are kept."""


class _Remote(_Kind, frozen=True, kw_only=True):
    """What everything that is sent to over HTTP has in common.

    `token_file` names a file with a bearer token, which is read again before every request.
    """

    url: str
    token_file: str = ""
    ca_file: str = ""
    """The certificates to trust, in place of the system's."""
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)
    connect_seconds: Positive = 5.0
    total_seconds: Positive = 30.0
    max_batches: Count = 1000
    max_bytes: Count = 1 << 20


class HttpConfig(_Remote, frozen=True, kw_only=True, tag="http"):
    """Batches as JSON, posted to a URL, which may answer for each of them."""

    compression: Literal["none", "gzip"] = "none"


class OtlpConfig(_Remote, frozen=True, kw_only=True, tag="otlp"):
    """OTLP over HTTP; the URL is whole, with its `/v1/metrics`."""

    compression: Literal["none", "gzip"] = "gzip"


class RemoteWriteConfig(_Remote, frozen=True, kw_only=True, tag="remote-write"):
    """Prometheus' remote write 1.0."""

    labels: Mapping[str, str] = msgspec.field(default_factory=dict)
    """Labels that every series gets."""


class TextfileConfig(_Kind, frozen=True, kw_only=True, tag="textfile"):
    """The newest values in Prometheus' text format, a file for each unit, for node_exporter's textfile collector."""

    folder: str


class MeterConfig(_Kind, frozen=True, kw_only=True, tag="meter"):
    """The newest values among the agent's own instruments, so that they are in its `/metrics`."""


class FileConfig(_Kind, frozen=True, kw_only=True, tag="file"):
    """A line of JSON for each batch, in a file for each unit."""

    folder: str
    rotate_bytes: Count = 16 << 20
    keep: Annotated[int, msgspec.Meta(ge=0)] = 8
    """How many files that were rotated are kept; they are compressed."""


SenderConfig: TypeAlias = (
    StoreConfig | HttpConfig | OtlpConfig | RemoteWriteConfig | TextfileConfig | MeterConfig | FileConfig
)
"""A sender, as it is configured."""

RemoteConfig: TypeAlias = HttpConfig | OtlpConfig | RemoteWriteConfig
"""A sender that sends over HTTP."""

STORE: Mapping[str, SenderConfig] = {"store": StoreConfig()}
"""The senders that there are if none are configured."""
