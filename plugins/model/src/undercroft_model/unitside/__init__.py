"""The facades of units: narrow views of the model, each bound to one unit."""
