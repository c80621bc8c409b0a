"""Quick runs, which the worker's loop executes: a turn is one commit, and a run that cannot be recorded leaves nothing.

test_quick_record.py shows which runs are quick, and that they leave the same record as others.
"""

import queue
import time
from collections import namedtuple

import pytest
from engines import accept_inserts, count_transactions, refuse_inserts
from races import another_writer, kept_from_writing, submit_blocked_batch
from shortcuts import in_the_loop
from world import PATIENCE, add_flow, chain, flow, node, run_of, steps_of
from written import put

import database
from database import LockTimeout
from database.queries import workflows
from dispatch import QuickRuns, Start, quick_runs
from dispatch.quick_runs import MAX_TURN, SLOW_RUNS, SLOW_SECONDS
from dispatch.recorder import WholeRun
from engine import plan
from errors import BadInput, Unavailable, Unprocessable
from models import LogEntry, Run, RunDay, Step

BAD = "NEW.packed_steps LIKE '%bad%'"
LONG = 10_000  # list items: more than any processor can execute within QUICK_SECONDS
End = namedtuple("End", "run outcome output error")


class Clock:
    """A clock in seconds that only the test moves."""

    def __init__(self):
        self.now = 1_000.0

    def __call__(self):
        return self.now


class Loop:
    """The part of a worker's loop that handles quick runs. `told` are the ends reported to it."""

    def __init__(self, dispatcher):
        self.dispatcher, self.clock = dispatcher, Clock()
        self.quick = QuickRuns(dispatcher, self.clock)
        self.told = queue.SimpleQueue()

    def start(self, definition, input=None, trigger=None):
        """Return True if a run of the flow (a definition, or a stored flow) is accepted."""
        made = add_flow(definition) if isinstance(definition, dict) else definition
        plan = self.dispatcher.resources.plan_of(made)
        with in_the_loop(self.quick):
            return self.quick.start(Start(made, input, "webhook", trigger), plan, self._tell)

    def _tell(self, run, outcome, output, error):
        self.told.put(End(run, outcome, output, error))

    def ends(self, count):
        """Return the next ends."""
        return [self.told.get(timeout=PATIENCE) for _ in range(count)]

    def turn(self, *flows):
        """Start runs of these flows in one turn, and return their ends."""
        for made in flows:
            assert self.start(made)
        self.quick.end_turn()
        return self.ends(len(flows))

    def end(self):
        """Return once the recorder has finished all submitted work. No further end may have been reported."""
        self.dispatcher.recorder.commit([])
        assert self.told.empty()


@pytest.fixture
def loop(dispatcher):
    return Loop(dispatcher)


def is_empty():
    """Return True if nothing is recorded."""
    return not any(table.select().exists() for table in (Run, Step, RunDay, LogEntry))


# Turns


@pytest.mark.usefixtures("unhurried")
def test_a_turn_is_one_commit(loop):
    flows = [add_flow(chain("a", node("log", "log", {"message": "m"}), "b")) for _ in range(3)]
    before = count_transactions()
    for made in (*flows, *flows):
        assert loop.start(made)
    assert count_transactions() == before and is_empty() and loop.told.empty()
    loop.quick.end_turn()
    ends = loop.ends(6)
    assert count_transactions() == before + 1
    assert [(end.outcome.status, end.output, end.error) for end in ends] == [("success", b"null", None)] * 6
    assert Run.select().count() == LogEntry.select().count() == 6
    for end in ends:
        assert run_of(end.run.id).status == "success"
        assert [step.node_id for step in steps_of(end.run.id)] == ["a", "log", "b"]
    assert [day.total for day in RunDay.select()] == [2, 2, 2]


@pytest.mark.usefixtures("unhurried")
def test_a_turn_without_runs_writes_nothing(loop):
    before = count_transactions()
    for _ in range(3):
        loop.quick.end_turn()
    loop.dispatcher.recorder.commit([put("ws_9")])
    assert count_transactions() == before + 1  # from that commit alone


@pytest.mark.usefixtures("unhurried")
def test_a_long_turn_is_submitted_in_parts(loop):
    made = add_flow(flow("a"))
    for _ in range(MAX_TURN + 1):
        assert loop.start(made)
    assert len({end.run.id for end in loop.ends(MAX_TURN)}) == MAX_TURN
    loop.end()
    assert Run.select().count() == MAX_TURN
    assert loop.turn()[:1] == [] and len(loop.ends(1)) == 1


