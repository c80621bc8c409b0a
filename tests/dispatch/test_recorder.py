"""The recorder, the only writer of a process: its commits, their groups, and the results for waiting callers."""

import sqlite3
import threading

import orjson
import pytest
from engines import count_transactions, fill_disk, make_room, other_connection
from races import kept_from_writing
from world import (
    PATIENCE,
    Background,
    add_flow,
    at_once,
    flow,
    fresh_database,
    said,
    start_python,
    started_recorder,
    steps_of,
)
from written import put

from database import LockTimeout, disconnect_thread, lock_wait, write
from database.base import Write, now_ms
from database.queries import logs, runs
from database.queries.steps import STEP_COLUMNS
from dispatch import run_record
from dispatch.payloads import Payloads
from dispatch.recorder import Recorder, Revocable, insertions
from dispatch.run_record import FULL_BUFFER, MAX_LOG_BUFFER, MAX_LOG_DATA, MAX_LOG_ENTRIES, MAX_LOG_TEXT, RunRecord
from engine import StepRecord
from errors import Conflict
from models import LogEntry, RunDay, Workspace
from nodes.base import Suspend


@pytest.fixture
def path(tmp_path):
    with fresh_database(tmp_path) as path:
        yield path


@pytest.fixture
def recorder(path):
    with started_recorder() as recorder:
        yield recorder


def rename(id_, name):
    return Write("UPDATE workspaces SET name = ? WHERE id = ?", (name, id_))


def names():
    return {row.id: row.name for row in Workspace.select()}


def seen_by_another(path, sql, *params):
    """Return the rows that another connection, such as that of another process, reads."""
    with other_connection(path) as connection:
        return connection.execute(sql, params).fetchall()


# Commits


def test_a_commit_is_visible_to_others_when_it_returns(path, recorder):
    assert recorder.commit([put("ws_1")]) == [1]
    assert seen_by_another(path, "SELECT id FROM workspaces") == [("ws_1",)]


def test_every_write_has_its_row_count(recorder):
    writes = [put("ws_1"), put("ws_2"), rename("ws_9", "y"), Write("UPDATE workspaces SET name = 'z'", ())]
    assert recorder.commit(writes) == [1, 1, 0, 2]


def test_a_commit_may_be_empty(recorder):
    assert recorder.commit([]) == []


def test_all_writes_of_many_threads_are_committed(recorder):
    def work(number):
        return [
            recorder.commit([put(f"ws_{number}_{index}"), rename(f"ws_{number}_{index}", "y")]) for index in range(40)
        ]

    assert at_once(8, work) == [[[1, 1]] * 40] * 8
    assert list(names().values()) == ["y"] * 320


def test_writes_submitted_during_a_commit_are_one_transaction(path, recorder):
    before = count_transactions()
    with write():
        waiting = [recorder.submit([put(f"ws_{number}")]) for number in range(50)]
    assert [done.result(PATIENCE) for done in waiting] == [[1]] * 50
    # The first may be a transaction of its own; SQLite also counts the empty one that made them wait.
    assert count_transactions() - before <= 3


def test_writes_are_committed_in_the_order_of_their_submission(recorder):
    recorder.commit([put("ws_1")])
    for number in range(100):
        last = recorder.submit([rename("ws_1", str(number))])
    last.result(PATIENCE)
    assert names() == {"ws_1": "99"}


def test_a_batch_is_written_as_a_whole_or_not_at_all(recorder):
    recorder.commit([put("ws_1")])
    with pytest.raises(Conflict):
        recorder.commit([put("ws_2"), put("ws_1")])
    assert set(names()) == {"ws_1"}


def test_a_batch_with_a_taken_key_fails_alone(recorder):
    with write():
        waiting = [recorder.submit([put(id_)]) for id_ in ("ws_1", "ws_2", "ws_1", "ws_3")]
    assert [waiting[at].result(PATIENCE) for at in (0, 1, 3)] == [[1], [1], [1]]
    with pytest.raises(Conflict, match="taken"):
        waiting[2].result(PATIENCE)
    assert set(names()) == {"ws_1", "ws_2", "ws_3"}


