"""The command line. Thin: each command hands on to what does the work."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from config import Config


@click.group(invoke_without_command=True)
@click.pass_context
def main(context: click.Context) -> None:
    """Headrace, a workflow server. Without a command: serve."""
    if context.invoked_subcommand is None:
        Config.from_env()
        here = Path(__file__).parent
        os.chdir(here)
        os.execv(sys.executable, [sys.executable, "-m", "gunicorn", "-c", str(here / "gunicorn.conf.py")])
