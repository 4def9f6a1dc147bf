"""The checks themselves: plain async functions over a subject, one for each rule, which need no pytest."""
