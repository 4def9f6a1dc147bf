"""Undercroft's meter status: units are told how their metering stands, by the hook meter-status-changed."""
