"""Packed steps: the steps of a run that was written once, in its row. Readers see no difference."""

import orjson
import pytest
from chosen_engine import ON_POSTGRES
from hypothesis import given, settings
from hypothesis import strategies as st
from world import add_flow, flow, fresh_database

from database import execute, write
from database.base import now_ms
from database.queries import runs as run_queries
from database.queries import steps as step_queries
from database.queries.runs import execute_units
from database.queries.steps import MAX_PACKED, STEP_COLUMNS
from dispatch.recorder import WholeRun, insertions
from errors import ERROR_KINDS
from models import Run, Step

TEXT = st.text(st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), max_size=20)
NUMBER = st.integers(0, 2**53)
STEPS = st.lists(
    st.fixed_dictionaries({
        "node_id": st.sampled_from("abcd"), "node_type": st.sampled_from(["set", "respond"]), "node_name": TEXT,
        "status": st.sampled_from(["success", "failed", "skipped"]), "attempt": st.integers(1, 9),
        "item_index": st.none() | NUMBER, "inputs": st.none() | st.just('["a","b"]'), "item": st.none() | TEXT,
        "output": st.none() | TEXT | st.just('{"a": "\\u0041", "n": 1.0}'), "output_bytes": st.none() | NUMBER,
        "same_as": st.none() | st.sampled_from("ab"), "branch": st.none() | TEXT, "error_text": st.none() | TEXT,
        "started_at": NUMBER, "finished_at": st.none() | NUMBER,
        "duration_ms": st.none() | st.integers(0, 10**9).map(lambda us: us / 1000), "final": st.booleans(),
        "error_kind": st.none() | st.sampled_from(ERROR_KINDS),
    }),
    max_size=6,
)  # fmt: skip


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    with fresh_database(tmp_path_factory.mktemp("packed")):
        yield add_flow(flow("a"))


def ended(made):
    run = run_queries.accept(made, status="running", triggered_by="manual", started_at=now_ms(), claims=1)
    run_queries.end_unsaved(run, "success", 1.0)
    return run


def values(run, steps):
    """The steps as the recorder has them."""
    return [
        tuple({"run_id": run.id, "seq": seq, **step}[name] for name in STEP_COLUMNS) for seq, step in enumerate(steps)
    ]


def do(writes):
    with write():
        execute_units([writes])


def packed(made, steps):
    """A run that is written once, when it has ended."""
    run = ended(made)
    do(insertions([WholeRun(run, values(run, steps), [])]))
    return run.id


def apart(made, steps):
    """A run with rows for its steps."""
    run = ended(made)
    do([run_queries.insertion(run), *step_queries.insertions(values(run, steps)), run_queries.counted(run)])
    return run.id


def data(step):
    return None if step is None else {**step.__data__, "run_id": None}


def read(made, run_id):
    """Return the results of all readers of the run's steps."""
    kept = ended(made)
    do([run_queries.insertion(kept)])
    with write():
        step_queries.keep(run_id, kept.id, ["a", "b"])
    outlines, more = step_queries.outlines(run_id, 3)
    return {
        "of": [
            [data(step) for step in step_queries.of(run_id, 2, *page)[0]] for page in ((-1, None), (2, None), (-1, "a"))
        ],
        "more": step_queries.of(run_id, 2)[1],
        "outlines": [{**row, "run_id": None, "id": row["id"][-6:]} for row in outlines],
        "more outlines": more,
        # Where a node settled twice, which no engine does, either may be found.
        "outputs": sorted(step_queries.outputs(run_id, ["c", "d"])),
        "successes": [data(step) for step in step_queries.successes(run_id, ["respond"])],
        "files": sorted(step_queries.files(run_id, ["a", "b"])),
        "ending": step_queries.ending(run_id) is None,
        "waiting": step_queries.waiting(run_id),
        "one": data(Step.one("run_id = ? AND seq = ?", run_id, 1)),
        "kept": [data(step) for step in step_queries.of(kept.id, 9)[0]],
        "types": [tuple(map(type, row)) for row in execute(
            "SELECT final, duration_ms, item_index, output FROM all_steps WHERE run_id = ? ORDER BY seq", (run_id,)
        ).fetchall()],
    }  # fmt: skip


@settings(deadline=None)
@given(STEPS)
def test_packed_steps_are_read_like_rows(made, steps):
    one, other = packed(made, steps), apart(made, steps)
    assert execute("SELECT COUNT(*) FROM steps WHERE run_id = ?", (one,)).fetchone() == (0,)
    assert read(made, one) == read(made, other)


def step(**more):
    return {
        **dict.fromkeys(STEP_COLUMNS[2:]), "node_id": "a", "node_type": "set", "node_name": "A", "status": "success",
        "attempt": 1, "started_at": 1, "final": False, **more,
    }  # fmt: skip


def shape(run_id):
    """Whether the run has packed steps, and how many rows."""
    sql = "SELECT packed_steps IS NOT NULL, (SELECT COUNT(*) FROM steps WHERE run_id = runs.id) FROM runs WHERE id = ?"
    return execute(sql, (run_id,)).fetchone()


def test_small_steps_are_packed_and_more_than_fits_has_rows(made):
    steps = [step(output=orjson.dumps("x" * (MAX_PACKED // 4)).decode())] * 4
    assert shape(packed(made, steps[:3])) == (1, 0)
    large = packed(made, steps)
    assert shape(large) == (0, 4) and [row.seq for row in step_queries.of(large, 9)[0]] == [0, 1, 2, 3]


@pytest.mark.parametrize("column", ["node_name", "error_text", "item"])
def test_text_that_sqlite_would_truncate_is_stored_in_rows(made, column):
    run_id = packed(made, [step(**{column: "a\0b"}), step()])
    nul = "\ufffd" if ON_POSTGRES else "\0"  # PostgreSQL has no NUL in texts
    assert shape(run_id) == (0, 2) and step_queries.of(run_id, 9)[0][0].__data__[column] == f"a{nul}b"


def test_runs_of_both_kinds_are_written_together(made):
    runs = [ended(made) for _ in range(3)]
    steps = [[step()], [step(output="x" * MAX_PACKED), step()], []]
    wholes = [WholeRun(run, values(run, some), []) for run, some in zip(runs, steps, strict=True)]
    do(insertions(wholes))
    assert [shape(run.id) for run in runs] == [(1, 0), (0, 2), (1, 0)]
    assert [len(step_queries.of(run.id, 9)[0]) for run in runs] == [1, 2, 0]


def test_packed_steps_are_deleted_with_their_run(made):
    run_id = packed(made, [step()])
    assert run_queries.remove(Run.find(run_id))
    assert step_queries.of(run_id, 9) == ([], None)
