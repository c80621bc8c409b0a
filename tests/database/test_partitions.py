"""Partitions of runs and steps on PostgreSQL: added ahead, removed by retention with all that belongs to their runs."""

import threading
import time
from itertools import count

import psycopg
import pytest
from each import for_each
from seeding import strays
from world import add_flow, flow, steps_of

import database
from config import Config
from database import LockTimeout, execute, fetch_value, write, write_leases
from database.base import encode_list, first_id, now_ms
from database.queries import claims, logs, partitions, runs, steps
from database.queries.locks import LOCK_RUNS
from database.queries.runs import RunFilters
from dispatch.payloads import PayloadRows
from models import AgentRun, AgentStep, IdempotencyKey, Run, RunOptions, Wait
from packs.agents import agent_runs
from packs.postgres import engine as postgres
from scheduler.retention import DAY_MS, Retention

pytestmark = pytest.mark.slow
NUMBERS = count()


@pytest.fixture
def url(fresh_url):
    """Connect this process to a database whose runs of the last 40 days have ten partitions. The URL."""
    url = fresh_url()
    database.connect(url, "normal")
    with write_leases():
        partitions.split_old(first_id("run", now_ms() - 40 * DAY_MS), execute)
    yield url
    database.disconnect()


@pytest.fixture
def payloads(url):
    return PayloadRows(inline_bytes=10)


@pytest.fixture
def make(url, payloads):
    """`make(days)` makes a run of that many days ago, with rows in all other tables, and returns its id."""
    made = add_flow(flow("a"))

    def run(days, status="success", ended=None, key_days=None, **values):
        at = now_ms() - int(days * DAY_MS)
        id_ = first_id("run", at)[:-4] + f"{next(NUMBERS):04d}"
        if status in ("success", "failed"):
            values["finished_at"] = at if ended is None else now_ms() - ended * DAY_MS
        new = runs.accept(made, id=id_, status=status, triggered_by="manual", **values)
        with write():
            execute(*runs.insertion(new))
            for seq in range(3):
                step = (id_, seq, "n", "noop", "N", "success", 1, *[None] * 8, at, at, 1.0, False, None)
                execute(*steps.save_one(step, 0))
            execute(*logs.entry("ws_1", id_, None, "info", "m", None))
            execute(
                *agent_runs.accepted(new, f"arun_{id_}", agent_id="a", node_id="n", item_index=-1, task="t", session="")
            )
            AgentStep.create(agent_run_id=f"arun_{id_}", seq=0, kind="tool", name="t", status="success", started_at=1)
            Wait.create(run_id=id_, node_id="n", created_at=at)
            RunOptions.create(run_id=id_, value="{}")
            key_at = at if key_days is None else now_ms() - int(key_days * DAY_MS)
            IdempotencyKey.create(workflow_id=made.id, key=id_, run_id=id_, created_at=key_at)
        payloads.keep(id_, "input", b'"123456789"')
        return id_

    return run


@pytest.fixture
def keep(payloads):
    """`keep(days=30)` returns a Retention with this limit that never pauses."""

    def part(**limits):
        limits = {f"retention_{name}": limit for name, limit in ({"days": 0} | limits).items()}
        return Retention(Config(database_url=postgres.url(), **limits), payloads, pause=lambda seconds: False)

    return part


def place(id_):
    """Return the table with the row of a run."""
    return fetch_value("SELECT CAST(tableoid::regclass AS TEXT) FROM runs WHERE id = ?", (id_,))


def names():
    return [one.name for one in partitions.find_all()]


def check_bounds():
    """Check that the partitions of both tables have the same bounds, without gaps, from no bound to no bound."""
    bounds = {
        table: execute(
            "SELECT pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits AS i JOIN pg_class AS c ON c.oid = i.inhrelid "
            f"WHERE i.inhparent = CAST('{table}' AS regclass) ORDER BY 1"
        ).fetchall()
        for table in partitions.TABLES
    }
    assert bounds["runs"] == bounds["steps"]
    found = partitions.find_all()
    assert found[0].lower is None and found[-1].upper is None
    assert [one.upper for one in found[:-1]] == [one.lower for one in found[1:]]


