"""The units of this machine: each deployed, run in an engine of its own, and removed."""
