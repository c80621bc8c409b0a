"""Runs of a dead process are taken over by another, and completed steps are not repeated."""

import time

import orjson
import pytest
from dispatching import (
    add_run,
    add_run_of_dead_process,
    at_gate,
    finished,
    output,
    record_steps,
    statuses,
    submit,
    take_from,
    wait_until_idle,
)
from engines import accept_inserts, refuse_inserts, runs_with_values
from world import PATIENCE, Background, add_flow, at_once, chain, flow, node, run_of, started_recorder, steps_of
from world import run as run_engine

import database
from database.base import Write
from database.queries import claims, leases, workflows
from database.queries import runs as run_queries
from database.queries import steps as step_queries
from dispatch import MAX_DEATHS, Start
from dispatch.executor import ResumeState
from dispatch.payloads import Kept
from dispatch.run_record import RunRecord
from errors import NodeError, Unavailable
from models import Lease, Run, RunDay, Step, Wait, Workflow

# Runs of a dead process

EVERYTHING = flow(
    node("a", "give", {"value": [1, 2]}),
    node("b", "act", foreach="{{ input }}"),
    node("c", "act", {"value": "{{ steps.b | length }}"}),
    node("if", "if", {"condition": True}),
    node("no", "act"),
    node("off", "act", disabled=True),
    node("try", "fail", on_error="continue"),
    node("end", "act", {"value": "{{ [input, steps.c] }}"}),
    edges=["a b", "b c", "c if", "if no false", "if off true", "off try", "try end", "no end", "off end"],
)


def test_a_run_left_by_a_dead_process_is_resumed_from_any_of_its_steps(inline, types):
    whole = run_engine(EVERYTHING)
    everything = [key.split(":", 1)[1] for key in types.effects]
    for cut in range(len(whole.steps) + 1):
        id_ = add_run_of_dead_process(inline, EVERYTHING, steps=cut)
        done = {f"{step.node_id}:{step.item_index or 0}" for step in whole.steps[:cut] if step.status == "success"}
        types.effects.clear()
        inline.sweep()
        run = run_of(id_)
        assert (run.status, output(inline, run), run.claims) == ("success", whole.output, 2)
        assert types.effects == [f"{id_}:{key}" for key in everything if key not in done]


def test_a_step_in_doubt_is_closed_and_repeated_with_the_same_key(inline, types):
    made = chain("a", node("b", "act"))
    id_ = add_run_of_dead_process(inline, made, steps=2)
    types.effects.clear()
    inline.sweep()
    assert types.effects == [f"{id_}:b:0"]
    assert statuses(id_) == [("a", "success"), ("b", "failed"), ("b", "success")]
    assert "interrupted" in steps_of(id_)[1].error_text


def test_a_step_in_doubt_with_on_interrupt_fail_fails_the_run(inline, types):
    id_ = add_run_of_dead_process(inline, flow(node("a", "act", on_interrupt="fail")), steps=1)
    types.effects.clear()
    inline.sweep()
    assert (run_of(id_).status, types.effects) == ("failed", [])


def test_a_step_with_a_final_failure_is_not_repeated(types, inline):
    def burn(config, input, ctx):
        types.effects.append(ctx.idempotency_key)
        raise RuntimeError("burnt")

    types.offer("burn", burn, pure=False)
    id_ = add_run_of_dead_process(inline, flow(node("a", "burn")), steps=2)
    types.effects.clear()
    inline.sweep()
    assert (run_of(id_).status, types.effects) == ("failed", [])


@pytest.mark.parametrize("steps", [1, 3])
def test_a_step_may_be_interrupted_twice(inline, types, steps):
    """The first process dies while `a` runs; the next one dies while `a` runs again, or while `b` does."""
    id_ = add_run_of_dead_process(inline, chain(node("a", "act"), node("b", "act")), 5, steps=1)
    database.execute(*step_queries.close_running_steps(id_, 1))
    first = len(steps_of(id_))
    again = [
        step._replace(seq=step.seq + first) for step in run_engine(chain(node("a", "act"), node("b", "act")), 5).steps
    ]
    record_steps(inline, id_, again[:steps])
    Run.update(claims=2).where(Run.id == id_).execute()
    types.effects.clear()
    inline.sweep()
    assert (run_of(id_).status, run_of(id_).output) == ("success", "5")
    assert types.effects == [f"{id_}:{name}:0" for name in ("ab" if steps == 1 else "b")]


