"""Sessions in which a person runs a unit's hooks by hand (`debug-hooks`), or with breakpoints (`debug-code`)."""
