"""`max_concurrent_runs`: the limit holds, and all runs end, in order. `overlap` can refuse runs instead."""

import queue
import random
import threading
import time
from collections import Counter

import orjson
import pytest
from dispatching import add_run, at_gate, call, finished, output, stop_at_the_gate, submit, wait_until_idle
from engines import runs_with_values
from servers import until
from world import PATIENCE, Background, Gate, add_flow, at_once, chain, flow, node, raced, run_of, steps_of

from database import execute
from database.queries import leases, workflows
from database.queries import runs as run_queries
from database.queries.concurrent_runs import QUEUED
from dispatch import Start
from dispatch.process_limits import RequestLimit
from dispatch.queues import DELAY_SECONDS, MAX_NEW, MAX_REPEATED, REPEAT_SECONDS, LocalQueue, Offers, OfferTimes
from dispatch.run_record import RunRecord
from errors import Conflict, TooMany, Unavailable
from models import IdempotencyKey, LogEntry, Run, Wait


def limited(*nodes, limit=1, overlap="queue", **values):
    """Add a flow with this concurrency limit."""
    return add_flow(chain(*nodes, max_concurrent_runs=limit, overlap=overlap), **values)


class Busy:
    """A node type that records when it ran: `spans` are pairs of times."""

    def __init__(self, types):
        self.spans, self.order, self.chance = [], [], random.Random(0)
        types.offer("busy", self)

    def __call__(self, config, input, ctx):
        began = time.monotonic()
        threading.Event().wait(self.chance.random() * 0.003)
        self.spans.append((began, time.monotonic()))
        self.order.append(ctx.idempotency_key.partition(":")[0])
        return input


def max_overlap(spans):
    """Return the maximum number of spans that overlap."""
    events = sorted([(begin, 1) for begin, _ in spans] + [(end, -1) for _, end in spans])
    present = most = 0
    for _, change in events:
        present += change
        most = max(most, present)
    return most


def drained(dispatcher, runs):
    """Return the runs once all of them have ended."""
    return [finished(dispatcher, run) for run in runs]


@pytest.mark.parametrize("limit", [1, 2, 3])
def test_the_limit_holds_across_threads_and_all_runs_end(start, types, limit):
    """Without a sweep: only the end of a run starts the next one."""
    busy = Busy(types)
    dispatcher = start(run_threads=6)
    made = limited(node("a", "busy"), limit=limit)
    runs = [dispatcher.submit(Start(made, number, "manual")).run for number in range(60)]
    assert {run.status for run in drained(dispatcher, runs)} == {"success"}
    assert len(busy.spans) == 60 and max_overlap(busy.spans) <= limit
    if limit == 1:
        assert busy.order == sorted(busy.order)


def test_the_limit_holds_across_dispatchers(start, types):
    busy = Busy(types)
    processes = [start(run_threads=3) for _ in range(3)]
    made = limited(node("a", "busy"), limit=2)
    runs = [processes[number % 3].submit(Start(made, number, "manual")).run for number in range(60)]
    assert {run.status for run in drained(processes[0], runs)} == {"success"}
    assert len(busy.spans) == 60 and max_overlap(busy.spans) <= 2


def test_simultaneous_submissions_are_all_served(start, types):
    busy = Busy(types)
    dispatcher = start(run_threads=4)
    made = [limited(node("a", "busy"), limit=limit) for limit in (1, 2)]
    runs = at_once(8, lambda number: [dispatcher.submit(Start(flow_, number, "manual")).run for flow_ in made * 5])
    assert {run.status for group in runs for run in drained(dispatcher, group)} == {"success"}
    assert max_overlap(busy.spans) <= 3


