"""Metrics, keys, leases and the store in the tables, and which indexes their queries use."""

import os
import random
import time

import pytest
from children import child
from engines import statements_of_thread
from query_plans import explain, is_full, log_each
from run_rows import accept, do, running
from world import add_flow, at_once, flow

from database import base, execute
from database.base import first_id, now_ms
from database.queries import leases, logs, runs, steps, workflows
from database.queries import runs as run_queries
from database.queries.logs import LogFilters
from database.queries.metrics import metrics, totals
from database.queries.runs import RunFilters
from database.queries.store import WorkspaceStore
from models import IdempotencyKey, Lease, Run, RunDay, StoreEntry, Workflow

DAY_MS = 86_400_000


pytestmark = pytest.mark.usefixtures("path")


# Metrics


def ended(made, status, duration, days_ago=0):
    at = now_ms() - days_ago * DAY_MS
    return run_queries.record(
        made, status=status, triggered_by="manual", finished_at=at, started_at=at, duration_ms=duration
    )


def test_metrics_are_sums_over_all_days(made):
    ended(made, "success", 10.0)
    ended(made, "success", 20.0, days_ago=3)
    ended(made, "failed", 30.0, days_ago=400)
    accept(made)
    running(made)
    found = metrics("ws_1", 30)
    assert (found["total_runs"], found["success_runs"], found["failed_runs"]) == (5, 2, 1)
    assert (found["running_runs"], found["pending_runs"], found["failure_rate"]) == (1, 1, 0.3333)


def test_the_daily_series_has_every_day_and_ends_today(made):
    ended(made, "success", 1.0)
    ended(made, "failed", 1.0, days_ago=2)
    ended(made, "failed", 1.0, days_ago=3)
    today = now_ms() // DAY_MS
    assert metrics("ws_1", 3)["daily"] == [
        {"day": today - 2, "total": 1, "success": 0, "failed": 1, "mean_duration_ms": 1.0},
        {"day": today - 1, "total": 0, "success": 0, "failed": 0, "mean_duration_ms": None},
        {"day": today, "total": 1, "success": 1, "failed": 0, "mean_duration_ms": 1.0},
    ]


def test_counts_by_flow_begin_with_the_busiest(made):
    other = add_flow(flow("a"))
    ended(made, "success", 10.0)
    ended(other, "success", 10.0)
    ended(other, "failed", 30.0)
    first, second = metrics("ws_1", 1)["flows"]
    counts = {"workflow_id": other.id, "total": 2, "success": 1, "failed": 1, "mean_duration_ms": 20.0}
    known = {"workflow_name": other.name, "failure_rate": 0.5, "last_status": "failed", "p95_duration_ms": 30.0}
    assert first == counts | known
    assert second["workflow_id"] == made.id


def test_durations_are_quantiles_of_ended_runs(made):
    assert metrics("ws_1", 1)["p50_duration_ms"] is None
    for duration in random.sample(range(100), 100):
        ended(made, "success", float(duration))
    found = metrics("ws_1", 1)
    assert (found["p50_duration_ms"], found["p95_duration_ms"]) == (50.0, 95.0)


def test_metrics_of_a_workspace_have_nothing_of_another(made):
    ended(add_flow(flow("a"), workspace="ws_2"), "success", 1.0)
    found = metrics("ws_1", 2)
    assert (found["total_runs"], found["flows"], found["last_run_at"]) == (0, [], None)
    assert totals() == {"pending": 0, "running": 0, "success": 1, "failed": 0}


def test_ends_of_many_threads_are_all_counted(made):
    runs = [running(made) for _ in range(40)]

    def finish(number):
        for run in runs[number::8]:
            do(run_queries.finish(run, "me", ("success", "failed")[number % 2], duration_ms=1.0))

    at_once(8, finish)
    day = RunDay.get()
    assert (day.total, day.success, day.failed, day.duration_ms) == (40, 20, 20, 40.0)


# Keys and leases


def test_a_key_is_taken_once(made):
    run = accept(made)
    do(runs.take_key(made.id, "k", run.id))
    with pytest.raises(Exception, match="(?i)unique"):
        do(runs.take_key(made.id, "k", accept(made).id))
    assert runs.run_of_key(made.id, "k").id == run.id and runs.run_of_key(made.id, "l") is None


def test_a_key_is_free_again_after_a_day(made):
    first, second = accept(made), accept(made)
    do(runs.take_key(made.id, "k", first.id))
    IdempotencyKey.update(created_at=now_ms() - DAY_MS - 1000).execute()
    assert runs.run_of_key(made.id, "k") is None
    do(runs.take_key(made.id, "k", second.id))
    assert runs.run_of_key(made.id, "k").id == second.id


