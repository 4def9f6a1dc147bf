"""What a unit's hooks write, which is committed all at once, and the secrets that they own and read."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    from undercroft_hookspecs.state import PortRange, Secret

Rotation: TypeAlias = Literal["never", "hourly", "daily", "weekly", "monthly", "quarterly", "yearly"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretCreate:
    """A new secret, of the unit or (by its leader) of its application. Its content is in no repr."""

    id: str
    content: Mapping[str, str] = field(repr=False)
    owner: Literal["unit", "application"] = "application"
    label: str = ""
    description: str = ""
    rotation: Rotation = "never"
    expires: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretUpdate:
    """What is to be different of a secret; None leaves a field as it is. Equal content makes no new revision."""

    id: str
    content: Mapping[str, str] | None = field(default=None, repr=False)
    label: str | None = None
    description: str | None = None
    rotation: Rotation | None = None
    expires: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretRemove:
    """A secret, or one revision of it, is to be removed."""

    id: str
    revision: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretGrantChange:
    """Who (a unit or an application) may read a secret, for as long as a relation lasts; or may no longer."""

    id: str
    consumer: str
    relation: int | None = None
    is_revoked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretTrack:
    """The unit follows the latest revision of a secret from now on."""

    id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HookChanges:
    """All that a hook has written, in one.

    Settings are merged; an empty value deletes. `close_ports` comes before `open_ports`. `charm_state` is the whole new
    state, or None where it has not changed. `secrets` are done in their order.
    """

    unit_settings: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    application_settings: Mapping[int, Mapping[str, str]] = field(default_factory=dict)
    open_ports: Sequence[PortRange] = ()
    close_ports: Sequence[PortRange] = ()
    add_storage: Mapping[str, int] = field(default_factory=dict)
    charm_state: Mapping[str, str] | None = None
    secrets: Sequence[SecretCreate | SecretUpdate | SecretRemove | SecretGrantChange | SecretTrack] = ()


@runtime_checkable
class HookFacade(Protocol):
    """How what a hook has written is kept."""

    def check(self, changes: HookChanges) -> None:
        """Refuse what could not be committed: tools ask this at each write, so that the hook learns of it at once.

        Raises:
            TooLarge: it would not fit.
            NotValidError: a range of ports, a label... that is none.
        """

    async def commit(self, changes: HookChanges) -> None:
        """Write all of it, or nothing.

        Raises:
            NotLeaderError: something is for the leader to write only, and the unit is not it any more.
            NotPermittedError: a relation that the unit is not in, a secret that is not its own.
            NotFoundError: no such relation, secret, or storage of the charm.
            NotValidError: ports that conflict with another's, a label that is taken.
            TooLarge: it does not fit.
        """

    async def charm_state(self) -> Mapping[str, str]:
        """What the charm keeps with `state-set`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class SecretContent:
    """One revision of a secret. Its content is in no repr."""

    id: str
    revision: int
    content: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnedSecret:
    """A secret that the unit may write to, and what there is to do about it.

    The hook secret-rotate is run when its `next_rotation` has come, secret-expired when a revision's of `expires` has.
    """

    secret: Secret
    obsolete: Sequence[int] = ()
    """Revisions that nobody follows any more: the hook secret-remove is run for each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsumedSecret:
    """A secret of which the unit follows an older revision than the latest one; `label` is what the unit calls it."""

    latest: int
    label: str = ""


@runtime_checkable
class SecretFacade(Protocol):
    """The secrets that the unit owns (itself, or as leader its application's) and those that it may read.

    A secret is named by its id, with or without `secret:` before it, or by the label that the unit has given it.
    """

    def new_secret_id(self) -> str:
        """An id for a secret that is to be created."""
        ...

    async def read_secret(
        self, name: str, *, label: str = "", refresh: bool = False, peek: bool = False
    ) -> SecretContent:
        """The revision that the unit follows; the latest, if it followed none: then it follows that from now on.

        `label` is what the unit calls the secret from now on. `refresh` gives the latest, which is followed once a hook
        commits a SecretTrack; `peek` gives the latest, and nothing is followed.

        Raises:
            NotFoundError: there is no such secret, or none that the unit may read.
        """
        ...

    async def owned_secrets(self) -> Sequence[OwnedSecret]:
        """The secrets that the unit may write to, by id; its application's only if it leads."""
        ...

    async def secret_grants(self, name: str) -> Mapping[str, int | None]:
        """Who may read a secret of the unit's, and for as long as which relation lasts."""
        ...

    async def secret_rotated(self, name: str) -> None:
        """The hook secret-rotate has been run for a secret of the unit's: the next one is due an interval later."""

    def watch_owned_secrets(self) -> AbstractAsyncContextManager[AsyncIterator[Sequence[OwnedSecret]]]:
        """The secrets that the unit may write to, and again whenever one has changed, or the unit's leadership."""
        ...

    def watch_consumed_secrets(self) -> AbstractAsyncContextManager[AsyncIterator[Mapping[str, ConsumedSecret]]]:
        """By id, each secret that the unit follows an older revision of, and again whenever there is a newer one: the
        hook secret-changed is run for it."""
        ...
