"""The operator's commands: where juju has a command, ours has its name, arguments, exit codes and words.

At run time the modules here that hold commands import click and light standard modules alone; what a command needs it
imports when it is run. The frame of all of them is in `frame`.
"""