@pytest.mark.slow
def test_the_limit_holds_across_processes(tmp_path):
    made = [limited(node("a", "busy"), limit=limit) for limit in (1, 2)]
    source = """
import pathlib, sys, time
import database
from chosen_engine import connect
from dispatch import Start
from models import Run, Workflow
from world import Types, process
folder = pathlib.Path(sys.argv[1])
connect(folder)
spans = []
def busy(config, input, ctx):
    began = time.monotonic()
    time.sleep(0.001)
    spans.append((ctx.scope["workflow"]["id"], ctx.scope["run"]["id"], began, time.monotonic()))
with Types() as types, process(folder, run_threads=3) as dispatcher:
    types.offer("busy", busy)
    print("ready", flush=True)
    sys.stdin.readline()
    flows = [Workflow.get_by_id(id_) for id_ in sys.argv[2:]]
    tickets = [dispatcher.submit(Start(flow, None, "manual")) for _ in range(25) for flow in flows]
    while Run.select().where(Run.status.in_(["pending", "running"])).exists():
        dispatcher.waiting.wait(tickets[-1], 0.05)
        dispatcher.sweep()
    for span in spans:
        print(*span)
database.disconnect()
"""
    words = raced(2, source, tmp_path, *[flow_.id for flow_ in made])
    spans = [(words[at], float(words[at + 2]), float(words[at + 3])) for at in range(0, len(words), 4)]
    assert len(spans) == 100 and {run.status for run in Run.select()} == {"success"}
    for flow_, limit in zip(made, (1, 2), strict=True):
        assert max_overlap([span[1:] for span in spans if span[0] == flow_.id]) <= limit


# The queue


def test_a_run_over_the_limit_is_queued_and_says_so(start, gate):
    dispatcher = start(run_threads=2)
    made = limited(node("a", "gate"))
    first, second = [dispatcher.submit(Start(made, number, "manual")).run for number in range(2)]
    at_gate(dispatcher, first, gate)
    let_second = dispatcher.ticket_of(second).active
    assert let_second is None or let_second.ended.wait(PATIENCE)
    row = run_of(second.id)
    assert (row.status, row.lease_owner, row.started_at, row.claims) == ("pending", None, None, 0)
    assert row.waiting == QUEUED and "max_concurrent_runs" in QUEUED
    gate.opened.set()
    assert [run.status for run in drained(dispatcher, [first, second])] == ["success"] * 2
    assert run_of(second.id).waiting is None


@pytest.mark.slow
def test_a_long_queue_does_not_delay_other_flows(start, gate):
    dispatcher = start(run_threads=2)
    made = limited(node("a", "gate"))
    runs = [dispatcher.submit(Start(made, number, "manual")).run for number in range(500)]
    at_gate(dispatcher, runs[0], gate)
    assert finished(dispatcher, submit(dispatcher, flow("b"))).status == "success"
    dispatcher.sweep()
    assert finished(dispatcher, submit(dispatcher, flow("b"))).status == "success"
    assert Run.select().where(Run.waiting.is_null(False)).count() == 499
    gate.opened.set()
    assert {run.status for run in drained(dispatcher, runs)} == {"success"}


def test_the_queue_of_a_dead_process_is_executed_in_order(inline, types):
    busy = Busy(types)
    made = limited(node("a", "busy"))
    ids = [add_run(made, waiting=QUEUED) for _ in range(5)]
    Run.update(status="running", waiting=None, lease_owner="proc_gone", claims=1).where(Run.id == ids[1]).execute()
    leases.beat("proc_gone", 60_000)
    inline.sweep()
    assert busy.order == []
    leases.beat("proc_gone", -1)
    for _ in range(5):
        inline.sweep()
    assert busy.order == [ids[1], *[id_ for id_ in ids if id_ != ids[1]]] or busy.order == ids
    assert max_overlap(busy.spans) == 1 and {run.status for run in Run.select()} == {"success"}


def test_a_queue_without_a_running_run_is_executed_by_the_next_sweep(inline, types):
    busy = Busy(types)
    made = limited(node("a", "busy"))
    ids = [add_run(made, waiting=QUEUED) for _ in range(5)]
    inline.sweep()
    assert busy.order == ids


