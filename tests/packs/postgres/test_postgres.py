"""The engine for PostgreSQL: statements, types, transactions and lost connections, on a real server."""

import time
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlsplit

import peewee
import psycopg
import pytest
from races import WAITING, until_waiting
from servers import until
from tcp_proxy import TcpProxy
from world import PATIENCE, Background, add_flow, flow, started_recorder
from written import put

import database
from database import LockTimeout, execute, execute_together, fetch_value, lock_wait, shared, write, write_runs
from database.base import Decides, Write, now_ms
from database.queries import retention, runs, users
from database.queries.runs import execute_units
from database.queries.store import WorkspaceStore
from database.shared import QueryCache
from errors import ConfigError, Conflict
from models import AgentMemory, Run, RunDay, User, Workspace
from packs.agents import agent_memory
from packs.agents.agent_memory import MemoryName
from packs.postgres import engine as postgres
from packs.postgres.engine import translate

pytestmark = pytest.mark.slow


@pytest.fixture
def url(fresh_url):
    """The URL of a new database, to which this process is connected."""
    url = fresh_url()
    database.connect(url, "normal")
    yield url
    database.disconnect()


# Caches


def test_what_was_cached_of_a_database_is_not_used_after_connecting_again(url):
    cache = QueryCache(database.settings_commits)

    def ask(answer):
        until(database.settings_commits, "changes by others are known")
        return cache.get("key", lambda: answer)

    assert (ask("first"), ask("second")) == ("first", "first")
    database.disconnect()
    database.connect(url, "normal")
    assert ask("third") == "third"


# Statements


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("SELECT 1", "SELECT 1"),
        ("SELECT ? + ?, ?", "SELECT $1 + $2, $3"),
        ("SELECT ?2, ?1, ?2", "SELECT $2, $1, $2"),
        ("SELECT '?', 'it''s ?', ?", "SELECT '?', 'it''s ?', $1"),
        ("SELECT value FROM json_each(?)", "SELECT value FROM json_array_elements_text($1::json) AS t(value)"),
        ("SELECT value FROM json_each(?2)", "SELECT value FROM json_array_elements_text($2::json) AS t(value)"),
        ("a LIKE ? ESCAPE '\\'", "a ILIKE $1 ESCAPE '\\'"),
        ("CAST(ROUND(every * 1000) AS INTEGER)", "CAST(ROUND(every * 1000) AS BIGINT)"),
        ("CAST(? AS tsquery), CAST(? AS INTEGER)", "CAST($1 AS tsquery), CAST($2 AS BIGINT)"),
    ],
)  # fmt: skip
def test_a_statement_is_translated(sql, expected):
    assert translate(sql) == expected


def test_a_statement_is_translated_once():
    translate.cache_clear()
    for _ in range(3):
        translate("SELECT ?")
    assert translate.cache_info().misses == 1


@pytest.mark.parametrize("value", [None, 0, 7, -(2**63), 2**63 - 1, "", "ä\U0001f600'?", 1.5, 123456.789, 1e300])
def test_a_value_comes_back_as_it_went(url, value):
    kind = {int: "BIGINT", float: "DOUBLE PRECISION"}.get(type(value), "TEXT")
    assert fetch_value(f"SELECT CAST(? AS {kind})", (value,)) == value


def test_a_flag_is_a_number_and_read_as_a_flag(url):
    with write():
        User.add(email="a@example.org", name="A", password_hash="x", is_admin=True)
    assert fetch_value("SELECT is_admin FROM users WHERE is_admin = 1") == 1
    assert users.by_email("a@example.org").is_admin is True


def test_nul_in_a_text_is_replaced(url):
    WorkspaceStore("ws_1").set("a", "x")
    assert fetch_value("SELECT CAST(? AS TEXT)", ("a\0b",)) == "a\ufffdb"


def test_sums_are_integers_or_floats(url):
    row = execute("SELECT SUM(n), AVG(n) FROM (SELECT CAST(value AS BIGINT) AS n FROM json_each(?)) AS x".replace(
        "FROM json_each(?)", "FROM (SELECT value FROM json_each(?)) AS v"), ("[1, 2]",)).fetchone()  # fmt: skip
    assert row == (3, 1.5) and type(row[0]) is int and type(row[1]) is float


