"""Child processes of tests. Each is killed at a deadline, so that whatever a test waits for comes or ends.

Processes that outlive one call are started here alone. What is left of them when the tests end is killed.
"""

import atexit
import os
import signal
import subprocess
import threading
from contextlib import contextmanager, suppress

DEADLINE = 500  # seconds; generous, since the machine may have much else to do
DYING_SECONDS = 20
LIVING = set()


def start_child(command, seconds=DEADLINE, **options):
    """Start a process in a session of its own, which is killed with its children after these seconds.

    `end_child` ends it sooner; `child` does that by itself. None is for what many tests share, and a fixture ends.
    """
    process = subprocess.Popen(command, start_new_session=True, **options)
    LIVING.add(process)
    process.deadline = threading.Timer(seconds or 0, kill_child, [process])
    process.deadline.daemon = True
    if seconds is not None:
        process.deadline.start()
    return process


def kill_child(process):
    """SIGKILL to the process and its children, as far as they are in its group."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)


def end_child(process):
    """Kill what is left of the process, and close its pipes."""
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
    """A process that does not outlive the block, nor its deadline."""
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
