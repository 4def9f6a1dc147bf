"""The end that takes tokens."""

from __future__ import annotations

from charms.reactive import Endpoint, clear_flag, set_flag, toggle_flag, when, when_not


class TokenRequires(Endpoint):
    """Takes what it is given."""

    @when("endpoint.{endpoint_name}.changed.token")
    def given(self) -> None:
        """Somebody has given a token, which may be empty."""
        toggle_flag(self.expand_name("{endpoint_name}.available"), self.token)
        set_flag(self.expand_name("{endpoint_name}.new"))
        clear_flag(self.expand_name("changed.token"))

    @when_not("endpoint.{endpoint_name}.joined")
    def gone(self) -> None:
        """Nobody is there any more."""
        clear_flag(self.expand_name("{endpoint_name}.available"))

    @property
    def token(self) -> str | None:
        """The token."""
        token: str | None = self.all_joined_units.received_raw.get("token")
        return token
