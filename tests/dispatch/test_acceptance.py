"""The row of a run, which is written with its first step; a disk that refuses writes; and the progress of a run."""

import time

import pytest
from engines import accept_inserts, refuse_inserts, runs_with_values
from test_dispatch import add_run, add_run_of_dead_process, at_gate, finished, submit, wait_until_idle
from world import PATIENCE, Background, add_flow, at_once, chain, flow, node, run_of, started_recorder, steps_of

from database.base import Write
from database.queries import runs as run_queries
from dispatch import Start
from dispatch.run_record import RunRecord
from errors import Unavailable
from models import Run, RunDay, Step, Wait

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
