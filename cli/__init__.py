"""CLI: the command line. Each command reads its arguments, calls the code that does the work, and prints the result.

Wrong input is one line on stderr, `Error: …`, with exit code 2; a failed run has exit code 1. Output for programs goes
to stdout, everything else to stderr.
"""

import importlib

from cli.base import main
from config import read_setting
from nodes import plugins
from registry import registry

__all__ = ["main"]


def _load() -> None:
    from cli import commands, flow_files, maintenance, processes, transfers  # noqa: F401

    plugins.load_packs(read_setting("HEADRACE_PACKS"))
    for name in registry.commands:
        importlib.import_module(name)


main.load = _load
