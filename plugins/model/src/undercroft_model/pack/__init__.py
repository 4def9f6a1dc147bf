"""Build a charm from its source folder, in seconds: what `charmcraft pack` does in a machine of its own."""