def check_gone(kept, payloads):
    """Check that these runs exist, whole, and nothing of others."""
    assert [id_ for (id_,) in execute("SELECT id FROM runs ORDER BY id").fetchall()] == sorted(kept)
    assert strays() == {} and partitions.find_removed() == []
    assert {run.run_id for run in AgentRun.select()} == set(kept) == set(payloads.run_ids())
    assert {step.agent_run_id for step in AgentStep.select()} == {f"arun_{id_}" for id_ in kept}
    assert all(len(steps_of(id_)) == 3 for id_ in kept)


# Added


def test_partitions_are_added_ahead_once(url):
    before, now = names(), now_ms()
    assert partitions.cut_ahead(now, 30) == 0, "the migration has made them for some days"
    assert partitions.cut_ahead(now + 10 * DAY_MS, 30) == 2 and partitions.cut_ahead(now + 10 * DAY_MS, 30) == 0
    assert len(names()) == len(before) + 2 and partitions.find_all()[-2].days == 6
    check_bounds()


@for_each("kept_days, days", [(1, 1), (7, 1), (30, 6), (365, 73), (10_000, 92), (0, 92)])
def test_a_partition_covers_a_fifth_of_the_time_for_which_runs_are_kept(kept_days, days):
    assert partitions.days_each(kept_days) == days


def test_a_server_that_was_stopped_for_long_adds_one_partition_for_that_time(url):
    before = len(names())
    partitions.cut_ahead(now_ms() + 300 * DAY_MS, 30)
    assert len(names()) == before + 2 and partitions.find_all()[-3].days > 200
    check_bounds()


def test_runs_for_which_no_partition_was_added_in_time_stay_where_they_are(url, make):
    late = [make(-days) for days in (20, 25, 27)]
    partitions.cut_ahead(now_ms() + 27 * DAY_MS, 30)
    new = make(-29)
    assert len({place(id_) for id_ in late}) == 1 and place(new) not in (place(late[0]), f"runs_{names()[-1]}")
    assert fetch_value("SELECT COUNT(*) FROM steps") == 12
    check_bounds()


