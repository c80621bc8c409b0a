"""A waiting run occupies no thread, is woken exactly once, and survives the end of its process."""

import pytest
from crashes import crash_everywhere, first_run
from dispatching import ask, at_gate, finished, output, statuses, stop_at_the_gate, submit, wait_until_idle
from world import (
    PATIENCE,
    add_flow,
    at_once,
    chain,
    flow,
    node,
    process,
    raced,
    run_of,
    start_python,
    started_recorder,
    steps_of,
)

from config import Config
from database.base import now_ms
from database.queries import leases, runs
from dispatch import Dispatcher, Links, Resources, Start, make_services
from errors import BadInput, Conflict, NotFound
from models import Run, RunDay, Step, Wait
from nodes.base import REGISTRY

LONG_AGO = 1  # in ms, a time in the past to wait until: the next `wake` ends the wait
FOREVER = 10**15


def nothing_waits():
    return Wait.select().count() == 0 and Step.select().where(Step.status == "waiting").count() == 0


def given(name="yes", value=None, by="ann"):
    """Return the output of `ask` for an answer."""
    return {"answer": name, "value": value, "by": by}


# Waiting


def test_a_waiting_run_is_pending_and_has_a_reason(inline):
    run = submit(inline, chain("start", ask(), "end"))
    row = run_of(run.id)
    assert (row.status, row.waiting, row.lease_owner, row.finished_at) == ("pending", "an answer for a", None, None)
    assert statuses(run.id) == [("start", "success"), ("a", "waiting")]
    step = steps_of(run.id)[1]
    assert (step.finished_at, step.duration_ms, step.output) == (None, None, None)
    assert inline.active_count() == 0


def test_a_waiting_run_names_everything_that_it_waits_for(inline):
    run = submit(inline, flow(ask("a"), ask("b")))
    assert run_of(run.id).waiting == "an answer for a; an answer for b"
    inline.answer(run, "a", "yes", None, None)
    assert run_of(run.id).waiting == "an answer for b"


def test_nodes_that_do_not_depend_on_the_wait_are_executed(inline, types):
    made = flow(
        ask(),
        node("after", "act"),
        node("looks", "act", {"value": "{{ steps.after }}"}),
        node("beside", "act"),
        node("then", "act"),
        edges=["a after", "beside then"],
    )
    run = submit(inline, made)
    assert types.effects == [f"{run.id}:beside:0", f"{run.id}:then:0"]
    assert {step.node_id for step in steps_of(run.id)} == {"a", "beside", "then"}
    inline.answer(run, "a", "yes", 5, "ann")
    assert types.effects[2:] == [f"{run.id}:after:0", f"{run.id}:looks:0"]
    assert output(inline, run_of(run.id)) == {name: given(value=5) for name in ("after", "looks")} | {"then": None}


@pytest.mark.parametrize("looks", ["{{ steps }}", "{{ steps[input] }}"])
def test_a_node_that_may_read_any_step_waits(inline, looks):
    run = submit(
        inline, flow(ask(), node("b", "give", {"value": "c"}), node("c", "give", {"value": looks}), edges=["b c"])
    )
    assert statuses(run.id) == [("a", "waiting"), ("b", "success")]


def test_code_that_mentions_steps_waits_and_other_code_does_not(inline):
    made = flow(ask(), node("b", "code", {"source": "1 + 1"}), node("c", "code", {"source": "len(steps)"}))
    run = submit(inline, made)
    assert statuses(run.id) == [("a", "waiting"), ("b", "success")]
    inline.answer(run, "a", "yes", None, None)
    assert output(inline, run_of(run.id))["c"] == 2


def test_a_node_with_another_source_also_waits(inline):
    run = submit(inline, flow(ask(), "b", "both", edges=["a both", "b both"]), 1)
    assert statuses(run.id) == [("a", "waiting"), ("b", "success")]
    inline.answer(run, "a", "yes", None, None)
    assert output(inline, run_of(run.id)) == {"a": given(by=None), "b": 1}


