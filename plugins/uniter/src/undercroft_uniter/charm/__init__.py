"""The charm's folder: fetched, unpacked, upgraded."""
