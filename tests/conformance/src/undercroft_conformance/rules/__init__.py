"""The rules that the kit checks, by kind of subject; `docs/reference/conformance.md` lists them for people."""