@pytest.mark.usefixtures("unhurried")
def test_an_end_is_reported_only_after_the_run_is_recorded(loop):
    seen = []
    made = add_flow(flow("a"))
    plan_ = loop.dispatcher.resources.plan_of(made)

    def told(run, outcome, output, error):
        seen.append(database.execute("SELECT status FROM runs WHERE id = ?", (run.id,)).fetchone())
        loop._tell(run, outcome, output, error)

    assert loop.quick.start(Start(made, 1, "webhook"), plan_, told)
    loop.quick.end_turn()
    assert loop.ends(1)[0].output == b"1" and seen == [("success",)]


@pytest.mark.usefixtures("unhurried")
def test_a_caller_whose_report_fails_does_not_stop_other_reports(loop, caplog):
    made = add_flow(flow("a"))
    assert loop.start(made)
    assert loop.quick.start(Start(made, 1, "webhook"), loop.dispatcher.resources.plan_of(made), lambda *end: 1 / 0)
    assert loop.start(made)
    loop.quick.end_turn()
    assert [end.error for end in loop.ends(2)] == [None, None]
    assert "cannot be told" in caplog.text and Run.select().count() == 3


# A disk that refuses writes


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize("table", ["runs", "run_days"])
def test_refused_turns_leave_nothing(loop, table):
    refuse_inserts(table)
    for definitions in ([flow("a")], [chain("a", node("s", "stop", {"message": "m"}))] * 3):
        ends = loop.turn(*definitions)
        assert all(isinstance(end.error, database.OperationalError) for end in ends)
    loop.end()
    assert is_empty()
    accept_inserts()
    loop.end()
    assert is_empty()
    assert loop.turn(flow("a"))[0].error is None


@pytest.mark.usefixtures("unhurried")
def test_a_run_that_cannot_be_recorded_does_not_affect_others_of_its_turn(loop):
    refuse_inserts("runs", BAD)
    ends = loop.turn(flow("good"), flow("bad"), flow("good"), flow("good"))
    assert sorted(end.error is None for end in ends) == [False, True, True, True]
    assert {end.run.id for end in ends if end.error is None} == {run.id for run in Run.select()}
    assert {step.node_id for step in Step.select()} == {"good"} and sum(day.total for day in RunDay.select()) == 3
    loop.end()


@pytest.mark.usefixtures("unhurried")
def test_a_run_without_a_valid_row_does_not_affect_others(loop):
    assert loop.start(chain("a"))
    loop.quick._turn.add(WholeRun(object(), [], []), lambda error: loop._tell(None, None, None, error))
    loop.quick.end_turn()
    errors = [type(end.error) for end in loop.ends(2)]
    assert sorted(errors, key=str) == [AttributeError, type(None)]
    assert Run.select().count() == 1


def test_runs_submitted_to_a_stopped_recorder_are_refused(loop):
    for _ in range(3):
        assert loop.start(flow("a"))
    loop.dispatcher.recorder.stop()
    loop.quick.end_turn()
    assert [type(end.error) for end in loop.ends(3)] == [Unavailable] * 3
    assert loop.told.empty() and is_empty()


@pytest.mark.usefixtures("unhurried")
def test_a_turn_submitted_before_the_recorder_stops_is_recorded(loop):
    made = add_flow(flow("a"))
    gate = submit_blocked_batch(loop.dispatcher.recorder)
    assert gate.reached.wait(PATIENCE)
    assert loop.start(made) and loop.start(made)
    loop.quick.end_turn()
    gate.opened.set()
    loop.dispatcher.recorder.stop()
    assert [end.error for end in loop.ends(2)] == [None, None] and Run.select().count() == 2


# Another process that holds the write lock


def late(loop):
    """Move the clock beyond the time that a turn may wait."""
    loop.clock.now += loop.dispatcher.config.write_wait + 0.1


@pytest.mark.usefixtures("unhurried")
def test_turns_that_wait_too_long_are_revoked_and_never_recorded(loop, path, monkeypatch):
    monkeypatch.setattr(database.shared, "STALL_SECONDS", PATIENCE)
    early, later = add_flow(flow("early")), add_flow(flow("late"))
    with kept_from_writing(loop.dispatcher.recorder, path):
        for _ in range(3):
            assert loop.start(early) and loop.start(early)
            loop.quick.end_turn()
        loop.clock.now += loop.dispatcher.config.write_wait - 0.1
        assert loop.start(later)
        loop.quick.end_turn()
        assert loop.told.empty()
        loop.clock.now += 0.2
        loop.quick.end_turn()
        assert [type(end.error) for end in loop.ends(6)] == [LockTimeout] * 6
        assert loop.told.empty()
    assert [step.node_id for end in loop.ends(1) for step in steps_of(end.run.id)] == ["late"]
    loop.end()
    assert Run.select().count() == 1


