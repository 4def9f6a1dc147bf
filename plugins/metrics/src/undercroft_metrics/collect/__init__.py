"""Running a charm's collect-metrics, and keeping what it adds."""
