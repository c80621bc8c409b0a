"""Log entries of runs, flows and the server, for people."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import NamedTuple

from constants import LEVELS
from database import execute, fetch_value
from database.base import IN_LIST, Match, Rows, Write, encode_list, id_bounds, insert, made_at, new_id
from errors import NotFound
from models import LogEntry

# Entries of schedules and polls begin with their flow (see scheduler/firing.py).
SAYS_FLOW = re.compile(r'{"workflow_id":"(wf_[0-9A-Z]{26})"')
PAGE = 100  # entries in memory, each of up to 75 KB
OF_FLOW = (
    "CASE WHEN run_id IS NULL THEN data >= ? AND data < ? "
    "ELSE (SELECT r.workflow_id FROM runs r WHERE r.id = run_id) = ? END"
)


class LogFilters(NamedTuple):
    """Entries of a workspace or of one run, of some levels, times (ms) and a flow, with a text in the message.

    `unsigned`: searches the text without the signatures of links.
    """

    workspace_id: str
    run_id: str | None = None
    level: Sequence[str] | None = None
    since: int | None = None
    until: int | None = None
    search: str | None = None
    workflow_id: str | None = None
    unsigned: bool = False


def entry(
    workspace_id: str, run_id: str | None, node_id: str | None, level: str, message: str, data: str | None
) -> Write:
    """Return the write of a log entry of a run or of the workspace."""
    # Lists are ordered by the id's time, so `created_at` must be the same.
    id_ = new_id("log")
    row = {
        "id": id_, "workspace_id": workspace_id, "run_id": run_id, "node_id": node_id, "level": level,
        "message": message, "data": data, "created_at": made_at(id_),
    }  # fmt: skip
    return insert("log_entries", row)


def select_where(filters: LogFilters) -> Rows[LogEntry]:
    """Return the entries that satisfy these filters. Raises: ValueError for an unknown level."""
    of_run = filters.run_id is not None
    given = ("run_id = ?", filters.run_id) if of_run else ("workspace_id = ?", filters.workspace_id)
    levels = [LEVELS[LEVELS.index(name)] for name in dict.fromkeys(filters.level or ())]
    of_flow = None
    if filters.workflow_id is not None:
        # The entries of its runs, or with data that begins with its id.
        begin = f'{{"workflow_id":"{filters.workflow_id}'
        # Texts that continue with a quote: "#" is the character after it.
        of_flow = Match(OF_FLOW, (f'{begin}"', f"{begin}#", filters.workflow_id))
    match = Match.all_of(Match.letters(filters.search, "message", unsigned=filters.unsigned), of_flow)
    bounds = id_bounds("log", filters.since, filters.until)
    return Rows(LogEntry, [given], [f"level = '{name}'" for name in levels], bounds, match)


def flows_of(workspace_id: str, entries: Iterable[LogEntry]) -> dict[str, tuple[str, str]]:
    """Return the id and name of each entry's flow, by the entry's id.

    It is the flow of the run or, for an entry without a run, of the trigger that wrote it.
    """
    rows = list(entries)
    told = {row.id: told[1] for row in rows if row.run_id is None and (told := SAYS_FLOW.match(row.data or ""))}
    sql = f"SELECT id, workflow_id, workflow_name FROM runs WHERE id {IN_LIST}"
    runs = _read(sql, {row.run_id for row in rows if row.run_id is not None})
    # Authors of entries may write any id into them.
    sql = f"SELECT id, id, name FROM workflows WHERE id {IN_LIST} AND workspace_id = ?"
    flows = _read(sql, set(told.values()), workspace_id)
    known = {row.id: runs.get(row.run_id or "") or flows.get(told.get(row.id, "")) for row in rows}
    return {id_: flow for id_, flow in known.items() if flow is not None}


def of(run_id: str, limit: int, after: str | None) -> tuple[list[LogEntry], str | None]:
    """Return the run's entries after the id `after`, oldest first, and the id for the next page."""
    rows = list(LogEntry.each("run_id = ? AND id > ? ORDER BY id LIMIT ?", (run_id, after or "", limit + 1)))
    return rows[:limit], rows[limit - 1].id if len(rows) > limit else None


def pages_after(run_id: str, after: str) -> Iterator[list[LogEntry]]:
    """Yield the run's entries after the id `after` in short pages, oldest first, up to the present last one.

    Raises: NotFound if the run was deleted meanwhile.
    """
    end = fetch_value("SELECT MAX(id) FROM log_entries WHERE run_id = ?", (run_id,)) or "~"
    while after < end:
        rows = list(LogEntry.each("run_id = ? AND id > ? AND id <= ? ORDER BY id LIMIT ?", (run_id, after, end, PAGE)))
        if not rows:
            raise NotFound(f"The run {run_id} was deleted while its log was read")
        yield rows
        after = rows[-1].id


def _read(sql: str, ids: Collection[str], *params: str) -> dict[str, tuple[str, str]]:
    """Return the two values of each of these ids, without a query if there are none."""
    found = execute(sql, (encode_list(ids), *params)).fetchall() if ids else []
    return {id_: (first, second) for id_, first, second in found}