def test_ids_sort_by_bytes_whatever_the_language(url):
    with write():
        for id_ in ("ws_a", "ws_B", "ws_~", "ws__"):
            Workspace.create(id=id_, name="x", created_at=1)
    found = [row.id for row in Workspace.select().order_by(Workspace.id)]
    assert found == sorted(found) and len(found) >= 4


@pytest.mark.parametrize(
    ("sql", "error"),
    [
        ("SELEKT 1", peewee.ProgrammingError),
        ("SELECT 1 / 0", peewee.DataError),
        ("INSERT INTO server_facts (name, value) VALUES ('a', 'x'), ('a', 'x')", peewee.IntegrityError),
    ],
)  # fmt: skip
def test_an_error_is_one_of_peewee(url, sql, error):
    with pytest.raises(error):
        execute(sql)


# Transactions


def add(id_):
    execute("INSERT INTO workspaces (id, name, created_at) VALUES (?, 'x', 0)", (id_,))


def ids():
    return {id_ for (id_,) in execute("SELECT id FROM workspaces").fetchall()}


def test_a_write_is_committed_or_rolled_back(url):
    with write():
        add("ws_a")
    with pytest.raises(ZeroDivisionError), write():
        add("ws_b")
        raise ZeroDivisionError
    assert ids() == {"ws_a"}


def test_a_nested_write_is_rolled_back_alone(url):
    with write():
        add("ws_a")
        with pytest.raises(peewee.IntegrityError), write():
            add("ws_b")
            add("ws_a")
        add("ws_c")
    assert ids() == {"ws_a", "ws_c"}


def test_a_failed_statement_spoils_no_later_transaction(url):
    with pytest.raises(peewee.IntegrityError), write_runs():
        add("ws_a")
        add("ws_a")
    with write_runs():
        add("ws_b")
    assert ids() == {"ws_b"}


def test_units_are_executed_and_counted(url):
    with write():
        made = add_flow(flow("a"))
    run = runs.accept(made, triggered_by="manual")
    runs.end_unsaved(run, "success", 2.0)
    nothing = Decides("UPDATE workspaces SET name = 'y' WHERE id = ?", ("ws_none",))
    new = Write("INSERT INTO workspaces (id, name, created_at) VALUES (?, 'x', 0)", ("ws_a",))
    with write_runs():
        assert execute_units([[runs.insertion(run), runs.counted(run)], [nothing, new]]) == [[1, 1], [0, 0]]
    assert RunDay.get().total == 1 and "ws_a" not in ids() and Run.find(run.id).status == "success"


def test_of_a_group_in_one_round_trip_only_the_refused_unit_fails(url):
    made = add_flow(flow("a"))
    taken, *others = (runs.accept(made, triggered_by="manual") for _ in range(3))
    nothing = Write("UPDATE runs SET deaths = 0 WHERE id = ?", (others[0].id,))
    units = [[runs.insertion(others[0]), nothing], [runs.insertion(taken)] * 2, [runs.insertion(others[1]), nothing]]
    with started_recorder() as recorder:
        done = [recorder.submit(unit) for unit in units]
        assert isinstance(done[1].exception(PATIENCE), Conflict)
        assert [each.result(PATIENCE) for each in (done[0], done[2])] == [[1, 1]] * 2
    assert {run.id for run in Run.select()} == {others[0].id, others[1].id}


def test_statements_of_a_failed_group_can_be_executed_again(url):
    """They were sent after the error, so the server has not prepared them."""
    new = Write("INSERT INTO workspaces (id, name, created_at) VALUES (?, 'x', 0)", ("ws_a",))
    change = Write("UPDATE workspaces SET name = 'y' WHERE id = ?", ("ws_a",))
    with write_runs():
        execute_units([[new]])
    for _ in range(12):
        with pytest.raises(peewee.IntegrityError), write_runs():
            execute_units([[new], [change]])
        with write_runs():
            assert execute_units([[change]]) == [[1]]


@pytest.mark.parametrize(
    ("begin", "expected"), [(write, [("idle in transaction",)]), (write_runs, [])], ids=["write", "write_runs"]
)
def test_a_process_stopped_while_it_makes_a_group_keeps_no_lock(url, begin, expected):
    """The server ends what is idle in a transaction, but not what has begun to send a pipeline."""
    states = []

    def writes():
        yield put("ws_a")
        sql = "SELECT state FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        with psycopg.connect(url, autocommit=True) as other:
            states.extend(other.execute(f"{sql} AND backend_xid IS NULL AND xact_start IS NOT NULL").fetchall())
        yield put("ws_b")

    with begin():
        assert execute_together(writes()) == [1, 1]
    assert states == expected and ids() == {"ws_a", "ws_b"}