def test_an_error_of_the_database_reaches_the_waiting_caller(recorder):
    with pytest.raises(Exception, match="nowhere"):
        recorder.commit([Write("INSERT INTO nowhere VALUES (1)", ())])
    assert recorder.commit([put("ws_1")]) == [1]


def test_an_error_for_an_unsupported_value_reaches_the_waiting_caller(recorder):
    for odd in (object(), "\ud800", 2**64):
        with pytest.raises((sqlite3.Error, ValueError, OverflowError, Exception)):
            recorder.commit([put("ws_1", odd)])
    assert recorder.commit([put("ws_1")]) == [1]


# Start and stop


def test_stop_commits_queued_writes(path):
    recorder = Recorder()
    recorder.start()
    with write():
        waiting = [recorder.submit([put(f"ws_{number}")]) for number in range(20)]
        stopping = Background(recorder.stop)
    stopping.result()
    assert all(done.done() for done in waiting) and len(names()) == 20


def test_stop_without_start_and_twice_does_nothing(path):
    recorder = Recorder()
    recorder.stop()
    recorder.start()
    recorder.stop()
    recorder.stop()
    assert "recorder" not in {thread.name for thread in threading.enumerate()}


def test_a_recorder_may_be_started_again(path):
    recorder = Recorder()
    for number in range(2):
        recorder.start()
        recorder.commit([put(f"ws_{number}")])
        recorder.stop()
    assert len(names()) == 2


# A disk that refuses writes


def test_an_error_of_a_full_database_reaches_only_its_caller(path, recorder):
    fill_disk(recorder, 4)
    with write():
        waiting = [
            recorder.submit([put("ws_1")]),
            recorder.submit([put("ws_2", "x" * 100_000)]),
            recorder.submit([put("ws_3")]),
        ]
    with pytest.raises(Exception, match="full|No space left"):
        waiting[1].result(PATIENCE)
    assert [waiting[0].result(PATIENCE), waiting[2].result(PATIENCE)] == [[1], [1]]
    make_room(recorder)
    assert recorder.commit([put("ws_2", "x" * 100_000)]) == [1]


@pytest.mark.slow
@pytest.mark.sqlite_only("the process limits the size of the database file")
def test_the_recorder_continues_once_the_disk_has_space_again(path):
    source = """
import pathlib, resource, sys
import database
from world import started_recorder
from races import kept_from_writing
from written import put
database.connect(pathlib.Path(sys.argv[1]))
with started_recorder() as recorder:
    recorder.commit([put("ws_1")])
    none = resource.RLIM_INFINITY
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, none))
    try:
        recorder.commit([put("ws_2", "x" * 100_000)])
    except Exception as error:
        print(type(error).__name__)
    resource.setrlimit(resource.RLIMIT_FSIZE, (none, none))
    print(*recorder.commit([put("ws_3")]))
database.disconnect()
"""
    assert said(start_python(source, path)) == ["OperationalError", "1"]
    assert set(names()) == {"ws_1", "ws_3"}


# Revoked units


def hasty(done):
    """Return the result of the work in a thread that may wait only briefly."""
    lock_wait.limit(0.01)
    return done.result()


@pytest.mark.sqlite_only("the recorder of PostgreSQL does not wait for the lock of other writers")
def test_a_unit_revoked_before_it_began_is_not_written_nor_are_later_ones(path, recorder):
    with kept_from_writing(recorder, path):
        first = recorder.submit([put("ws_1")], revocable=True)
        second = recorder.submit([put("ws_2")], after=first)
        other = recorder.submit([put("ws_3")])
        with pytest.raises(LockTimeout):
            Background(hasty, first).result()
    assert other.result(PATIENCE) == [1]
    for done in (first, second):
        with pytest.raises(LockTimeout):
            done.result(PATIENCE)
    assert isinstance(first.exception(), LockTimeout) and set(names()) == {"ws_3"}


def test_a_wait_without_a_limit_ends_at_once_when_the_unit_is_revoked():
    done = Revocable()
    waiting = Background(done.result)
    with pytest.raises(LockTimeout):
        hasty(done)
    lock_wait.limit(None)
    with pytest.raises(LockTimeout):
        waiting.result()


