"""What charms measure: collected, spooled through crashes and outages, and sent to where it is wanted."""