@pytest.mark.parametrize("more", [{"retry": {"attempts": 3, "delay": 0}}, {"foreach": [1], "retry": {"attempts": 3}}])
def test_a_step_with_a_permanent_error_before_its_last_attempt_is_not_repeated(types, inline, more):
    def burn(config, input, ctx):
        types.effects.append(ctx.idempotency_key)
        raise NodeError("burnt", permanent=True)

    types.offer("burn", burn, pure=False)
    id_ = add_run_of_dead_process(inline, flow(node("a", "burn", **more)), steps=3)
    types.effects.clear()
    inline.sweep()
    assert (run_of(id_).status, types.effects) == ("failed", [])


def test_a_resumed_run_has_its_input_and_its_large_values(start, tmp_path):
    inline = start(inline=True, inline_value_bytes=10)
    made = chain(
        node("a", "give", {"value": "{{ input }}"}),
        node("b", "act"),
        node("c", "give", {"value": "{{ [steps.b, trigger] }}"}),
    )
    value = "long enough for a file"
    for cut in range(5):
        id_ = add_run_of_dead_process(inline, made, value, steps=cut)
        inline.sweep()
        assert output(inline, run_of(id_)) == [value, value]


def test_a_disabled_node_passes_a_large_value_on_after_a_crash(start):
    inline = start(inline=True, inline_value_bytes=10)
    value = "long enough for a file"
    id_ = add_run_of_dead_process(inline, chain(node("a", disabled=True), "b"), value, steps=1)
    inline.sweep()
    assert output(inline, run_of(id_)) == value


def test_an_error_too_large_for_its_row_is_passed_on_after_a_crash(start, types):
    inline = start(inline=True, inline_value_bytes=10)
    made = chain(
        node("a", "fail", {"value": "long enough for a file"}, on_error="continue"), node("b"), node("c", "act")
    )
    id_ = add_run_of_dead_process(inline, made, steps=2)
    inline.sweep()
    run = run_of(id_)
    assert (run.status, output(inline, run)) == ("success", {"error": "long enough for a file"})
    assert [step.node_id for step in steps_of(id_)] == ["a", "b", "c"]


def test_a_run_of_a_live_process_is_left_alone(inline, types):
    id_ = add_run_of_dead_process(inline, flow(node("a", "act")))
    leases.beat("proc_gone", 60_000)
    inline.sweep()
    assert types.effects == ["run_1:a:0"] and run_of(id_).status == "running"
    leases.beat("proc_gone", -1)
    inline.sweep()
    assert run_of(id_).status == "success"


def test_runs_are_swept_even_when_no_process_has_a_lease(inline):
    id_ = add_run_of_dead_process(inline, flow("a"))
    Lease.delete().execute()
    inline.sweep()
    assert run_of(id_).status == "success"


def test_a_run_is_abandoned_after_three_deaths(inline, types):
    id_ = add_run_of_dead_process(inline, flow(node("a", "act")), steps=1, deaths=MAX_DEATHS - 1)
    types.effects.clear()
    inline.sweep()
    run = run_of(id_)
    assert (run.status, types.effects, statuses(id_)) == ("failed", [], [("a", "failed")])
    assert "3 processes died" in run.error_text and RunDay.get().failed == 1


def test_a_run_is_executed_again_after_two_deaths(inline):
    id_ = add_run_of_dead_process(inline, flow("a"), deaths=MAX_DEATHS - 2)
    inline.sweep()
    assert run_of(id_).status == "success"


