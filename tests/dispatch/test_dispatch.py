"""A run is never lost, never stuck, never executed twice: accept, claim, execute, record, recover."""

import threading
import time

import orjson
import pytest
from chosen_engine import ON_POSTGRES
from crashes import Copying, Moments, inline_process
from dispatching import (
    add_run,
    add_run_of_dead_process,
    at_gate,
    call,
    called,
    children,
    finished,
    output,
    statuses,
    submit,
    take_from,
    wait_until_idle,
)
from engines import accept_inserts, other_connection, refuse_inserts, runs_with_values
from world import PATIENCE, Background, add_flow, at_once, chain, flow, node, process, run_of, steps_of

from config import Config
from database import execute
from database.base import now_ms
from database.queries import leases, workflows
from database.queries import runs as run_queries
from database.queries.store import WorkspaceStore
from dispatch import MAX_DEATHS, Resources, Start, make_services
from dispatch.payloads import Kept, PayloadRows
from dispatch.recorder import Recorder
from dispatch.waiting import RunWatch
from errors import BadInput, ConfigError, Conflict, DefinitionError, NodeError, Unavailable
from models import IdempotencyKey, Lease, LogEntry, Run, RunDay
from nodes.base import REGISTRY
from registry import registry

DAY_MS = 86_400_000


# Accepting and executing


def test_an_executed_run_is_recorded_completely(dispatcher):
    run = submit(dispatcher, chain(node("a", "give", {"value": "{{ input.x }}"}), node("b", "act")), {"x": [1]})
    ended = finished(dispatcher, run)
    assert (ended.status, output(dispatcher, ended), ended.error_text) == ("success", [1], None)
    row = run_of(run.id)
    assert (row.status, row.output, row.input, row.lease_owner, row.claims) == ("success", "[1]", '{"x":[1]}', None, 1)
    assert row.started_at <= row.finished_at and row.duration_ms > 0
    assert statuses(run.id) == [("a", "success"), ("b", "success")]
    assert RunDay.get().total == 1


def test_a_failed_run_names_its_node_and_error(dispatcher):
    ended = finished(dispatcher, submit(dispatcher, chain("a", node("b", "fail", {"value": "no luck"}))))
    assert (ended.status, ended.error_text, ended.error_node_id, ended.output) == ("failed", "no luck", "b", None)
    assert (RunDay.get().failed, RunDay.get().success) == (1, 0)


def test_a_run_is_on_the_disk_when_wait_returns(path, dispatcher, gate):
    run = dispatcher.waiting.wait(dispatcher.ticket_of(submit(dispatcher, flow(node("a", "gate")))), 0)
    assert run.status == "running"
    with other_connection(path) as other:
        assert other.execute("SELECT status FROM runs WHERE id = ?", (run.id,)).fetchall() == [("running",)]


def test_wait_returns_the_unfinished_run_at_its_timeout(dispatcher, gate):
    run = submit(dispatcher, flow(node("a", "gate")))
    assert dispatcher.waiting.wait(dispatcher.ticket_of(run), 0.01).finished_at is None
    gate.opened.set()
    assert finished(dispatcher, run).status == "success"


def test_wait_sees_the_end_of_a_run_that_another_process_executes(start):
    one, other = start(run_threads=1), start(run_threads=1)
    run = submit(other, flow("a"), 5)
    assert output(one, finished(one, run)) == 5


def test_an_inline_dispatcher_has_ended_the_run_when_submit_returns(inline):
    run = submit(inline, flow("a"), 3)
    assert (run.status, run_of(run.id).output) == ("success", "3")


def test_on_step_sees_every_step(inline):
    seen = []
    inline.executor.on_step = lambda run, step: seen.append((run.id, step.node_id, step.status))
    run = submit(inline, chain("a", node("b", "act")))
    assert seen == [(run.id, "a", "success"), (run.id, "b", "running"), (run.id, "b", "success")]


