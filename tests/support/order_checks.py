"""Checks of the order bench, after all orders have ended: one run an order, no effect twice, nothing left."""

import json
from collections import Counter, defaultdict

from record import describe, is_interrupted

UNFINISHED = (
    "SELECT id, workflow_name, status, waiting, claims, deaths, lease_owner FROM runs WHERE finished_at IS NULL"
)
LEFT = ("waits", "run_options")  # tables that have rows of unfinished runs only


def check(team, orders, service):
    """Check every guarantee about the orders, which have all ended."""
    runs = team.ask("SELECT * FROM runs ORDER BY id")
    steps = defaultdict(list)
    for step in team.ask("SELECT * FROM all_steps ORDER BY run_id, seq"):
        steps[step.run_id].append(step)
    broken = [
        (run.id, run.workflow_name, run.claims, run.deaths, run.error_text) for run in runs if run.status != "success"
    ]
    assert not broken, f"{len(broken)} runs did not succeed: {broken[:3]}\n{describe(steps[broken[0][0]])}"
    assert not team.ask(UNFINISHED)
    tops = [run for run in runs if run.parent_run_id is None]
    check_numbers(team, orders, runs, tops)
    requests = service.requests()
    foreign = {key.partition(":")[0] for key in requests} - {run.id for run in runs}
    assert not foreign, f"requests of runs that are not recorded: {foreign}"
    for run in runs:
        check_steps(run, steps[run.id])
        check_requests(run, steps[run.id], requests)
    for run in tops:
        check_output(run, orders)
    check_nothing_is_left(team, runs)


def check_numbers(team, orders, runs, tops):
    """Check that each order has one run, with one run of the flow that it calls, and that each run counts once."""
    by_number = defaultdict(set)
    for run in tops:
        by_number[int(json.loads(run.output)["order"])].add(run.id)
    assert by_number == orders.told, "each order has exactly the run that its clients were told"
    assert sorted(by_number) == list(range(1, orders.last + 1))
    twice = {number: ids for number, ids in by_number.items() if len(ids) != 1}
    assert not twice, f"placed once, recorded twice: {twice}"
    called = Counter(run.parent_run_id for run in runs if run.parent_run_id is not None)
    assert called == Counter(run.id for run in tops), "each run has called exactly one"
    keys = {row.key: row.run_id for row in team.ask("SELECT * FROM idempotency_keys")}
    assert keys == {f"hook:hook:order {number}": next(iter(ids)) for number, ids in by_number.items()}
    (days,) = team.ask("SELECT SUM(total) AS total, SUM(success) AS success FROM run_days")
    assert (days.total, days.success) == (len(runs), len(runs)), "the metrics do not match the recorded runs"


def check_steps(run, of_it):
    """Check that each node, and each item, has one end."""
    ends = Counter((step.node_id, step.item_index) for step in of_it if step.status in ("success", "skipped"))
    assert set(ends.values()) == {1}, f"{run.id}\n{describe(of_it)}"
    others = {step.status for step in of_it} - {"success", "skipped", "failed"}
    assert not others, f"{run.id}\n{describe(of_it)}"
    assert [step.seq for step in of_it] == sorted({step.seq for step in of_it}), describe(of_it)
    if run.claims == 1:
        assert not any(is_interrupted(step) for step in of_it), describe(of_it)


def check_requests(run, of_it, requests):
    """Check that each recorded attempt sent at most one request, and that a service that has answered was asked again
    only if the attempt was interrupted before its result was recorded.
    """
    for key, attempts in group_attempts(of_it).items():
        received = requests.pop(key, [])
        if not any(step.status == "success" for step in attempts):
            assert not received and {step.status for step in attempts} == {"skipped"}, f"{key}\n{describe(of_it)}"
            continue
        text = f"{key}: {[request.answer for request in received]}\n{describe(of_it)}"
        interrupted = sum(is_interrupted(step) for step in attempts)
        answered = sum(request.answer == "ok" for request in received)
        assert 1 <= answered <= 1 + interrupted, text
        assert len(received) <= len(attempts), text
    left = [key for key in requests if key.startswith(f"{run.id}:")]
    assert not left, f"requests without a step: {left}"


def group_attempts(of_it):
    """Return the steps that send requests by the key of these."""
    found = defaultdict(list)
    whole = {step.node_id for step in of_it if step.item_index is not None}
    for step in of_it:
        if step.node_type == "http" and (step.item_index is not None or step.node_id not in whole):
            found[f"{step.run_id}:{step.node_id}:{step.item_index or 0}"].append(step)
    return found


def check_output(run, orders):
    """Check the output of an order, and that its approval has the answer that was accepted."""
    output = json.loads(run.output)
    number = output["order"]
    assert output["packed"] == number and output["lines"] == orders.lines(number), output
    assert int(output["note"]) == len(orders.note(number)), output
    taken = orders.taken[run.id]
    assert output["answer"] in orders.sent[run.id], (run.id, output, orders.sent[run.id])
    assert taken in ([], [output["answer"]]), (run.id, output, taken)


def check_nothing_is_left(team, runs):
    """Check that no table has rows of runs that do not exist, or of runs that have ended."""
    for table in LEFT:
        assert not team.ask(f"SELECT * FROM {table}"), table
    kept = {row.run_id for row in team.ask("SELECT DISTINCT run_id FROM payloads WHERE name = 'input'")}
    assert {run.id for run in runs if run.input_bytes is not None} <= kept
    assert not [run for run in runs if run.lease_owner is not None]
    taken = {run.id: (run.deaths, team.noted[run.id]) for run in runs if run.deaths > team.noted[run.id]}
    assert not taken, f"taken from living processes (deaths, kills of its process): {taken}"