def test_pruning_keys_deletes_the_old_ones(made):
    for key in "ab":
        do(runs.take_key(made.id, key, accept(made).id))
    IdempotencyKey.update(created_at=1).where(IdempotencyKey.key == "a").execute()
    assert IdempotencyKey.prune() == 1
    assert [row.key for row in IdempotencyKey.select()] == ["b"]


def test_many_old_rows_are_deleted_in_short_transactions(made, monkeypatch):
    """A process whose heartbeat waits for a long transaction counts as dead."""
    monkeypatch.setattr(base, "PRUNED_AT_ONCE", 2)
    for number in range(6):
        do(runs.take_key(made.id, str(number), accept(made).id))
    IdempotencyKey.update(created_at=1).where(IdempotencyKey.key != "5").execute()
    with statements_of_thread() as said:
        assert IdempotencyKey.prune() == 5
    assert sum(sql.startswith("COMMIT") for sql in said) == 3
    assert [row.key for row in IdempotencyKey.select()] == ["5"]


def test_a_lease_holds_until_its_time_is_over_or_it_is_dropped(made):
    run = running(made)
    leases.beat("me", 60_000)
    assert run_queries.abandoned() == []
    leases.beat("me", 0)
    assert run_queries.abandoned() == [run]
    leases.beat("me", 60_000)
    leases.end("me")
    assert run_queries.abandoned() == [run]


def test_pruning_deletes_leases_that_ended_a_day_ago():
    leases.beat("proc_old", -DAY_MS - 1000)
    leases.beat("proc_just", -1000)
    leases.beat("proc_before", 1000)
    Lease.update(owner="another start of the machine").where(Lease.name == "proc_before").execute()
    leases.prune()
    assert [row.name for row in Lease.select()] == ["proc_just"]


def test_a_process_of_an_earlier_start_of_the_machine_is_dead(made):
    run = running(made)
    leases.beat("me", 60_000)
    Lease.update(owner="another start of the machine").execute()
    assert run_queries.abandoned() == [run]


def test_an_ended_process_is_dead_before_its_lease_expires(made):
    run = running(made)
    leases.beat("me", 60_000)
    leases.delete_gone()
    assert run_queries.abandoned() == []
    space, _, started = Lease.find("me").process.split()
    with child(["true"]) as gone:
        gone.wait(60)
    for process in (f"{space} {gone.pid} {started}", f"{space} {os.getpid()} {int(started) - 1}"):
        leases.beat("me", 60_000)
        Lease.update(process=process).execute()
        leases.delete_gone()
        assert run_queries.abandoned() == [run] and Lease.find("me") is None


@pytest.mark.parametrize("process", [None, "pid:[1] 1 1"], ids=["unknown", "of another container"])
def test_a_process_in_another_namespace_has_its_lease(made, process):
    running(made)
    leases.beat("me", 60_000)
    Lease.update(process=process).execute()
    leases.delete_gone()
    assert run_queries.abandoned() == []


def test_a_changed_clock_kills_no_process(made, monkeypatch):
    running(made)
    leases.beat("me", 60_000)
    clock = time.time_ns
    for hours in (5, -5):
        monkeypatch.setattr("database.shared.time.time_ns", lambda by=hours: clock() + by * 3_600_000_000_000)
        assert run_queries.abandoned() == []


# The store


@pytest.fixture
def store():
    return WorkspaceStore("ws_1")


@pytest.mark.parametrize("value", [None, 0, False, "", "é", [1, {"a": None}], 1.5])
def test_the_store_returns_stored_values(store, value):
    store.set("k", value)
    assert store.get("k") == value


def test_the_store_has_nothing_under_a_new_key(store):
    assert store.get("k") is None and not store.delete("k")


def test_the_store_replaces_and_deletes(store):
    store.set("k", 1)
    store.set("k", 2)
    assert store.get("k") == 2 and store.delete("k") and store.get("k") is None


def test_the_stores_of_two_workspaces_are_apart(store):
    other = WorkspaceStore("ws_2")
    store.set("k", 1)
    other.set("k", 2)
    assert not other.delete("x") and other.list() == [{"key": "k", "value": 2}]
    assert other.delete("k") and store.get("k") == 1


def test_increments_from_many_threads_are_all_counted(store):
    results = at_once(8, lambda number: [store.increment("n") for _ in range(25)])
    assert store.get("n") == 200
    assert sorted(total for some in results for total in some) == list(range(1, 201))


def test_increment_adds_the_given_number(store):
    assert [store.increment("n", 2.5), store.increment("n", -1)] == [2.5, 1.5]


