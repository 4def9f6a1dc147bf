"""The end that gives tokens."""

from __future__ import annotations

from charms.reactive import Endpoint, toggle_flag


class TokenProvides(Endpoint):
    """Gives a token to all who are related."""

    def manage_flags(self) -> None:
        """Say whether somebody waits for one: the framework asks in each hook of this relation."""
        toggle_flag(self.expand_name("{endpoint_name}.wanted"), self.is_joined)

    def give(self, token: str) -> None:
        """Give it to all."""
        for relation in self.relations:
            relation.to_publish_raw["token"] = token
            relation.to_publish["lengths"] = {"token": len(token)}
