"""What a charm's files and its archive say: read once, when the charm is deployed or refreshed."""