def test_a_run_starts_at_the_trigger_that_fired(inline):
    made = flow(node("m", "manual"), node("hook", "webhook", {"path": "x"}))
    run = submit(inline, made, 1, trigger_node="hook")
    assert statuses(run.id) == [("m", "skipped"), ("hook", "success")]


def test_nodes_write_to_the_log_and_to_the_store_of_the_workspace(inline):
    made = chain(
        node("a", "log", {"message": "hello"}),
        node("b", "store", {"operation": "set", "key": "k", "value": "{{ input }}"}),
    )
    run = submit(inline, made, 7)
    assert [(entry.run_id, entry.node_id, entry.message) for entry in LogEntry.select()] == [(run.id, "a", "hello")]
    assert WorkspaceStore("ws_1").get("k") == 7


@pytest.mark.pack("agents")
def test_the_setting_limits_the_memories_of_an_agent(tmp_path, types):
    write = {"operation": "write", "agent_id": "a", "content": "x"}
    nodes = [node(name, "memory", {**write, "key": name}) for name in "abc"]
    search = node("d", "memory", {"operation": "search", "agent_id": "a"})
    with process(tmp_path, inline=True, memory_entries=2) as inline:
        run = submit(inline, chain(*nodes, search))
        assert [entry["key"] for entry in output(inline, run)] == ["c", "b"]


def test_expressions_can_read_the_run_and_the_flow(inline):
    made = flow(node("a", "give", {"value": "{{ [run.id, run.triggered_by, workflow.name, workflow.version] }}"}))
    run = submit(inline, made)
    assert output(inline, run) == [run.id, "manual", "Flow", 1]


def test_idempotency_keys_of_nodes_begin_with_the_run(inline, types):
    run = submit(inline, flow(node("a", "act")))
    assert types.effects == [f"{run.id}:a:0"]


def test_an_archived_flow_is_not_run(dispatcher):
    with pytest.raises(Conflict, match="archived"):
        dispatcher.submit(Start(add_flow(flow("a"), status="archived"), None, "manual"))
    assert Run.select().count() == 0


def test_an_invalid_flow_is_not_run(dispatcher):
    with pytest.raises(DefinitionError):
        submit(dispatcher, flow(node("a", "no_such")))
    assert Run.select().count() == 0


@pytest.mark.parametrize("odd", ["x" * 100, object(), "\ud800"])
def test_an_input_that_cannot_be_stored_is_refused(start, odd):
    with pytest.raises(BadInput, match="input"):
        submit(start(max_value_bytes=50), flow("a"), odd)
    assert Run.select().count() == 0


def test_a_changed_flow_runs_its_new_version(inline):
    made = add_flow(flow(node("a", "give", {"value": 1})))
    first = inline.submit(Start(made, None, "manual")).run
    workflows.change(
        made, None, triggers=[], definition_json=orjson.dumps(flow(node("a", "give", {"value": 2}))).decode()
    )
    second = inline.submit(Start(made, None, "manual")).run
    assert (first.output, second.output, second.workflow_version) == ("1", "2", 2)


def test_a_run_whose_output_is_too_large_fails(start):
    inline = start(inline=True, max_value_bytes=100)
    big = {"value": "x" * 80}
    run = submit(inline, flow(node("a", "give", big), node("b", "give", big)))
    assert run.status == "failed" and "the limit is 100" in run.error_text


# Large values


def test_large_values_are_stored_outside_of_rows_and_read_back(start, tmp_path):
    dispatcher = start(inline_value_bytes=10)
    value = {"x": "long enough for a file"}
    run = finished(dispatcher, submit(dispatcher, chain("a", node("b", "give", {"value": "{{ input }}"})), value))
    assert runs_with_values(tmp_path) == [run.id]
    if not ON_POSTGRES:
        names = sorted(file.name for file in (tmp_path / "values" / run.id).iterdir())
        assert names == ["input.json", "output.json", "step_0.json"]
    assert (run.output, run.input) == (None, None)
    assert output(dispatcher, run) == value
    assert dispatcher.resources.value(run.id, "input", Kept(run.input, run.input_bytes)) == value
    first = steps_of(run.id)[0]
    assert dispatcher.resources.value(run.id, "step_0", Kept(first.output, first.output_bytes)) == value


