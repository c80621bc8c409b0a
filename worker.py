"""Worker: a process that executes runs and answers no requests. The command `worker` starts it."""

from __future__ import annotations

import logging
import queue
import signal
from collections.abc import Sequence
from typing import Any

from dispatch.queues import LANES, Lane
from errors import BadInput

log = logging.getLogger("headrace")
NAMES: dict[Lane, str] = {"runs": "headrace.runs", "slow": "headrace.slow"}  # of the queues between processes


def find_lanes(names: str | None) -> Sequence[Lane]:
    """Return the lanes with these names of queues, separated by commas. Raises: BadInput for another name."""
    if names is None:
        return LANES
    wanted = {name.strip() for name in names.split(",")}
    found = tuple(lane for lane in LANES if NAMES[lane] in wanted)
    if unknown := wanted - {NAMES[lane] for lane in found}:
        raise BadInput(
            f"--queues: {', '.join(sorted(unknown))!r} is not a queue; the queues are {', '.join(NAMES.values())}"
        )
    return found


def work(server: Any) -> None:
    """Execute runs in the threads of this `Server` until SIGTERM or SIGINT."""
    stopped: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, frame: stopped.put(number))
    server.start()
    log.info("This worker executes up to %d runs at a time", server.config.run_threads)
    stopped.get()
    server.dispatcher.close()
    server.stop()