def test_a_cancelled_queued_run_is_never_executed_and_delays_no_other(start, gate):
    dispatcher = start(run_threads=2)
    made = limited(node("a", "gate"))
    runs = [dispatcher.submit(Start(made, number, "manual")).run for number in range(3)]
    at_gate(dispatcher, runs[0], gate)
    dispatcher.cancel(run_of(runs[1].id), "ann")
    gate.opened.set()
    assert [run.status for run in drained(dispatcher, [run_of(run.id) for run in runs])] == [
        "success",
        "failed",
        "success",
    ]
    assert run_of(runs[1].id).claims == 0


def test_the_next_run_starts_when_a_running_one_is_cancelled(start, types):
    first, then = Gate(), Gate()
    gates = iter([first, then])
    types.offer("door", lambda config, input, ctx: next(gates)(config, input, ctx))
    dispatcher = start(run_threads=2)
    made = limited(node("a", "door"))
    runs = [dispatcher.submit(Start(made, number, "manual")).run for number in range(2)]
    at_gate(dispatcher, runs[0], first)
    dispatcher.cancel(run_of(runs[0].id), "ann")
    assert then.reached.wait(PATIENCE)
    then.opened.set()
    first.opened.set()
    assert finished(dispatcher, run_of(runs[1].id)).status == "success"


def test_a_waiting_run_does_not_count_and_is_queued_after_its_answer(start, types, gate):
    dispatcher = start(run_threads=2)
    made = limited(node("w", "ask"), node("g", "gate"))
    runs = [dispatcher.submit(Start(made, number, "manual")).run for number in range(3)]
    for run in runs:
        until(lambda run=run: run_of(run.id).waiting == "an answer for w")
    dispatcher.answer(runs[2], "w", "yes", None, None)
    at_gate(dispatcher, runs[2], gate)
    for run in runs[:2]:
        dispatcher.answer(run, "w", "yes", None, None)
    for run in runs[:2]:
        until(lambda run=run: run_of(run.id).waiting == QUEUED)
    assert [run_of(run.id).status for run in runs] == ["pending", "pending", "running"]
    gate.opened.set()
    assert {run.status for run in drained(dispatcher, runs)} == {"success"}
    assert Wait.select().count() == 0


def test_an_answer_to_a_queued_run_is_used_when_it_starts(start, types, gate):
    dispatcher = start(run_threads=2)
    made = add_flow(flow(node("v", "ask"), node("w", "ask"), node("g", "gate"), edges=["v g"], max_concurrent_runs=1))
    first, second = [dispatcher.submit(Start(made, None, "manual")).run for _ in range(2)]
    until(lambda: (run_of(second.id).waiting or QUEUED) != QUEUED)
    dispatcher.answer(first, "v", "yes", None, None)
    at_gate(dispatcher, first, gate)
    for id_ in "vw":
        dispatcher.answer(second, id_, "yes", None, None)
    dispatcher.answer(first, "w", "yes", None, None)
    gate.opened.set()
    assert {run.status for run in drained(dispatcher, [first, second])} == {"success"}


def test_a_run_released_by_another_process_continues_before_the_queue(start, gate, types):
    one = start(run_threads=1)
    made = limited(node("g", "gate"), node("b", "act"))
    runs = [one.submit(Start(made, None, "manual")).run for _ in range(3)]
    at_gate(one, runs[0], gate)
    stop_at_the_gate(one, gate)
    other = start(inline=True)
    other.sweep()
    assert types.effects == [f"{run.id}:b:0" for run in runs]


def test_a_flow_with_a_limit_of_one_may_call_itself(inline):
    made = add_flow(chain("a"))
    body = chain(
        node("if", "if", {"condition": "{{ trigger > 0 }}"}),
        call(made, input="{{ trigger - 1 }}"),
        max_concurrent_runs=1,
    )
    body["edges"] = [["if", "c", "true"]]
    workflows.change(made, None, triggers=(), definition_json=orjson.dumps(body).decode())
    run = inline.submit(Start(made, 3, "manual")).run
    assert run_of(run.id).status == "success" and Run.select().count() == 4


