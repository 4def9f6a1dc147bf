"""Makes the storage that units are given, and takes it down again."""
