"""Two transactions on PostgreSQL wait for each other: the recorder repeats its group, a request gets an error."""

from types import SimpleNamespace

import psycopg
import pytest
from races import until_waiting
from seeding import accept
from world import PATIENCE, Background, add_flow, flow, started_recorder

import database
from api.http.json_io import to_unavailable
from database import Deadlock, execute, write
from database.base import Write
from database.queries import schedules
from database.queries.locks import lock_runs
from models import Run
from packs.polls import queries as polls
from scheduler.firing import fire_due, skip_due, watch

pytestmark = pytest.mark.slow

LATER = 10**12
NAME = "UPDATE runs SET workflow_name = 'changed' WHERE id = ?"


@pytest.fixture
def other(fresh_url, postgres_server):
    """A connection that is never ended in a deadlock, to the database of this process."""
    url = fresh_url()
    database.connect(url, "normal")
    postgres_server.admin("ALTER ROLE app SUPERUSER", database="postgres")
    try:
        with psycopg.connect(url, autocommit=True) as other:
            other.execute("SET deadlock_timeout = '1min'")
            yield SimpleNamespace(url=url, connection=other)
    finally:
        postgres_server.admin("ALTER ROLE app NOSUPERUSER", database="postgres")
        database.disconnect()


def waits_for(other, work):
    """Have `work` wait for the lock of the second run, which `other` has, and `other` then for that of the first."""
    first, second = sorted(run.id for run in (accept(add_flow(flow("a"))) for _ in range(2)))
    with other.connection.transaction():
        other.connection.execute("UPDATE runs SET deaths = 1 WHERE id = %s", (second,))
        begun = Background(work, first, second)
        until_waiting(other.url, begun)
        other.connection.execute("UPDATE runs SET deaths = 1 WHERE id = %s", (first,))
    return begun


def test_a_recorder_repeats_its_group(other):
    with started_recorder() as recorder:
        begun = waits_for(other, lambda *ids: recorder.submit([Write(NAME, (id_,)) for id_ in ids]).result(PATIENCE))
        assert begun.result() == [1, 1]
    assert {(run.workflow_name, run.deaths) for run in Run.select()} == {("changed", 1)}


def test_another_writer_gets_an_error_and_nothing_is_written(other):
    def work(*ids):
        with write():
            lock_runs(ids)
            execute(NAME, (ids[0],))

    with pytest.raises(Deadlock) as found:
        waits_for(other, work).result()
    answer = to_unavailable(found.value)
    assert (answer.status, answer.retry_after) == (503, 5)
    assert {(run.workflow_name, run.deaths) for run in Run.select()} == {("Flow", 1)}


# Several rows in one order: the work waits for the first row, and has not taken the second one, which is due earlier


def is_free(other, work, table):
    """Have `work` wait for the first row, which `other` has. Return True if nobody has the second one meanwhile."""
    change = f"UPDATE {table} SET next_at = next_at WHERE workflow_id = %s"
    first, second = sorted(row[0] for row in execute(f"SELECT workflow_id FROM {table}").fetchall())
    for at, id_ in enumerate((second, first)):  # which is the order in the table too
        execute(f"UPDATE {table} SET next_at = ? WHERE workflow_id = ?", (at, id_))
    other.connection.execute("SET lock_timeout = '200ms'")
    with other.connection.transaction():
        other.connection.execute(change, (first,))
        begun = Background(work)
        until_waiting(other.url, begun)
        try:
            with other.connection.transaction():
                other.connection.execute(change, (second,))
            found = True
        except psycopg.errors.LockNotAvailable:
            found = False
    begun.result()
    return found


POLL = {"type": "poll", "every": 60.0, "source": "s"}
EVERY = {"cron": None, "every": 60.0, "timezone": "UTC", "catch_up": "one"}


@pytest.mark.parametrize(
    "work",
    [lambda: polls.claim("me", LATER, 2), lambda: polls.take_over("me", LATER), lambda: polls.release("other", LATER)],
    ids=["claim", "take over", "release"],
)  # fmt: skip
def test_polls_are_written_in_one_order(other, work):
    for _ in range(2):
        add_flow(flow("p"), triggers=[("p", "poll", POLL)])
    polls.claim("other", 10**15, 2)
    assert is_free(other, work, "polls")


@pytest.mark.parametrize(
    "work",
    [
        lambda: fire_due(LATER), lambda: skip_due(LATER), lambda: watch(LATER),
        lambda: schedules.restart_intervals(lambda: -LATER),
    ],
    ids=["fire", "skip", "watch", "restart"],
)  # fmt: skip
def test_schedules_are_written_in_one_order(other, work):
    for _ in range(2):
        add_flow(flow("s"), triggers=[("s", "schedule", EVERY)])
    assert is_free(other, work, "schedules")