def test_a_run_executed_elsewhere_does_not_count(inline):
    made = limited("a", overlap="skip")
    for status in ("running", "pending"):
        run_queries.record(made, status=status, triggered_by="manual")
    assert inline.submit(Start(made, None, "manual")).run.status == "success"
    queued = limited("a")
    run_queries.record(queued, status="running", triggered_by="manual")
    assert run_of(inline.submit(Start(queued, None, "manual")).run.id).status == "success"


def test_runs_of_a_deleted_flow_leave_the_queue_at_once(inline):
    made = limited("a")
    ids = [add_run(made, waiting=QUEUED) for _ in range(5)]
    workflows.remove(made)
    inline.sweep()
    assert {run_of(id_).status for id_ in ids} == {"failed"}


# Refusals


def test_a_run_over_the_limit_is_refused_if_overlap_is_skip(start, gate, tmp_path):
    dispatcher = start(run_threads=2, inline_value_bytes=10)
    made = limited(node("a", "gate"), overlap="skip")
    first = dispatcher.submit(Start(made, None, "manual")).run
    at_gate(dispatcher, first, gate)
    for key in (None, "k"):
        with pytest.raises(Conflict, match=r"maximum of concurrent runs \(1\)"):
            dispatcher.submit(Start(made, "long enough for a file", "manual", key=key))
    assert Run.select().count() == 1 and IdempotencyKey.select().count() == 0
    assert dispatcher.active_count() == 1
    assert runs_with_values(tmp_path) == []
    gate.opened.set()
    assert finished(dispatcher, first).status == "success"
    again = dispatcher.submit(Start(made, 5, "manual", key="k"))
    assert again.is_new and output(dispatcher, finished(dispatcher, again.run)) == 5
    assert dispatcher.submit(Start(made, 6, "manual", key="k")).run.id == again.run.id


def test_no_more_simultaneous_runs_than_the_limit_are_accepted(start, gate):
    processes = [start(run_threads=4) for _ in range(2)]
    made = limited(node("a", "gate"), limit=2, overlap="skip")

    def begin(number):
        try:
            return processes[number % 2].submit(Start(made, number, "manual")).run
        except Conflict:
            return None

    accepted = [run for run in at_once(8, begin) if run is not None]
    assert len(accepted) == Run.select().count() == 2
    gate.opened.set()
    assert {run.status for run in drained(processes[0], accepted)} == {"success"}


def test_the_same_key_returns_the_first_run_while_it_runs(start, gate):
    dispatcher = start(run_threads=2)
    made = limited(node("a", "gate"), overlap="skip")
    first = dispatcher.submit(Start(made, None, "manual", key="k"))
    at_gate(dispatcher, first.run, gate)
    second = dispatcher.submit(Start(made, None, "manual", key="k"))
    assert not second.is_new and second.run.id == first.run.id


def test_a_call_over_the_limit_fails_the_node_and_a_later_call_succeeds(start, gate):
    dispatcher = start(run_threads=2)
    made = limited(node("a", "gate"), overlap="skip", name="Once")
    first = dispatcher.submit(Start(made, None, "manual")).run
    at_gate(dispatcher, first, gate)
    run = finished(dispatcher, submit(dispatcher, chain(call(made))))
    assert "'Once' has reached its maximum of concurrent runs (1)" in run.error_text
    gate.opened.set()
    finished(dispatcher, first)
    assert finished(dispatcher, submit(dispatcher, chain(call(made)))).status == "success"


