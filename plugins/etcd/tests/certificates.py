"""Certificates made for one test."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

INSTALL = "openssl is not installed: `apt-get install -y --no-install-recommends openssl`"
KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


class Authority:
    """One that signs certificates; its own is `ca.pem`."""

    def __init__(self, folder: Path) -> None:
        if shutil.which("openssl") is None:
            pytest.skip(INSTALL)
        folder.mkdir()
        self.folder = folder
        self.ca = folder / "ca.pem"
        _openssl(
            "req", "-x509", *KEY, "-days", "2", "-subj", "/CN=authority", "-keyout", folder / "ca.key", "-out", self.ca
        )

    def sign(self, name: str) -> tuple[Path, Path]:
        """A certificate of that name, good for this machine's loopback, and its key."""
        cert, key, request = (self.folder / f"{name}.{kind}" for kind in ("pem", "key", "csr"))
        extensions = self.folder / "extensions"
        extensions.write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\nextendedKeyUsage=serverAuth,clientAuth\n")
        _openssl("req", *KEY, "-subj", f"/CN={name}", "-keyout", key, "-out", request)
        signing = ("-CA", self.ca, "-CAkey", self.folder / "ca.key", "-CAcreateserial", "-days", "2")
        _openssl("x509", "-req", "-in", request, *signing, "-extfile", extensions, "-out", cert)
        return cert, key


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True, timeout=30)
