"""The recorder's transactions on PostgreSQL: one message with BEGIN, all statements and COMMIT where possible."""

import peewee
import psycopg
import pytest
from world import PATIENCE, add_flow, flow, started_recorder

import database
from database import execute, fetch_value, write_runs
from database.base import Write
from database.queries import runs as run_queries
from database.queries.runs import execute_units
from dispatch.recorder import WholeRun, insertions
from packs.postgres.pipeline import Pipeline

pytestmark = pytest.mark.slow

ADD = "INSERT INTO workspaces (id, name, created_at) VALUES ($1, $2, 0)"


@pytest.fixture
def url(fresh_url):
    """The URL of a new database, to which this process is connected."""
    url = fresh_url()
    database.connect(url, "normal")
    yield url
    database.disconnect()


@pytest.fixture
def pipeline(url):
    with psycopg.connect(url, autocommit=True, cursor_factory=psycopg.RawCursor) as connection:
        yield Pipeline(connection)


def whole(made, **values):
    """Return a run that has ended and is not written yet."""
    run = run_queries.accept(made, triggered_by="manual", **values)
    run_queries.end_unsaved(run, "success", 2.0)
    return WholeRun(run, [], [])


@pytest.fixture
def messages(monkeypatch):
    """The first words of the statements of each round trip."""
    sent, execute_all = [], Pipeline.execute

    def note(self, statements):
        sent.append([sql.split()[0] for sql, _ in statements])
        return execute_all(self, statements)

    monkeypatch.setattr(Pipeline, "execute", note)
    return sent


def test_statements_are_executed_in_order_and_counted(pipeline):
    add = [(ADD, (f"ws_{number}", "x")) for number in range(3)]
    change = ("UPDATE workspaces SET name = $1", ("y",))
    for _ in range(2):  # prepared, then by their names
        assert pipeline.execute([*add, change, ("DELETE FROM workspaces WHERE id <> $1", ("ws_1",))]) == [1, 1, 1, 3, 2]
        assert pipeline.execute([("DELETE FROM workspaces", ())]) == [1]
    assert pipeline.is_usable()


@pytest.mark.parametrize("value", [None, 0, -(2**63), "ä\U0001f600'?", 1.5, True, b"\0\1"])
def test_values_arrive_as_on_any_other_connection(pipeline, value):
    kinds = {int: "BIGINT", float: "DOUBLE PRECISION", bool: "BOOLEAN", bytes: "BYTEA"}
    kind = kinds.get(type(value), "TEXT")
    same = f"UPDATE workspaces SET name = 'same' WHERE $1::{kind} IS NOT DISTINCT FROM ($2::{kind})"
    pipeline.execute([(ADD, ("ws_a", "x"))])
    assert pipeline.execute([(same, (value, value))]) == [1]


def test_nul_in_a_text_is_replaced(pipeline):
    pipeline.execute([(ADD, ("ws_a", "a\0b"))])
    assert pipeline.connection.execute("SELECT name FROM workspaces").fetchone() == ("a\ufffdb",)


def test_after_an_error_nothing_else_is_executed_and_all_can_be_repeated(pipeline):
    statements = [(ADD, ("ws_a", "x")), (ADD, ("ws_a", "y")), ("DELETE FROM workspaces", ())]
    for _ in range(2):
        pipeline.execute([("BEGIN", ())])
        with pytest.raises(psycopg.errors.UniqueViolation):
            pipeline.execute(statements)
        assert not pipeline.is_usable()
        pipeline.connection.execute("ROLLBACK")
        assert pipeline.is_usable()
    assert pipeline.execute([*statements[:1], *statements[2:]]) == [1, 1]


def test_more_statements_than_are_prepared_are_executed(pipeline):
    pipeline = Pipeline(pipeline.connection, max_prepared=2)
    for _ in range(2):
        assert pipeline.execute([(f"SELECT {number} WHERE $1::int > 0", (1,)) for number in range(5)]) == [1] * 5
    assert pipeline.connection.execute("SELECT COUNT(*) FROM pg_prepared_statements").fetchone() == (2,)