@pytest.mark.usefixtures("unhurried")
def test_a_turn_that_the_recorder_has_begun_is_not_revoked(loop):
    made = add_flow(flow("a"))
    before = submit_blocked_batch(loop.dispatcher.recorder)
    assert before.reached.wait(PATIENCE)
    assert loop.start(made) and loop.start(made)
    loop.quick.end_turn()
    beside = submit_blocked_batch(loop.dispatcher.recorder)
    before.opened.set()
    assert beside.reached.wait(PATIENCE)
    late(loop)
    loop.quick.end_turn()
    assert loop.told.empty()
    beside.opened.set()
    assert [end.error for end in loop.ends(2)] == [None, None] and Run.select().count() == 2
    loop.quick.end_turn()
    loop.end()


@pytest.mark.usefixtures("unhurried")
def test_runs_that_are_written_one_by_one_are_revoked_too(loop):
    """One run of the turn fails, so each is written alone; just then another batch holds the write lock."""
    refuse_inserts("runs", BAD)
    good, bad = add_flow(flow("good")), add_flow(flow("bad"))
    before = submit_blocked_batch(loop.dispatcher.recorder)
    assert before.reached.wait(PATIENCE)
    assert loop.start(good) and loop.start(bad) and loop.start(good)
    loop.quick.end_turn()
    then = submit_blocked_batch(loop.dispatcher.recorder, after_a_group=True)
    before.opened.set()
    assert then.reached.wait(PATIENCE)
    loop.quick.end_turn()
    assert loop.told.empty()
    late(loop)
    loop.quick.end_turn()
    assert [type(end.error) for end in loop.ends(3)] == [LockTimeout] * 3
    then.opened.set()
    loop.end()
    assert is_empty()
    loop.quick.end_turn()
    assert not loop.quick._given


@pytest.mark.sqlite_only("on PostgreSQL, no process keeps all others from writing")
@pytest.mark.usefixtures("unhurried")
@pytest.mark.sqlite_only("on PostgreSQL, the recorder does not wait for other writers")
def test_no_run_is_accepted_while_another_process_blocks_writes(loop, path, monkeypatch):
    monkeypatch.setattr(database.shared, "STALL_SECONDS", 0.05)
    made = add_flow(flow("a"))
    with another_writer(path):
        assert loop.start(made)
        loop.quick.end_turn()
        ends = time.monotonic() + PATIENCE
        while not database.is_write_blocked():
            assert time.monotonic() < ends, "the block was not noticed"
        assert not loop.start(made)
    assert loop.ends(1)[0].error is None
    assert loop.turn(made)[0].error is None
    assert Run.select().count() == 2


# Runs that turn out not to be quick


@pytest.fixture
def count(types):
    """Offer the quick node type `count`, and return the list of its calls."""
    calls = []
    types.offer("count", lambda config, input, ctx: calls.append(input), quick=True)
    return calls


def spread(count="{{ input }}"):
    """Return a flow that executes `count` once for each of so many items."""
    return flow(node("each", "count", foreach=f"{{{{ range({count.strip('{ }')}) }}}}"))


def test_a_run_that_takes_too_long_is_abandoned_without_a_record(loop, count):
    assert not loop.start(spread(), LONG)
    assert 0 < len(count) < LONG
    loop.quick.end_turn()
    loop.end()
    assert is_empty()


def test_a_flow_that_was_slow_twice_in_succession_is_not_tried_for_a_while(loop, count):
    made = add_flow(spread())
    for _ in range(SLOW_RUNS):
        count.clear()
        assert not loop.start(made, LONG) and count
    count.clear()
    assert not loop.start(made, 1) and not count
    loop.clock.now += SLOW_SECONDS - 1
    assert not loop.start(made, 1) and not count
    loop.clock.now += 2
    assert loop.start(made, 1) and count
    assert not loop.start(made, LONG)  # slow again, but counted as the first time
    assert loop.start(made, 1)
    assert len(loop.turn()) == 0 and len(loop.ends(2)) == 2


def test_a_quick_run_resets_the_count_of_slow_runs(loop, count):
    made = add_flow(spread())
    for _ in range(3 * SLOW_RUNS):
        assert not loop.start(made, LONG)
        assert loop.start(made, 1)