@pytest.mark.parametrize("wait", [False, True])
def test_a_call_is_refused_if_the_flow_starts_at_that_moment(start, types, tmp_path, wait, monkeypatch):
    """The runs that exist when the called run is written decide, not those of an earlier check."""
    one = start(inline=True, inline_value_bytes=10)
    made = limited(node("w", "act"), overlap="skip", name="Once")
    note = RunRecord.start

    def meanwhile(record, run, *more):
        execute(*run_queries.insertion(run_queries.accept(made, triggered_by="manual")))
        note(record, run, *more)

    monkeypatch.setattr(RunRecord, "start", meanwhile)
    nodes = [node("a", "act"), node("n", "log", {"message": "x"}), call(made, wait=wait, on_error="continue"), "z"]
    run = submit(one, chain(*nodes), "long enough for a file")
    ended = run_of(run.id)
    error = "the flow 'Once' has reached its maximum of concurrent runs (1), and its overlap policy is \"skip\""
    assert (ended.status, output(one, ended), ended.nodes_done) == ("success", {"error": error}, 4)
    assert [(step.node_id, step.status) for step in steps_of(run.id)] == [
        *(("a", "success"), ("n", "success"), ("c", "failed"), ("z", "success"))
    ]
    assert Run.select().count() == 2 and Wait.select().count() == 0 and LogEntry.select().count() == 1
    assert runs_with_values(tmp_path) == [run.id]


@pytest.mark.parametrize("wait", [False, True])
def test_a_run_cancelled_during_a_call_starts_no_run(start, types, wait, monkeypatch):
    one = start(inline=True)
    note = RunRecord.start

    def meanwhile(record, run, *more):
        one.cancel(record.run, "ann")
        note(record, run, *more)

    monkeypatch.setattr(RunRecord, "start", meanwhile)
    run = submit(one, chain("a", call(limited("b", overlap="skip"), wait=wait, on_error="continue"), node("z", "act")))
    assert run_of(run.id).cancelled and Run.select().count() == 1
    assert [step.node_id for step in steps_of(run.id)] == ["a"] and types.effects == []


@pytest.mark.parametrize("wait", [False, True])
def test_no_more_simultaneous_calls_than_the_limit_start_a_run(start, gate, wait):
    processes = [start(run_threads=12) for _ in range(2)]
    made = limited(node("a", "gate"), limit=2, overlap="skip", name="Twice")
    caller = add_flow(chain(call(made, wait=wait)))
    runs = at_once(10, lambda number: processes[number % 2].submit(Start(caller, number, "manual")).run)
    until(lambda: Run.select().where(Run.workflow_name != "Twice", Run.status == "failed").count() == 8)
    until(lambda: Run.select().where(Run.workflow_name == "Twice", Run.status == "running").count() == 2)
    assert not Run.select().where(Run.waiting == QUEUED).exists()
    gate.opened.set()
    ended = drained(processes[0], runs)
    refusal = "the flow 'Twice' has reached its maximum of concurrent runs (2), and its overlap policy is \"skip\""
    assert {run.error_text for run in ended} == {None, refusal}


def test_a_waiting_run_does_not_count_if_overlap_is_skip(inline):
    made = limited(node("w", "ask"), overlap="skip")
    runs = [inline.submit(Start(made, None, "manual")).run for _ in range(3)]
    for run in runs:
        inline.answer(run, "w", "yes", None, None)
    assert {run_of(run.id).status for run in runs} == {"success"}


# Claiming


@pytest.mark.slow
def test_threads_that_claim_runs_at_the_same_time_start_each_once(start, gate):
    dispatcher = start(run_threads=8)
    made = add_flow(flow(node("a", "gate")))
    for _ in range(20):
        ids = [add_run(made) for _ in range(4)]
        at_once(4, lambda number: dispatcher.pick_up())
        assert Counter(active.run.id for active in dispatcher._active.values()) == Counter(ids)
        gate.opened.set()
        drained(dispatcher, [run_of(id_) for id_ in ids])
        for id_ in ids:
            wait_until_idle(dispatcher, run_of(id_))
            assert run_of(id_).claims == 1
        gate.opened.clear()
    assert dispatcher.queue.is_empty


# Places limit the requests of one kind that a process serves at the same time


def hold(places, who):
    with places.taken(who):
        return True


def test_a_place_is_free_again_after_an_error():
    places = RequestLimit("to test things", 1, 1, 0.01)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), places.taken("ada"):
            raise ZeroDivisionError
    with places.taken("ada"):
        pass