def test_a_process_executes_runs_with_two_deaths_one_at_a_time(start, gate, types):
    """Otherwise the run that causes the deaths would get the others abandoned too."""
    dispatcher = start(run_threads=4)
    suspects = [add_run(add_flow(flow(node("a", "gate"))), deaths=MAX_DEATHS - 1) for _ in range(3)]
    other = add_run(add_flow(flow("a")), claims=1)
    dispatcher.sweep()
    assert finished(dispatcher, run_of(other)).status == "success"
    assert gate.reached.wait(PATIENCE)
    assert sorted(run_of(id_).claims for id_ in suspects) == [0, 0, 1]
    gate.opened.set()
    assert [finished(dispatcher, run_of(id_)).status for id_ in suspects] == ["success"] * 3


def test_two_threads_start_only_one_run_with_two_deaths(start, gate, monkeypatch):
    dispatcher = start(run_threads=4)
    suspects = [add_run(add_flow(flow(node("a", "gate"))), deaths=MAX_DEATHS - 1) for _ in range(2)]
    has_suspect, others = dispatcher._has_suspect, []

    def meanwhile():
        found = has_suspect()
        if not others:
            others.append(Background(dispatcher._take, suspects[1]))
            others[0].thread.join(0.2)
        return found

    monkeypatch.setattr(dispatcher, "_has_suspect", meanwhile)
    dispatcher._take(suspects[0])
    others[0].result()
    assert dispatcher.active_count() == 1
    gate.opened.set()


def test_a_run_cancelled_before_it_is_resumed_has_no_running_step(inline, types):
    id_ = add_run_of_dead_process(inline, flow(node("a", "act")), steps=1)
    types.effects.clear()
    with database.write():
        database.execute(*claims.requeue_abandoned(id_))
    inline.cancel(run_of(id_), "ann")
    inline.sweep()
    (step,) = steps_of(id_)
    assert (step.status, step.error_text) == ("failed", "the run was cancelled while this step ran")
    assert step.finished_at is not None and types.effects == []


def test_the_result_of_a_node_that_ends_after_a_cancellation_is_recorded(dispatcher, gate, types):
    types.offer("linger", gate, pure=False)
    run = submit(dispatcher, chain(node("a", "linger"), node("b", "act")), 5)
    dispatcher.cancel(at_gate(dispatcher, run, gate), "ann")
    assert [step.status for step in steps_of(run.id)] == ["failed"]
    gate.opened.set()
    wait_until_idle(dispatcher, run)
    (step,) = steps_of(run.id)
    assert (step.status, step.output, step.error_text, types.effects) == ("success", "5", None, [])


def large(gate, types):
    """Return a flow whose blocked node will return a value that is too large for its row."""
    types.offer("linger", lambda config, input, ctx: [gate(config, input, ctx)] * 50, pure=False)
    return chain(node("a", "linger"), node("b", "act"))


def test_a_large_result_after_a_cancellation_has_its_file_as_long_as_its_row(start, gate, types):
    one = start(run_threads=2, inline_value_bytes=100)
    made = large(gate, types)
    runs = [submit(one, made, 5) for _ in range(2)]
    for run in runs:
        while not steps_of(run.id):
            one.waiting.wait(one.ticket_of(run), 0.01)
        one.cancel(run_of(run.id), "ann")
    run_queries.remove(run_of(runs[0].id))
    gate.opened.set()
    wait_until_idle(one, runs[1])
    (step,) = Step.select()
    assert (step.run_id, step.status) == (runs[1].id, "success")
    assert one.resources.value(runs[1].id, "step_0", Kept(step.output, step.output_bytes)) == [5] * 50
    assert list(one.resources.payloads.run_ids()) == [runs[1].id]


def test_a_retry_started_while_the_last_node_ends_has_the_file_of_its_result(start, gate, types, monkeypatch):
    one = start(run_threads=2, inline_value_bytes=100)
    run = submit(one, large(gate, types), 5)
    while not steps_of(run.id):
        one.waiting.wait(one.ticket_of(run), 0.01)
    one.cancel(run_of(run.id), "ann")
    payloads = type(one.resources.payloads)
    share = payloads.share

    def meanwhile(*given):
        monkeypatch.undo()
        share(*given)
        gate.opened.set()
        wait_until_idle(one, run)

    monkeypatch.setattr(payloads, "share", meanwhile)
    again = finished(one, one.retry(run_of(run.id), "failed", None).run)
    assert (again.status, output(one, again), types.effects) == ("success", [5] * 50, [f"{again.id}:b:0"])


