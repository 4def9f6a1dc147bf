"""The storage of a unit, as its hooks see it."""
