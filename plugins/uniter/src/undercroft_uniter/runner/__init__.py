"""Runs charm code: a hook, an action or commands."""