def test_the_answer_ends_the_step_that_waits(inline):
    run = submit(inline, chain(ask(), "b"))
    begun = steps_of(run.id)[0]
    inline.answer(run, "a", "yes", {"x": 1}, "ann")
    row = run_of(run.id)
    assert (row.status, output(inline, row), row.waiting, row.claims) == ("success", given(value={"x": 1}), None, 2)
    assert statuses(run.id) == [("a", "success"), ("b", "success")]
    ended = steps_of(run.id)[0]
    assert (ended.seq, ended.started_at, ended.attempt) == (begun.seq, begun.started_at, 1)
    assert ended.finished_at >= ended.started_at and ended.duration_ms == ended.finished_at - ended.started_at
    assert nothing_waits() and RunDay.get().total == 1


def test_a_node_leaves_by_the_branch_of_its_answer(inline, types):
    made = flow(node("a", "choose"), node("y", "act"), node("t", "act"), edges=["a y yes", "a t time"])
    run = submit(inline, made)
    inline.answer(run, "a", "yes", 3, None)
    assert types.effects == [f"{run.id}:y:0"] and run_of(run.id).output == "3"
    assert [(step.node_id, step.status, step.branch) for step in steps_of(run.id)] == [
        ("a", "success", "yes"),
        ("y", "success", None),
        ("t", "skipped", None),
    ]


def test_a_node_whose_wait_times_out_leaves_by_the_time_branch(inline, types):
    made = flow(
        node("a", "choose", {"value": LONG_AGO}), node("y", "act"), node("t", "act"), edges=["a y yes", "a t time"]
    )
    run = submit(inline, made)
    assert run_of(run.id).status == "pending"
    inline.wake()
    assert types.effects == [f"{run.id}:t:0"] and run_of(run.id).status == "success" and nothing_waits()


def test_a_wait_that_is_not_due_is_not_woken(inline):
    run = submit(inline, flow(ask(until=FOREVER)))
    inline.wake()
    inline.sweep()
    assert run_of(run.id).waiting == "an answer for a"


def test_a_waiting_run_occupies_no_thread(start):
    dispatcher = start(run_threads=1)
    waiting = [submit(dispatcher, flow(ask())) for _ in range(5)]
    assert finished(dispatcher, submit(dispatcher, flow("x"), 1)).status == "success"
    for run in waiting:
        dispatcher.answer(run, "a", "yes", None, None)
    assert [finished(dispatcher, run).status for run in waiting] == ["success"] * 5


def test_wait_returns_when_the_run_waits_beyond_the_timeout(dispatcher):
    run = dispatcher.waiting.wait(dispatcher.ticket_of(submit(dispatcher, flow(ask(until=FOREVER)))), PATIENCE)
    assert run.waiting == "an answer for a"


def test_a_large_answer_is_stored_in_a_file_and_read_back(start):
    inline = start(inline=True, inline_value_bytes=10)
    run = submit(inline, flow(ask()))
    inline.answer(run, "a", "yes", "long enough for a file", None)
    assert output(inline, run_of(run.id)) == given(value="long enough for a file", by=None)


# Answers


def test_an_answer_before_its_node_is_reached_is_kept(dispatcher, gate, types):
    run = submit(dispatcher, chain(node("g", "gate"), ask(), node("b", "act")))
    at_gate(dispatcher, run, gate)
    dispatcher.answer(run, "a", "yes", 7, "ann")
    gate.opened.set()
    ended = finished(dispatcher, run)
    assert output(dispatcher, ended) == given(value=7) and types.effects == [f"{run.id}:b:0"]
    assert nothing_waits()