def test_a_unit_that_is_being_written_is_awaited_without_a_limit():
    asked = threading.Event()

    class Watched(Revocable):
        def cancel(self):
            cancelled = super().cancel()
            asked.set()
            return cancelled

    done = Watched()
    done.set_running_or_notify_cancel()
    waiting = Background(hasty, done)
    assert asked.wait(PATIENCE)
    done.set_result([1])
    assert waiting.result() == [1]


# One run's record


@pytest.fixture
def payloads(tmp_path):
    return Payloads(tmp_path / "values", inline_bytes=100)


@pytest.fixture
def record(recorder, payloads):
    run = runs.accept(add_flow(flow("a")), triggered_by="manual", status="running", lease_owner="me", claims=1)
    recorder.commit([runs.insertion(run)])
    return RunRecord(recorder, payloads, run)


def step(seq, status="success", *, pure=True, **more):
    """Return a step as the engine makes it."""
    now = now_ms()
    values = {
        "node_id": f"n{seq}", "node_type": "noop", "node_name": "N", "attempt": 1, "item_index": None, "inputs": (),
        "item": None, "output": b"1", "same_as": None, "branch": None, "error_text": None, "started_at": now,
        "finished_at": now, "duration_ms": 0.1, **more,
    }  # fmt: skip
    if status == "running":
        values |= {"output": None, "finished_at": None, "duration_ms": None}
    return StepRecord(seq=seq, status=status, pure=pure, **values)


@pytest.fixture
def on_disk(path, record):
    """`on_disk()` returns the number and status of the run's steps, as another connection reads them."""
    return lambda: seen_by_another(path, "SELECT seq, status FROM steps WHERE run_id = ? ORDER BY seq", record.run.id)


def test_writes_after_failed_writes_of_the_run_are_not_written(record, recorder, on_disk):
    """For example if a large step does not fit on the disk, but the small end of the run would."""
    with write():
        record.step(step(0, pure=False))
        record.add(Write("INSERT INTO nowhere VALUES (1)", ()))
        record.step(step(1, pure=False))
        following, other = record.flush(put("ws_1")), recorder.submit([put("ws_2")])
    with pytest.raises(Exception, match="nowhere"):
        following.result(PATIENCE)
    assert other.result(PATIENCE) == [1]
    assert (on_disk(), set(names())) == ([(0, "success")], {"ws_2"})


def test_pure_steps_are_written_at_the_end(record, recorder, on_disk):
    for seq in range(3):
        record.step(step(seq))
    recorder.commit([])
    assert on_disk() == []
    record.finish([put("ws_1")])
    assert on_disk() == [(0, "success"), (1, "success"), (2, "success")]


def test_a_running_step_and_all_before_it_are_durable_when_it_is_recorded(record, on_disk):
    record.step(step(0))
    record.log("n0", "info", "hello", None)
    record.step(step(1, "running", pure=False))
    assert on_disk() == [(0, "success"), (1, "running")]
    assert [entry.message for entry in LogEntry.select()] == ["hello"]


def test_the_end_of_a_step_with_effects_is_submitted_at_once(record, recorder, on_disk):
    record.step(step(0, "running", pure=False))
    record.step(step(0, pure=False))
    recorder.commit([])
    assert on_disk() == [(0, "success")]


def test_a_waiting_step_is_submitted_at_once_if_it_was_announced(record, recorder, on_disk):
    record.step(step(0, "waiting", finished_at=None, wait=Suspend(None, "quietly")))
    recorder.commit([])
    assert on_disk() == []
    record.step(step(1, "waiting", finished_at=None, wait=Suspend(None, "loudly", told=True)))
    recorder.commit([])
    assert on_disk() == [(0, "waiting"), (1, "waiting")]


def test_a_full_buffer_is_submitted(record, recorder, on_disk):
    for seq in range(FULL_BUFFER - 1):
        record.step(step(seq))
    recorder.commit([])
    assert on_disk() == []
    record.step(step(FULL_BUFFER - 1))
    recorder.commit([])
    assert len(on_disk()) == FULL_BUFFER


def test_an_old_buffer_is_submitted_with_the_next_step(record, recorder, on_disk, monkeypatch):
    record.step(step(0))
    monkeypatch.setattr(run_record, "OLD_SECONDS", -1.0)
    record.step(step(1))
    recorder.commit([])
    assert len(on_disk()) == 2


