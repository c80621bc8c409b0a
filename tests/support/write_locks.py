"""Another process that holds the write lock, and recorders that cannot write."""

from contextlib import contextmanager

from chosen_engine import ON_POSTGRES
from world import PATIENCE, Gate, start_python

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


def submit_blocked_batch(recorder, after_a_group=False):
    """Submit a batch that waits for the returned `Gate`. Meanwhile the recorder is in its transaction.

    It waits when it is written; with `after_a_group`, when it is written alone, because its group has failed.
    """
    gate = Gate()

    class Writes(list):
        # On PostgreSQL, the writes of a group are looked through once before, for the locks that they need, and all
        # are sent before one can fail. SQLite comes to these only if those before them have not failed.
        before = (3 if after_a_group else 1) if ON_POSTGRES else 0

        def __iter__(self):
            if not self.before:
                gate(None, None, None)
            self.before -= 1
            return super().__iter__()

    recorder.submit(Writes())
    return gate


@contextmanager
def kept_from_writing(recorder, path):
    """Let the recorder write nothing: another process does; on PostgreSQL, where it does not wait for one, itself."""
    if not ON_POSTGRES:
        with another_writer(path):
            yield
        return
    gate = submit_blocked_batch(recorder)
    assert gate.reached.wait(PATIENCE)
    yield
    gate.opened.set()