def test_an_answer_before_the_run_is_recorded_is_kept(dispatcher, gate):
    run = submit(dispatcher, chain(node("g", "gate"), ask()))
    assert gate.reached.wait(PATIENCE)
    dispatcher.answer(run, "a", "yes", 7, "ann")
    gate.opened.set()
    assert output(dispatcher, finished(dispatcher, run)) == given(value=7)


def test_a_second_early_answer_is_refused(dispatcher, gate):
    run = submit(dispatcher, chain(node("g", "gate"), ask()))
    at_gate(dispatcher, run, gate)
    dispatcher.answer(run, "a", "yes", 1, "ann")
    with pytest.raises(Conflict, match="answered already"):
        dispatcher.answer(run, "a", "no", 2, "bob")
    gate.opened.set()
    assert output(dispatcher, finished(dispatcher, run)) == given(value=1)


@pytest.mark.parametrize("recorded", [False, True])
@pytest.mark.parametrize("by_another", [False, True])
def test_an_answer_during_execution_is_noticed_when_the_run_suspends(start, gate, recorded, by_another):
    """The question is recorded or not yet, and another branch is being executed when the answer comes."""
    one, other = start(run_threads=1), start(run_threads=1)
    made = flow(ask("a"), node("flushes", "act" if recorded else "noop"), node("g", "gate"), ask("z"))
    run = submit(one, made)
    at_gate(one, run, gate)
    assert Wait.select().count() == recorded
    (other if by_another else one).answer(run, "a", "yes", 1, None)
    one.answer(run, "z", "yes", 2, None)
    gate.opened.set()
    ended = finished(one, run)
    assert ended.status == "success" and output(one, ended)["a"] == given(value=1, by=None)


def test_a_timeout_during_execution_is_noticed_when_the_run_suspends(start, gate):
    one, other = start(run_threads=1), start(run_threads=1)
    run = submit(one, flow(ask("a", LONG_AGO), node("b", "act"), node("g", "gate")))
    at_gate(one, run, gate)
    other.wake()
    assert Wait.get().name == "time" and run_of(run.id).status == "running"
    gate.opened.set()
    assert finished(one, run).status == "success"


def test_an_answer_to_a_node_that_takes_none_is_refused(inline):
    run = submit(inline, flow(ask(), "b", node("off", "ask", disabled=True), node("time", "wait", {"seconds": 60})))
    for id_ in ("nobody", "b", "off", "time"):
        with pytest.raises(NotFound, match=id_):
            inline.answer(run, id_, "yes", None, None)
    assert {row.node_id for row in Wait.select()} == {"a", "time"}


def test_an_unknown_answer_is_refused(inline):
    run = submit(inline, flow(ask()))
    for name in ("maybe", "time", "ended", ""):
        with pytest.raises(BadInput, match="one of yes, no"):
            inline.answer(run, "a", name, None, None)
    assert run_of(run.id).status == "pending"


@pytest.mark.parametrize("odd", ["x" * 100, object(), "\ud800"])
def test_an_answer_that_cannot_be_stored_is_refused(start, odd):
    inline = start(inline=True, max_value_bytes=80)
    run = submit(inline, flow(ask()))
    with pytest.raises(BadInput):
        inline.answer(run, "a", "yes", odd, None)
    inline.answer(run, "a", "yes", None, None)
    assert run_of(run.id).status == "success"


def test_an_answer_to_an_ended_run_is_refused(inline):
    ended, cancelled = submit(inline, flow(ask())), submit(inline, flow(ask()))
    inline.answer(ended, "a", "yes", None, None)
    inline.cancel(run_of(cancelled.id), "ann")
    for run in (ended, cancelled):
        with pytest.raises(Conflict, match="ended"):
            inline.answer(run, "a", "yes", None, None)
    assert nothing_waits()


def test_a_second_answer_is_refused_while_the_run_waits_for_another_node(inline):
    run = submit(inline, flow(ask("a"), ask("b")))
    inline.answer(run, "a", "yes", 1, None)
    with pytest.raises(Conflict, match="answered already"):
        inline.answer(run, "a", "yes", 2, None)
    inline.answer(run, "b", "yes", None, None)
    assert output(inline, run_of(run.id))["a"] == given(value=1, by=None)