# Idempotency keys


def test_the_same_key_returns_the_first_run_and_starts_no_other(inline, types):
    made = add_flow(flow(node("a", "act")))
    first = inline.submit(Start(made, 1, "manual", key="k"))
    second = inline.submit(Start(made, 2, "manual", key="k"))
    assert (first.is_new, second.is_new) == (True, False)
    assert second.run.id == first.run.id and len(types.effects) == 1 and Run.select().count() == 1


def test_another_key_or_flow_starts_another_run(inline, types):
    one, other = add_flow(flow(node("a", "act"))), add_flow(flow(node("a", "act")))
    tickets = [
        inline.submit(Start(made, None, "manual", key=key)) for made, key in ((one, "k"), (one, "l"), (other, "k"))
    ]
    assert all(ticket.is_new for ticket in tickets) and len(types.effects) == 3


def test_a_key_is_valid_for_a_day(inline):
    made = add_flow(flow("a"))
    first = inline.submit(Start(made, None, "manual", key="k"))
    IdempotencyKey.update(created_at=now_ms() - DAY_MS - 1000).execute()
    second = inline.submit(Start(made, None, "manual", key="k"))
    assert second.is_new and second.run.id != first.run.id
    assert inline.submit(Start(made, None, "manual", key="k")).run.id == second.run.id


def test_the_same_key_at_the_same_time_starts_one_run(start, types):
    dispatcher = start(run_threads=8)
    made = add_flow(flow(node("a", "act")))
    for key in ("one", "two", "three"):
        tickets = at_once(8, lambda number, key=key: dispatcher.submit(Start(made, number, "manual", key=key)))
        assert sum(ticket.is_new for ticket in tickets) == 1
        assert len({ticket.run.id for ticket in tickets}) == 1
        finished(dispatcher, tickets[0].run)
    assert len(types.effects) == Run.select().count() == 3
    assert dispatcher.active_count() == 0


def test_a_run_that_lost_the_race_for_its_key_leaves_no_file(start, tmp_path):
    dispatcher = start(run_threads=8, inline_value_bytes=10)
    made = add_flow(flow("a"))
    tickets = at_once(8, lambda number: dispatcher.submit(Start(made, "long enough for a file", "manual", key="k")))
    finished(dispatcher, tickets[0].run)
    assert runs_with_values(tmp_path) == [tickets[0].run.id]


# More runs than threads


def test_a_run_waits_for_a_free_thread(start, gate):
    dispatcher = start(run_threads=1)
    first = submit(dispatcher, flow(node("a", "gate")))
    assert gate.reached.wait(PATIENCE)
    second = dispatcher.waiting.wait(dispatcher.ticket_of(submit(dispatcher, flow("a"), 2)), 0)
    assert (second.status, second.started_at, second.lease_owner) == ("pending", None, None)
    gate.opened.set()
    assert [finished(dispatcher, run).status for run in (first, second)] == ["success", "success"]
    assert run_of(second.id).claims == 1


def test_too_many_runs_are_refused_with_a_retry_after(start, gate):
    dispatcher = start(run_threads=1, max_pending=2)
    runs = [submit(dispatcher, flow(node("a", "gate"))) for _ in range(2)]
    assert not dispatcher.is_open()
    with pytest.raises(Unavailable) as caught:
        submit(dispatcher, flow("a"))
    assert (caught.value.status, caught.value.retry_after) == (503, 1)
    gate.opened.set()
    for run in runs:
        finished(dispatcher, run)
    assert finished(dispatcher, submit(dispatcher, flow("a"))).status == "success"
    assert Run.select().count() == 3


