"""Child processes of tests. Each is killed at a deadline, so that no test waits forever.

All processes that outlive one call are started here. Remaining ones are killed when the tests end.
"""

import atexit
import os
import signal
import subprocess
import threading
from contextlib import contextmanager, suppress

DEADLINE = 500  # seconds; generous, since the machine may be busy
DYING_SECONDS = 20
LIVING = set()


def start_child(command, seconds=DEADLINE, **options):
    """Start a process in a new session. It is killed with its children after `seconds`.

    `end_child` ends it sooner; `child` does so automatically. `seconds=None` is for a process that many tests share and
    a fixture ends.
    """
    process = subprocess.Popen(command, start_new_session=True, **options)
    LIVING.add(process)
    process.deadline = threading.Timer(seconds or 0, kill_child, [process])
    process.deadline.daemon = True
    if seconds is not None:
        process.deadline.start()
    return process


def kill_child(process):
    """Send SIGKILL to the process and its group."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def end_child(process):
    """Kill the process if it still runs, and close its pipes."""
    process.deadline.cancel()
    kill_child(process)
    process.wait(DYING_SECONDS)
    LIVING.discard(process)
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe is not None:
            with suppress(BrokenPipeError):
                pipe.close()


@contextmanager
def child(command, seconds=DEADLINE, **options):
    """Start a process that ends with the block, or at its deadline."""
    process = start_child(command, seconds, **options)
    try:
        yield process
    finally:
        end_child(process)


@atexit.register
def _kill_the_living():
    for process in LIVING:
        if process.poll() is None:
            kill_child(process)