def test_an_answer_after_the_timeout_is_refused(inline):
    run = submit(inline, flow(ask("a", LONG_AGO), ask("b")))
    with pytest.raises(Conflict, match="time to answer is over"):
        inline.answer(run, "a", "yes", None, None)
    inline.wake()
    with pytest.raises(Conflict, match="time to answer is over"):
        inline.answer(run, "a", "yes", None, None)
    inline.answer(run, "b", "yes", None, None)
    assert output(inline, run_of(run.id))["a"] == given("time", by=None)


def test_a_run_executed_elsewhere_cannot_be_answered(inline):
    made = add_flow(flow(ask()))
    run = runs.record(made, status="pending", triggered_by="manual")
    with pytest.raises(Conflict, match="executed by another system"):
        inline.answer(run, "a", "yes", None, None)
    assert nothing_waits()


def test_one_of_several_simultaneous_answers_wins(dispatcher, types):
    run = submit(dispatcher, chain(ask(), node("b", "act")))
    wait_until_idle(dispatcher, run)

    def answer(number):
        try:
            dispatcher.answer(run, "a", "yes", number, None)
        except Conflict:
            return None
        return number

    won = [number for number in at_once(8, answer) if number is not None]
    assert len(won) == 1
    assert output(dispatcher, finished(dispatcher, run)) == given(value=won[0], by=None)
    assert types.effects == [f"{run.id}:b:0"]


def test_either_the_answer_or_the_timer_wins(start, types):
    one, other = start(), start()
    for _ in range(10):
        run = submit(one, chain(ask(until=now_ms() + 3), node("b", "act")))
        wait_until_idle(one, run)

        def act(number, run=run):
            if number == 0:
                try:
                    one.answer(run, "a", "yes", None, None)
                except Conflict:
                    return "time"
                return "yes"
            while Wait.select().where(Wait.answered_at.is_null()).exists():
                (one, other)[number - 1].wake()
            return None

        winner = at_once(3, act)[0]
        assert output(one, finished(one, run))["answer"] == winner
        assert types.effects.count(f"{run.id}:b:0") == 1
        assert run_of(run.id).claims == 2


@pytest.mark.slow
def test_two_processes_that_wake_runs_at_the_same_time_wake_each_once(tmp_path, inline):
    ids = [submit(inline, chain(ask(until=LONG_AGO), node("b", "act"))).id for _ in range(30)]
    source = """
import pathlib, sys
import database
from chosen_engine import connect
from models import Run
from nodes.base import Suspend
from world import Types, process
folder = pathlib.Path(sys.argv[1])
connect(folder)
with Types() as types, process(folder, run_threads=2) as dispatcher:
    types.offer("ask", lambda config, input, ctx: Suspend(1, ""), suspends=True, answers=("yes", "no"),
                resume=lambda self, config, input, answer: answer.name)
    print("ready", flush=True)
    sys.stdin.readline()
    while Run.select().where(Run.status.in_(["pending", "running"])).exists():
        dispatcher.wake()
    print(*types.effects)
database.disconnect()
"""
    effects = raced(2, source, tmp_path)
    assert sorted(effects) == sorted(f"{id_}:b:0" for id_ in ids)
    assert {(run.status, run.claims, run.output) for run in Run.select()} == {("success", 2, '"time"')}
    assert nothing_waits() and RunDay.get().total == 1  # each run has its own flow


# Failures and retries


def test_a_node_that_fails_after_its_wait_fails_the_run(inline):
    run = submit(inline, chain(ask(), "b"))
    inline.answer(run, "a", "no", None, None)
    assert (run_of(run.id).status, run_of(run.id).error_text, run_of(run.id).error_node_id) == ("failed", "no", "a")
    assert statuses(run.id) == [("a", "failed")] and nothing_waits()


