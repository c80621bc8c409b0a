"""Steps of runs, one for each execution of a node: the record from which a run resumes.

A step is a row of `steps`; or, for a run that was written once when it had ended, an item of the JSON list in the run's
column `packed_steps`, with the values of STEP_COLUMNS except `run_id`. The view `all_steps` has both.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import orjson

from database import execute
from database.base import IN_LIST, Write, encode_list, insert_all, microseconds, now_ms
from models import Step

PAGE_BYTES = 8 * 2**20
DATA_AT_ONCE = 100
MAX_PACKED = 64 * 1024  # bytes of a run's packed steps: reading one step reads all of them
STEP_COLUMNS = (
    "run_id", "seq", "node_id", "node_type", "node_name", "status", "attempt", "item_index", "inputs", "item", "output",
    "output_bytes", "same_as", "branch", "error_text", "started_at", "finished_at", "duration_ms", "final",
    "error_kind",
)  # fmt: skip
# A suspended process may still execute a run that another one has taken over. `claims` is the fencing token: only the
# last claim writes steps, and a node with effects starts only while its claim is valid.
INSERT_STEP = (
    f"INSERT INTO steps ({', '.join(STEP_COLUMNS)}) SELECT {', '.join('?' * len(STEP_COLUMNS))} "
    "WHERE EXISTS (SELECT 1 FROM runs WHERE id = ? AND claims = ?"
)
REPLACE_STEP = ") ON CONFLICT (run_id, seq) DO UPDATE SET " + ", ".join(
    f"{name} = excluded.{name}" for name in STEP_COLUMNS if name not in ("run_id", "seq")
)
OF_NODES = f"node_id {IN_LIST}"
COMPLETED = (
    "(status IN ('success', 'skipped') "
    "OR (status = 'failed' AND final = 0 AND (output IS NOT NULL OR output_bytes IS NOT NULL)))"
)
SAVE_STEP = INSERT_STEP + REPLACE_STEP
BEGIN_STEP = INSERT_STEP + " AND status = 'running'" + REPLACE_STEP
# A run that was taken over is pending until its next claim, and until then `claims` does not change. The last step of
# the suspended process may still be recorded, but not if its other writes require a running run.
NOT_TAKEN = " AND status <> 'pending'"
SAVE_WITH_MORE = INSERT_STEP + NOT_TAKEN + REPLACE_STEP
# All columns of a step except its values.
OUTLINE = (
    "run_id", "seq", "node_id", "node_type", "node_name", "status", "attempt", "item_index", "branch", "error_text",
    "error_kind", "started_at", "finished_at", "duration_ms",
)  # fmt: skip


class Settlement(NamedTuple):
    """How a node was settled: its branch, the node whose output it passed on, and whether it was skipped."""

    branch: str | None
    same_as: str | None
    skipped: bool


class StepData(NamedTuple):
    """The recorded values of a step: its input, output and error, from its row or from the packed steps."""

    seq: int
    node_id: str
    node_name: str
    item: str | None
    output: str | None
    output_bytes: int | None
    error_text: str | None

    @classmethod
    def unpack(cls, packed: str) -> Iterator[StepData]:
        """Yield the packed steps of a run."""
        for values in orjson.loads(packed):
            yield cls._make(values[at] for at in IN_PACKED)

    @classmethod
    def of(cls, run_id: str) -> Iterator[StepData]:
        """Yield the steps of a run that are rows, in order, read on demand."""
        sql = f"SELECT {', '.join(cls._fields)} FROM steps WHERE run_id = ? AND seq > ? ORDER BY seq LIMIT ?"
        last = -1
        while found := execute(sql, (run_id, last, DATA_AT_ONCE)).fetchall():
            yield from map(cls._make, found)
            last = found[-1][0]


IN_PACKED = [STEP_COLUMNS.index(name) - 1 for name in StepData._fields]


def step_id(run_id: str, seq: int) -> str:
    """Return `step_`, the run's ULID and the step's number."""
    return f"step_{run_id.removeprefix('run_')}_{seq:06d}"


def _page(run_id: str, limit: int, after: int, node_id: str | None) -> tuple[str, tuple[Any, ...]]:
    """Return the condition for a page of steps and one more, with its parameters."""
    if node_id is None:
        return "run_id = ? AND seq > ? ORDER BY seq LIMIT ?", (run_id, after, limit + 1)
    return "run_id = ? AND seq > ? AND node_id = ? ORDER BY seq LIMIT ?", (run_id, after, node_id, limit + 1)


def id_of(step: Step) -> str:
    return step_id(step.run_id, step.seq)


def place_of(step: Step) -> str:
    """Return where an answer to it arrives: the id of the node, with the number of the item: `node:3`."""
    return str(step.node_id) if step.item_index is None else f"{step.node_id}:{step.item_index}"


def has_output(step: Step) -> bool:
    """Return True if it has an output of its own, in the row or in a file."""
    return step.output is not None or step.output_bytes is not None


def packed(rows: Sequence[Sequence[Any]]) -> str | None:
    """Return all steps of a run as JSON for its row; None if they must be rows.

    `rows` are values in the order of STEP_COLUMNS.
    """
    text = orjson.dumps([values[1:] for values in rows])
    # Older versions of SQLite truncate text at this character in JSON.
    return None if len(text) > MAX_PACKED or b"\\u0000" in text else text.decode()


def insertions(rows: Sequence[Sequence[Any]]) -> list[Write]:
    """Return writes that insert the steps of new runs; values in the order of STEP_COLUMNS."""
    return insert_all("steps", STEP_COLUMNS, rows)


def save_one(values: Sequence[Any], claims: int, with_more: bool = False) -> Write:
    """Return the write that inserts a step or replaces the one with its number; values in that order.

    Nothing is written if the run was claimed again; with `with_more`, nor if it was taken over.
    """
    return Write(SAVE_WITH_MORE if with_more else SAVE_STEP, (*values, values[0], claims))


def begin_one(values: Sequence[Any], claims: int) -> Write:
    """Return the write of a step that counts only while the run continues: one about to run or to wait.

    The row count is 0 if the run has ended or was taken over.
    """
    return Write(BEGIN_STEP, (*values, values[0], claims))


def of(run_id: str, limit: int, after: int = -1, node_id: str | None = None) -> tuple[list[Step], int | None]:
    """Return the run's steps after number `after` in order, and the number for the next page (None: the end).

    A page ends at `limit` rows or at PAGE_BYTES of output, whichever comes first. A `node_id` selects one node.
    """
    rows: list[Step] = []
    size = 0
    where, params = _page(run_id, limit, after, node_id)
    for row in Step.each(where, params):
        if len(rows) == limit or (size > PAGE_BYTES and rows):
            return rows, rows[-1].seq
        size += len(row.output or "") + len(row.item or "")
        rows.append(row)
    return rows, None


def outlines(
    run_id: str, limit: int, after: int = -1, node_id: str | None = None
) -> tuple[list[dict[str, Any]], int | None]:
    """Return the same page without values, fast for long runs: dicts of `id`, `duration_us` and OUTLINE."""
    where, params = _page(run_id, limit, after, node_id)
    found = execute(f"SELECT {', '.join(OUTLINE)} FROM all_steps WHERE {where}", params).fetchall()
    rows = [dict(zip(OUTLINE, values, strict=True)) for values in found[:limit]]
    for row in rows:
        row["id"] = step_id(row["run_id"], row["seq"])
        row["duration_us"] = microseconds(row["duration_ms"])
    return rows, rows[-1]["seq"] if len(found) > limit else None


def outputs(run_id: str, node_ids: Iterable[str]) -> dict[str, Step]:
    """Return the steps that settled these nodes, and the steps whose output they passed on."""
    found: dict[str, Step] = {}
    wanted, asked = set(node_ids), set[str]()
    settled = (
        "run_id = ? AND item_index IS NULL AND node_id IN ({}) "
        "AND (output IS NOT NULL OR output_bytes IS NOT NULL OR same_as IS NOT NULL)"
    )
    while wanted:
        rows = Step.each(settled.format(", ".join("?" * len(wanted))), (run_id, *sorted(wanted)))
        found |= {row.node_id: row for row in rows}
        asked |= wanted
        wanted = {row.same_as for row in found.values() if row.same_as} - asked
    return found


def first_start(run_id: str, node_id: str) -> int | None:
    """Return the time at which the node started first, in milliseconds: of several attempts or items, the first."""
    sql = "SELECT MIN(started_at) FROM all_steps WHERE run_id = ? AND node_id = ?"
    (found,) = execute(sql, (run_id, node_id)).fetchone()
    return None if found is None else int(found)


def count_routed_items(run_id: str) -> dict[str, dict[str, int]]:
    """Return the number of items on each branch of the nodes that routed items. Large outputs are left out."""
    where = "run_id = ? AND item_index IS NULL AND branch = '' AND SUBSTR(output, 1, 1) = '{' ORDER BY seq"
    found = {str(row.node_id): orjson.loads(str(row.output)) for row in Step.each(where, (run_id,))}
    return {node_id: {name: len(items) for name, items in lists.items()} for node_id, lists in found.items()}


def count_items(run_id: str) -> tuple[dict[str, int], list[Step]]:
    """Return the number of items of each node whose recorded output is a list; and the steps with a large output,
    which are not read.
    """
    where = (
        "run_id = ? AND item_index IS NULL AND (output_bytes IS NOT NULL OR same_as IS NOT NULL "
        "OR SUBSTR(output, 1, 1) = '[') ORDER BY seq"
    )
    counts: dict[str, int] = {}
    large: list[Step] = []
    for row in Step.each(where, (run_id,)):
        if row.same_as is not None:
            if row.same_as in counts:
                counts[row.node_id] = counts[row.same_as]
        elif row.output is not None:
            counts[row.node_id] = len(orjson.loads(row.output))
        else:
            large.append(row)
    return counts, large


def successes(run_id: str, types: Iterable[str], after: int = -1) -> list[Step]:
    """Return the steps of these node types, with a higher number than `after`, that have an output of their own,
    without items.
    """
    mine = (Step.run_id == run_id) & (Step.seq > after) & Step.node_type.in_(list(types)) & (Step.status == "success")
    has_output = Step.output.is_null(False) | Step.output_bytes.is_null(False)
    return list(Step.select().where(mine, Step.item_index.is_null(), has_output).order_by(Step.seq))


def files(run_id: str, node_ids: Sequence[str]) -> list[str]:
    """Return the names of the files with outputs of these nodes."""
    sql = f"SELECT seq FROM all_steps WHERE run_id = ? AND output_bytes IS NOT NULL AND {OF_NODES}"
    return [f"step_{seq}" for (seq,) in execute(sql, (run_id, encode_list(node_ids))).fetchall()]


def keep(run_id: str, for_id: str, node_ids: Sequence[str]) -> None:
    """Copy the completed steps of these nodes from one run to another."""
    columns = ", ".join(STEP_COLUMNS[1:])
    sql = (
        f"INSERT INTO steps (run_id, {columns}) SELECT ?, {columns} FROM all_steps "
        f"WHERE run_id = ? AND {OF_NODES} AND {COMPLETED}"
    )
    execute(sql, (for_id, run_id, encode_list(node_ids)))


def settled(run_id: str) -> dict[str, Settlement]:
    """Return the settlement of each node that `keep` would copy, in the order of the steps."""
    sql = (
        "SELECT node_id, branch, same_as, status, output IS NOT NULL OR output_bytes IS NOT NULL FROM all_steps "
        f"WHERE run_id = ? AND item_index IS NULL AND {COMPLETED} ORDER BY seq"
    )
    return {
        id_: Settlement(branch, same_as, status == "skipped" and not has_output and same_as is None)
        for id_, branch, same_as, status, has_output in execute(sql, (run_id,)).fetchall()
    }


def ending(run_id: str) -> Step | None:
    """Return the step whose failure ended the run."""
    return Step.one("run_id = ? AND final = 1", run_id)


def waiting(run_id: str) -> list[Step]:
    """Return the steps at which the run waits."""
    return list(Step.select().where((Step.run_id == run_id) & (Step.status == "waiting")))


def close_running_steps(run_id: str, claims: int) -> Write:
    """Close the steps left running by a crash, unless the run was taken over or claimed again."""
    sql = (
        "UPDATE steps SET status = 'failed', error_text = 'interrupted: the server stopped while this step ran', "
        "error_kind = 'interrupted', finished_at = ? WHERE run_id = ? AND status = 'running' "
        f"AND EXISTS (SELECT 1 FROM runs WHERE id = ? AND claims = ?{NOT_TAKEN})"
    )
    return Write(sql, (now_ms(), run_id, run_id, claims))
