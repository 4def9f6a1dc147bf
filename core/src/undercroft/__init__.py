"""The host agent that you extend with pip."""