def test_a_retry_asks_again_with_a_new_step_number(inline):
    run = submit(inline, chain(ask(retry={"attempts": 3, "delay": 0}), "b"))
    inline.answer(run, "a", "no", None, None)
    assert run_of(run.id).waiting == "an answer for a"
    assert [(step.seq, step.status, step.attempt) for step in steps_of(run.id)] == [
        (0, "failed", 1),
        (1, "waiting", 2),
    ]
    inline.answer(run, "a", "yes", 5, "ann")
    assert output(inline, run_of(run.id)) == given(value=5)
    assert [(step.seq, step.node_id, step.status, step.attempt) for step in steps_of(run.id)] == [
        (0, "a", "failed", 1),
        (1, "a", "success", 2),
        (2, "b", "success", 1),
    ]


def test_retry_ends_with_the_last_attempt(inline):
    run = submit(inline, chain(ask(retry={"attempts": 2, "delay": 0})))
    for _ in range(2):
        inline.answer(run, "a", "no", None, None)
    assert run_of(run.id).status == "failed" and [step.attempt for step in steps_of(run.id)] == [1, 2]


def test_on_error_applies_after_a_wait(inline):
    made = flow(ask("a", on_error="continue"), ask("b", on_error="branch"), "x", "y", edges=["a x", "b y error"])
    run = submit(inline, made)
    for id_ in "ab":
        inline.answer(run, id_, "no", None, None)
    assert output(inline, run_of(run.id)) == {"x": {"error": "no"}, "y": {"error": "no"}}
    assert steps_of(run.id)[1].branch == "error"


def test_a_failed_run_closes_its_waiting_steps(inline):
    run = submit(inline, flow(ask("a"), ask("b"), edges=[]))
    inline.answer(run, "a", "no", None, None)
    assert run_of(run.id).status == "failed" and nothing_waits()
    closed = steps_of(run.id)[1]
    assert (closed.status, closed.finished_at is not None) == ("failed", True)
    assert "ended while this step waited" in closed.error_text


def test_a_run_that_fails_before_it_suspends_leaves_nothing_waiting(inline):
    run = submit(inline, flow(ask(), node("b", "fail")))
    assert statuses(run.id) == [("a", "failed"), ("b", "failed")] and nothing_waits()


def test_a_run_cancelled_while_it_waits_leaves_nothing_waiting(inline, types):
    run = submit(inline, chain(ask(), node("b", "act")))
    inline.cancel(run_of(run.id), "ann")
    row = run_of(run.id)
    assert (row.status, row.cancelled, row.waiting, row.error_text) == ("failed", True, None, "cancelled by ann")
    assert statuses(run.id) == [("a", "failed")] and nothing_waits()
    inline.wake()
    inline.sweep()
    assert types.effects == []


@pytest.mark.parametrize("flushes", [False, True])
@pytest.mark.parametrize("then", ["noop", "act"])
def test_a_run_cancelled_before_it_suspends_leaves_nothing_waiting(dispatcher, gate, flushes, then):
    """Its wait is recorded before the cancellation, or comes with a later write."""
    made = flow(ask("a"), node("b", "act" if flushes else "noop"), node("g", "gate"), ask("c"), node("d", then))
    run = submit(dispatcher, made)
    dispatcher.cancel(at_gate(dispatcher, run, gate), "ann")
    gate.opened.set()
    assert finished(dispatcher, run).cancelled
    wait_until_idle(dispatcher, run)
    assert nothing_waits()


def test_a_run_cancelled_by_another_process_leaves_nothing_waiting(dispatcher, gate):
    run = submit(dispatcher, flow(node("g", "gate"), ask("z")))
    at_gate(dispatcher, run, gate)
    runs.cancel(run_of(run.id), "by another process")
    gate.opened.set()
    wait_until_idle(dispatcher, run)
    assert nothing_waits() and run_of(run.id).error_text == "by another process"