def test_a_pure_run_is_one_transaction(path, record):
    before = count_transactions()
    for seq in range(5):
        record.step(step(seq))
        record.log(None, "info", "x", None)
    record.finish(runs.finish(record.run, "me", "success"))
    assert count_transactions() - before == 1


def test_a_failed_run_and_its_log_entry_are_one_transaction(path, record):
    before = count_transactions()
    record.log("a", "info", "before", None)
    record.finish(runs.finish(record.run, "me", "failed", error_text="no luck", error_node_id="a"))
    assert count_transactions() - before == 1
    found = seen_by_another(path, "SELECT level, node_id, message FROM log_entries ORDER BY id")
    assert found == [("info", "a", "before"), ("error", "a", "The run failed: no luck")]


def test_the_end_of_a_run_of_another_process_leaves_no_log_entry(record):
    assert record.finish(runs.finish(record.run, "somebody else", "failed", error_text="no luck"))[0] == 0
    assert LogEntry.select().count() == 0


def test_a_successful_run_writes_no_log_entry(record):
    runs.end_unsaved(record.run, "success", 1.0)
    for unit in (runs.finish(record.run, "me", "success"), insertions([record.whole()])):
        assert not [item for item in unit if isinstance(item, Write) and "log_entries" in item.sql]


def test_a_failure_is_logged_even_if_the_log_of_the_run_is_full(record):
    for number in range(MAX_LOG_ENTRIES + 50):
        record.log(None, "info", str(number), None)
    record.finish(runs.finish(record.run, "me", "failed", error_text="x" * MAX_LOG_TEXT))
    assert LogEntry.select().count() == MAX_LOG_ENTRIES + 1
    last = LogEntry.select().order_by(LogEntry.id.desc()).get()
    assert last.message.startswith("The run failed: x") and len(last.message) == MAX_LOG_TEXT


def test_finish_returns_the_row_counts_of_its_own_writes(record):
    record.step(step(0))
    assert record.finish([put("ws_1"), rename("ws_9", "y")]) == [1, 0]


def test_the_end_of_a_run_is_durable_when_finish_returns(path, record):
    assert record.finish(runs.finish(record.run, "me", "success", output="5"))[0] == 1
    assert seen_by_another(path, "SELECT status, output FROM runs") == [("success", "5")]
    assert RunDay.get().total == 1


def test_a_row_has_all_values_of_its_step(record):
    ended = {"output": b'{"error":"no"}', "branch": "error", "error_text": "no", "duration_ms": 1.5}
    record.step(step(0, "failed", node_id="a", node_name="Ä", attempt=2, inputs=("x", "y"), **ended))
    record.step(step(1, same_as="a", output=None, item_index=3, item=b'"i"'))
    record.finish([])
    first, second = steps_of(record.run.id)
    assert (first.node_id, first.node_name, first.attempt, orjson.loads(first.inputs)) == ("a", "Ä", 2, ["x", "y"])
    assert (first.status, first.output, first.branch, first.error_text) == ("failed", '{"error":"no"}', "error", "no")
    assert (first.duration_ms, first.output_bytes, first.item_index, first.item) == (1.5, None, None, None)
    assert (second.same_as, second.output, second.inputs, second.item_index, second.item) == ("a", None, None, 3, '"i"')


def test_a_large_output_is_in_a_file_before_its_row_is_written(record, payloads):
    value = b'"' + b"x" * 200 + b'"'
    record.step(step(0, output=value))
    assert (payloads.folder / record.run.id / "step_0.json").read_bytes() == value
    record.finish([])
    (row,) = steps_of(record.run.id)
    assert (row.output, row.output_bytes) == (None, 202)


def test_a_large_item_is_not_recorded(record):
    record.step(step(0, item_index=0, item=b'"' + b"x" * 200 + b'"'))
    record.finish([])
    assert steps_of(record.run.id)[0].item is None


def test_an_error_of_an_earlier_flush_is_raised_by_a_later_one(record):
    with pytest.raises(Conflict):
        record.flush(put("ws_1"), put("ws_1")).result(PATIENCE)
    with pytest.raises(Conflict):
        record.step(step(0, "running", pure=False))


def test_finish_raises_the_error_of_an_earlier_flush(record):
    record.flush(put("ws_1"), put("ws_1"))
    with pytest.raises(Conflict):
        record.finish([put("ws_2")])


