"""Tables: ids, pages, the legal changes of a run, counts, and steps."""

import os
import random
import threading
import time

import orjson
import pytest
from children import child
from engines import statements_of_thread
from query_plans import explain, is_full, log_each
from seeding import accept, add_step, do, running
from world import Background, add_flow, at_once, flow, run_of, steps_of

import database
from database import backups, base, execute, write
from database.base import first_id, made_at, new_id, now_ms, ulid
from database.queries import claims, leases, logs, runs, steps, workflows
from database.queries import runs as run_queries
from database.queries.logs import LogFilters
from database.queries.metrics import metrics, totals
from database.queries.runs import RunFilters
from database.queries.steps import PAGE_BYTES, STEP_COLUMNS
from database.queries.store import WorkspaceStore
from models import IdempotencyKey, Lease, LogEntry, Run, RunDay, Step, StoreEntry, Workflow, WorkflowVersion, Workspace

DAY_MS = 86_400_000


pytestmark = pytest.mark.usefixtures("path")


# Ids


def test_ids_grow_even_within_a_millisecond():
    ids = [new_id("run") for _ in range(5_000)]
    assert ids == sorted(set(ids))


def test_ids_of_several_threads_are_all_different():
    ids = at_once(8, lambda number: [new_id("run") for _ in range(1_000)])
    assert len({id_ for some in ids for id_ in some}) == 8_000
    assert all(some == sorted(some) for some in ids)


def test_an_id_is_a_prefix_and_26_characters():
    prefix, _, rest = new_id("run").partition("_")
    assert prefix == "run" and len(rest) == 26 and rest.isalnum()


def test_ids_lie_between_the_first_ids_of_their_time():
    before = first_id("run", now_ms())
    id_ = new_id("run")
    assert before <= id_ < first_id("run", now_ms() + 1_000)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0" * 26),
        (2**128 - 1, "7" + "Z" * 25),
        (1_469_922_850_259 << 80 | 0xFFFF_FFFF_FFFF_FFFF_FFFF, "01ARZ3NDEK" + "Z" * 16),
    ],
)
def test_a_ulid_is_written_in_the_base_32_of_its_specification(number, text):
    assert ulid(number) == text


@pytest.mark.parametrize("at", [0, 1, 1_469_922_850_259, 2**48 - 1])
def test_an_id_contains_the_time_of_its_creation(at):
    assert made_at(first_id("run", at)) == at


def test_a_new_id_is_of_now():
    before = now_ms()
    assert before <= made_at(new_id("run")) <= now_ms()


@pytest.mark.parametrize("at", [-1, 0, 2**48 - 1, 2**60])
def test_a_first_id_exists_for_any_time(at):
    assert len(first_id("run", at)) == 30


def test_a_first_id_grows_with_time():
    assert first_id("run", 1) < first_id("run", 2) < first_id("run", 10**12) < first_id("run", 2**48 - 1)


# Pages


def pages(query, limit):
    """All rows of the query, page by page."""
    before, found = None, []
    while True:
        rows, before = query.page(limit, before)
        found.append([row.id for row in rows])
        if before is None:
            return found


@pytest.mark.parametrize(("count", "sizes"), [(0, [0]), (1, [1]), (3, [3]), (4, [3, 1]), (6, [3, 3])])
def test_pages_have_all_rows_from_the_newest_to_the_oldest(made, count, sizes):
    ids = [accept(made).id for _ in range(count)]
    found = pages(run_queries.select_where(RunFilters("ws_1")), 3)
    assert [len(page) for page in found] == sizes
    assert [id_ for page in found for id_ in page] == ids[::-1]


def test_rows_added_meanwhile_do_not_shift_the_pages(made):
    ids = [accept(made).id for _ in range(4)]
    first, before = run_queries.select_where(RunFilters("ws_1")).page(2, None)
    accept(made)
    second, _ = run_queries.select_where(RunFilters("ws_1")).page(2, before)
    assert [row.id for row in [*first, *second]] == ids[::-1]


