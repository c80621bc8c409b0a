"""The command line. Thin: each command reads its arguments, hands on to what does the work, and prints what came of it.

Wrong input is one line on stderr, `Error: …`, and exit code 2; a run that failed is exit code 1. What is printed for
programs goes to stdout, everything else to stderr.
"""

from cli import backups, commands, files, keys
from cli.base import main

__all__ = ["backups", "commands", "files", "keys", "main"]