def test_a_run_whose_flow_was_deleted_fails_with_the_reason(inline):
    id_ = add_run_of_dead_process(inline, flow("a"))
    workflows.remove(Workflow.get())
    inline.sweep()
    assert run_of(id_).status == "failed" and "deleted" in run_of(id_).error_text
    inline.sweep()
    assert RunDay.get().total == 1


def test_a_run_continues_with_the_version_of_its_start(inline):
    id_ = add_run_of_dead_process(inline, flow(node("a", "give", {"value": "old"})))
    changed = orjson.dumps(flow(node("a", "give", {"value": "new"}))).decode()
    workflows.change(Workflow.get(), None, triggers=[], definition_json=changed)
    inline.sweep()
    assert run_of(id_).output == '"old"'


def test_a_run_whose_definition_is_no_longer_valid_fails_with_the_reason(inline, types):
    types.offer("short_lived", lambda config, input, ctx: 1)
    id_ = add_run_of_dead_process(inline, flow(node("a", "short_lived")))
    types.__exit__()
    inline.sweep()
    assert run_of(id_).status == "failed" and "short_lived" in run_of(id_).error_text


def test_a_run_taken_over_by_another_process_is_not_continued(dispatcher, gate, types):
    run = submit(dispatcher, chain(node("a", "gate"), node("b", "act")))
    at_gate(dispatcher, run, gate)
    leases.beat("proc_other", 60_000)
    Run.update(lease_owner="proc_other", claims=2).where(Run.id == run.id).execute()
    dispatcher.sweep()
    gate.opened.set()
    wait_until_idle(dispatcher, run)
    row = run_of(run.id)
    assert (row.status, row.lease_owner, row.finished_at, types.effects) == ("running", "proc_other", None, [])


def test_a_sweep_does_not_stop_a_run_that_is_being_accepted(dispatcher, monkeypatch):
    submit_writes = dispatcher.recorder.submit

    def after_a_sweep(*given, **more):
        monkeypatch.undo()
        dispatcher.sweep()
        return submit_writes(*given, **more)

    monkeypatch.setattr(dispatcher.recorder, "submit", after_a_sweep)
    assert finished(dispatcher, submit(dispatcher, flow("a"))).error_text is None


def test_a_run_can_start_during_a_sweep(inline):
    class Beginning:
        """An active run; when the sweep reads it, another run becomes active."""

        @property
        def run(self):
            inline._active["run_another"] = self
            return Run(status="pending")

    inline._active["run_one"] = Beginning()
    inline.sweep()
    assert set(inline._active) == {"run_one", "run_another"}
    inline._active.clear()


def test_a_suspended_process_starts_no_node_of_a_run_that_was_taken_over(start, gate, types):
    one = start(run_threads=1)
    run = submit(one, chain(node("a", "gate"), node("b", "act")))
    at_gate(one, run, gate)
    Run.update(lease_owner="proc_other", claims=2).where(Run.id == run.id).execute()
    gate.opened.set()
    wait_until_idle(one, run)
    assert types.effects == []


def test_a_suspended_process_does_not_change_the_record_of_a_newer_claim(path, start, gate, types):
    slow = iter([gate])
    types.offer("slow", lambda config, input, ctx: next(slow, lambda *args: input)(config, input, ctx), pure=False)
    one, other = start(run_threads=1), start(inline=True)
    run = submit(one, chain(node("a", "slow"), "b", node("c", "act")), 5)
    at_gate(one, run, gate)
    leases.beat(one.lease.owner, -1)
    other.sweep()
    record = [(step.seq, step.node_id, step.status) for step in steps_of(run.id)][1:]
    assert record == [(1, "a", "success"), (2, "b", "success"), (3, "c", "success")]
    gate.opened.set()
    wait_until_idle(one, run)
    assert [(step.seq, step.node_id, step.status) for step in steps_of(run.id)][1:] == record
    assert (run_of(run.id).output, types.effects) == ("5", [f"{run.id}:c:0"])