def test_the_cursor_of_a_deleted_row_is_valid(made):
    runs = [accept(made) for _ in range(4)]
    _, before = run_queries.select_where(RunFilters("ws_1")).page(2, None)
    run_queries.remove(Run.find(before))
    rows, _ = run_queries.select_where(RunFilters("ws_1")).page(2, before)
    assert [row.id for row in rows] == [runs[1].id, runs[0].id]


def test_runs_are_filtered(made):
    other = add_flow(flow("a"), workspace="ws_2")
    one = accept(made, status="failed", triggered_by="webhook")
    two = accept(made, status="success")
    accept(other)

    def found(**filters):
        return {row.id for row in run_queries.select_where(RunFilters("ws_1", **filters))}

    assert found() == {one.id, two.id}
    assert found(status=["failed"]) == found(triggered_by="webhook") == {one.id}
    assert found(workflow_id=made.id) == {one.id, two.id} and found(workflow_id=other.id) == set()
    assert found(status=["failed"], triggered_by="manual") == set()


def test_since_and_until_include_their_millisecond(made):
    ids = [first_id("run", at) for at in (1_000, 2_000, 3_000)]
    for id_ in ids:
        accept(made, id=id_)
    assert {row.id for row in run_queries.select_where(RunFilters("ws_1", since=2_000))} == set(ids[1:])
    assert {row.id for row in run_queries.select_where(RunFilters("ws_1", until=2_000))} == set(ids[:2])
    assert {row.id for row in run_queries.select_where(RunFilters("ws_1", since=2_000, until=2_000))} == {ids[1]}


def test_log_entries_of_a_run_are_paged_oldest_first(made):
    run = accept(made)
    do([logs.entry("ws_1", run.id, None, "info", str(number), None) for number in range(5)])
    after, found = None, []
    while True:
        rows, after = logs.of(run.id, 2, after)
        found += [row.message for row in rows]
        if after is None:
            break
    assert found == ["0", "1", "2", "3", "4"]


def test_log_entries_are_filtered_by_run_and_level(made):
    run = accept(made)
    do(
        [
            logs.entry("ws_1", run.id, None, "error", "a", None),
            logs.entry("ws_1", None, None, "info", "b", None),
        ]
    )
    assert [row.message for row in logs.select_where(LogFilters("ws_1", run.id))] == ["a"]
    assert [row.message for row in logs.select_where(LogFilters("ws_1", level=["info"]))] == ["b"]
    assert len(list(logs.select_where(LogFilters("ws_1")))) == 2


def test_steps_are_paged_by_number(made):
    run = accept(made)
    for seq in range(5):
        add_step(run, seq)
    rows, after = steps.of(run.id, 3)
    assert ([row.seq for row in rows], after) == ([0, 1, 2], 2)
    rows, after = steps.of(run.id, 3, after)
    assert ([row.seq for row in rows], after) == ([3, 4], None)