def test_a_sweep_does_not_touch_active_runs_of_this_process(start, gate, types):
    dispatcher = start(run_threads=1)
    made = chain(node("a", "gate"), node("b", "act"))
    runs = [submit(dispatcher, made) for _ in range(3)]
    dispatcher.waiting.wait(dispatcher.ticket_of(runs[-1]), 0)
    for _ in range(3):
        dispatcher.sweep()
    gate.opened.set()
    assert [finished(dispatcher, run).status for run in runs] == ["success"] * 3
    assert len(types.effects) == 3


def test_a_sweep_claims_no_more_runs_than_there_are_free_threads(start, gate):
    dispatcher = start(run_threads=2)
    submit(dispatcher, flow(node("a", "gate")))
    made = add_flow(flow(node("a", "gate")))
    ids = [add_run(made) for _ in range(3)]
    dispatcher.sweep()
    assert dispatcher.active_count() == 2
    gate.opened.set()
    assert finished(dispatcher, run_of(ids[0])).status == "success"


def test_pending_runs_are_claimed_oldest_first(inline, types):
    made = add_flow(flow(node("a", "act")))
    ids = [add_run(made) for _ in range(2)]
    inline.sweep()
    assert types.effects == [f"{id_}:a:0" for id_ in ids]


def test_a_run_that_a_sweep_cannot_start_starts_when_a_thread_is_free(dispatcher, types):
    made = add_flow(flow(node("a", "act")))
    ids = [add_run(made) for _ in range(9)]
    dispatcher.sweep()
    assert [finished(dispatcher, run_of(id_)).status for id_ in ids] == ["success"] * 9
    assert sorted(types.effects) == [f"{id_}:a:0" for id_ in ids]


def test_a_run_executed_elsewhere_is_not_claimed(inline, types):
    made = add_flow(flow(node("a", "act")))
    run_queries.record(made, status="pending", triggered_by="manual")
    run_queries.record(made, status="running", triggered_by="manual")
    add_run(made, waiting="approval")
    inline.sweep()
    assert types.effects == []


# Cancelling


def test_a_cancelled_pending_run_is_never_executed(start, gate, types):
    dispatcher = start(run_threads=1)
    first = submit(dispatcher, flow(node("a", "gate")))
    second = submit(dispatcher, flow(node("a", "act")))
    dispatcher.waiting.wait(dispatcher.ticket_of(second), 0)
    dispatcher.cancel(run_of(second.id), "ann")
    gate.opened.set()
    finished(dispatcher, first)
    ended = finished(dispatcher, run_of(second.id))
    assert (ended.status, ended.error_text, ended.cancelled) == ("failed", "cancelled by ann", True)
    dispatcher.sweep()
    assert types.effects == [] and run_of(second.id).deaths == 0


def test_a_cancelled_running_run_stops_before_its_next_node(dispatcher, gate, types):
    run = submit(dispatcher, chain(node("a", "gate"), node("b", "act", on_error="continue")))
    dispatcher.cancel(at_gate(dispatcher, run, gate), "ann")
    assert run_of(run.id).status == "failed"
    gate.opened.set()
    ended = finished(dispatcher, run)
    assert (ended.status, ended.error_text, ended.cancelled) == ("failed", "cancelled by ann", True)
    assert types.effects == []
    day = RunDay.get()
    assert (day.total, day.success, day.failed) == (1, 0, 1)


def test_a_cancelled_run_stays_cancelled_when_its_last_node_succeeds(dispatcher, gate):
    run = submit(dispatcher, flow(node("a", "gate")))
    dispatcher.cancel(at_gate(dispatcher, run, gate), "ann")
    gate.opened.set()
    finished(dispatcher, run)
    assert (run_of(run.id).status, run_of(run.id).cancelled, RunDay.get().total) == ("failed", True, 1)


ANSWER = {"status": 200, "headers": {}, "body": "done"}