def test_two_processes_add_the_same_partitions_once(url):
    now, results = now_ms() + 10 * DAY_MS, []

    def cut():
        for _ in range(20):
            try:
                results.append(partitions.cut_ahead(now, 30))
                return
            except LockTimeout:
                continue

    threads = [threading.Thread(target=cut) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sum(results) >= 1 and len(results) == 4
    assert len(names()) == 1 + 10 + 2 + 2
    check_bounds()


# Removed


def test_retention_removes_whole_partitions_with_all_rows_of_their_runs(make, keep, payloads):
    gone = [make(days) for days in (39, 38.5, 36, 35)]
    stays = [make(days) for days in (3, 2, 0)]
    before = names()
    assert keep(days=30).work()
    assert len(names()) <= len(before) - 2 and not {place(id_) for id_ in stays} & {"runs_old", None}
    check_gone(stays, payloads)
    check_bounds()
    assert Run.find(gone[0]) is None


def test_runs_that_must_stay_outlive_their_partition(make, keep, payloads):
    parent = make(38, "pending", waiting="an answer")
    kept = [
        parent,
        make(38, "running"),
        make(38, ended=2),  # it ran for a month
        make(37, parent_run_id=parent, parent_node_id="n"),
        make(37, key_days=0.5),
    ]
    for days in (39, 38, 37):
        make(days), make(days, "running", recorded=True)
    assert keep(days=30).work()
    assert {place(id_) for id_ in kept} == {"runs_old"}
    check_gone(kept, payloads)
    check_bounds()
    Run.update(status="success", finished_at=now_ms() - 31 * DAY_MS).execute()
    IdempotencyKey.update(created_at=1).execute()
    assert keep(days=30).work()
    check_gone([], payloads)


def test_a_run_goes_with_its_partition_and_not_before(make, keep, payloads):
    """Deleting the rows one by one would cost what partitions are to save."""
    limit = first_id("run", now_ms() - 30 * DAY_MS)
    edge = next(one for one in partitions.find_all() if one.upper is not None and one.upper > limit)
    days = (now_ms() - partitions.made_at(edge.lower)) / DAY_MS
    waits = make(days - 0.001)
    assert days > 30 and keep(days=30).work()
    assert place(waits) == f"runs_{edge.name}"
    check_gone([waits], payloads)


def test_a_limit_on_the_number_of_runs_is_exact(make, keep, payloads):
    made = [make(days) for days in (39, 38, 30, 20, 9, 8.9, 8.8)]
    before = len(names())
    assert keep(runs=2).work()
    check_gone(made[-2:], payloads)
    assert len(names()) < before - 5
    check_bounds()


def test_too_many_runs_that_stay_are_left_there_and_the_others_deleted_one_by_one(make, keep, payloads, monkeypatch):
    monkeypatch.setattr(partitions, "MAX_KEPT_RUNS", 1)
    kept = [make(38.9, "pending") for _ in range(2)]
    make(38.9), make(38.8)
    before = names()
    assert keep(days=30).work() and names() == before
    check_gone(kept, payloads)
    monkeypatch.undo()
    assert keep(days=30).work() and len(names()) < len(before)
    check_gone(kept, payloads)


def test_an_interrupted_pass_is_completed_by_the_next(make, keep, payloads):
    def fill():
        for days in (39, 38, 35):
            make(days)

    fill()
    stays = make(1)
    part = keep(days=30).steps(now_ms())
    while not partitions.find_removed():
        next(part)
    assert strays() != {}, "the partition is gone, rows of its runs are not"
    part.close()
    assert keep(days=30).work()
    check_gone([stays], payloads)


def test_a_transaction_that_fails_in_the_middle_leaves_the_partition(make, url, keep, payloads):
    kept = [make(39, "pending"), make(3)]
    make(39)
    before = names()
    # Its row cannot move.
    execute("ALTER TABLE runs_old ADD CONSTRAINT test CHECK (status <> 'pending') NOT VALID")
    with pytest.raises(Exception, match="test"):
        keep(days=30).work()
    assert names() == before and fetch_value("SELECT COUNT(*) FROM runs") == 3 and partitions.find_removed() == []
    execute("ALTER TABLE runs_old DROP CONSTRAINT test")
    assert list(keep(days=30).steps(now_ms())) and len(names()) < len(before)
    check_gone(kept, payloads)
    check_bounds()


def test_a_long_query_is_not_waited_for(make, url, keep, payloads):
    gone, stays = make(39), make(3)
    before = names()
    with psycopg.connect(url) as reader:
        reader.execute("SELECT COUNT(*) FROM runs").fetchall()  # its transaction stays open
        began = time.monotonic()
        assert keep(days=30).work()
        assert time.monotonic() - began < 5 and names() == before and Run.find(gone) is not None
        with pytest.raises(LockTimeout):
            partitions.cut_ahead(now_ms() + 10 * DAY_MS, 30)
        assert make(0)
    execute("DELETE FROM runs WHERE id > ?", (stays,))
    for table in ("steps", "log_entries", "waits", "agent_runs", "idempotency_keys", "run_options", "payloads"):
        execute(f"DELETE FROM {table} WHERE run_id > ?", (stays,))
    execute("DELETE FROM agent_steps WHERE agent_run_id NOT IN (SELECT id FROM agent_runs)")
    assert keep(days=30).work() and len(names()) < len(before)
    check_gone([stays], payloads)


def test_a_partition_that_another_process_removed_is_in_use(make, payloads):
    make(39)
    oldest = partitions.find_all()[1]
    assert partitions.drop(oldest, []) is partitions.Result.DROPPED
    with pytest.raises(Exception, match="does not exist"):
        partitions.drop(oldest, [])
    second, third = partitions.find_all()[1:3]
    assert partitions.drop(third, []) is partitions.Result.BUSY and second in partitions.find_all()


def test_a_run_that_began_meanwhile_is_not_lost(make):
    make(39, "pending")
    oldest = next(one for one in partitions.find_all()[1:] if fetch_value(f"SELECT COUNT(*) FROM runs_{one.name}"))
    while partitions.find_all()[1] != oldest:
        partitions.drop(partitions.find_all()[1], [])
    assert partitions.drop(oldest, []) is partitions.Result.BUSY and oldest in partitions.find_all()


# Queries


def plan(sql, params=()):
    """Return the plan of a statement, prepared for all parameters as the recorder has it prepared."""
    with write_leases():
        execute("SET LOCAL plan_cache_mode = force_generic_plan")
        execute("SET LOCAL enable_seqscan = off")
        types = ", ".join("bigint" if isinstance(value, int) else "text" for value in params)
        execute(f"PREPARE p{f'({types})' if params else ''} AS {postgres.translate(sql)}")
        given = ", ".join(f"'{value}'" for value in params)
        text = "\n".join(line for (line,) in execute(f"EXPLAIN EXECUTE p{f'({given})' if params else ''}").fetchall())
        execute("DEALLOCATE p")
    return text


NOW = first_id("run", now_ms())
BY_ID = {
    "run": ("SELECT * FROM runs WHERE id = ?", (NOW,)),
    "locks": (LOCK_RUNS, (NOW, NOW, encode_list([NOW]))),
    "steps": ("SELECT * FROM all_steps WHERE run_id = ? AND seq > ? ORDER BY seq LIMIT ?", (NOW, -1, 50)),
    "claim": tuple(claims.claim(NOW, "owner")[0]),
    "step": tuple(steps.save_one((NOW, 0, "n", "noop", "N", "success", 1, *[None] * 8, 1, 1, 1.0, False, None), 0)),
}


@for_each("query", ["run", "locks", "steps", "claim"])
def test_a_statement_with_an_id_looks_into_one_partition(url, query):
    text = plan(*BY_ID[query])
    scanned = {line.split(" on ")[1].split()[0] for line in text.splitlines() if "Scan" in line and " on runs_" in line}
    assert len(scanned) == 1 and "Seq Scan" not in text, text
    assert "Subplans Removed: 12" in text, text


def test_a_page_of_the_newest_runs_looks_into_the_newest_partitions(make, url, monkeypatch):
    made = [make(days) for days in (20, 1.5, 1, 0.5, 0)]
    statements = []

    def note(sql, params=()):
        statements.append((sql, params))
        return execute(sql, params)

    monkeypatch.setattr(database.base, "execute", note)
    found, before = runs.select_where(RunFilters("ws_1")).page(2, None)
    assert [run.id for run in found] == made[:-3:-1] and len(statements) == 1
    (sql, params), *_ = statements
    with write_leases():
        lines = execute(f"EXPLAIN {sql}", params).fetchall()
    text = "\n".join(line for (line,) in lines)
    assert "Index Scan" in text and text.count(" on runs_") <= 4 and "Sort  " not in text, text
    rest, end = runs.select_where(RunFilters("ws_1")).page(9, before)
    assert [run.id for run in rest] == made[-3::-1] and end is None


def test_the_oldest_runs_are_claimed_first_through_all_partitions(make, url):
    made = [make(days, "pending") for days in (39, 20, 1, 0)]
    assert claims.find_claimable(3) == made[:3]
    claimable = "status = 'pending' AND waiting IS NULL AND recorded = 0"
    text = plan(f"SELECT id FROM runs WHERE {claimable} ORDER BY (deaths > 1), id LIMIT ?", (3,))
    assert "Sort  " not in text and "Seq Scan" not in text, text