def test_a_suspended_process_closes_no_step_in_doubt_of_a_requeued_run(start, types, monkeypatch):
    """A closed step is no longer in doubt, so it would be repeated although it must not be."""
    one, other = start(inline=True), start(inline=True)
    made = flow(node("a", "act", on_interrupt="fail"))
    id_ = add_run_of_dead_process(one, made, steps=1)
    types.effects.clear()
    of = ResumeState.of

    def asleep(run, load):
        history = of(run, load)
        monkeypatch.undo()
        take_from(one, run.id)
        return history

    monkeypatch.setattr(ResumeState, "of", asleep)
    one.sweep()
    assert run_of(id_).status == "pending"
    other.sweep()
    assert (run_of(id_).error_node_id, types.effects) == ("a", []) and "interrupted" in run_of(id_).error_text


def test_a_suspended_process_does_not_change_large_values_of_a_newer_claim(start, gate, types):
    slow = iter([gate])
    types.offer("slow", lambda config, input, ctx: next(slow, lambda *args: input)(config, input, ctx), pure=False)
    one, other = start(run_threads=1, inline_value_bytes=10), start(inline=True, inline_value_bytes=10)
    made = chain(node("a", "slow"), node("b", "give", {"value": "another value, as large"}), node("c", "act"))
    run = submit(one, made, "a value for a file")
    at_gate(one, run, gate)
    leases.beat(one.lease.owner, -1)
    other.sweep()

    def values():
        kept = [(f"step_{step.seq}", Kept(step.output, step.output_bytes)) for step in steps_of(run.id)]
        return [other.resources.value(run.id, *item) for item in kept]

    before = values()
    gate.opened.set()
    wait_until_idle(one, run)
    assert values() == before == [None, "a value for a file", "another value, as large", None]


def test_a_queued_run_released_by_another_process_continues_from_its_completed_steps(start, gate, types):
    dispatcher = start(run_threads=1)
    made = chain(node("a", "act"), node("b", "act"))
    first = submit(dispatcher, flow(node("a", "gate")))
    at_gate(dispatcher, first, gate)
    second = dispatcher.waiting.wait(dispatcher.ticket_of(submit(dispatcher, made, 5)), 0)
    dispatcher.recorder.commit(claims.claim(second.id, "proc_other"))
    record_steps(dispatcher, second.id, run_engine(made, 5).steps[:2])
    dispatcher.recorder.commit([claims.release(second.id, "proc_other")])
    types.effects.clear()
    gate.opened.set()
    assert finished(dispatcher, second).output == "5"
    assert types.effects == [f"{second.id}:b:0"]


# The row of a run, which is written with its first step; a disk that refuses writes; and the progress of a run


BIG = {"value": "x" * 50_000}


# The row


def test_a_running_run_has_no_row_until_a_caller_waits_for_it(dispatcher, gate):
    run = submit(dispatcher, flow(node("g", "gate")))
    assert gate.reached.wait(PATIENCE) and Run.find(run.id) is None
    assert dispatcher.waiting.wait(dispatcher.ticket_of(run), 0).status == "running"
    row = run_of(run.id)
    assert (row.status, row.lease_owner, row.claims) == ("running", dispatcher.lease.owner, 1)
    gate.opened.set()
    assert finished(dispatcher, run).status == "success"


def test_a_short_run_is_one_commit(start, monkeypatch):
    dispatcher = start(inline=True)
    groups = []
    commit = dispatcher.recorder._commit
    monkeypatch.setattr(dispatcher.recorder, "_commit", lambda group: (groups.append(group), commit(group)))
    submit(dispatcher, chain("a", "b", "c"))
    assert len(groups) == 1


