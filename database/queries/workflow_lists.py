"""Workflow lists: pages in any order, and the last runs and next due times of flows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

import orjson

from constants import ENDED, TRIGGERS, UNFINISHED
from database import execute
from database.base import IN_LIST, containing, encode_list, join_given
from errors import Conflict

ERROR_LETTERS = 300
MAX_NAMED = 5  # flows in a message
# The newest run of a flow with one status (and one trigger, if the index has it before the id): one index entry each.
# Pending runs are always few (see RUNS in database/migrations/0037_baseline.py).
OF_ENDED = [
    "SELECT MAX(id) AS id FROM runs WHERE workspace_id = {0} AND workflow_id = {1} "
    f"AND status = '{status}' AND triggered_by = '{trigger}'"
    for status in ENDED
    for trigger in TRIGGERS
]
OF_UNFINISHED = [
    f"SELECT MAX(id) AS id FROM runs WHERE workflow_id = {{1}} AND status = '{status}'" for status in UNFINISHED
]
NEWEST, NEWEST_ENDED, NEWEST_UNFINISHED = (
    f"(SELECT MAX(id) FROM ({' UNION ALL '.join(arms)}) AS found)"
    for arms in (OF_ENDED + OF_UNFINISHED, OF_ENDED, OF_UNFINISHED)
)
FOLDER = "SELECT 1 FROM workflow_folders f WHERE f.workflow_id = w.id"
TAGGED = "EXISTS (SELECT 1 FROM workflow_tags t WHERE t.workflow_id = w.id AND t.tag = ?)"
MARKED = "EXISTS (SELECT 1 FROM favourites m WHERE m.workflow_id = w.id AND m.user_id = ?)"
FAILING = "EXISTS (SELECT 1 FROM runs r WHERE r.id = {0} AND r.status = 'failed' AND r.cancelled = 0)"


class FlowOrder(NamedTuple):
    """An order of flows: by this SQL, then by id, both in the same direction."""

    key: str
    is_downwards: bool = True


ORDERS = {
    "newest": FlowOrder("w.id"),
    "name": FlowOrder("lower(w.name)", is_downwards=False),
    "updated": FlowOrder("w.updated_at"),
    "last_run": FlowOrder(f"COALESCE({NEWEST.format('w.workspace_id', 'w.id')}, '')"),
}


class Listed(NamedTuple):
    """A flow of a page with its sort key."""

    id: str
    version: int
    key: Any


class LastRun(NamedTuple):
    """The newest run of a flow; `failing` if the newest ended run failed without being cancelled."""

    id: str
    workflow_name: str
    status: str
    cancelled: int
    started_at: int | None
    finished_at: int | None
    error_text: str | None
    failing: bool


class FlowFilters(NamedTuple):
    """Filters of a list of flows. `ids`: only these. `folders`: in one of these; none: in no folder.

    `tags`: with all of these. `marked_by`, `not_marked_by`: (not) a favourite of this user.
    """

    workspace_id: str
    statuses: Sequence[str] | None = None
    search: str | None = None
    failing: bool | None = None
    ids: Sequence[str] | None = None
    folders: Sequence[str] | None = None
    tags: Sequence[str] = ()
    marked_by: str | None = None
    not_marked_by: str | None = None


def flow_page(
    filters: FlowFilters, sort: str, limit: int, after: tuple[Any, str] | None
) -> tuple[list[Listed], tuple[Any, str] | None]:
    """Return the next `limit` flows after this key and id, and the key and id for the next page (None: the end)."""
    order = ORDERS[sort]
    where, params = join_given(
        (
            ("w.workspace_id = ?", filters.workspace_id),
            (f"w.status {IN_LIST}", None if filters.statuses is None else encode_list(filters.statuses)),
            ("w.name LIKE ? ESCAPE '\\'", None if filters.search is None else containing(filters.search)),
            (
                f"CASE WHEN {FAILING.format(NEWEST_ENDED.format('w.workspace_id', 'w.id'))} THEN 1 ELSE 0 END = ?",
                filters.failing,
            ),
            (f"w.id {IN_LIST}", None if filters.ids is None else encode_list(filters.ids)),
            _in_folders(filters.folders),
            *((TAGGED, tag) for tag in filters.tags),
            (MARKED, filters.marked_by),
            (f"NOT {MARKED}", filters.not_marked_by),
        )
    )
    way, than = ("DESC", "<") if order.is_downwards else ("ASC", ">")
    # In the order of ids, the id alone is the key.
    keys = [order.key, "w.id"] if order.key != "w.id" else ["w.id"]
    if after is not None:
        where = f"{where} AND ({', '.join(keys)}) {than} ({', '.join('?' * len(keys))})"
        params = (*params, *after[-len(keys) :])
    by = ", ".join(f"{key} {way}" for key in keys)
    sql = f"SELECT w.id, w.version, {order.key} FROM workflows w WHERE {where} ORDER BY {by} LIMIT ?"
    rows = [Listed(*row) for row in execute(sql, (*params, limit + 1)).fetchall()]
    last = rows[limit - 1] if len(rows) > limit else None
    return rows[:limit], None if last is None else (last.key, last.id)


def _in_folders(paths: Sequence[str] | None) -> tuple[str, Any]:
    """Return the condition for flows in one of these folders, or, if the list is empty, in no folder."""
    if paths is not None and not paths:
        return f"CASE WHEN EXISTS ({FOLDER}) THEN 1 ELSE 0 END = ?", 0
    return f"EXISTS ({FOLDER} AND f.path {IN_LIST})", None if paths is None else encode_list(paths)


def versions_of(workspace_id: str) -> list[tuple[str, int]]:
    """Return id and version of every flow of the workspace."""
    return [tuple(row) for row in execute("SELECT id, version FROM workflows WHERE workspace_id = ?", (workspace_id,))]


def check_no_copies(workspace_id: str, definitions_json: Iterable[str]) -> None:
    """Check that no flow of the workspace has the value of one of these definitions. Raises: Conflict."""
    given = {_sort_keys(text) for text in definitions_json}
    rows = execute("SELECT id, name, definition_json FROM workflows WHERE workspace_id = ?", (workspace_id,))
    copies = [f"{name!r} ({id_})" for id_, name, text in rows if _sort_keys(text) in given]
    if copies:
        more = f" and {len(copies) - MAX_NAMED} more" if len(copies) > MAX_NAMED else ""
        raise Conflict(f"The workspace already has the same definition, in {', '.join(copies[:MAX_NAMED])}{more}")


def _sort_keys(text: str) -> bytes:
    """Return JSON text in a form that is the same for the same value."""
    return orjson.dumps(orjson.loads(text), option=orjson.OPT_SORT_KEYS)


def sizes_of(ids: Sequence[str]) -> dict[str, int]:
    """Return the length in characters of each flow's definition."""
    return dict(execute(f"SELECT id, LENGTH(definition_json) FROM workflows WHERE id {IN_LIST}", (encode_list(ids),)))