def test_a_new_version_of_a_slow_flow_and_other_flows_are_tried(loop, count):
    made = add_flow(spread())
    for _ in range(SLOW_RUNS):
        assert not loop.start(made, LONG)
    assert not loop.start(made, 1)
    assert loop.start(spread(), 1)
    workflows.change(made, None, definition_json=made.definition_json.replace('"each"', '"every"'), triggers=[])
    assert loop.start(made, 1)


def test_the_number_of_remembered_slow_flows_is_limited(loop, count, monkeypatch):
    monkeypatch.setattr(quick_runs, "MAX_SLOW", 3)
    for _ in range(10):
        assert not loop.start(spread(), LONG)
        assert 1 <= len(loop.quick._slow) <= 3


def test_a_flow_whose_last_node_takes_long_is_slow_too(loop, types, monkeypatch):
    """The run has ended when this is noticed, and counts, but the loop must not be blocked like that repeatedly."""

    def burn(config, input, ctx):
        ends = time.thread_time() + 1.5 * quick_runs.QUICK_SECONDS
        while time.thread_time() < ends:
            continue

    types.offer("burn", burn, quick=True)
    made = add_flow(chain("a", node("b", "burn")))
    for _ in range(SLOW_RUNS):
        assert loop.start(made)
    assert not loop.start(made)
    loop.quick.end_turn()
    assert [end.error for end in loop.ends(SLOW_RUNS)] == [None] * SLOW_RUNS
    loop.end()
    assert Run.select().count() == SLOW_RUNS


ELSEWHERE = {
    "a credential": lambda ctx: ctx.credential("key"),
    "a file": lambda ctx: ctx.need_files().read("file"),
}


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize("on_error", ["fail", "continue", "branch"])
@pytest.mark.parametrize("foreach", [None, "{{ [1] }}"])
@pytest.mark.parametrize("wanted", ELSEWHERE)
def test_a_service_that_quick_runs_lack_does_not_fail_the_node(loop, types, wanted, on_error, foreach):
    types.offer("want", lambda config, input, ctx: ELSEWHERE[wanted](ctx), quick=True)
    check_abandoned(loop, node("w", "want", on_error=on_error, **({"foreach": foreach} if foreach else {})))


def check_abandoned(loop, middle):
    """Check that the loop abandons a run of a flow with this node in the middle."""
    way = " error" if middle["on_error"] == "branch" else " true" if middle["type"] == "if" else ""
    edges = ["a w", f"w b{way}"]
    assert not loop.start(flow("a", middle, "b", edges=edges))
    loop.quick.end_turn()
    loop.end()
    assert is_empty()


@pytest.mark.usefixtures("unhurried")
@pytest.mark.parametrize("on_error", ["fail", "continue", "branch"])
@pytest.mark.parametrize(
    ("type_", "config"),
    [
        ("set", {"values": {"k": "{{ secrets.key.token }}"}}),
        ("if", {"condition": "{{ secrets.key.token == 'x' }}"}),
        pytest.param(
            "crypto", {"operation": "hmac", "data": "x", "credential": "key"}, marks=pytest.mark.pack("crypto")
        ),
        ("respond", {"file": "answers/file.txt"}),
        ("set", {"values": {"long": "{{ 'x' * 70000 }}"}}),
        ("log", {"message": "m", "data": "{{ secrets.key.token }}"}),
    ],
    ids=range(6),
)
def test_a_built_in_node_that_quick_runs_cannot_execute_does_not_fail(loop, type_, config, on_error):
    check_abandoned(loop, node("w", type_, config, on_error=on_error))


@pytest.mark.usefixtures("unhurried")
def test_runs_with_values_too_large_for_a_row_are_left_to_threads(start):
    dispatcher = start(inline_value_bytes=100, max_value_bytes=1_000)
    loop, made = Loop(dispatcher), add_flow(flow("a"))
    assert not loop.start(made, "x" * 200)
    assert not loop.start(made, "x" * 2_000)
    with pytest.raises(BadInput):
        dispatcher.submit(Start(made, "x" * 2_000, "webhook"))
    assert loop.start(flow("a"), "x" * 90)
    # Each output fits, but the output of the run contains both.
    assert not loop.start(flow(*(node(id_, "set", {"values": {"x": "y" * 60}}) for id_ in "ab")))
    loop.quick.end_turn()
    assert loop.ends(1)[0].error is None
    loop.end()


