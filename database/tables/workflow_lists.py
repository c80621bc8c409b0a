"""Pages of the list of flows in any of its orders, and what is known of flows at a glance: last runs, next times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import orjson

from database import execute

from .base import Match
from .runs import RUN_STATUSES, TRIGGERS, UNFINISHED

ERROR_LETTERS = 300
# The newest run of a flow with one status, and one trigger where that stands before the id: an entry of an index each,
# but for what is pending, of which there is never much (see migrations/0002_history_indexes.py and 0003_waits.py).
ENDED = [
    "SELECT MAX(id) AS id FROM runs WHERE workspace_id = {0} AND workflow_id = {1} "
    f"AND status = '{status}' AND triggered_by = '{trigger}'"
    for status in RUN_STATUSES
    for trigger in TRIGGERS
    if status not in UNFINISHED
]
GOING_ON = [
    f"SELECT MAX(id) AS id FROM runs WHERE workflow_id = {{1}} AND status = '{status}'" for status in UNFINISHED
]
NEWEST, NEWEST_ENDED, NEWEST_GOING_ON = (
    f"(SELECT MAX(id) FROM ({' UNION ALL '.join(arms)}))" for arms in (ENDED + GOING_ON, ENDED, GOING_ON)
)
FAILING = "EXISTS (SELECT 1 FROM runs r WHERE r.id = {0} AND r.status = 'failed' AND r.cancelled = 0)"
OF_THESE = "IN (SELECT value FROM json_each(?))"


class Order(NamedTuple):
    """An order of flows: by this SQL, and where that is the same by id, both upwards or downwards."""

    key: str
    collation: str = ""
    is_downwards: bool = True


ORDERS = {
    "newest": Order("w.id"),
    "name": Order("w.name", " COLLATE NOCASE", is_downwards=False),
    "updated": Order("w.updated_at"),
    "last_run": Order(f"COALESCE({NEWEST.format('w.workspace_id', 'w.id')}, '')"),
}


class Listed(NamedTuple):
    """A flow of a page, with what its place in the order depends on."""

    id: str
    version: int
    key: Any


class LastRun(NamedTuple):
    """The newest run of a flow, and whether the newest that has ended failed, and not by being cancelled."""

    id: str
    workflow_name: str
    status: str
    cancelled: int
    started_at: int | None
    finished_at: int | None
    error_text: str | None
    failing: bool


class FlowFilters(NamedTuple):
    """Which flows are listed. `ids`: only these."""

    workspace_id: str
    statuses: Sequence[str] | None = None
    search: str | None = None
    failing: bool | None = None
    ids: Sequence[str] | None = None


def flow_page(
    filters: FlowFilters, sort: str, limit: int, after: tuple[Any, str] | None
) -> tuple[list[Listed], tuple[Any, str] | None]:
    """The next `limit` flows after this key and id, and where to go on from, None at the end."""
    order = ORDERS[sort]
    where, params = _where(filters)
    way, than = ("DESC", "<") if order.is_downwards else ("ASC", ">")
    # Its id alone is enough for a flow's place in the order of ids.
    keys = [f"{order.key}{order.collation}", "w.id"] if order.key != "w.id" else ["w.id"]
    if after is not None:
        where = f"{where} AND ({', '.join(keys)}) {than} ({', '.join('?' * len(keys))})"
        params = [*params, *after[-len(keys) :]]
    by = ", ".join(f"{key} {way}" for key in keys)
    sql = f"SELECT w.id, w.version, {order.key} FROM workflows w WHERE {where} ORDER BY {by} LIMIT ?"
    rows = [Listed(*row) for row in execute(sql, (*params, limit + 1)).fetchall()]
    last = rows[limit - 1] if len(rows) > limit else None
    return rows[:limit], None if last is None else (last.key, last.id)


def _where(filters: FlowFilters) -> tuple[str, list[Any]]:
    where, params = ["w.workspace_id = ?"], [filters.workspace_id]
    if filters.statuses is not None:
        where.append(f"w.status {OF_THESE}")
        params.append(_list(filters.statuses))
    if filters.search is not None:
        match = Match.letters(filters.search, "w.name")
        where.append(match.sql)
        params += match.params
    if filters.failing is not None:
        failing = FAILING.format(NEWEST_ENDED.format("w.workspace_id", "w.id"))
        where.append(failing if filters.failing else f"NOT {failing}")
    if filters.ids is not None:
        where.append(f"w.id {OF_THESE}")
        params.append(_list(filters.ids))
    return " AND ".join(where), params


def versions_of(workspace_id: str) -> list[tuple[str, int]]:
    """Id and version of every flow of the workspace."""
    return [tuple(row) for row in execute("SELECT id, version FROM workflows WHERE workspace_id = ?", (workspace_id,))]


def sizes_of(ids: Sequence[str]) -> dict[str, int]:
    """Characters of the definition of each of these flows."""
    return dict(execute(f"SELECT id, LENGTH(definition_json) FROM workflows WHERE id {OF_THESE}", (_list(ids),)))


def definitions_of(ids: Sequence[str]) -> Iterator[tuple[str, int, str]]:
    """Id, version and definition of these flows, one by one: together they may be more than there is memory for."""
    sql = f"SELECT id, version, definition_json FROM workflows WHERE id {OF_THESE}"
    yield from execute(sql, (_list(ids),))


def last_runs(workspace_id: str, ids: Sequence[str]) -> dict[str, LastRun]:
    """The last run of each of these flows of the workspace that has any, be the flow deleted."""
    ended, going_on = (sql.format("?1", "f.value") for sql in (NEWEST_ENDED, NEWEST_GOING_ON))
    found = execute(f"SELECT f.value, {ended}, {going_on} FROM json_each(?2) f", (workspace_id, _list(ids))).fetchall()
    sql = (
        "SELECT id, workflow_name, status, cancelled, started_at, finished_at, "
        f"SUBSTR(error_text, 1, {ERROR_LETTERS}), status = 'failed' AND cancelled = 0 FROM runs WHERE id {OF_THESE}"
    )
    wanted = [run_id for _, *run_ids in found for run_id in run_ids if run_id is not None]
    # A run that was deleted between the two questions is not there.
    runs = {row[0]: LastRun(*row) for row in execute(sql, (_list(wanted),)).fetchall()}
    return {
        flow_id: newest._replace(failing=run_ids[0] in runs and runs[run_ids[0]].failing)
        for flow_id, *run_ids in found
        if (newest := max((runs[run_id] for run_id in run_ids if run_id in runs), default=None)) is not None
    }


def names_of(ids: Sequence[str]) -> dict[str, str]:
    """What these flows are called, those that there are."""
    return dict(execute(f"SELECT id, name FROM workflows WHERE id {OF_THESE}", (_list(ids),)).fetchall())


def next_times(ids: Sequence[str]) -> dict[str, int]:
    """When the first of the schedules of each of these flows is due. Equal to the anchor, it has yet to be found."""
    sql = (
        "SELECT workflow_id, MIN(next_at) FROM schedules "
        f"WHERE workflow_id {OF_THESE} AND next_at > anchor_ms GROUP BY workflow_id"
    )
    return dict(execute(sql, (_list(ids),)).fetchall())


def _list(values: Sequence[str]) -> str:
    return orjson.dumps(list(values)).decode()
