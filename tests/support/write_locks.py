"""Another process that holds the write lock."""

from contextlib import contextmanager

from world import PATIENCE, start_python

HOLD = """
import sys
import database
from chosen_engine import connect
connect(sys.argv[1])
with database.write():
    print("writing", flush=True)
    sys.stdin.readline()
database.disconnect()
"""


@contextmanager
def another_writer(path):
    """Run a process that holds the write lock until the end of the `with`."""
    process = start_python(HOLD, path)
    try:
        assert process.stdout.readline() == "writing\n"
        yield
        process.communicate("\n", timeout=PATIENCE)
    finally:
        process.kill()
        process.communicate(timeout=60)