# Waiting for others


@pytest.fixture
def locked(url):
    """A transaction of another process, which has changed a workspace and does not end."""
    with write():
        add("ws_a")
    with psycopg.connect(url) as other:
        other.execute("UPDATE workspaces SET name = 'other' WHERE id = 'ws_a'")
        yield other


def rename():
    with write():
        execute("UPDATE workspaces SET name = 'own' WHERE id = 'ws_a'")


def hasty(seconds=0.05):
    """Rename in a thread that may wait for this time. Return True if it could."""
    lock_wait.limit(seconds)
    try:
        rename()
        return True
    except LockTimeout:
        return False
    finally:
        lock_wait.limit(None)


def test_writers_of_different_things_do_not_wait(locked):
    with write():
        add("ws_b")
        Background(lambda: WorkspaceStore("ws_1").set("a", 1)).result()
    assert ids() == {"ws_a", "ws_b"} and WorkspaceStore("ws_1").get("a") == 1


def test_a_thread_waits_for_a_lock_as_long_as_it_may(url, locked):
    assert not hasty()
    patient = Background(rename)
    until_waiting(url, patient)
    locked.commit()
    patient.result()
    assert hasty() and fetch_value("SELECT name FROM workspaces") == "own"


def test_threads_that_wait_leave_connections_for_others(url, locked):
    """The recorder commits, and reads are answered; other writers wait for a place, without a connection."""
    waiting = [Background(rename) for _ in range(postgres.WRITES_AT_ONCE + 2)]
    while len(waits(url)) < postgres.WRITES_AT_ONCE:
        assert all(each.thread.is_alive() for each in waiting)
    with started_recorder() as recorder:
        assert recorder.submit([Write("UPDATE runs SET deaths = 0", ())]).result(PATIENCE) == [0]
    assert ids() == {"ws_a"} and len(waits(url)) == postgres.WRITES_AT_ONCE
    assert not hasty() and not database.is_write_blocked(), "only writers of the same thing are blocked"
    locked.commit()
    for each in waiting:
        each.result()


def test_threads_get_a_place_in_their_order():
    """The thread that gives it back, and wants it again, is the last one."""
    places, order = shared.TransactionLimit(1), []

    def take(name):
        with places.taken():
            order.append(name)

    with places.taken():
        first = Background(take, "first")
        while not places._queue:
            assert first.thread.is_alive()
    take("again")
    first.result()
    assert order == ["first", "again"]


def waits(url):
    with psycopg.connect(url, autocommit=True) as admin:
        return admin.execute(WAITING).fetchall()


def test_only_some_threads_wait_for_a_place_once_all_are_stuck(url, locked, monkeypatch):
    monkeypatch.setattr(shared, "STALL_SECONDS", 0.05)
    waiting = [Background(rename) for _ in range(postgres.WRITES_AT_ONCE)]
    while len(waits(url)) < postgres.WRITES_AT_ONCE:
        assert all(each.thread.is_alive() for each in waiting)
    lock_wait.limit_threads(1)
    patient = [Background(hasty, PATIENCE) for _ in range(3)]
    while sum(each.thread.is_alive() for each in patient) > 1:
        assert all(each.thread.is_alive() for each in waiting)
    locked.commit()
    assert sorted(each.result() for each in patient) == [False, False, True]
    for each in waiting:
        each.result()


def test_threads_of_a_process_share_few_connections(url):
    def work(number):
        with write():
            add(f"ws_{number}")
        return len(ids())

    with ThreadPoolExecutor(40) as pool:
        list(pool.map(work, range(80)))
    assert len(ids()) == 80
    assert fetch_value("SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database()") <= postgres.POOL_SIZE


# Lost connections


def cut_all(url):
    """End every session of the database but this one, as a restart of the server does."""
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


def test_reads_and_writes_go_on_after_all_connections_were_cut(url):
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: ids(), range(20)))
    cut_all(url)
    assert ids() == set()
    cut_all(url)
    with write():
        add("ws_a")
    with started_recorder() as recorder:
        for id_ in ("ws_b", "ws_c", "ws_d"):
            cut_all(url)
            recorder.commit([Write("INSERT INTO workspaces (id, name, created_at) VALUES (?, 'x', 0)", (id_,))])
    assert ids() == {"ws_a", "ws_b", "ws_c", "ws_d"}