def test_the_places_of_one_person_are_limited_and_waiting_for_one_counts():
    places = RequestLimit("to test things", 1, 2, PATIENCE)
    with places.taken("bob"):
        waiting = [Background(hold, places, "ada") for _ in range(2)]
        end = time.monotonic() + PATIENCE
        while places._in_use["ada"] < 2 and time.monotonic() < end:
            waiting[0].thread.join(0.01)
        with pytest.raises(TooMany, match="2 of your requests to test things"), places.taken("ada"):
            pass
    assert all(one.result() for one in waiting) and not places._in_use


def test_a_request_that_waits_too_long_for_a_place_is_refused():
    places = RequestLimit("to test things", 1, 1, 0.01)
    with places.taken("ada"), pytest.raises(Unavailable, match="too many requests to test things"), places.taken("bob"):
        pass
    with places.taken("bob"):
        pass


# The queue of one process: threads that execute runs in the order of their offers, slow runs in their lane


class Executed:
    """The ids that the threads executed. Ids in `held` wait until the test opens the gate."""

    def __init__(self, *held):
        self.held, self.ids = held, []
        self.opened, self.came = threading.Event(), queue.SimpleQueue()

    def __call__(self, run_id):
        self.came.put(run_id)
        if run_id in self.held:
            assert self.opened.wait(PATIENCE), "the test never opened the gate"
        self.ids.append(run_id)


@pytest.fixture
def begin():
    """`begin(executed, threads, max_slow)` returns a queue with its threads, which end after the test."""
    begun = []

    def make(executed, threads=1, max_slow=1):
        made = LocalQueue(threads, max_slow)
        made.start(executed)
        begun.append((made, executed))
        return made

    yield make
    for made, executed in begun:
        executed.opened.set()
        made.close()
        made.stop(time.monotonic() + PATIENCE)


def test_runs_are_executed_in_the_order_of_their_offers(begin):
    executed = Executed()
    made = begin(executed)
    assert all([made.offer(f"run_{number}", "runs") for number in range(5)])
    assert [executed.came.get(timeout=PATIENCE) for _ in range(5)] == [f"run_{number}" for number in range(5)]


def test_a_thread_is_made_only_for_a_run_that_finds_none_idle(begin):
    executed = Executed("run_0", "run_1", "run_2", "run_3")
    made = begin(executed, threads=3)
    assert len(made.threads) == 1
    for number in range(3):
        made.offer(f"run_{number}", "runs")
        assert executed.came.get(timeout=PATIENCE) == f"run_{number}"
        assert len(made.threads) == number + 1
    made.offer("run_3", "runs")
    assert len(made.threads) == 3 and made.state().depth == 1
    executed.opened.set()
    assert executed.came.get(timeout=PATIENCE) == "run_3"


def test_every_run_gets_a_thread_at_once_while_there_is_one(begin):
    """Runs come in bursts, from several threads, while others end; two that are held never delay a third."""
    executed = Executed("held_1", "held_2")
    made = begin(executed, threads=4)
    for held in executed.held:
        made.offer(held, "runs")
        assert executed.came.get(timeout=PATIENCE) == held

    def offer(name):
        for number in range(200):
            made.offer(f"{name}_{number}", "runs")

    callers = [threading.Thread(target=offer, args=(name,)) for name in "abc"]
    for caller in callers:
        caller.start()
    assert {executed.came.get(timeout=PATIENCE) for _ in range(600)} == {f"{a}_{n}" for a in "abc" for n in range(200)}
    for caller in callers:
        caller.join(PATIENCE)
    assert 3 <= len(made.threads) <= 4 and made.state().depth == 0


def test_a_slow_run_waits_for_a_place_while_others_get_a_thread(begin):
    executed = Executed("slow_1")
    made = begin(executed, threads=2)
    assert made.offer("slow_1", "slow") and not made.offer("slow_2", "slow")
    assert made.is_slow_lane_full and made.waiting == 1
    assert made.offer("run_1", "runs")
    assert {executed.came.get(timeout=PATIENCE) for _ in range(2)} == {"slow_1", "run_1"}
    made.leave("slow_1")
    assert executed.came.get(timeout=PATIENCE) == "slow_2" and made.waiting == 0


