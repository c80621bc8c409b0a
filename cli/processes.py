"""Commands that start a process of the server."""

from __future__ import annotations

from collections.abc import Sequence

import click

from cli.base import main
from dispatch.queues import LANES, Lane
from errors import BadInput

PREFIX = "headrace."  # of the names of the broker's queues


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


def find_lanes(names: str | None) -> Sequence[Lane]:
    """Return the lanes with these names of queues, separated by commas. Raises: BadInput for another name."""
    if names is None:
        return LANES
    wanted = {name.strip() for name in names.split(",")}
    found = tuple(lane for lane in LANES if PREFIX + lane in wanted)
    if unknown := wanted - {PREFIX + lane for lane in found}:
        known = ", ".join(PREFIX + lane for lane in LANES)
        raise BadInput(f"--queues: {', '.join(sorted(unknown))!r} is not a queue; the queues are {known}")
    return found
