"""Where the control socket is."""

from __future__ import annotations

SOCKET = "agent.sock"