def test_the_end_of_a_waiting_slow_run_leaves_the_lane_free(begin):
    made = begin(Executed())
    assert made.offer("slow_1", "slow") and not made.offer("slow_2", "slow")
    made.leave("slow_1")
    made.leave("slow_2")
    assert not made.is_slow_lane_full


def test_its_depth_counts_runs_without_a_thread_and_without_a_place():
    made = LocalQueue(threads=0, max_slow=1)
    made.start(Executed())
    assert made.is_empty and made.state() == (0, False, 0.0)
    for run_id, lane in (("run_1", "runs"), ("slow_1", "slow"), ("slow_2", "slow")):
        made.offer(run_id, lane)
    assert made.state().depth == 3 and not made.is_empty
    assert [made.take(PATIENCE), made.take(PATIENCE)] == ["run_1", "slow_1"] and made.is_empty


def test_closed_threads_end_after_what_was_offered_before(begin):
    executed = Executed()
    made = begin(executed, threads=2)
    for number in range(20):
        made.offer(f"run_{number}", "runs")
    made.close()
    made.stop(time.monotonic() + PATIENCE)
    assert sorted(executed.ids) == sorted(f"run_{number}" for number in range(20))


# When pending runs are offered to the broker, and again; and that a long backlog does not flood it


class Clock:
    now = 1_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


class Kept(list):
    """A broker that keeps the offered ids."""

    def offer(self, run_id, lane):
        self.append(run_id)
        return True


@pytest.fixture
def kept():
    return Kept()


@pytest.fixture
def offers(kept, clock):
    return Offers(kept, lambda run_id: "runs", clock)


def pending(count):
    made = add_flow(chain(node("a", "act")))
    runs = [run_queries.accept(made, triggered_by="manual") for _ in range(count)]
    for run in runs:
        execute(*run_queries.insertion(run))
    return [run.id for run in runs]


def test_a_run_is_due_after_the_delay_and_then_once_a_minute(clock):
    times = OfferTimes(DELAY_SECONDS, clock)
    assert times.find_due(["a"]) == []
    clock.now += DELAY_SECONDS
    assert times.find_due(["a", "b"]) == ["a"]
    clock.now += REPEAT_SECONDS - 1
    assert times.find_due(["a", "b"]) == ["b"]
    clock.now += 1
    assert times.find_due(["a", "b"]) == ["a"]


def test_a_run_that_is_not_pending_any_more_is_forgotten(clock):
    times = OfferTimes(0, clock)
    assert times.find_due(["a", "b"]) == ["a", "b"]
    times.find_due(["b"])
    assert len(times) == 1 and times.find_due(["a", "b"]) == ["a"]


def test_new_runs_are_offered_once_except_those_that_this_process_has(offers, kept):
    ids = pending(3)
    offers.offer_new({ids[0]})
    offers.offer_new({ids[0]})
    assert kept == ids[1:]


def test_the_leader_repeats_offers_of_runs_that_nobody_claims(offers, kept, clock):
    ids = pending(2)
    offers.repeat()
    assert kept == []
    clock.now += DELAY_SECONDS
    offers.repeat()
    offers.repeat()
    assert kept == ids
    execute("UPDATE runs SET status = 'running' WHERE id = ?", (ids[0],))
    clock.now += REPEAT_SECONDS
    offers.repeat()
    assert kept == [*ids, ids[1]]


def test_a_long_backlog_is_offered_in_part(offers, kept, clock):
    pending(MAX_REPEATED + 20)
    offers.offer_new(())
    assert len(kept) == MAX_NEW
    offers.repeat()
    clock.now += DELAY_SECONDS
    for _ in range(int(REPEAT_SECONDS)):
        offers.repeat()
    assert len(kept) == MAX_NEW + MAX_REPEATED
