"""The model's settings, with the names, types and defaults that juju's `model-config` has.

Some say how units behave (`update-status-hook-interval`, `automatically-retry-hooks`); those that need a cloud, a
controller or a proxy are kept for the charms and suites that set them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import msgspec

from undercroft_hookspecs.errors import NotValidError
from undercroft_hookspecs.state import Model
from undercroft_model.tables import MODEL

if TYPE_CHECKING:
    from undercroft_hookspecs.identity import ModelId
    from undercroft_model.transaction import Transaction

DEFAULTS: Mapping[str, str | bool | int] = {
    "agent-metadata-url": "",
    "agent-stream": "released",
    "apt-http-proxy": "",
    "apt-https-proxy": "",
    "apt-mirror": "",
    "apt-no-proxy": "",
    "authorized-keys": "",
    "automatically-retry-hooks": True,
    "backup-dir": "",
    "charmhub-url": "",
    "cloudinit-userdata": "",
    "container-image-metadata-defaults-disabled": False,
    "container-image-metadata-url": "",
    "container-image-stream": "released",
    "container-inherit-properties": "",
    "container-networking-method": "",
    "default-base": "",
    "default-space": "",
    "development": False,
    "disable-network-management": False,
    "disable-telemetry": False,
    "egress-subnets": "",
    "enable-os-refresh-update": True,
    "enable-os-upgrade": True,
    "extra-info": "",
    "fan-config": "",
    "firewall-mode": "none",
    "ftp-proxy": "",
    "http-proxy": "",
    "https-proxy": "",
    "ignore-machine-addresses": False,
    "image-metadata-defaults-disabled": False,
    "image-metadata-url": "",
    "image-stream": "released",
    "juju-ftp-proxy": "",
    "juju-http-proxy": "",
    "juju-https-proxy": "",
    "juju-no-proxy": "127.0.0.1,localhost,::1",
    "logging-config": "<root>=INFO",
    "logging-output": "",
    "lxd-snap-channel": "",
    "max-action-results-age": "336h",
    "max-action-results-size": "5G",
    "max-status-history-age": "336h",
    "max-status-history-size": "5G",
    "mode": "",
    "net-bond-reconfigure-delay": 17,
    "no-proxy": "127.0.0.1,localhost,::1",
    "num-container-provision-workers": 4,
    "num-provision-workers": 16,
    "operator-storage": "",
    "provisioner-harvest-mode": "destroyed",
    "proxy-ssh": False,
    "resource-tags": "",
    "saas-ingress-allow": "0.0.0.0/0,::/0",
    "secret-backend": "auto",
    "snap-http-proxy": "",
    "snap-https-proxy": "",
    "snap-store-assertions": "",
    "snap-store-proxy": "",
    "snap-store-proxy-url": "",
    "ssh-allow": "0.0.0.0/0,::/0",
    "ssl-hostname-verification": True,
    "storage-default-block-source": "loop",
    "storage-default-filesystem-source": "rootfs",
    "test-mode": False,
    "transmit-vendor-metrics": True,
    "update-status-hook-interval": "5m",
    "vpc-id": "",
    "workload-storage": "",
}
_FIXED = ("agent-version", "name", "type", "uuid", "controller-uuid")
_TRUTH = {"true": True, "1": True, "t": True, "false": False, "0": False, "f": False}
_DURATION = re.compile(r"(?:[0-9]+(?:\.[0-9]+)?(?:ns|us|ms|s|m|h))+")
_SECONDS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_SHORTEST_UPDATE_STATUS, _LONGEST_UPDATE_STATUS = 1.0, 3600.0


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting's value, and where it comes from."""

    value: str | bool | int
    source: Literal["default", "model"]


def model_settings(model: Model) -> Mapping[str, Setting]:
    """All settings of a model, by name."""
    settings = {key: Setting(value, "default") for key, value in DEFAULTS.items()}
    settings |= {key: Setting(_scalar(value), "model") for key, value in model.config.items()}
    return dict(sorted(settings.items()))


def update_status_seconds(model: Model) -> float:
    """How long a unit is let be between two update-status hooks."""
    return duration_seconds(str(model_settings(model)["update-status-hook-interval"].value))


def duration_seconds(text: str) -> float:
    """The seconds of a duration as juju writes it: `5m`, `1h30m`.

    Raises:
        NotValidError: it is not one.
    """
    if _DURATION.fullmatch(text) is None:
        raise NotValidError(f'"{text}" is not a duration: write 90s, 5m or 1h30m', field="duration")
    found = re.findall(r"([0-9.]+)(ns|us|ms|s|m|h)", text)
    return sum(float(number) * _SECONDS[unit] for number, unit in found)


async def set_model_config(tx: Transaction, model: ModelId, values: Mapping[str, object]) -> Model:
    """Set settings; nothing is written unless all of them are valid.

    Raises:
        NotValidError: an unknown name, or a value of the wrong type.
    """
    record = await tx.need(MODEL.of(model), "self", what="model")
    changed = msgspec.structs.replace(record, config={**record.config, **check_model_config(values)})
    tx.put(MODEL.of(model), "self", record=changed)
    return changed


async def reset_model_config(tx: Transaction, model: ModelId, keys: Sequence[str]) -> Model:
    """Give settings their defaults again.

    Raises:
        NotValidError: an unknown name.
    """
    for key in keys:
        _check_known(key)
    record = await tx.need(MODEL.of(model), "self", what="model")
    kept = {key: value for key, value in record.config.items() if key not in keys}
    changed = msgspec.structs.replace(record, config=kept)
    tx.put(MODEL.of(model), "self", record=changed)
    return changed


def check_model_config(values: Mapping[str, object]) -> Mapping[str, object]:
    """The values with their types: each may be given as text.

    Raises:
        NotValidError: an unknown name, or a value of the wrong type.
    """
    return {key: _typed(key, value) for key, value in values.items()}


def _check_known(key: str) -> None:
    if key in _FIXED:
        raise NotValidError(f'the setting "{key}" cannot be changed', field=key)
    if key not in DEFAULTS:
        raise NotValidError(f'key "{key}" is not a setting of models: see `undercroft model-config`', field=key)


def _typed(key: str, value: object) -> str | bool | int:
    _check_known(key)
    text = str(value).lower() if isinstance(value, bool) else str(value)
    default = DEFAULTS[key]
    if isinstance(default, bool):
        if text.lower() not in _TRUTH:
            raise NotValidError(f'{key}: expected bool, got string("{text}")', field=key)
        return _TRUTH[text.lower()]
    if isinstance(default, int):
        if not text.isdecimal():
            raise NotValidError(f'{key}: expected number, got string("{text}")', field=key)
        return int(text)
    if key == "update-status-hook-interval":
        _check_interval(key, text)
    return text


def _check_interval(key: str, text: str) -> None:
    # Suites that want quick reactions set some seconds here: that is let through.
    if not _SHORTEST_UPDATE_STATUS <= duration_seconds(text) <= _LONGEST_UPDATE_STATUS:
        raise NotValidError(f"{key}: {text} is not between 1s and 60m", field=key)


def _scalar(value: object) -> str | bool | int:
    return value if isinstance(value, (str, bool, int)) else str(value)