@pytest.mark.parametrize("then", [[], ["n"], [node("z", "act")]])
@pytest.mark.parametrize("remove", [False, True])
def test_a_response_after_the_cancellation_does_not_count(dispatcher, gate, types, then, remove):
    """Neither for a waiting caller nor for a later caller with the same key."""
    types.offer("reply", gate, responds=True)
    run = submit(dispatcher, chain(node("a", "reply"), *then), ANSWER)
    waiting = dispatcher.ticket_of(run)
    dispatcher.cancel(at_gate(dispatcher, run, gate), "ann")
    if remove:
        run_queries.remove(run_of(run.id))
    gate.opened.set()
    assert waiting.active.ended.wait(PATIENCE)
    for ticket in (waiting, dispatcher.ticket_of(run)) if not remove else (waiting,):
        ended, said = dispatcher.waiting.response(ticket, 0)
        assert (ended.status, ended.output, said) == ("failed", None, None)
    assert steps_of(run.id) == [] == types.effects


def test_a_response_before_the_cancellation_counts(dispatcher, gate, types):
    types.offer("reply", lambda config, input, ctx: input, responds=True)
    run = submit(dispatcher, chain(node("a", "reply"), node("g", "gate"), node("z", "act")), ANSWER)
    waiting = dispatcher.ticket_of(run)
    assert dispatcher.waiting.response(waiting, PATIENCE)[1] == ANSWER
    dispatcher.cancel(at_gate(dispatcher, run, gate), "ann")
    gate.opened.set()
    assert waiting.active.ended.wait(PATIENCE)
    assert [dispatcher.waiting.response(ticket, 0)[1] for ticket in (waiting, dispatcher.ticket_of(run))] == [
        ANSWER,
        ANSWER,
    ]


def test_an_ended_run_cannot_be_cancelled(inline):
    run = submit(inline, flow("a"), 1)
    with pytest.raises(Conflict):
        inline.cancel(run_of(run.id), "ann")
    row = run_of(run.id)
    assert (row.status, row.output, row.cancelled, RunDay.get().total) == ("success", "1", False, 1)


def test_a_run_can_be_cancelled_through_another_process(start, gate, types):
    one, other = start(run_threads=1), start(run_threads=1)
    run = submit(one, chain(node("a", "gate"), node("b", "act")))
    other.cancel(at_gate(one, run, gate), "ann")
    one.sweep()
    gate.opened.set()
    assert finished(one, run).error_text == "cancelled by ann"
    assert types.effects == [] and RunDay.get().total == 1


def test_a_cancellation_interrupts_the_delay_before_a_retry(dispatcher):
    failed = threading.Event()
    dispatcher.executor.on_step = lambda run, step: failed.set()
    run = submit(dispatcher, flow(node("a", "fail", retry={"attempts": 2, "delay": 3600})))
    assert failed.wait(PATIENCE)
    dispatcher.cancel(dispatcher.waiting.wait(dispatcher.ticket_of(run), 0), "ann")
    assert finished(dispatcher, run).error_text == "cancelled by ann"


def test_a_node_knows_the_workspace_of_its_run(dispatcher, types):
    types.offer("tell", lambda config, input, ctx: ctx.workspace_id)
    run = finished(dispatcher, submit(dispatcher, chain(node("a", "tell"))))
    assert output(dispatcher, run) == run.workspace_id == "ws_1"


# A run whose node types this process lacks is left to a process that has them


@pytest.fixture
def run_id(types):
    """A pending run of a flow with a node type that this process then lacks."""
    types.offer("special", lambda config, input, ctx: 5)
    run_id = add_run(add_flow(chain(node("a", "special"))))
    del REGISTRY["special"]
    return run_id


def test_a_run_is_left_to_a_process_with_its_node_types(inline, types, run_id):
    leases.beat("proc_other", 60_000, ["noop", "special"])
    inline.sweep()
    assert run_of(run_id).status == "pending" and run_of(run_id).claims == 0
    types.offer("special", lambda config, input, ctx: 5)  # this process is the other one now
    inline.sweep()
    assert (run_of(run_id).status, steps_of(run_id)[0].output) == ("success", "5")