@pytest.mark.parametrize("value", ["1", True, None, [1]])
def test_a_value_that_is_not_a_number_is_not_incremented(store, value):
    store.set("k", value)
    if value is None:
        assert store.increment("k") == 1
        return
    with pytest.raises(TypeError, match="is not a number"):
        store.increment("k")
    assert store.get("k") == value


def test_an_expired_entry_is_not_there(store):
    store.set("k", 5, ttl=0)
    assert store.get("k") is None and store.list() == [] and not store.delete("k")
    assert store.increment("k") == 1


def test_an_unexpired_entry_exists(store):
    store.set("k", 5, ttl=60)
    assert store.get("k") == 5
    assert StoreEntry.prune() == 0
    store.set("gone", 5, ttl=-1)
    assert StoreEntry.prune() == 1


def test_the_store_lists_by_prefix_in_order_up_to_a_limit(store):
    for key in ("b", "a%", "a_1", "a2", "ä", "a\U0010fffe"):
        store.set(key, key)
    assert [entry["key"] for entry in store.list("a")] == ["a%", "a2", "a_1", "a\U0010fffe"]
    assert [entry["key"] for entry in store.list("a%")] == ["a%"]
    assert len(store.list()) == 6 and len(store.list(limit=2)) == 2


def test_a_value_that_is_not_json_is_refused_and_nothing_changes(store):
    store.set("k", 1)
    with pytest.raises(TypeError):
        store.set("k", {1, 2})
    assert store.get("k") == 1


# Indexes


@pytest.fixture
def plans(caplog):
    """`plans(work)` returns the steps of SQLite's plans for the queries of `work`."""
    return lambda work: [step for _, step in explain(work, caplog)]


FILTERS = [
    {},
    {"status": ["failed"]},
    {"workflow_id": "wf_1"},
    {"triggered_by": "webhook"},
    {"since": 1},
    {"until": 1},
    {"status": ["failed"], "workflow_id": "wf_1"},
    {"status": ["failed"], "triggered_by": "webhook"},
    {"status": ["failed"], "workflow_id": "wf_1", "triggered_by": "webhook", "since": 1, "until": 2},
]
QUESTIONS = {
    "steps": lambda: steps.of("run_1", 10),
    "more steps": lambda: steps.of("run_1", 10, 5),
    "outputs": lambda: steps.outputs("run_1", ["a"]),
    "interrupt": lambda: log_each([steps.close_running_steps("run_1", 1)]),
    "log of a run": lambda: logs.of("run_1", 10, "log_1"),
    "log": lambda: list(logs.select_where(LogFilters("ws_1")).page(10, "log_1")),
    "log of a run, newest first": lambda: list(logs.select_where(LogFilters("ws_1", "run_1")).page(10, None)),
    "metrics": lambda: metrics("ws_1", 30),
    "run": lambda: Run.find("run_1"),
    "abandoned": lambda: run_queries.abandoned(),
    "waiting": lambda: run_queries.find_claimable(5),
    "still running": lambda: run_queries.filter_running(["run_1", "run_2"], "me"),
    "unfinished": lambda: execute("SELECT COUNT(*) FROM runs WHERE status = 'pending'"),
    "key": lambda: runs.run_of_key("wf_1", "k"),
    "flows": lambda: list(workflows.select_where("ws_1").page(10, None)),
    "versions": lambda: workflows.versions_of(Workflow(id="wf_1"), 10, "5"),
    "store": lambda: WorkspaceStore("ws_1").list("a"),
    "claim": lambda: log_each([*run_queries.claim("run_1", "me", 2), run_queries.release("run_1", "me")]),
    "end": lambda: log_each(
        run_queries.finish(Run(id="run_1", workspace_id="w", workflow_id="f", started_at=1), "me", "success")
    ),
}


@pytest.mark.parametrize("filters", FILTERS, ids=lambda filters: "+".join(filters) or "all")
def test_the_list_of_runs_uses_an_index_and_sorts_nothing(plans, filters):
    found = plans(lambda: run_queries.select_where(RunFilters("ws_1", **filters)).page(8, first_id("run", 5)))
    assert found and not any(is_full(plan) or "TEMP B-TREE" in plan for plan in found), found


PLANNED = pytest.mark.sqlite_only("PostgreSQL reads small tables whole to join them")


@pytest.mark.parametrize(
    "question", [pytest.param(name, marks=PLANNED if name == "versions" else ()) for name in QUESTIONS]
)
def test_a_question_uses_an_index(plans, question):
    found = plans(QUESTIONS[question])
    assert found and not any(is_full(plan) for plan in found), found