def test_a_page_of_steps_ends_early_if_its_outputs_are_large(made):
    run = accept(made)
    for seq in range(4):
        add_step(run, seq, output="x" * (PAGE_BYTES // 2 + 1))
    rows, after = steps.of(run.id, 100)
    assert ([row.seq for row in rows], after) == ([0, 1], 1)
    rows, after = steps.of(run.id, 100, after)
    assert ([row.seq for row in rows], after) == ([2, 3], None)


def test_versions_are_paged_newest_first(made):
    for number in range(4):
        assert workflows.change(made, None, triggers=[], definition_json=str(number))
    rows, before = workflows.versions_of(made, 3, None)
    assert ([row.version for row in rows], before) == ([5, 4, 3], "3")
    rows, before = workflows.versions_of(made, 3, before)
    assert ([row.version for row in rows], before) == ([2, 1], None)


# Flows


def test_a_new_flow_has_its_first_version_on_record(made):
    (version,) = WorkflowVersion.select()
    assert (made.version, version.version, version.definition_json) == (1, 1, made.definition_json)


def test_a_changed_definition_is_a_new_version_and_a_changed_name_is_not(made):
    assert workflows.change(made, "usr_1", name="Other") and made.version == 1
    assert workflows.change(made, "usr_1", triggers=[], definition_json="{}") and made.version == 2
    assert workflows.change(made, "usr_1", triggers=[], definition_json="{}") and made.version == 2
    row = Workflow.find(made.id)
    assert (row.version, row.name, row.definition_json) == (2, "Other", "{}")
    assert [(item.version, item.created_by) for item in WorkflowVersion.select()] == [(1, None), (2, "usr_1")]


def test_a_change_of_an_older_version_is_refused(made):
    assert workflows.change(made, None, expected=1, triggers=[], definition_json="{}")
    assert not workflows.change(made, None, expected=1, triggers=[], definition_json="[]")
    assert Workflow.find(made.id).definition_json == "{}"


def test_one_of_two_concurrent_editors_loses(made):
    def edit(number):
        return workflows.change(Workflow.find(made.id), None, expected=1, triggers=[], definition_json=str(number))

    won = at_once(8, edit)
    assert won.count(True) == 1
    row = Workflow.find(made.id)
    assert (row.version, row.definition_json) == (2, str(won.index(True)))
    assert [item.version for item in WorkflowVersion.select()] == [1, 2]


def test_a_change_of_an_outdated_flow_changes_nothing(made):
    stale = Workflow.find(made.id)
    assert workflows.change(made, None, triggers=[], definition_json="{}")
    assert not workflows.change(stale, None, name="Renamed")
    row = Workflow.find(made.id)
    assert (row.name, row.definition_json, row.version) == ("Flow", "{}", 2)


def test_a_deleted_flow_is_not_changed(made):
    workflows.remove(Workflow.find(made.id))
    assert not workflows.change(made, None, name="x")
    assert WorkflowVersion.select().count() == 0


def test_the_runs_of_a_deleted_flow_are_kept(made):
    run = accept(made)
    do(runs.take_key(made.id, "k", run.id))
    workflows.remove(made)
    assert run_of(run.id).workflow_name == "Flow" and IdempotencyKey.select().count() == 0


def test_flows_are_found_by_letters_of_their_name():
    for name in ("Orders in", "Orders out", "100% sure", "a_b"):
        add_flow(flow("a"), name=name)

    def found(search, status=None):
        return {row.name for row in workflows.select_where("ws_1", status, search)}

    assert found("orders") == {"Orders in", "Orders out"}
    assert found("%") == {"100% sure"} and found("_") == {"a_b"}
    assert found("orders", "draft") == set()


# The state of a run


def test_a_pending_run_is_claimed_once(made):
    run = accept(made)
    assert do([*claims.claim(run.id, "one"), *claims.claim(run.id, "two")]) == [1, 0]
    row = run_of(run.id)
    assert (row.status, row.lease_owner, row.claims) == ("running", "one", 1)


def test_one_of_many_concurrent_claims_wins(made):
    run = accept(made)
    assert sorted(at_once(8, lambda number: do(claims.claim(run.id, f"p{number}"))[0])) == [0] * 7 + [1]


def test_a_second_claim_keeps_the_time_of_the_first(made):
    run = running(made, id=new_id("run"))
    Run.update(started_at=5).execute()
    do([claims.release(run.id, "me"), *claims.claim(run.id, "other")])
    row = run_of(run.id)
    assert (row.started_at, row.claims, row.lease_owner) == (5, 2, "other")


def test_only_its_owner_releases_a_run(made):
    run = running(made)
    assert do([claims.release(run.id, "other")]) == do([claims.release(run.id, "me", 0)]) == [0]
    assert claims.find_held_by("me") == [(run.id, 1)] and do([claims.release(run.id, "me", 1)]) == [1]
    row = run_of(run.id)
    assert (row.status, row.lease_owner, row.claims) == ("pending", None, 1)


def test_a_run_that_is_finished_is_counted(made):
    run = running(made)
    assert do(run_queries.finish(run, "me", "success", duration_ms=12.5, output="1"))[0] == 1
    row = run_of(run.id)
    assert (row.status, row.output, row.duration_ms, row.lease_owner) == ("success", "1", 12.5, None)
    day = RunDay.get()
    assert (day.total, day.success, day.failed, day.duration_ms, day.workflow_id) == (1, 1, 0, 12.5, made.id)
    assert day.day == row.finished_at // DAY_MS


def test_only_its_owner_finishes_a_run(made):
    run = running(made)
    assert do(run_queries.finish(run_of(run.id), "other", "success"))[0] == 0
    assert run_of(run.id).status == "running" and RunDay.select().count() == 0


def test_a_run_is_finished_once(made):
    run = running(made)
    assert do(run_queries.finish(run, "me", "success"))[0] == 1
    assert do(run_queries.finish(run_of(run.id), "me", "failed"))[0] == 0
    assert run_of(run.id).status == "success" and RunDay.get().total == 1


def test_finishing_a_cancelled_run_changes_nothing(made):
    run = running(made)
    assert run_queries.cancel(run_of(run.id), "cancelled by ann")
    assert do(run_queries.finish(run, "me", "success", output="1"))[0] == 0
    row = run_of(run.id)
    assert (row.status, row.cancelled, row.output, row.error_text) == ("failed", True, None, "cancelled by ann")
    assert (RunDay.get().total, RunDay.get().failed, RunDay.get().success) == (1, 1, 0)


@pytest.mark.parametrize("status", ["success", "failed"])
def test_a_run_that_has_ended_is_not_cancelled(made, status):
    run = running(made)
    do(run_queries.finish(run, "me", status))
    assert not run_queries.cancel(run_of(run.id), "late")
    assert (run_of(run.id).status, run_of(run.id).cancelled, RunDay.get().total) == (status, False, 1)


def test_a_pending_run_that_is_cancelled_is_not_claimed(made):
    run = accept(made)
    assert run_queries.cancel(run_of(run.id), "no")
    assert do(claims.claim(run.id, "me")) == [0]


def test_one_of_many_concurrent_cancellations_succeeds(made):
    run = running(made)
    assert at_once(6, lambda number: run_queries.cancel(run_of(run.id), str(number))).count(True) == 1
    assert RunDay.get().total == 1


def test_a_run_executed_elsewhere_is_counted_on_its_day(made):
    day = 20_000
    run_queries.record(made, status="failed", triggered_by="schedule", finished_at=day * DAY_MS + 5, duration_ms=3.0)
    run_queries.record(made, status="running", triggered_by="schedule")
    counted = RunDay.get()
    assert (counted.day, counted.total, counted.failed, counted.duration_ms) == (day, 1, 1, 3.0)
    assert Run.select().where(Run.recorded == 1).count() == 2


def test_abandoned_are_the_running_runs_of_no_living_process(made):
    mine, gone, waiting = running(made), running(made), accept(made)
    Run.update(lease_owner="gone").where(Run.id == gone.id).execute()
    run_queries.record(made, status="running", triggered_by="manual")
    leases.beat("me", 60_000)
    assert [run.id for run in claims.abandoned()] == [gone.id]
    leases.end("me")
    assert [run.id for run in claims.abandoned()] == [mine.id, gone.id]
    assert claims.find_claimable(10) == [waiting.id]


def test_filter_running_returns_the_runs_still_owned(made):
    mine, taken, ended = (running(made) for _ in range(3))
    Run.update(lease_owner="other").where(Run.id == taken.id).execute()
    run_queries.cancel(ended, "x")
    ids = {mine.id, taken.id, ended.id}
    assert claims.filter_running(ids, "me") == {mine.id} and claims.filter_running([], "me") == set()


def test_a_run_is_deleted_with_its_steps_log_and_key(made):
    run, other = accept(made), accept(made)
    for each in (run, other):
        add_step(each, 0)
        do([logs.entry("ws_1", each.id, None, "info", "x", None), *runs.take_key(made.id, each.id, each.id)])
    run_queries.remove(run)
    for table in (Step, LogEntry, IdempotencyKey):
        assert [row.run_id for row in table.select()] == [other.id]


# Steps


def test_a_step_of_the_same_number_replaces_the_earlier(made):
    run = accept(made)
    names = list(Step._meta.fields)
    first = dict.fromkeys(names) | {"run_id": run.id, "seq": 0, "status": "running", "attempt": 1, "started_at": 5}
    first |= {"node_id": "a", "node_type": "noop", "node_name": "A", "final": False}
    for status, output in (("running", None), ("success", "1")):
        values = [(first | {"status": status, "output": output})[name] for name in names]
        assert do([steps.save_one(values, run.claims)]) == [1]
    (row,) = steps_of(run.id)
    assert (row.status, row.output, row.node_id) == ("success", "1", "a")


def test_a_lost_claim_writes_no_step(made):
    run = running(made)
    values = dict.fromkeys(STEP_COLUMNS) | {"run_id": run.id, "seq": 0, "node_id": "a", "node_type": "noop"}
    values |= {"node_name": "A", "status": "success", "attempt": 1, "started_at": 5, "final": False}
    Run.update(lease_owner="other", claims=2).where(Run.id == run.id).execute()
    assert do([steps.save_one(list(values.values()), 1), steps.begin_one(list(values.values()), 1)]) == [0, 0]
    assert steps_of(run.id) == []


def test_the_id_of_a_step_is_made_of_its_run_and_number(made):
    run = accept(made)
    assert steps.id_of(add_step(run, 12)) == f"step_{run.id[4:]}_000012"


def test_steps_left_running_by_a_crash_are_closed(made):
    run, other = running(made), accept(made)
    add_step(run, 0)
    add_step(run, 1, status="running")
    add_step(other, 7, status="running")
    assert do([steps.close_running_steps(run.id, run.claims)]) == [1]
    assert [step.status for step in steps_of(run.id)] == ["success", "failed"]
    assert "interrupted" in steps_of(run.id)[1].error_text and steps_of(run.id)[1].finished_at
    assert steps_of(other.id)[0].status == "running"


def test_closing_keeps_the_steps_of_a_later_claim(made):
    run = accept(made)
    add_step(run, 0, status="running")
    assert do([steps.close_running_steps(run.id, run.claims - 1)]) == [0]
    assert [step.status for step in steps_of(run.id)] == ["running"]


def test_outputs_finds_the_settling_steps_and_passed_outputs(made):
    run = accept(made)
    add_step(run, 0, node_id="a", output="1")
    add_step(run, 1, node_id="b", same_as="a")
    add_step(run, 2, node_id="c", status="failed", error_text="no")
    add_step(run, 3, node_id="c", output="2", attempt=2)
    add_step(run, 4, node_id="d", output="3", item_index=0)
    assert {name: step.seq for name, step in steps.outputs(run.id, ["b", "c", "d", "x"]).items()} == {
        "a": 0,
        "b": 1,
        "c": 3,
    }


def test_outputs_finds_a_node_with_its_output_in_a_file(made):
    run = accept(made)
    add_step(run, 0, node_id="a", output_bytes=100_000)
    assert set(steps.outputs(run.id, ["a"])) == {"a"}


# Transactions


def test_a_failed_write_changes_nothing():
    with pytest.raises(ZeroDivisionError), write():
        Workspace.add(name="x")
        raise ZeroDivisionError
    assert Workspace.select().count() == 0


def test_a_failed_inner_write_keeps_the_outer_one():
    with write():
        Workspace.add(name="outer")
        with pytest.raises(ZeroDivisionError), write():
            Workspace.add(name="inner")
            raise ZeroDivisionError
    assert [row.name for row in Workspace.select()] == ["outer"]


@pytest.mark.sqlite_only("on PostgreSQL, they wait only for what they lock")
def test_writers_of_many_threads_wait_for_each_other():
    def read_and_write(number):
        for _ in range(20):
            with write():
                row = Workspace.get_or_none() or Workspace.add(name="0")
                row.name = str(int(row.name) + 1)
                row.save()

    at_once(8, read_and_write)
    assert Workspace.get().name == "160"


@pytest.mark.sqlite_only("a backup is a copy of the database file")
def test_a_backup_is_a_whole_database_and_never_overwrites(tmp_path, made):
    accept(made)
    backups.copy_database(tmp_path / "copy.sqlite3")
    with pytest.raises(FileExistsError):
        backups.copy_database(tmp_path / "copy.sqlite3")
    database.disconnect()
    database.connect(tmp_path / "copy.sqlite3")
    assert Run.select().count() == 1 and database.migrate() == []
    assert orjson.loads(Workflow.get().definition_json) == flow("a")


@pytest.mark.sqlite_only("a backup is a copy of the database file")
def test_a_backup_ends_though_another_writes_without_a_pause(tmp_path, monkeypatch):
    """As another process does: over a connection of its own."""
    monkeypatch.setattr(backups, "PAGES_AT_ONCE", 5)
    execute("CREATE TABLE filled (content BLOB)")
    execute("INSERT INTO filled VALUES (zeroblob(2000000))")
    ended, written = threading.Event(), threading.Event()

    def write_on():
        while not ended.is_set():
            execute("INSERT INTO filled VALUES (1)")
            written.set()

    writing = Background(write_on)
    assert written.wait(20)
    copying = Background(backups.copy_database, tmp_path / "copy.sqlite3")
    try:
        copying.result()
    finally:
        ended.set()
        writing.result()


# Metrics, keys, leases and the store in the tables, and which indexes their queries use


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
    for duration in random.Random(0).sample(range(100), 100):
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
    assert claims.abandoned() == []
    leases.beat("me", 0)
    assert claims.abandoned() == [run]
    leases.beat("me", 60_000)
    leases.end("me")
    assert claims.abandoned() == [run]


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
    assert claims.abandoned() == [run]


def test_an_ended_process_is_dead_before_its_lease_expires(made):
    run = running(made)
    leases.beat("me", 60_000)
    leases.delete_gone()
    assert claims.abandoned() == []
    space, _, started = Lease.find("me").process.split()
    with child(["true"]) as gone:
        gone.wait(60)
    for process in (f"{space} {gone.pid} {started}", f"{space} {os.getpid()} {int(started) - 1}"):
        leases.beat("me", 60_000)
        Lease.update(process=process).execute()
        leases.delete_gone()
        assert claims.abandoned() == [run] and Lease.find("me") is None


@pytest.mark.parametrize("process", [None, "pid:[1] 1 1"], ids=["unknown", "of another container"])
def test_a_process_in_another_namespace_has_its_lease(made, process):
    running(made)
    leases.beat("me", 60_000)
    Lease.update(process=process).execute()
    leases.delete_gone()
    assert claims.abandoned() == []


def test_a_changed_clock_kills_no_process(made, monkeypatch):
    running(made)
    leases.beat("me", 60_000)
    clock = time.time_ns
    for hours in (5, -5):
        monkeypatch.setattr("database.shared.time.time_ns", lambda by=hours: clock() + by * 3_600_000_000_000)
        assert claims.abandoned() == []


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
    "abandoned": lambda: claims.abandoned(),
    "waiting": lambda: claims.find_claimable(5),
    "still running": lambda: claims.filter_running(["run_1", "run_2"], "me"),
    "unfinished": lambda: execute("SELECT COUNT(*) FROM runs WHERE status = 'pending'"),
    "key": lambda: runs.run_of_key("wf_1", "k"),
    "flows": lambda: list(workflows.select_where("ws_1").page(10, None)),
    "versions": lambda: workflows.versions_of(Workflow(id="wf_1"), 10, "5"),
    "store": lambda: WorkspaceStore("ws_1").list("a"),
    "claim": lambda: log_each([*claims.claim("run_1", "me", 2), claims.release("run_1", "me")]),
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