def test_runs_left_to_others_delay_no_others(inline, run_id):
    leases.beat("proc_other", 60_000, ["special"])
    mine = add_run(add_flow(chain("a")))
    inline.sweep()
    assert run_of(mine).status == "success" and inline.is_open()


@pytest.mark.parametrize("left", [None, "silent", "other types"])
def test_a_run_fails_if_no_living_process_has_its_node_types(inline, run_id, left):
    if left is not None:
        leases.beat(
            "proc_other", -1 if left == "silent" else 60_000, ["noop"] if left == "other types" else ["special"]
        )
    inline.sweep()
    run = run_of(run_id)
    assert (run.status, run.error_kind) == ("failed", "config") and "unknown node type 'special'" in run.error_text


def test_a_run_fails_once_the_process_with_its_node_types_has_ended(inline, run_id):
    leases.beat("proc_other", 60_000, ["special"])
    inline.sweep()
    leases.end("proc_other")
    inline.sweep()
    assert run_of(run_id).status == "failed"


def test_a_process_publishes_its_node_types(inline):
    assert leases.has_node_types({"http", "noop"}) and not leases.has_node_types({"noop", "special"})


# The resources of runs, by the settings of the process


POSTGRES = "postgresql://me@db/x"


def resources(**settings):
    config = Config(**settings)
    return Resources(config, make_services(config))


def test_files_are_in_the_data_folder(tmp_path):
    resources(data_dir=tmp_path).files_of("ws_1").write("a/b.txt", b"x")
    assert (tmp_path / "files" / "ws_1" / "a" / "b.txt").read_bytes() == b"x"


def test_files_of_several_machines_are_in_the_folder_that_they_share(tmp_path):
    made = resources(data_dir=tmp_path / "data", database_url=POSTGRES, files_dir=tmp_path / "shared")
    made.files_of("ws_1").write("b.txt", b"x")
    assert (tmp_path / "shared" / "ws_1" / "b.txt").read_bytes() == b"x" and not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "use",
    [
        lambda files: files.write("a.txt", b"x"),
        lambda files: files.read("a.txt"),
        lambda files: files.append("a.txt", b"x"),
        lambda files: files.list(),
        lambda files: files.find(),
        lambda files: files.delete("a.txt"),
        lambda files: files.move("a.txt", "b.txt"),
        lambda files: files.real_path("a.sqlite3", make=True),
        lambda files: files.uploading().__enter__(),
    ],
)
def test_without_a_shared_folder_a_workspace_has_no_files(tmp_path, use):
    files = resources(data_dir=tmp_path / "data", database_url=POSTGRES).files_of("ws_1")
    with pytest.raises(NodeError, match="HEADRACE_FILES_DIR") as error:
        use(files)
    assert error.value.permanent and not (tmp_path / "data").exists()


def test_large_values_of_several_machines_are_in_the_database(tmp_path):
    assert isinstance(resources(data_dir=tmp_path, database_url=POSTGRES).payloads, PayloadRows)
    assert not isinstance(resources(data_dir=tmp_path).payloads, PayloadRows)


def test_a_store_of_large_values_without_its_pack_is_refused_by_name(monkeypatch, tmp_path):
    monkeypatch.setattr(registry, "value_store", "")
    with pytest.raises(ConfigError, match="HEADRACE_VALUES_URL is set, but .* pack s3"):
        resources(data_dir=tmp_path, database_url=POSTGRES, values_url="s3://bucket")


# A random value, such as a UUID, is the same after a crash if anything outside has seen it


