"""Commands that start a process of the server."""

from __future__ import annotations

import click

from cli.base import main
from worker import find_lanes


@main.command()
@click.option(
    "--concurrency",
    type=click.IntRange(1, 1024),
    metavar="NUMBER",
    help="Runs at a time, instead of HEADRACE_RUN_THREADS.",
)
@click.option("--queues", metavar="NAMES", help="The queues, by commas: headrace.runs, headrace.slow; default: both.")
@click.pass_context
def worker(context: click.Context, concurrency: int | None, queues: str | None) -> None:
    """Execute runs until the process is ended, and answer no requests. Needs the settings of the other processes."""
    context.obj(find_lanes(queues), concurrency)