@pytest.mark.usefixtures("unhurried")
def test_a_run_whose_log_is_too_long_is_left_to_threads(loop, monkeypatch):
    monkeypatch.setattr("dispatch.run_record.MAX_LOG_BUFFER", 100)
    check_abandoned(loop, node("w", "log", {"message": "x" * 200}, on_error="continue"))


# Work that would make the loop wait for another process

APART = {"$dynamicAnchor": "x", "properties": {"a": {"$dynamicRef": "#x"}}, "type": "object"}


@pytest.mark.usefixtures("unhurried")
def test_a_schema_checked_in_another_process_is_left_to_threads(loop):
    assert not loop.start(flow(node("v", "validate", {"schema": APART}, on_error="continue")), {"a": {}})
    made = add_flow(flow(node("m", "manual", {"input_schema": APART})))
    for _ in range(SLOW_RUNS):
        assert not loop.start(made, {"a": {}})
    assert loop.quick._is_slow((made.id, made.version))
    loop.quick.end_turn()
    loop.end()
    assert is_empty()
    run = loop.dispatcher.submit(Start(made, {"a": {}}, "manual")).run
    assert loop.dispatcher.waiting.wait(loop.dispatcher.ticket_of(run), PATIENCE).status == "success"


# Plans whose runs may be quick, and refused runs


def test_the_loop_makes_no_plan_that_takes_long(loop):
    long = add_flow(chain(*(node(f"n{number}", notes="x" * 1_000) for number in range(20))))
    apart = add_flow(flow(node("v", "validate", {"schema": {"type": "string", "pattern": "^.{1,600}$"}})))
    short = add_flow(flow("a"))
    for made in (long, apart):
        with in_the_loop(loop.quick):
            assert loop.quick.plan_of(made) is None
            assert loop.quick.plan_of(made) is None
        plan_ = loop.dispatcher.resources.plan_of(made)
        assert loop.quick.plan_of(made) is plan_
    assert loop.quick.plan_of(short) is loop.dispatcher.resources.plan_of(short)
    assert loop.quick.plan_of(add_flow(flow(node("c", "code", {"source": "return 1"})))) is None


def with_settings(**settings):
    return chain("a", "b", **settings)


@pytest.mark.parametrize(
    ("definition", "may"),
    [
        (chain("a", node("b", "set", {"values": {"x": 1}})), True),
        (flow(*(f"n{number}" for number in range(quick_runs.MAX_NODES))), True),
        (flow(*(f"n{number}" for number in range(quick_runs.MAX_NODES + 1))), False),
        (chain("a", node("b", "code", {"source": "return 1"})), False),
        (chain("a", node("b", "wait", {"seconds": 1})), False),
        (chain("a", node("b", "wait", {"seconds": 1}, disabled=True)), True),
        (chain("a", node("b", "ask")), False),
        (chain("a", node("b", "act")), False),
        (chain("a", node("b", "noop", retry={"attempts": 2})), False),
        (with_settings(max_concurrent_runs=1), False),
        (with_settings(error_workflow_id="wf_1"), False),
        (with_settings(timeout=10, vars={"x": 1}), True),
    ],
    ids=range(12),
)
def test_a_plan_decides_whether_its_runs_may_be_quick(loop, definition, may):
    assert loop.quick.may_run(plan(definition)) == may


def test_no_run_is_quick_if_on_step_is_set(loop):
    loop.dispatcher.executor.on_step = print
    assert not loop.quick.may_run(plan(flow("a")))


@pytest.mark.parametrize("state", ["paused", "closed", "expired", "full"])
def test_a_server_that_refuses_runs_refuses_quick_ones(loop, state, monkeypatch):
    dispatcher = loop.dispatcher
    if state == "paused":
        dispatcher.is_paused = True
    elif state == "closed":
        dispatcher.close()
    elif state == "expired":
        dispatcher.lease._alive_until = 0.0
    else:
        dispatcher.free_space.floor = 2**62
    with pytest.raises(Unavailable) as refused:
        loop.start(flow("a"))
    assert refused.value.retry_after > 0
    loop.quick.end_turn()
    loop.end()
    assert is_empty()


def test_an_input_that_violates_the_schema_of_the_trigger_starts_nothing(loop):
    made = flow(node("m", "manual", {"input_schema": {"type": "integer"}}))
    with pytest.raises(Unprocessable):
        loop.start(made, "one")
    loop.quick.end_turn()
    loop.end()
    assert is_empty()
