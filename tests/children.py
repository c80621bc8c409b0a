"""Child processes of tests. Each is killed at a deadline, so that whatever a test waits for comes or ends.

Processes that outlive one call are started here alone.
"""

import os
import signal
import subprocess
import threading
from contextlib import contextmanager, suppress

DEADLINE = 120  # seconds; generous, since the machine may have much else to do
DYING_SECONDS = 20


def start_child(command, seconds=DEADLINE, **options):
    """Start a process in a session of its own, which is killed with its children after these seconds.

    `end_child` ends it sooner; `child` does that by itself.
    """
    process = subprocess.Popen(command, start_new_session=True, **options)
    process.deadline = threading.Timer(seconds, kill_child, [process])
    process.deadline.daemon = True
    process.deadline.start()
    return process


def kill_child(process):
    """SIGKILL to the process and its children, as far as they are in its group."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def end_child(process):
    """Kill what is left of the process, and close its pipes."""
    process.deadline.cancel()
    kill_child(process)
    process.wait(DYING_SECONDS)
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
