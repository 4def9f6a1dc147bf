"""The page: one file, put together of what lies beside this module, that loads nothing from anywhere else."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from typing import Final

from undercroft_introspection.answers import Answer

_STYLE: Final = "/*style*/"
_SCRIPT: Final = "/*script*/"


def page() -> Answer:
    """The page, with a policy that has a browser run this script and take this style, and nothing else."""
    folder = files("undercroft_introspection") / "page"
    style, script = ((folder / name).read_text("utf-8") for name in ("page.css", "page.js"))
    html = (folder / "page.html").read_text("utf-8").replace(_STYLE, style).replace(_SCRIPT, script)
    policy = [
        "default-src 'none'",
        f"script-src '{_digest(script)}'",
        f"style-src '{_digest(style)}'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
    headers = {"Content-Security-Policy": "; ".join(policy)}
    return Answer(html.encode(), kind="text/html; charset=utf-8", headers=headers)


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
