"""Hooks: their kinds, and what one is run for."""
