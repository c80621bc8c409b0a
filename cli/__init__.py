"""CLI: the command line. Each command reads its arguments, calls the code that does the work, and prints the result.

Wrong input is one line on stderr, `Error: …`, with exit code 2; a failed run has exit code 1. Output for programs goes
to stdout, everything else to stderr.
"""

from cli.base import main

__all__ = ["main"]


def _load() -> None:
    from cli import commands, connector_import, flow_files, maintenance, processes, transfers  # noqa: F401


main.load = _load
