"""The environment of charm code: all of it is made here, for nothing of the agent's own is inherited."""

from __future__ import annotations

import os
import platform
import pwd
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from undercroft.process import SYSTEM_FOLDERS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from undercroft_hookspecs.hook_tools import HookStorage
    from undercroft_hookspecs.state import Action, MeterStatus
    from undercroft_uniter.context.relations import RelationView
    from undercroft_uniter.hook.info import HookInfo

JUJU_VERSION: Final = "3.6.9"
SYSTEM: Final[Mapping[str, str]] = {
    "APT_LISTCHANGES_FRONTEND": "none",
    "DEBIAN_FRONTEND": "noninteractive",
    "LANG": "C.UTF-8",
    "TERM": "tmux-256color",
}
_PROXIES = {"http_proxy": "http-proxy", "https_proxy": "https-proxy", "ftp_proxy": "ftp-proxy", "no_proxy": "no-proxy"}
_CHARM_PROXIES = {
    "JUJU_CHARM_HTTP_PROXY": "juju-http-proxy",
    "JUJU_CHARM_HTTPS_PROXY": "juju-https-proxy",
    "JUJU_CHARM_FTP_PROXY": "juju-ftp-proxy",
    "JUJU_CHARM_NO_PROXY": "juju-no-proxy",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What stays the same for all charm code of one unit."""

    unit: str
    model_uuid: str
    model_name: str
    machine: str
    principal: str
    charm: Path
    tools: Path
    path: str
    """The agent's PATH, as `own_path` gives it."""
    home: str
    base: str
    """What runs on the machine: `ubuntu@24.04`; empty if it cannot be told."""
    series: str
    """Its code name: `noble`."""

    def basic(self, context: str, server: Mapping[str, str]) -> dict[str, str]:
        """What all charm code has, the restricted hooks, too; `server` is where hook tools are answered."""
        return {
            **SYSTEM,
            "CHARM_DIR": str(self.charm),
            "JUJU_CHARM_DIR": str(self.charm),
            "HOME": self.home,  # Juju sets none; pip, gpg and git all want one.
            "JUJU_CONTEXT_ID": context,
            "JUJU_MODEL_NAME": self.model_name,
            "JUJU_MODEL_UUID": self.model_uuid,
            "JUJU_UNIT_NAME": self.unit,
            "JUJU_VERSION": JUJU_VERSION,
            "PATH": f"{self.tools}{os.pathsep}{self.path}",
            **server,
        }

    def full(self, settings: Mapping[str, object], meter: MeterStatus) -> dict[str, str]:
        """What hooks, actions and commands have besides; `settings` are the model's."""
        return {
            **proxies(settings),
            "CLOUD_API_VERSION": "",
            "JUJU_API_ADDRESSES": "",
            "JUJU_AVAILABILITY_ZONE": "",
            "JUJU_MACHINE_ID": self.machine,
            "JUJU_METER_INFO": meter.info,
            "JUJU_METER_STATUS": meter.code,
            "JUJU_PRINCIPAL_UNIT": self.principal,
            "JUJU_SLA": "unsupported",
            "JUJU_TARGET_BASE": self.base,
            "JUJU_TARGET_SERIES": self.series,
        }


def proxies(settings: Mapping[str, object]) -> dict[str, str]:
    """The model's proxies: the system's only where they are set, the charm's own always."""
    found = {name: str(settings.get(key) or "") for name, key in _CHARM_PROXIES.items()}
    for name, key in _PROXIES.items():
        value = str(settings.get(key) or "")
        if value:
            found |= {name: value, name.upper(): value}
    return found


def script_variables(name: str, path: str = "") -> dict[str, str]:
    """Which script it is: `name` is empty for actions and commands, `path` for commands."""
    return {"JUJU_HOOK_NAME": name, **({"JUJU_DISPATCH_PATH": path} if path else {})}


def relation_variables(view: RelationView) -> dict[str, str]:
    """The relation that it is run for, and whom in it."""
    relation = view.context
    if relation is None:
        return {}
    found = {
        "JUJU_RELATION": relation.endpoint,
        "JUJU_RELATION_ID": str(relation),
        "JUJU_REMOTE_APP": view.remote_application,
        "JUJU_REMOTE_UNIT": view.remote_unit,
    }
    return {**found, **({"JUJU_DEPARTING_UNIT": view.departing_unit} if view.departing_unit else {})}


def storage_variables(storage: str, attached: Mapping[str, HookStorage]) -> dict[str, str]:
    """The storage that it is run for."""
    if not storage:
        return {}
    found = attached.get(storage)
    return {
        "JUJU_STORAGE_ID": storage,
        "JUJU_STORAGE_KIND": found.kind if found is not None else "",
        "JUJU_STORAGE_LOCATION": found.location if found is not None else "",
    }


def secret_variables(info: HookInfo) -> dict[str, str]:
    """The secret that a hook is run for."""
    if not info.kind.is_secret:
        return {}
    found = {"JUJU_SECRET_ID": f"secret:{info.secret}", "JUJU_SECRET_LABEL": info.secret_label}
    return {**found, **({"JUJU_SECRET_REVISION": str(info.secret_revision)} if info.secret_revision else {})}


def action_variables(action: Action) -> dict[str, str]:
    """The action that it is run for."""
    return {
        "JUJU_ACTION_NAME": action.name,
        "JUJU_ACTION_TAG": f"action-{action.id}",
        "JUJU_ACTION_UUID": str(action.id),
    }


def own_path(own: str, *, prefix: str = sys.prefix, base: str = sys.base_prefix) -> str:
    """The PATH that charms have after their tools, from the agent's own.

    The folders of system programs are on it; that of a virtual environment which the agent runs from is not: `python3`
    is the machine's to charms.
    """
    folders: Sequence[str] = [folder for folder in (own or os.defpath).split(os.pathsep) if folder]
    if prefix != base:
        folders = [folder for folder in folders if Path(folder) != Path(prefix, "bin")]
    return os.pathsep.join([*folders, *(folder for folder in SYSTEM_FOLDERS if folder not in folders)])


def own_home() -> str:
    """The home of the agent's user."""
    return pwd.getpwuid(os.geteuid()).pw_dir


def own_base() -> tuple[str, str]:
    """What runs on this machine, and its code name, as os-release says; empty if it does not. Blocks."""
    try:
        release = platform.freedesktop_os_release()
    except OSError:
        return "", ""
    version = release.get("VERSION_ID", "")
    return f"{release['ID']}@{version}" if version else "", release.get("VERSION_CODENAME", "")