def test_an_early_answer_is_deleted_when_the_run_fails(dispatcher, gate):
    run = submit(dispatcher, chain(node("g", "gate"), node("f", "fail"), ask()))
    at_gate(dispatcher, run, gate)
    dispatcher.answer(run, "a", "yes", None, None)
    gate.opened.set()
    assert finished(dispatcher, run).status == "failed" and nothing_waits()


# Addresses


ADDRESSED = flow(
    ask("a"),
    ask("b"),
    node("beside", "give", {"value": "{{ steps.a.url }}"}),
    node("later", "give", {"value": "{{ steps.a.url }}"}),
    node("after", "give", {"value": "{{ steps.a.value }}"}),
    edges=["b later", "a after"],
)


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_a_node_without_a_path_from_another_reads_its_address_in_any_order_of_answers(tmp_path, order):
    links = Links(lambda *parts: "-".join(parts), "https://example.org")
    config = Config(data_dir=tmp_path, grace=0)
    with started_recorder() as recorder:
        dispatcher = Dispatcher(Resources(config, make_services(config), links), recorder, inline=True)
        dispatcher.start()
        run = submit(dispatcher, ADDRESSED)
        for id_ in order:
            dispatcher.answer(run, id_, "yes", id_, None)
        dispatcher.stop()
    url = links.of(run.id, "a", REGISTRY["ask"])["url"]
    assert output(dispatcher, run_of(run.id)) == {"beside": url, "later": url, "after": "a"}


def test_without_addresses_a_node_without_a_path_from_another_reads_nothing_of_it(inline):
    run = submit(inline, flow(ask("a"), ask("b"), node("c", "give", {"value": "{{ steps.a.value }}"}), edges=["b c"]))
    for id_ in "ab":
        inline.answer(run, id_, "yes", 1, None)
    assert run_of(run.id).error_node_id == "c" and "steps has no key 'a'" in run_of(run.id).error_text


# Waiting runs that one process leaves and another one resumes


# Restarts and crashes


def test_a_waiting_run_continues_in_another_process(tmp_path, types):
    made = add_flow(chain(node("x", "act"), ask(), node("y", "act"), ask("b"), node("z", "act")))
    with process(tmp_path, inline=True) as dispatcher:
        run = dispatcher.submit(Start(made, 1, "manual")).run
    with process(tmp_path, inline=True) as dispatcher:
        dispatcher.sweep()
        assert run_of(run.id).waiting == "an answer for a"
        dispatcher.answer(run_of(run.id), "a", "yes", 5, "ann")
    with process(tmp_path, inline=True) as dispatcher:
        dispatcher.answer(run_of(run.id), "b", "yes", 6, None)
        assert output(dispatcher, run_of(run.id)) == given(value=6, by=None)
    assert types.effects == [f"{run.id}:{id_}:0" for id_ in "xyz"] and nothing_waits()


def test_waits_do_not_count_as_deaths(inline):
    count = 10
    run = submit(inline, chain(*[ask(f"a{number}") for number in range(count)]))
    for number in range(count):
        inline.answer(run, f"a{number}", "yes", None, None)
    row = run_of(run.id)
    assert (row.status, row.claims, row.deaths) == ("success", count + 1, 0)


def test_a_crash_at_any_moment_does_not_change_the_result(tmp_path, types):
    made = flow(
        node("x", "act"),
        ask("a"),
        node("beside", "act"),
        node("s", "give", {"value": "{{ input.value }}"}),
        node("y", "act"),
        ask("b", retry={"attempts": 2, "delay": 0}),
        ask("c", LONG_AGO, on_error="continue"),
        node("z", "act", {"value": "{{ [steps.s, steps.beside] }}"}),
        edges=["x a", "a s", "s y", "y b", "y c", "b z", "c z"],
    )
    answers = [("a", "yes", [1, "two"]), ("b", "no", None), ("b", "yes", 3)]
    moments = crash_everywhere(
        tmp_path,
        types,
        [
            lambda dispatcher: dispatcher.submit(Start(add_flow(made), 1, "manual")),
            *[lambda dispatcher, answer=answer: dispatcher.answer(first_run(), *answer, "ann") for answer in answers],
            lambda dispatcher: dispatcher.wake(),
        ],
        inline_value_bytes=8,
    )
    assert len(moments) > 15 and first_run().status == "success"