@pytest.mark.pack("crypto")
def test_an_effect_sees_the_same_uuid_after_a_crash_at_any_moment(tmp_path, types):
    moments, seen, before = Moments(tmp_path), [], []

    def see(config, input, ctx):
        before.append(len(moments))
        seen.append((ctx.node_id, input))
        return input

    types.offer("see", see, pure=False)
    made = chain(node("uuid", "crypto", {"operation": "uuid"}), node("first", "see"), node("second", "see"))
    with inline_process(tmp_path, Copying(moments.copy)) as dispatcher:
        dispatcher.submit(Start(add_flow(made), None, "manual"))
        moments.copy()
        run = run_of(Run.select(Run.id).scalar())
        drawn = output(dispatcher, run)
    assert seen == [("first", drawn), ("second", drawn)]
    again = []
    for moment in moments[before[0] :]:
        moments.go_back_to(moment)
        Lease.delete().execute()
        seen.clear()
        with inline_process(tmp_path, Recorder()) as dispatcher:
            dispatcher.sweep()
            assert output(dispatcher, run_of(run.id)) == drawn
        assert {value for _, value in seen} <= {drawn}
        again += seen
    assert again, "no copy had anything left to execute"


# A failed run leaves one log entry, written with its end. A successful run leaves none


def entries(run=None):
    """Return `(level, node_id, message)` of each entry of the run, or of all runs, oldest first."""
    rows = LogEntry.select().order_by(LogEntry.id)
    return [(row.level, row.node_id, row.message) for row in rows if run is None or row.run_id == run.id]


def linger(config, input, ctx):
    """Work until the deadline."""
    while time.monotonic() < ctx.deadline:
        pass


@pytest.mark.parametrize("before", ["noop", "act"])
def test_the_final_failure_of_a_node_is_logged(inline, before):
    """For a run written as a whole at its end, and for a run with steps recorded earlier."""
    run = submit(inline, chain(node("a", before), node("b", "fail", {"value": "no luck"})))
    assert entries() == [("error", "b", "The run failed: no luck")]
    entry = LogEntry.get()
    assert (entry.run_id, entry.workspace_id, entry.data) == (run.id, "ws_1", None)


def test_a_quick_run_that_fails_is_one_commit(inline, monkeypatch):
    groups = []
    commit = inline.recorder._commit
    monkeypatch.setattr(inline.recorder, "_commit", lambda group: (groups.append(group), commit(group)))
    submit(inline, chain("a", node("b", "fail")))
    assert len(groups) == 1 and len(entries()) == 1


def test_a_successful_run_with_a_failed_node_leaves_no_entry(inline):
    assert submit(inline, chain(node("a", "fail", on_error="continue"), "b")).status == "success"
    assert entries() == []


def test_a_timeout_is_logged(inline, types):
    types.offer("linger", linger)
    run = submit(inline, chain(node("a", "linger"), "b", timeout=0.05))
    assert run.status == "failed" and "timeout" in run.error_text
    assert entries() == [("error", run.error_node_id, f"The run failed: {run.error_text}")]


def test_a_run_abandoned_after_three_deaths_is_logged(inline):
    id_ = add_run_of_dead_process(inline, flow(node("a", "act")), steps=1, deaths=MAX_DEATHS - 1)
    inline.sweep()
    assert entries() == [("error", None, f"The run failed: {run_of(id_).error_text}")]
    assert "3 processes died" in run_of(id_).error_text


def test_a_run_whose_flow_was_deleted_is_logged(inline):
    made = add_flow(flow("a"))
    id_ = add_run(made)
    made.delete_instance()
    Run.update(workflow_version=9).where(Run.id == id_).execute()
    inline.sweep()
    assert entries() == [("error", None, "The run failed: the flow was deleted before the run could start")]


def test_a_failed_called_run_and_its_caller_have_an_entry_each(inline):
    run = submit(inline, chain(call(called(node("b", "fail", {"value": "no luck"})))))
    (child,) = children(run)
    assert entries(child) == [("error", "b", "The run failed: no luck")]
    assert entries(run) == [("error", "c", f"The run failed: {run_of(run.id).error_text}")]


def test_a_cancellation_is_logged_once_and_not_as_an_error(dispatcher, gate):
    run = submit(dispatcher, chain(node("g", "gate"), node("b", "fail")))
    dispatcher.cancel(at_gate(dispatcher, run, gate), "ann")
    gate.opened.set()
    wait_until_idle(dispatcher, run)
    assert entries() == [("info", None, "The run was stopped: cancelled by ann")]


