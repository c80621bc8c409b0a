"""Two transactions on PostgreSQL, one of which pauses until the other has gone as far as it can.

`cured=False` takes away the locks of the statements.
"""

import re
import threading
import time
from contextlib import contextmanager

import psycopg
from chosen_engine import ON_POSTGRES
from world import PATIENCE, Background, Gate, start_python

import database
from database import write
from packs.postgres import engine as postgres

CLAUSE = re.compile(r"/\* FOR [A-Z ]+ \*/")
NAMES = re.compile(r"pg_advisory_xact_lock(_shared)?\(-?key\)")
WAITING = "SELECT 1 FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
KEY = "SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE contype = 'p' AND conrelid = %s::regclass"
LOOK_SECONDS = 0.005


def without_locks(sql):
    """Return the statement without its locks."""
    return NAMES.sub("key", CLAUSE.sub("", sql))


class Race:
    """A race of two transactions. `waited` is True if the second one waited for the first one."""

    def __init__(self, url, monkeypatch, cured):
        self.cured, self.waited = cured, False
        self._reached, self._go = threading.Event(), threading.Event()
        self._own = threading.local()
        self._undo = []
        self._admin = psycopg.connect(url, autocommit=True)
        translate = postgres.translate

        def translated(sql):
            if getattr(self._own, "before", None) is not None and self._own.before in sql:
                self._pause()
            return translate(sql if cured else without_locks(sql))

        monkeypatch.setattr(postgres, "translate", translated)

    def drop_key(self, table):
        """Drop the table's primary key until the end of the race."""
        name, key = self._admin.execute(KEY, (table,)).fetchone()
        self._admin.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
        self._undo.append(f"DELETE FROM {table}; ALTER TABLE {table} ADD CONSTRAINT {name} {key}")

    def close(self):
        self._go.set()
        for sql in self._undo:
            self._admin.execute(sql)
        self._admin.close()

    def run(self, first, second, before=None):
        """Return what both return, or their errors. `first` pauses at its commit, or `before` the first statement with
        this text; then `second` begins.
        """
        one = Background(self._first, first, before)
        assert self._reached.wait(PATIENCE), f"it never came to its pause: {one.error!r}"
        other = Background(second)
        self.waited = self._is_stuck(other)
        self._go.set()
        return [outcome(one), outcome(other)]

    def _first(self, work, before):
        if before is not None:
            self._own.before = before
            return work()
        with write():
            given = work()
            self._pause()
        return given

    def _pause(self):
        self._own.before = None
        self._reached.set()
        assert self._go.wait(PATIENCE)

    def _is_stuck(self, other):
        """Wait until the second one has ended, or waits for a lock."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            other.thread.join(LOOK_SECONDS)
            if not other.thread.is_alive():
                return False
            if self._admin.execute(WAITING).fetchone():
                return True
        raise AssertionError("the second one neither ended nor waits for a lock")


def until_waiting(url, background):
    """Wait until the thread, which must not end before, waits for a lock in the database."""
    deadline = time.monotonic() + PATIENCE
    with psycopg.connect(url, autocommit=True) as admin:
        while not admin.execute(WAITING).fetchone():
            background.thread.join(LOOK_SECONDS)
            assert background.thread.is_alive() and time.monotonic() < deadline, background.error


def outcome(background):
    """Return the result of the thread, or its error."""
    try:
        return background.result()
    except Exception as error:
        return error


def outcomes(found):
    """Return the results, with the class of an error in its place."""
    return [type(item) if isinstance(item, Exception) else item for item in found]


def value(sql, *params):
    """Return the first column of the first row."""
    return database.fetch_value(sql, params)


# Another process that holds the write lock, and recorders that cannot write


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