def definitions_of(ids: Sequence[str]) -> Iterator[tuple[str, int, str]]:
    """Yield id, version and definition of these flows one by one: together they may not fit into memory."""
    sql = f"SELECT id, version, definition_json FROM workflows WHERE id {IN_LIST}"
    yield from execute(sql, (encode_list(ids),))


def last_runs(workspace_id: str, ids: Sequence[str]) -> dict[str, LastRun]:
    """Return the last run of each of these flows, also of deleted flows."""
    ended, unfinished = (sql.format("?1", "f.value") for sql in (NEWEST_ENDED, NEWEST_UNFINISHED))
    found = execute(
        f"SELECT f.value, {ended}, {unfinished} FROM (SELECT value FROM json_each(?2)) AS f",
        (workspace_id, encode_list(ids)),
    ).fetchall()
    sql = (
        "SELECT id, workflow_name, status, cancelled, started_at, finished_at, "
        f"SUBSTR(error_text, 1, {ERROR_LETTERS}), status = 'failed' AND cancelled = 0 FROM runs WHERE id {IN_LIST}"
    )
    wanted = [run_id for _, *run_ids in found for run_id in run_ids if run_id is not None]
    # A run that was deleted between the two queries is left out.
    runs = {row[0]: LastRun(*row) for row in execute(sql, (encode_list(wanted),)).fetchall()}
    return {
        flow_id: newest._replace(failing=run_ids[0] in runs and runs[run_ids[0]].failing)
        for flow_id, *run_ids in found
        if (newest := max((runs[run_id] for run_id in run_ids if run_id in runs), default=None)) is not None
    }


def names_of(ids: Sequence[str]) -> dict[str, str]:
    """Return the names of these flows by id. Deleted flows are left out."""
    return dict(execute(f"SELECT id, name FROM workflows WHERE id {IN_LIST}", (encode_list(ids),)).fetchall())


def next_times(ids: Sequence[str]) -> dict[str, int]:
    """Return the first due time of each flow's schedules. If it equals the anchor, it is not computed yet."""
    sql = (
        "SELECT workflow_id, MIN(next_at) FROM schedules "
        f"WHERE workflow_id {IN_LIST} AND next_at > anchor_ms GROUP BY workflow_id"
    )
    return dict(execute(sql, (encode_list(ids),)).fetchall())