def test_a_process_that_lost_the_run_logs_nothing_about_its_end(start, gate, types):
    slow = iter([gate])
    types.offer("slow", lambda config, input, ctx: next(slow, lambda *args: input)(config, input, ctx), pure=False)
    one, other = start(run_threads=1), start(inline=True)
    run = submit(one, chain(node("a", "slow"), node("b", "fail", {"value": "no luck"})))
    at_gate(one, run, gate)
    take_from(one, run.id)
    other.sweep()
    gate.opened.set()
    wait_until_idle(one, run)
    assert entries() == [("error", "b", "The run failed: no luck")]


def test_an_end_refused_by_the_disk_is_logged_once_when_it_is_written(start, gate):
    dispatcher = start(run_threads=1)
    run = submit(dispatcher, chain(node("g", "gate"), node("b", "fail", {"value": "no luck"})))
    at_gate(dispatcher, run, gate)
    refuse_inserts("log_entries", "NEW.run_id IS NOT NULL")
    gate.opened.set()
    wait_until_idle(dispatcher, run)
    dispatcher.sweep()
    assert run_of(run.id).status == "running" and entries() == []
    accept_inserts()
    dispatcher.sweep()
    dispatcher.sweep()
    assert finished(dispatcher, run_of(run.id)).status == "failed"
    ((level, _, message),) = entries()
    assert level == "error" and message.startswith("The run failed: could not be recorded")


# Threads that wait for runs of other processes: one query for all of them


@pytest.fixture
def runs():
    """Three pending runs."""
    made = add_flow(chain(node("a", "act")))
    found = [run_queries.accept(made, triggered_by="manual") for _ in range(3)]
    for run in found:
        execute(*run_queries.insertion(run))
    return found


def end(run):
    execute("UPDATE runs SET status = 'success', finished_at = 1 WHERE id = ?", (run.id,))


def test_each_thread_wakes_when_its_run_has_changed(runs):
    watch = RunWatch()
    waits = [Background(watch.wait, run, PATIENCE) for run in runs]
    end(runs[1])
    waits[1].result()
    assert waits[0].thread.is_alive() and waits[2].thread.is_alive()
    execute("UPDATE runs SET waiting = 'an answer' WHERE id = ?", (runs[0].id,))
    execute("DELETE FROM runs WHERE id = ?", (runs[2].id,))
    for wait in (waits[0], waits[2]):
        wait.result()


def test_a_change_before_the_wait_is_seen(runs):
    end(runs[0])
    began = time.monotonic()
    RunWatch().wait(runs[0], PATIENCE)
    assert time.monotonic() - began < PATIENCE / 2


def test_a_wait_ends_after_its_time(runs):
    began = time.monotonic()
    RunWatch().wait(runs[0], 0.01)
    assert 0.01 <= time.monotonic() - began < PATIENCE / 2


def test_one_query_asks_for_all_and_none_without_waiting_threads(runs, monkeypatch):
    asked, read = [], run_queries.read_states
    monkeypatch.setattr(run_queries, "read_states", lambda ids: asked.append(set(ids)) or read(ids))
    watch = RunWatch()
    waits = [Background(watch.wait, run, PATIENCE) for run in runs]
    everything = {run.id for run in runs}
    deadline = time.monotonic() + PATIENCE
    while everything not in asked:
        assert time.monotonic() < deadline
    for run in runs:
        end(run)
    for wait in waits:
        wait.result()
    while any(thread.name == "run-watch" for thread in threading.enumerate()):
        assert time.monotonic() < deadline


def test_threads_look_themselves_if_the_watch_cannot_read(runs, monkeypatch):
    def fail(ids):
        raise OSError("no disk")

    monkeypatch.setattr(run_queries, "read_states", fail)
    RunWatch().wait(runs[0], PATIENCE)
