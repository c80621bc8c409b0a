"""Units of writes: what is skipped, rolled back and counted."""

import pytest
from world import add_flow, flow, fresh_database

from database import write
from database.base import Decides, Needed, Write
from database.queries import runs
from database.queries import runs as run_queries
from database.queries.runs import EndedRun, Undone, execute_units
from models import RunDay, Workspace


@pytest.fixture(autouse=True)
def path(tmp_path):
    with fresh_database(tmp_path) as path:
        yield path


def add(id_, kind=Write):
    return kind("INSERT INTO workspaces (id, name, created_at) VALUES (?, 'x', 0)", (id_,))


def rename(id_, kind=Write):
    return kind("UPDATE workspaces SET name = 'y' WHERE id = ?", (id_,))


def names():
    return {row.id: row.name for row in Workspace.select()}


def do(*units):
    with write():
        return execute_units(units)


def test_what_follows_an_undecided_write_is_skipped_in_its_unit_alone():
    before = set(names())
    counts = do([add("ws_a"), rename("ws_none", Decides), add("ws_b"), add("ws_c")], [add("ws_d")])
    assert counts == [[1, 0, 0, 0], [1]] and set(names()) - before == {"ws_a", "ws_d"}


def test_what_follows_a_decided_write_is_done():
    assert do([add("ws_a"), rename("ws_a", Decides), add("ws_b")]) == [[1, 1, 1]]
    assert names()["ws_a"] == "y" and "ws_b" in names()


def test_a_needed_write_that_changes_nothing_undoes_all():
    before = names()
    with pytest.raises(Undone):
        do([add("ws_a"), rename("ws_none", Needed), add("ws_b")])
    assert names() == before


def ended(made, status="success"):
    run = run_queries.accept(made, triggered_by="manual")
    run_queries.end_unsaved(run, status, 2.0)
    return run


def test_runs_of_all_units_are_counted_in_one_statement():
    first, second = add_flow(flow("a")), add_flow(flow("b"))
    units = [
        [run_queries.insertion(run), run_queries.counted(run)]
        for run in (ended(first), ended(second), ended(first, "failed"))
    ]
    do(*units)
    assert len(runs.count_ended([item for unit in units for item in unit if isinstance(item, EndedRun)])) == 1
    found = {day.workflow_id: (day.total, day.success, day.failed, day.duration_ms) for day in RunDay.select()}
    assert found == {first.id: (2, 1, 1, 4.0), second.id: (1, 1, 0, 2.0)}


def test_a_run_whose_end_was_not_decided_is_not_counted():
    run = ended(add_flow(flow("a")))
    assert do([rename("ws_none", Decides), run_queries.counted(run)]) == [[0, 0]]
    assert RunDay.select().count() == 0


def finish(run, *more):
    """Return a unit that ends the run, if it runs, with writes before and after that."""
    end = Decides("UPDATE runs SET status = 'success' WHERE id = ? AND status = 'running'", (run.id,))
    return [Write("UPDATE runs SET nodes_done = 1 WHERE id = ?", (run.id,)), end, *more]


def test_units_of_several_runs_are_decided_each_for_itself():
    made = add_flow(flow("a"))
    runs = [
        run_queries.accept(made, triggered_by="manual", status=status) for status in ("running", "success", "running")
    ]
    with write():
        execute_units([[run_queries.insertion(run)] for run in runs])
    units = [finish(run, rename(f"ws_{number}"), run_queries.counted(run)) for number, run in enumerate(runs)]
    again = finish(runs[0], add("ws_again"))
    counts = do([add("ws_0"), add("ws_1")], *units, again, [add("ws_2")], finish(runs[2]))
    assert counts == [[1, 1], [1, 1, 1, 1], [1, 0, 0, 0], [1, 1, 0, 1], [1, 0, 0], [1], [1, 0]]
    assert {key: name for key, name in names().items() if key.startswith("ws_") and len(key) < 9} == {
        "ws_0": "y", "ws_1": "x", "ws_2": "x",
    }  # fmt: skip
    assert RunDay.get().total == 2


def test_a_unit_may_decide_several_times():
    decided = [add("ws_a"), rename("ws_a", Decides), rename("ws_a", Decides), add("ws_b"), rename("ws_none", Decides)]
    assert do([*decided, add("ws_c")], [*decided[1:3], add("ws_d")]) == [[1, 1, 1, 1, 0, 0], [1, 1, 1]]
    assert "ws_c" not in names() and "ws_d" in names()