def test_messages_larger_than_all_buffers_arrive(pipeline):
    """The server answers while this side still sends: if nobody read that, both would wait for ever."""
    text = "x" * 60_000
    echoed = [("SELECT $1::text FROM generate_series(1, 4)", (text,))] * 200
    assert pipeline.execute(echoed) == [4] * 200


def test_a_lost_connection_is_an_error_and_seen_the_next_time(pipeline, url):
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute("SELECT pg_terminate_backend(%s, 10000)", (pipeline.connection.info.backend_pid,))
    assert not pipeline.is_usable()
    with pytest.raises(psycopg.OperationalError):
        pipeline.execute([("SELECT 1", ())])


def test_a_recorder_that_ends_leaves_its_connection_to_others(url, caplog):
    made = add_flow(flow("a"))
    for number in range(3):
        with started_recorder() as recorder:
            recorder.submit(insertions([whole(made)])).result(PATIENCE)
        assert fetch_value("SELECT COUNT(*) FROM runs") == number + 1
    assert fetch_value("SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database()") <= 2
    assert not caplog.records


def test_a_connection_given_back_several_times_executes_what_psycopg_prepares_on_it(pipeline):
    connection = pipeline.connection
    pipeline.end()
    for _ in range(3):
        for _ in range(connection.prepare_threshold + 2):
            assert connection.execute("SELECT $1::int", (7,)).fetchone() == (7,)
        pipeline = Pipeline(connection)
        assert pipeline.execute([(ADD, ("ws_a", "x")), ("DELETE FROM workspaces", ())]) == [1, 1]
        pipeline.end()


def test_a_connection_given_back_in_a_failed_transaction_can_be_used_again(pipeline):
    statements = [(ADD, ("ws_a", "x")), (ADD, ("ws_a", "y"))]
    with pytest.raises(psycopg.errors.UniqueViolation):
        pipeline.execute([("BEGIN", ()), *statements])
    with pytest.raises(psycopg.errors.InFailedSqlTransaction):
        pipeline.end()
    pipeline.connection.rollback()  # as its pool does
    assert Pipeline(pipeline.connection).execute(statements[:1]) == [1]


def test_new_runs_take_one_round_trip_and_changes_two(url, messages):
    made = add_flow(flow("a"))
    runs = [whole(made) for _ in range(3)]
    with started_recorder() as recorder:
        recorder.submit(insertions(runs)).result(PATIENCE)
        new = messages.copy()
        messages.clear()
        recorder.submit([Write("UPDATE runs SET deaths = 1 WHERE id = ?", (runs[0].run.id,))]).result(PATIENCE)
    assert [len(new), len(messages)] == [1, 2]
    assert new[0][0] == "BEGIN" and new[0][-1] == messages[-1][-1] == "COMMIT"
    assert fetch_value("SELECT COUNT(*) FROM runs WHERE status = 'success'") == 3
    assert fetch_value("SELECT SUM(total) FROM run_days") == 3


def test_what_only_adds_runs_is_not_committed_before_the_end_of_another_block(url):
    made = add_flow(flow("a"))
    with pytest.raises(ZeroDivisionError), write_runs():
        execute_units([[run_queries.insertion(whole(made).run)]])
        raise ZeroDivisionError
    assert fetch_value("SELECT COUNT(*) FROM runs") == 0


def test_a_taken_id_fails_the_group_as_a_whole(url):
    made = add_flow(flow("a"))
    one = whole(made)
    with pytest.raises(peewee.IntegrityError), write_runs() as execute_one:
        execute_units([insertions([whole(made), one]), insertions([one])], execute_one)
    assert fetch_value("SELECT COUNT(*) FROM runs") == 0
    with write_runs() as execute_one:
        execute_units([insertions([one])], execute_one)
    assert execute("SELECT id FROM runs").fetchall() == [(one.run.id,)]
