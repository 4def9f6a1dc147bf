"""Whether the unit leads its application: kept, given up, and waited for."""
