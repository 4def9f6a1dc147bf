"""How much may wait for a sender, and what is done about more."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

import msgspec

Policy: TypeAlias = Literal["drop-oldest", "drop-newest", "block"]


class Limits(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The section `[plugins.metrics.spool]`: what holds for the queue of each sender of each unit."""

    batches: Annotated[int, msgspec.Meta(ge=1)] = 100_000
    megabytes: Annotated[float, msgspec.Meta(gt=0)] = 256.0
    """Of disk that its files take, in units of 2**20 bytes."""
    days: Annotated[float, msgspec.Meta(gt=0)] = 7.0
    """What is older is dropped."""
    free_megabytes: Annotated[float, msgspec.Meta(ge=0)] = 64.0
    """The disk is as good as full when less than this is free."""
    when_full: Policy = "drop-oldest"
    """What is done when a queue has reached its limits."""
    when_disk_full: Policy = "drop-newest"
    """What is done when the disk is full: whoever has filled it, it need not cost what was collected before."""
    durability: Literal["full", "file", "none"] = "full"
    """Whether a batch survives a power cut: always, unless its name is lost, or only by luck."""

    @property
    def bytes(self) -> int:
        """The limit of disk in bytes."""
        return int(self.megabytes * (1 << 20))

    @property
    def seconds(self) -> float:
        """The limit of age in seconds."""
        return self.days * 86400

    @property
    def free_bytes(self) -> int:
        """The free disk to keep, in bytes."""
        return int(self.free_megabytes * (1 << 20))