def test_a_transaction_whose_connection_is_cut_fails_and_leaves_nothing(url):
    with pytest.raises(peewee.OperationalError), write():
        add("ws_a")
        cut_all(url)
        add("ws_b")
    assert ids() == set()
    with write():
        add("ws_c")
    assert ids() == {"ws_c"}


def test_a_server_that_is_away_is_an_error_within_seconds(monkeypatch):
    monkeypatch.setattr(postgres, "POOL_SECONDS", 0.3)
    database.connect("postgresql://nobody@127.0.0.1:1/none")
    try:
        began = time.monotonic()
        with pytest.raises(database.DatabaseRefused):
            execute("SELECT 1")
        assert time.monotonic() - began < 5
    finally:
        database.disconnect()


def test_a_server_that_was_away_for_long_is_used_again_within_seconds(fresh_url, monkeypatch):
    """Pauses between attempts that grow with the absence would have a process miss another lease or more."""
    monkeypatch.setattr(postgres, "POOL_SECONDS", 0.3)
    url = fresh_url()
    port = urlsplit(url).port
    with TcpProxy(("127.0.0.1", port)) as proxy:
        database.connect(url.replace(f":{port}/", f":{proxy.port}/"))
        try:
            assert ids() == set()
            proxy.cut()
            ends = time.monotonic() + 8
            while time.monotonic() < ends:
                with pytest.raises(database.DatabaseRefused):
                    ids()
            proxy.heal()
            ends = time.monotonic() + 5
            while True:
                try:
                    assert ids() == set()
                    break
                except database.DatabaseRefused:
                    assert time.monotonic() < ends
        finally:
            database.disconnect()


# Changes


def test_own_changes_are_seen_at_once_and_those_of_others_soon(url):
    deadline = time.monotonic() + PATIENCE
    while not (first := database.settings_commits()) and time.monotonic() < deadline:
        time.sleep(0.01)
    with write():
        add("ws_a")
    own = database.settings_commits()
    assert first and own > first and own % 2 == 0
    with psycopg.connect(url) as other:
        other.execute("UPDATE server_counters SET value = value + 1 WHERE name = 'settings'")
    while database.settings_commits() <= own + 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert database.settings_commits() > own + 2


def test_the_recorder_changes_no_settings(url):
    with write_runs():
        add("ws_a")
    assert fetch_value(postgres.CHANGES) == 1


def test_nothing_is_cached_if_changes_of_others_cannot_be_read(url):
    changes = postgres._Changes()
    try:
        assert changes.count() == 0
        assert database.commits() == 0
    finally:
        changes.stop()


# Deletion


def test_at_most_as_many_memories_are_deleted_as_meant(url):
    with write():
        for key in range(15):
            agent_memory.put(MemoryName("ws_1", "a", "", str(key)), content="", tags="[]", expires_at=1, now=0)
    # A plan that reads the rows to be deleted again for each row of the table, as it may be chosen for a small one.
    plans = ("hashjoin", "mergejoin", "hashagg", "sort", "material", "indexscan", "indexonlyscan", "bitmapscan")
    with write():
        for plan in plans:
            execute(f"SET LOCAL enable_{plan} = off")
        assert not retention.remove_expired_memories(1, iter([True, False]).__next__)
    assert AgentMemory.select().count() == 15 - retention.MEMORIES_AT_ONCE


# Start


def test_a_database_is_migrated_once(fresh_url):
    database.connect(fresh_url(empty=True))
    try:
        assert database.migrate()[0] == "0037_baseline" and database.migrate() == []
        assert database.space().total > 100_000 and database.can_shrink() and database.is_postgres()
        execute("INSERT INTO schema_migration (name, applied) VALUES ('9999_later', now())")
        with pytest.raises(ConfigError, match="9999_later"):
            database.migrate()
    finally:
        database.disconnect()


def test_several_processes_migrate_one_database_once(fresh_url):
    database.connect(fresh_url(empty=True))
    try:
        with ThreadPoolExecutor(4) as pool:
            applied = list(pool.map(lambda _: database.migrate(), range(4)))
        assert sorted(map(len, applied))[:3] == [0, 0, 0] and now_ms()
    finally:
        database.disconnect()