@pytest.mark.parametrize("durable", [False, True])
def test_a_stopping_process_releases_runs_with_and_without_rows(start, gate, types, durable):
    one = start(run_threads=1)
    runs = [submit(one, chain(node("g", "gate"), node("a", "act"))), submit(one, flow(node("a", "act")))]
    assert gate.reached.wait(PATIENCE)
    if durable:
        for run in runs:
            one.waiting.wait(one.ticket_of(run), 0)
    stopping = Background(one.stop)
    assert one.executor._hand_back.wait(PATIENCE)
    gate.opened.set()
    stopping.result()
    rows = [run_of(run.id) for run in runs]
    assert [(row.status, row.lease_owner, row.deaths) for row in rows] == [("pending", None, 0)] * 2
    assert types.effects == []
    start(inline=True).sweep()
    assert [run_of(run.id).status for run in runs] == ["success"] * 2
    assert sorted(types.effects) == sorted(f"{run.id}:a:0" for run in runs)


def test_a_run_can_be_cancelled_before_its_row_is_written(dispatcher, gate, types):
    run = submit(dispatcher, chain(node("g", "gate"), node("a", "act")))
    assert gate.reached.wait(PATIENCE) and Run.find(run.id) is None
    dispatcher.cancel(run, "ann")
    gate.opened.set()
    wait_until_idle(dispatcher, run)
    assert run_of(run.id).cancelled and types.effects == [] and RunDay.get().total == 1


def test_many_threads_can_wait_for_the_row_at_once(dispatcher, gate):
    run = submit(dispatcher, chain(node("g", "gate"), "b"))
    ticket = dispatcher.ticket_of(run)
    assert gate.reached.wait(PATIENCE)
    gate.opened.set()
    rows = at_once(8, lambda number: dispatcher.waiting.wait(ticket, number % 2 * PATIENCE))
    assert {row.id for row in rows} == {run.id} and finished(dispatcher, run).status == "success"
    assert Run.select().count() == 1 and [step.seq for step in steps_of(run.id)] == [0, 1]


# A disk that refuses writes


@pytest.mark.parametrize(
    "definition", [flow("a"), chain(node("a", "act"), "b"), flow(node("w", "ask")), chain(node("a", "fail"))]
)
def test_a_run_whose_first_write_is_refused_leaves_nothing(start, tmp_path, definition):
    dispatcher = start(run_threads=1, inline_value_bytes=100)
    refuse_inserts("runs")
    run = submit(dispatcher, definition, "x" * 200)
    with pytest.raises(Unavailable) as caught:
        dispatcher.waiting.wait(dispatcher.ticket_of(run), PATIENCE)
    assert caught.value.retry_after == 5
    wait_until_idle(dispatcher, run)
    assert (
        runs_with_values(tmp_path) == [] and Run.select().count() == Step.select().count() == Wait.select().count() == 0
    )
    accept_inserts()
    dispatcher.sweep()
    assert Run.select().count() == 0
    again = submit(dispatcher, flow("a"), 1)
    assert finished(dispatcher, again).status == "success"


def test_a_run_whose_first_step_is_refused_leaves_nothing(start, tmp_path):
    """The row and the step are one transaction."""
    dispatcher = start(run_threads=1, inline_value_bytes=100)
    refuse_inserts("steps")
    tickets = [dispatcher.submit(Start(add_flow(flow(node("a", "act"))), "x" * 200, "manual")) for _ in range(5)]
    for ticket in tickets:
        with pytest.raises(Unavailable):
            dispatcher.waiting.wait(ticket, PATIENCE)
        with pytest.raises(Unavailable):
            dispatcher.waiting.response(ticket, PATIENCE)
    accept_inserts()
    assert Run.select().count() == 0 and runs_with_values(tmp_path) == [] and dispatcher.active_count() == 0


def test_a_wait_of_zero_seconds_also_reports_a_refused_run(dispatcher, gate):
    run = submit(dispatcher, flow(node("g", "gate")))
    assert gate.reached.wait(PATIENCE)
    refuse_inserts("runs")
    ticket = dispatcher.ticket_of(run)
    with pytest.raises(Unavailable):
        dispatcher.waiting.wait(ticket, 0)
    with pytest.raises(Unavailable):
        dispatcher.cancel(run, "ann")
    gate.opened.set()
    assert ticket.active.ended.wait(PATIENCE)
    accept_inserts()
    assert Run.find(run.id) is None and dispatcher.active_count() == 0


