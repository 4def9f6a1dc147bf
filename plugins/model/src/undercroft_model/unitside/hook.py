"""How a unit keeps what its hooks write."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from undercroft_model.hookcommit import check_changes, commit_changes, removed_secrets
from undercroft_model.secrets import sweep_secret
from undercroft_model.tables import UNIT_STATE

if TYPE_CHECKING:
    from undercroft_hookspecs.hook_facades import HookChanges
    from undercroft_model.encryption import Keyring
    from undercroft_model.unitside.standpoint import Standpoint


class OwnHooks:
    """The facade `HookFacade`."""

    def __init__(self, here: Standpoint, keyring: Keyring) -> None:
        self._here, self._keyring = here, keyring

    def check(self, changes: HookChanges) -> None:
        """Refuse what could not be committed."""
        check_changes(changes)

    async def commit(self, changes: HookChanges) -> None:
        """Write all of it, or nothing."""
        check_changes(changes)
        sealer = await self._keyring.sealer() if changes.secrets else None
        await self._here.change(lambda tx: commit_changes(tx, self._here, changes, sealer))
        for secret in removed_secrets(changes):
            await sweep_secret(self._here.store, self._here.model, secret)

    async def charm_state(self) -> Mapping[str, str]:
        """What the charm keeps."""
        found = await self._here.look().get(UNIT_STATE.of(self._here.model), *self._here.parts)
        return found.charm if found is not None else {}