def test_a_node_with_effects_does_not_start_when_a_write_before_it_was_refused(record):
    def announce():
        record.flush(put("ws_1"), put("ws_1"))
        record.step(step(0, "running", pure=False))

    with write():
        announcing = Background(announce)
        announcing.thread.join(
            0.05
        )  # until both are submitted; neither can be written while this thread holds the lock
    with pytest.raises(Conflict):
        announcing.result()


# The log


def test_a_log_entry_has_its_run_node_level_and_data(record):
    record.log("a", "warning", "low", {"left": 3})
    record.finish([])
    entry = LogEntry.get()
    assert (entry.run_id, entry.workspace_id, entry.node_id) == (record.run.id, "ws_1", "a")
    assert (entry.level, entry.message, orjson.loads(entry.data)) == ("warning", "low", {"left": 3})


def test_log_entries_keep_their_order(record):
    for number in range(50):
        record.log(None, "info", str(number), None)
    record.finish([])
    entries, more = logs.of(record.run.id, 100, None)
    assert [entry.message for entry in entries] == [str(number) for number in range(50)] and more is None


def test_the_log_of_a_run_is_limited_and_says_so(record):
    for number in range(MAX_LOG_ENTRIES + 50):
        record.log(None, "info", str(number), None)
    record.finish([])
    assert LogEntry.select().count() == MAX_LOG_ENTRIES
    last = LogEntry.select().order_by(LogEntry.id.desc()).get()
    assert last.level == "warning" and "the rest is dropped" in last.message


def test_a_long_message_is_truncated(record):
    record.log(None, "info", "x" * (MAX_LOG_TEXT + 5), None)
    record.finish([])
    assert len(LogEntry.get().message) == MAX_LOG_TEXT


def test_large_log_data_is_replaced_by_its_size(record):
    record.log(None, "info", "x", "y" * (MAX_LOG_DATA + 1))
    record.finish([])
    assert "characters" in orjson.loads(LogEntry.get().data)["dropped"]


def test_a_large_log_is_written_before_its_node_ends(record):
    for _ in range(MAX_LOG_BUFFER // MAX_LOG_TEXT + 1):
        record.log(None, "info", "x" * MAX_LOG_TEXT, None)
    assert LogEntry.select().count() > MAX_LOG_BUFFER // MAX_LOG_TEXT


def test_writes_tied_to_the_next_step_are_not_written_with_the_log(record):
    record.add(put("ws_2"))
    for _ in range(MAX_LOG_BUFFER // MAX_LOG_TEXT + 1):
        record.log(None, "info", "x" * MAX_LOG_TEXT, None)
    assert Workspace.select().where(Workspace.id == "ws_2").count() == LogEntry.select().count() == 0
    record.finish([])
    assert Workspace.select().where(Workspace.id == "ws_2").count() == 1 and LogEntry.select().exists()


def test_log_data_that_is_not_json_is_written_as_text(record):
    record.log(None, "info", "x", {"a": {1, 2} and b"bytes"})
    record.finish([])
    assert orjson.loads(LogEntry.get().data) == {"a": "b'bytes'"}


def test_a_log_message_with_half_a_surrogate_pair_does_not_lose_the_run(record):
    record.log(None, "info", "odd \ud800 text", None)
    assert record.finish(runs.finish(record.run, "me", "success"))[0] == 1
    assert "odd" in LogEntry.get().message


def test_a_commit_of_another_thread_survives_a_disconnect(recorder):
    Background(recorder.commit, [put("ws_1")]).result()
    disconnect_thread()
    assert set(names()) == {"ws_1"}


# A step's row


def test_a_steps_row_is_in_the_order_of_the_columns():
    made = step(7, attempt=2, item_index=3, inputs=("a", "b"), same_as="s", branch="yes", error_text="no", final=True)
    row = dict(zip(STEP_COLUMNS, run_record.row_of(made, "run_1", "[1]", "2", 3), strict=True))
    own = {"run_id": "run_1", "inputs": '["a","b"]', "item": "[1]", "output": "2", "output_bytes": 3}
    assert row == own | {name: getattr(made, name) for name in STEP_COLUMNS if name not in own}