def test_a_run_that_cannot_be_released_is_forgotten(start, gate, tmp_path):
    dispatcher = start(run_threads=1, inline_value_bytes=100)
    run = submit(dispatcher, chain(node("g", "gate"), "b"), "x" * 200)
    ticket = dispatcher.ticket_of(run)
    assert gate.reached.wait(PATIENCE)
    refuse_inserts("runs")
    stopping = Background(dispatcher.stop)
    assert dispatcher.executor._hand_back.wait(PATIENCE)
    gate.opened.set()
    stopping.result()
    assert ticket.active.ended.is_set() and dispatcher.active_count() == 0 and runs_with_values(tmp_path) == []
    with pytest.raises(Unavailable):
        dispatcher.waiting.wait(ticket, PATIENCE)


def test_an_accepted_run_that_cannot_be_recorded_fails_later_and_delays_no_other(start, gate, types):
    dispatcher = start(run_threads=1)
    teller = add_flow(chain(node("told", "error")), name="Teller")
    bad, good = chain(node("g", "gate"), "bad"), chain(node("g", "gate"), "good")
    runs = [submit(dispatcher, {**made, "settings": {"error_workflow_id": teller.id}}) for made in (bad, bad, good)]
    at_gate(dispatcher, runs[0], gate)
    for run in runs:
        dispatcher.waiting.wait(dispatcher.ticket_of(run), 0)
    refuse_inserts("steps", "NEW.node_id = 'bad'")
    gate.opened.set()
    assert finished(dispatcher, runs[2]).status == "success"
    wait_until_idle(dispatcher, runs[0])
    assert [run_of(run.id).status for run in runs] == ["running", "running", "success"]
    accept_inserts()
    refuse_inserts("run_days")
    orphan = add_run(add_flow(flow(node("x", "act"))))
    dispatcher.sweep()
    accept_inserts()
    dispatcher.sweep()
    for run in runs[:2]:
        row = run_of(run.id)
        assert row.status == "failed" and "could not be recorded" in row.error_text
    assert finished(dispatcher, run_of(orphan)).status == "success"
    for run in runs[:2]:
        assert Run.select().where(Run.parent_run_id == run.id, Run.workflow_name == "Teller").count() == 1
    assert dispatcher.executor.unrecorded == {}


def test_a_run_that_cannot_be_suspended_fails_later_and_leaves_nothing_waiting(start, gate):
    dispatcher = start(run_threads=1)
    run = submit(dispatcher, flow(node("v", "ask"), node("a", "act"), node("g", "gate"), node("w", "ask")))
    at_gate(dispatcher, run, gate)
    assert Wait.select().count() == 1
    refuse_inserts("steps", "NEW.node_id = 'w'")
    gate.opened.set()
    wait_until_idle(dispatcher, run)
    accept_inserts()
    dispatcher.sweep()
    assert run_of(run.id).status == "failed" and Wait.select().count() == 0
    assert not Step.select().where(Step.status == "waiting").exists()


def test_threads_survive_all_disk_errors(start, types):
    """Writes fail at the claim, within a run and while looking for more runs. Every thread is alive afterwards."""
    dispatcher = start(run_threads=2)
    made = add_flow(chain("a", max_concurrent_runs=1))
    for table in ("runs", "steps", "run_days"):
        refuse_inserts(table)
        tickets = []
        for _ in range(4):
            try:
                tickets.append(dispatcher.submit(Start(made, None, "manual")))
            except Unavailable:
                assert table == "runs"
        for ticket in tickets:
            assert ticket.active.ended.wait(PATIENCE)
        accept_inserts()
        dispatcher.sweep()
    assert all(thread.is_alive() for thread in dispatcher.queue.threads)
    last = dispatcher.submit(Start(made, 1, "manual")).run
    end = time.monotonic() + PATIENCE
    while Run.select().where(Run.finished_at.is_null()).exists() and time.monotonic() < end:
        dispatcher.sweep()
    assert run_of(last.id).status == "success" and dispatcher.executor.unrecorded == {}


