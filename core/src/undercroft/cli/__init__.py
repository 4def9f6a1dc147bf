"""The command line. What `undercroft --help` and `undercroft version` load is click, this package and the standard
library's lighter half; whatever a command needs besides, it imports when it runs."""
