"""How the store's keys are those of etcd, where they may lie below a prefix."""

from __future__ import annotations


class Keys:
    """The keys below a prefix, which may be empty."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix.encode()
        self._length = len(self._prefix)

    def encoded(self, key: str) -> bytes:
        """A key as etcd has it."""
        return self._prefix + key.encode()

    def decoded(self, key: bytes) -> str:
        """A key as the store has it. Others may have written keys that are no text; they can be read, not written."""
        return key[self._length :].decode("utf-8", "surrogateescape")

    def range(self, prefix: str) -> tuple[bytes, bytes]:
        """From where to where the keys lie that begin with `prefix`, which may be any string."""
        begin = self._prefix + prefix.encode("utf-8", "surrogatepass")
        if not begin:
            return b"\0", b"\0"  # That is how etcd calls everything.
        return begin, begin[:-1] + bytes((begin[-1] + 1,))  # No byte of UTF-8 is the last one.