def test_a_stopping_process_does_not_release_a_run_with_a_refused_write(start, gate, types):
    """The next process would repeat an effect whose result is not recorded, so the run fails."""
    one = start(run_threads=1)
    other = submit(one, chain("x", node("bad", "act"), node("g", "gate")))
    refuse_inserts("steps", "NEW.node_id = 'bad' AND NEW.status = 'success'")
    assert gate.reached.wait(PATIENCE)
    one.stop()
    run = run_of(other.id)
    assert (run.status, run.lease_owner) == ("failed", None) and "could not be recorded" in run.error_text
    assert [(step.node_id, step.status) for step in steps_of(run.id)] == [("x", "success"), ("bad", "failed")]
    gate.opened.set()
    start(inline=True).sweep()
    assert types.effects == [f"{run.id}:bad:0"]


# The recorder


def test_a_write_submitted_after_the_stop_is_refused():
    with started_recorder() as recorder:
        pass
    with pytest.raises(Unavailable):
        recorder.commit([])


def test_every_write_submitted_during_the_stop_gets_a_result():
    for _ in range(20):
        with started_recorder() as recorder:
            threads = [Background(_commit_until_the_stop, recorder) for _ in range(4)]
        assert all(thread.result() > 0 for thread in threads)


def _commit_until_the_stop(recorder):
    done = 0
    while True:
        try:
            recorder.commit([])
        except Unavailable:
            return done + 1
        done += 1


def test_all_waiting_callers_are_told_that_a_run_is_refused(path):
    with started_recorder() as recorder:
        run = run_queries.accept(add_flow(flow("a")), triggered_by="manual")
        record = RunRecord(recorder, None, run, lambda: [Write("INSERT INTO nowhere VALUES (1)", ())])

        def need(number):
            try:
                record.durable()
            except Unavailable:
                return "refused"
            return "accepted"

        assert set(at_once(6, need)) == {"refused"}
        assert record.refuse(RuntimeError()) and not record.is_durable()


# Progress


def progress(run_id):
    row = run_of(run_id)
    return row.nodes_done, row.nodes_total


def test_an_ended_run_has_all_nodes_done(inline):
    made = flow(
        "a",
        node("if", "if", {"condition": True}),
        "yes",
        "no",
        node("off", disabled=True),
        node("each", "act", foreach=[1, 2]),
        edges=["a if", "if yes true", "if no false", "yes off"],
    )
    assert progress(submit(inline, made).id) == (6, 6)


def test_a_running_run_shows_its_progress(dispatcher, gate):
    run = submit(dispatcher, chain("a", "b", node("x", "act"), node("g", "gate"), "c"))
    at_gate(dispatcher, run, gate)
    assert progress(run.id)[1] == 5 and progress(run.id)[0] in (2, 3)
    gate.opened.set()
    finished(dispatcher, run)
    assert progress(run.id) == (5, 5)


def test_a_waiting_run_shows_its_progress(inline):
    run = submit(inline, flow("a", node("w", "ask"), "b", "c", edges=["a w", "w b"]))
    assert progress(run.id) == (2, 4)
    inline.answer(run, "w", "yes", None, None)
    assert progress(run.id) == (4, 4)


def test_failed_attempts_do_not_count_as_progress_and_a_final_failure_does(inline):
    made = chain("a", node("f", "fail", retry={"attempts": 3, "delay": 0}), "c")
    assert progress(submit(inline, made).id) == (2, 3)
    going_on = chain("a", node("f", "fail", retry={"attempts": 3, "delay": 0}, on_error="continue"), "c")
    assert progress(submit(inline, going_on).id) == (3, 3)


@pytest.mark.parametrize("definition", [chain("a", node("b", "act"), "c"), chain("a", node("f", "fail"), "c")])
def test_a_run_interrupted_at_any_step_ends_with_the_same_progress(inline, definition):
    whole = progress(submit(inline, definition).id)
    for cut in range(4):
        id_ = add_run_of_dead_process(inline, definition, steps=cut)
        inline.sweep()
        assert progress(id_)[0] == whole[0]
