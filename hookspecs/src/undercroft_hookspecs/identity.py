"""Identities that come from outside, each a frozen type whose `parse` is the only way in.

A parsed identity is safe in a path and on a command line: it holds no separator that its kind does not have, no leading
dash, no NUL and no `..`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar
from uuid import UUID

from undercroft_hookspecs.errors import NotValidError

if TYPE_CHECKING:
    from typing import Self

_NUMBER = r"(?:0|[1-9][0-9]*)"
_APPLICATION = r"[a-z][a-z0-9]*(?:-[a-z0-9]*[a-z][a-z0-9]*)*"
_MACHINE = rf"{_NUMBER}(?:/[a-z]+/{_NUMBER})*"
_STORAGE = r"[a-z][a-z0-9]*(?:-[a-z0-9]*[a-z][a-z0-9]*)*"


@dataclass(frozen=True, slots=True, order=True)
class Identity:
    """An identity in its one written form; use a subclass's `parse`, never the constructor."""

    text: str

    kind: ClassVar[str]
    form: ClassVar[re.Pattern[str]]
    example: ClassVar[str]

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read an identity from its written form.

        Raises:
            NotValidError: `text` is not of this kind's form; `field` is the kind.
        """
        if len(text) > 255 or cls.form.fullmatch(text) is None:
            message = f"{text[:80]!r} is not a valid {cls.kind} (one looks like {cls.example!r})"
            raise NotValidError(message, field=cls.kind)
        return cls(text)

    def __str__(self) -> str:
        return self.text


class HostId(Identity):
    """A host of the fleet: the UUID in its data folder."""

    __slots__ = ()
    kind = "host id"
    form = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")
    example = "0b2ff3a6-5c12-4f0c-8a70-5d4b3b5d1e0f"

    @property
    def uuid(self) -> UUID:
        """The same as a UUID."""
        return UUID(self.text)


class ModelId(Identity):
    """A model, by its UUID."""

    __slots__ = ()
    kind = "model id"
    form = HostId.form
    example = HostId.example

    @property
    def uuid(self) -> UUID:
        """The same as a UUID."""
        return UUID(self.text)


class MachineId(Identity):
    """A machine of a model: `0`, or a container in it, `0/lxd/1`."""

    __slots__ = ()
    kind = "machine id"
    form = re.compile(_MACHINE)
    example = "0"


class ApplicationName(Identity):
    """An application of a model: `postgresql`."""

    __slots__ = ()
    kind = "application name"
    form = re.compile(_APPLICATION)
    example = "postgresql"


class UnitName(Identity):
    """A unit of an application: `postgresql/0`."""

    __slots__ = ()
    kind = "unit name"
    form = re.compile(rf"{_APPLICATION}/{_NUMBER}")
    example = "postgresql/0"

    @property
    def application(self) -> ApplicationName:
        """The application that it is a unit of."""
        return ApplicationName(self.text.partition("/")[0])

    @property
    def number(self) -> int:
        """Its number within the application."""
        return int(self.text.partition("/")[2])


class StorageId(Identity):
    """A storage instance, as a charm sees it: `data/0`."""

    __slots__ = ()
    kind = "storage id"
    form = re.compile(rf"{_STORAGE}/{_NUMBER}")
    example = "data/0"


class VolumeId(Identity):
    """A volume: `7` of the model, `0/7` of machine 0."""

    __slots__ = ()
    kind = "volume id"
    form = re.compile(rf"(?:{_MACHINE}/)?{_NUMBER}")
    example = "0/7"


class FilesystemId(Identity):
    """A filesystem: `7` of the model, `0/7` of machine 0."""

    __slots__ = ()
    kind = "filesystem id"
    form = VolumeId.form
    example = "0/7"
