"""Where every record of a model is, in one place.

Ids of units have two parts, the application and the number, so that an application's units lie together; `parts_of`
splits a name. Where units and applications share a table (settings, grants, consumers), `parts_of` serves both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from undercroft_hookspecs.charm import Charm
from undercroft_hookspecs.state import (
    Action,
    Application,
    Host,
    Machine,
    MeterStatus,
    Model,
    Relation,
    RemovedUnit,
    Secret,
    Settings,
    Status,
    Unit,
)
from undercroft_hookspecs.storage import Usage
from undercroft_hookspecs.storage_state import (
    Filesystem,
    FilesystemAttachment,
    Pool,
    StorageInstance,
    Volume,
    VolumeAttachment,
)
from undercroft_model.rows import (
    BlobMark,
    BlockDevices,
    Cleanup,
    Config,
    Leader,
    ModelName,
    OpenedPorts,
    Operation,
    Presence,
    RelationKey,
    Resource,
    Scope,
    SecretConsumer,
    SecretGrant,
    SecretRevision,
    SecretsKey,
    Sequence,
    StatusLog,
    StorageRequests,
    UnitActions,
    UnitState,
)
from undercroft_model.table import ModelTable, Table

if TYPE_CHECKING:
    from undercroft_hookspecs.identity import ModelId
    from undercroft_model.transaction import Transaction

# Of the whole store. Hosts share a folder: `HOSTS.key(host, "host")`, `BLOCK_DEVICES.key(host, "block-devices")`.
HOSTS = Table("/hosts/", Host)
BLOCK_DEVICES = Table("/hosts/", BlockDevices)
PRESENCE = Table("/hosts/", Presence)
MODEL_NAMES = Table("/model-names/", ModelName)
REMOVED_UNITS = Table("/removed-units/", RemovedUnit)
"""(host, model, application, number): units whose hosts may still have something of them."""

BLOB_NOTES = Table("/blobs/notes/", BlobMark)
"""By the blob's SHA-256: whoever needed it may have gone."""
BLOB_HOLDS = Table("/blobs/holds/", BlobMark)
"""(SHA-256, token); leased."""
BLOB_REMOVALS = Table("/blobs/removals/", BlobMark)
"""By the blob's SHA-256; leased."""

SECRETS_KEY = Table("/secrets-key/", SecretsKey)
"""`self` alone."""

MODEL = ModelTable("model", Model)
"""`self` alone."""
MACHINES = ModelTable("machines", Machine)
APPLICATIONS = ModelTable("applications", Application)
CONFIG = ModelTable("config", Config)
UNITS = ModelTable("units", Unit)
"""(application, number)."""
STATUS = ModelTable("status", Status)
"""(kind, *parts): the present status of a `unit` (its workload), `agent` (of a unit), `application`, `machine`..."""
STATUS_LOG = ModelTable("status-log", StatusLog)
"""As STATUS, so that whoever wants all statuses does not read all their past."""
RELATIONS = ModelTable("relations", Relation)
RELATION_KEYS = ModelTable("relation-keys", RelationKey)
RELATION_SETTINGS = ModelTable("relation-settings", Settings)
"""(id, application) or (id, application, number)."""
RELATION_SCOPES = ModelTable("relation-scopes", Scope)
"""(id, application, number)."""
LEADERS = ModelTable("leaders", Leader)
LEADER_SETTINGS = ModelTable("leader-settings", Settings)
CHARMS = ModelTable("charms", Charm)
"""By the archive's SHA-256."""
CHARM_REVISIONS = ModelTable("charm-revisions", Sequence)
"""By the charm's name: the next local revision."""
ACTIONS = ModelTable("actions", Action)
OPERATIONS = ModelTable("operations", Operation)
UNIT_ACTIONS = ModelTable("unit-actions", UnitActions)
"""(application, number)."""
SECRETS = ModelTable("secrets", Secret)
SECRET_REVISIONS = ModelTable("secret-revisions", SecretRevision)
"""(secret, revision)."""
SECRET_GRANTS = ModelTable("secret-grants", SecretGrant)
"""(secret, application) or (secret, application, number)."""
SECRET_CONSUMERS = ModelTable("secret-consumers", SecretConsumer)
"""(secret, application) or (secret, application, number)."""
PORTS = ModelTable("ports", OpenedPorts)
"""(application, number)."""
UNIT_STATE = ModelTable("unit-state", UnitState)
"""(application, number)."""
STORAGE_USAGE = ModelTable("storage-usage", Usage)
"""By the filesystem's id."""
STORAGE_REQUESTS = ModelTable("storage-requests", StorageRequests)
"""(application, number)."""
STORAGE = ModelTable("storage", StorageInstance)
"""(store, number)."""
VOLUMES = ModelTable("volumes", Volume)
"""(*machine, number), or (number,) for one of the model's scope; the same for all of these."""
VOLUME_ATTACHMENTS = ModelTable("volume-attachments", VolumeAttachment)
FILESYSTEMS = ModelTable("filesystems", Filesystem)
FILESYSTEM_ATTACHMENTS = ModelTable("filesystem-attachments", FilesystemAttachment)
STORAGE_POOLS = ModelTable("storage-pools", Pool)
"""By name; those that providers have by default are not there."""
METER = ModelTable("meter", MeterStatus)
"""(application,) or (application, number)."""
RESOURCES = ModelTable("resources", Resource)
"""(application, name)."""
SEQUENCES = ModelTable("sequences", Sequence)
"""The next `machine`, `relation`, `action`, `operation`..."""
CLEANUPS = ModelTable("cleanups", Cleanup)
"""(kind, *parts): what waits for `lifecycle.reap`."""


def parts_of(name: str) -> tuple[str, ...]:
    """The id of a unit or application in a table: `mysql/0` is ("mysql", "0"), `mysql` is ("mysql",)."""
    return tuple(name.split("/"))


async def next_number(tx: Transaction, model: ModelId, sequence: str) -> int:
    """The next number of a sequence, which is never given again."""
    table = SEQUENCES.of(model)
    number = (await tx.get(table, sequence) or Sequence()).next
    tx.put(table, sequence, record=Sequence(next=number + 1))
    return number