@pytest.mark.slow
def test_a_waiting_run_survives_a_kill_after_its_answer(tmp_path, inline, types):
    made = add_flow(chain(node("a", "act"), ask("w"), node("b", "act"), node("c", "die"), node("d", "act")))
    source = """
import os, pathlib, sys
import database
from chosen_engine import connect
from dispatch import Start
from models import Workflow
from nodes.base import Suspend
from world import Types, process
folder = pathlib.Path(sys.argv[1])
connect(folder)
with Types() as types, process(folder, inline=True) as dispatcher:
    types.offer("die", lambda config, input, ctx: os._exit(9), pure=False)
    types.offer("ask", lambda config, input, ctx: Suspend(None, ""), suspends=True, answers=("yes", "no"),
                resume=lambda self, config, input, answer: answer.value)
    run = dispatcher.submit(Start(Workflow.get(), 1, "manual")).run
    dispatcher.answer(run, "w", "yes", 2, None)
"""
    types.offer("die", lambda config, input, ctx: input, pure=False)
    killed = start_python(source, tmp_path)
    killed.communicate(timeout=60)
    assert killed.returncode == 9
    run = Run.get(workflow_id=made.id)
    assert (run.status, run.claims) == ("running", 2)
    leases.beat(run.lease_owner, -1)
    inline.sweep()
    assert (run_of(run.id).status, run_of(run.id).output, run_of(run.id).deaths) == ("success", "2", 1)
    assert types.effects == [f"{run.id}:d:0"] and nothing_waits()


def test_a_waiting_run_is_abandoned_after_three_deaths(inline, types):
    run = submit(inline, flow(ask("a"), ask("b"), edges=[]))
    for _ in range(3):
        Run.update(status="running", waiting=None, lease_owner="proc_gone").where(Run.id == run.id).execute()
        assert run_of(run.id).status == "running"
        inline.sweep()
    row = run_of(run.id)
    assert (row.status, row.deaths) == ("failed", 3) and "3 processes died" in row.error_text
    assert nothing_waits()


def test_a_run_released_while_a_node_waits_continues(start, gate, types):
    one = start(run_threads=1)
    run = submit(
        one, flow(node("x", "act"), ask(), node("g", "gate"), "k", node("y", "act"), edges=["a y", "g k", "k y"]), 1
    )
    at_gate(one, run, gate)
    stop_at_the_gate(one, gate)
    assert (run_of(run.id).status, run_of(run.id).waiting) == ("pending", None)
    other = start(inline=True)
    other.sweep()
    other.answer(run, "a", "yes", 2, None)
    assert run_of(run.id).status == "success" and nothing_waits()
    assert types.effects == [f"{run.id}:x:0", f"{run.id}:y:0"]


def test_a_suspended_process_does_not_suspend_a_run_that_was_taken_over(start, gate):
    one, other = start(run_threads=1), start(inline=True)
    run = submit(one, flow(node("g", "gate"), ask("a", LONG_AGO)))
    at_gate(one, run, gate)
    Run.update(claims=2).where(Run.id == run.id).execute()
    gate.opened.set()
    wait_until_idle(one, run)
    assert (run_of(run.id).status, run_of(run.id).claims) == ("running", 2) and nothing_waits()
    leases.beat(one.lease.owner, -1)
    other.sweep()
    other.wake()
    assert run_of(run.id).status == "success" and nothing_waits()
