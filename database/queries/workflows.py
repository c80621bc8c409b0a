"""Workflows and their versions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Self, cast

import orjson

from constants import ENDED, TRIGGERS, UNFINISHED
from database import execute, execute_all, fetch_value, settings_commits, write
from database.base import IN_LIST, Rows, containing, encode_list, insert_all, join_given, now_ms
from database.queries import drafts, registered_hooks, schedules, webhooks
from database.queries.audit import NewAuditEntry, differences
from database.queries.locks import lock_names
from database.queries.users import names_of_users
from database.queries.webhooks import Fired
from database.shared import QueryCache
from errors import Conflict, NotFound
from models import Workflow, WorkflowVersion
from registry import registry

# Labels of workflows: their folders and tags, and the favourites of each user.
#
# They are not part of a flow's versions, and changing them does not change its `updated_at`. A folder is a path, such
# as `Billing/Invoices`. It has no row of its own: it exists as long as it contains a flow.

MAX_FOLDERS = 500  # of a workspace
MAX_TAGS = 500  # different ones of a workspace
MAX_TAGS_OF_FLOW = 20
WITHIN = "workspace_id = ? AND (path = ? OR (path > ? AND path < ?))"  # with `_within`
# Each count is of flows that are not archived.
COUNTED = "SUM(CASE WHEN w.status = 'archived' THEN 0 ELSE 1 END)"
IGNORED = " ON CONFLICT DO NOTHING"


class LabelCount(NamedTuple):
    """A folder or tag, and the number of its flows that are not archived."""

    name: str
    flows: int


class Labels(NamedTuple):
    """The folder of a flow and its tags, sorted."""

    folder: str | None = None
    tags: tuple[str, ...] = ()


def labels_of(workflow_ids: Sequence[str]) -> dict[str, Labels]:
    """Return the labels of each of these flows."""
    listed = (encode_list(workflow_ids),)
    folders = dict(execute(f"SELECT workflow_id, path FROM workflow_folders WHERE workflow_id {IN_LIST}", listed))
    tags: dict[str, list[str]] = {}
    sql = f"SELECT workflow_id, tag FROM workflow_tags WHERE workflow_id {IN_LIST} ORDER BY lower(tag), tag"
    for id_, tag in execute(sql, listed):
        tags.setdefault(id_, []).append(tag)
    return {id_: Labels(folders.get(id_), tuple(tags.get(id_, ()))) for id_ in workflow_ids}


def _within(workspace_id: str, path: str) -> tuple[str, str, str, str]:
    """Return the parameters of WITHIN for the folder and its subfolders: "0" is the character after "/"."""
    return workspace_id, path, f"{path}/", f"{path}0"


def put_folder(workspace_id: str, workflow_ids: Sequence[str], path: str | None) -> None:
    """Move these flows to a folder, or out of all folders. Call inside a transaction, after locking the flows.

    Raises: Conflict if the workspace would have too many folders.
    """
    lock_names("labels", (workspace_id,))
    if path is None:
        execute(f"DELETE FROM workflow_folders WHERE workflow_id {IN_LIST}", (encode_list(workflow_ids),))
        return
    rows = [(id_, workspace_id, path) for id_ in workflow_ids]
    names = ("workflow_id", "workspace_id", "path")
    conflict = " ON CONFLICT (workflow_id) DO UPDATE SET path = excluded.path"
    execute_all(insert_all("workflow_folders", names, rows, conflict))
    count = "SELECT COUNT(DISTINCT path) FROM workflow_folders WHERE workspace_id = ?"
    if fetch_value(count, (workspace_id,)) > MAX_FOLDERS:
        raise Conflict(f"The workspace would have more than {MAX_FOLDERS} folders; use one of the existing folders")


def count_folders(workspace_id: str) -> list[LabelCount]:
    """Return the folders that directly contain flows, by path."""
    sql = (
        f"SELECT f.path, {COUNTED} FROM workflow_folders f JOIN workflows w ON w.id = f.workflow_id "
        "WHERE f.workspace_id = ? GROUP BY f.path ORDER BY f.path"
    )
    return [LabelCount(*row) for row in execute(sql, (workspace_id,)).fetchall()]


def folders_within(workspace_id: str, path: str) -> list[str]:
    """Return the paths of the folder and its subfolders that contain flows."""
    sql = f"SELECT DISTINCT path FROM workflow_folders WHERE {WITHIN}"
    return [found for (found,) in execute(sql, _within(workspace_id, path)).fetchall()]


def rename_folder(workspace_id: str, path: str, new_paths: dict[str, str | None]) -> int:
    """Give folders `within` this path new paths; None: none. Return the number of flows. Call in a transaction.

    Raises: Conflict if a folder within this path has appeared meanwhile.
    """
    lock_names("labels", (workspace_id,))
    if any(found not in new_paths for found in folders_within(workspace_id, path)):
        raise Conflict("The folder was changed by somebody else meanwhile; try again")
    sql = f"SELECT workflow_id, path FROM workflow_folders WHERE {WITHIN}"
    flows = execute(sql, _within(workspace_id, path)).fetchall()
    for before, after in new_paths.items():
        ids = [id_ for id_, of_flow in flows if of_flow == before]
        put_folder(workspace_id, ids, after)
    return len(flows)


def add_tags(workspace_id: str, workflow_ids: Sequence[str], tags: Sequence[str]) -> None:
    """Add these tags to these flows. Call inside a transaction, after locking the flows.

    Raises: Conflict if a flow or the workspace would have too many tags.
    """
    lock_names("labels", (workspace_id,))
    rows = [(id_, tag, workspace_id) for id_ in workflow_ids for tag in tags]
    execute_all(insert_all("workflow_tags", ("workflow_id", "tag", "workspace_id"), rows, IGNORED))
    sql = (
        "SELECT w.name FROM workflow_tags t JOIN workflows w ON w.id = t.workflow_id "
        f"WHERE t.workflow_id {IN_LIST} GROUP BY w.id, w.name HAVING COUNT(*) > {MAX_TAGS_OF_FLOW} LIMIT 1"
    )
    full = execute(sql, (encode_list(workflow_ids),)).fetchone()
    if full is not None:
        raise Conflict(f"The flow {full[0]!r} would have more than {MAX_TAGS_OF_FLOW} tags; remove some first")
    sql = "SELECT COUNT(DISTINCT tag) FROM workflow_tags WHERE workspace_id = ?"
    if fetch_value(sql, (workspace_id,)) > MAX_TAGS:
        raise Conflict(f"The workspace would have more than {MAX_TAGS} tags; use some of the existing tags")


def remove_tags(workflow_ids: Sequence[str], tags: Sequence[str]) -> None:
    """Remove these tags from these flows. Call inside a transaction."""
    sql = f"DELETE FROM workflow_tags WHERE workflow_id {IN_LIST} AND tag {IN_LIST}"
    execute(sql, (encode_list(workflow_ids), encode_list(tags)))


def keep_only_tags(workflow_ids: Sequence[str], tags: Sequence[str]) -> None:
    """Remove all other tags from these flows. Call inside a transaction."""
    sql = f"DELETE FROM workflow_tags WHERE workflow_id {IN_LIST} AND tag NOT {IN_LIST}"
    execute(sql, (encode_list(workflow_ids), encode_list(tags)))


def count_tags(workspace_id: str) -> list[LabelCount]:
    """Return the tags of the workspace, sorted."""
    sql = (
        f"SELECT t.tag, {COUNTED} FROM workflow_tags t JOIN workflows w ON w.id = t.workflow_id "
        "WHERE t.workspace_id = ? GROUP BY t.tag ORDER BY lower(t.tag), t.tag"
    )
    return [LabelCount(*row) for row in execute(sql, (workspace_id,)).fetchall()]


def favourites_of(user_id: str, workflow_ids: Sequence[str]) -> set[str]:
    """Return which of these flows the user has marked, by their ids."""
    sql = f"SELECT workflow_id FROM favourites WHERE user_id = ? AND workflow_id {IN_LIST}"
    return {id_ for (id_,) in execute(sql, (user_id, encode_list(workflow_ids))).fetchall()}


def set_favourite(user_id: str, workflow_id: str, is_marked: bool) -> None:
    """Mark an existing flow, or remove the mark."""
    with write():
        if not is_marked:
            execute("DELETE FROM favourites WHERE user_id = ? AND workflow_id = ?", (user_id, workflow_id))
            return
        lock_names("workflow", (workflow_id,))
        sql = f"INSERT INTO favourites (user_id, workflow_id) SELECT ?, id FROM workflows WHERE id = ?{IGNORED}"
        execute(sql, (user_id, workflow_id))


class LabelChange(NamedTuple):
    """Changes of the labels of flows. `moves`: to `folder`, or out of all folders if that is None.

    `clears_tags`: all tags except `added` are removed.
    """

    moves: bool = False
    folder: str | None = None
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    clears_tags: bool = False

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> LabelChange:
        """Return the change that sets `folder` and `tags`, as far as they are given."""
        tags = tuple(dict.fromkeys(values.get("tags", ())))
        return cls("folder" in values, values.get("folder"), tags, clears_tags="tags" in values)

    def apply(self, workspace_id: str, workflow_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
        """Change these flows. Return their labels `{name: {"before", "after"}}` by id, if they have changed.

        Call inside a transaction. Raises: NotFound if a flow is not in the workspace; Conflict if there would be too
        many folders or tags.
        """
        if not any(self):
            return {}
        lock_names("workflow", workflow_ids)
        sql = f"SELECT id FROM workflows WHERE workspace_id = ? AND id {IN_LIST}"
        known = {id_ for (id_,) in execute(sql, (workspace_id, encode_list(workflow_ids))).fetchall()}
        if missing := [id_ for id_ in workflow_ids if id_ not in known]:
            raise NotFound(f"ids: the workspace has no flow {missing[0]!r}")
        before = labels_of(workflow_ids)
        if self.clears_tags:
            keep_only_tags(workflow_ids, self.added)
        if self.removed:
            remove_tags(workflow_ids, self.removed)
        if self.added:
            add_tags(workspace_id, workflow_ids, self.added)
        if self.moves:
            put_folder(workspace_id, workflow_ids, self.folder)
        after = labels_of(workflow_ids)
        found = ((id_, differences(before[id_]._asdict(), after[id_]._asdict())) for id_ in workflow_ids)
        return {id_: changes for id_, changes in found if changes}

    def record(self, workspace_id: str, flows: Sequence[Workflow], begin: Callable[[], NewAuditEntry]) -> int:
        """Change these flows of the workspace, with an audit entry for each changed one. Return their number.

        Raises: as `apply`.
        """
        with write():
            changed = self.apply(workspace_id, [str(flow.id) for flow in flows])
            for flow in flows:
                if (changes := changed.get(flow.id)) is not None:
                    begin().about(flow).note(**changes).save_new()
        return len(changed)


def drop_labels(workflow_id: str) -> None:
    """Delete the labels of a deleted flow. Call inside a transaction."""
    for table in ("workflow_folders", "workflow_tags", "favourites"):
        execute(f"DELETE FROM {table} WHERE workflow_id = ?", (workflow_id,))


MAX_CHARACTERS = 16_000_000  # of definitions on a page of a list; a single one may be longer
# Both databases have this function, and SQLite executes it faster than its own `instr`.
CONTAINS = "replace(definition_json, ?, '') <> definition_json"
# The tables of each kind of trigger: `sync(flow, [(node id, config)])`.
SYNCS: dict[str, Callable[[Any, list[tuple[str, Any]]], None]] = {
    "webhook": webhooks.sync,
    "schedule": schedules.sync,
    "poll": lambda flow, wanted: registry.polls.sync(flow, wanted),
    "registered_hook": registered_hooks.sync,
}
# Node id, kind and config of each trigger of a flow (see dispatch/publishing.py).
Triggers = Sequence[tuple[str, str, Any]]


def draft(user_id: str | None = None, triggers: Triggers | None = None, **values: Any) -> Workflow:
    """Insert a new flow with its first version. An active one needs its `triggers`."""
    now = now_ms()
    with write():
        flow = Workflow.add(version=1, created_at=now, updated_at=now, **values)
        store_version(flow, user_id)
        sync(flow, triggers)
    return flow


def sync(flow: Workflow, triggers: Triggers | None) -> None:
    """Register exactly these triggers; none unless the flow is active, but its webhook addresses are kept.

    Raises: Conflict, DefinitionError (see SYNCS).
    """
    if flow.status != "active":
        for type_, register in SYNCS.items():
            if type_ != "webhook":
                register(flow, [])
        webhooks.pause(flow)
        return
    if triggers is None:
        raise ValueError("an active flow needs its triggers")
    for type_, register in SYNCS.items():
        register(flow, [(node_id, config) for node_id, of_type, config in triggers if of_type == type_])


def store_version(flow: Workflow, user_id: str | None) -> None:
    """Store the present definition as a version."""
    made = {"created_at": flow.updated_at, "created_by": user_id, "definition_json": flow.definition_json}
    WorkflowVersion.create(workflow_id=flow.id, version=flow.version, **made)


def change(
    flow: Workflow, user_id: str | None, expected: int | None = None, triggers: Triggers | None = None, **values: Any
) -> bool:
    """Set these columns; a changed definition becomes the next version.

    `triggers` are those of the changed flow, required if it will be active with a new status or definition. Return
    False if the version is not `expected` or the row has changed since it was read: the validated state is the
    written one, and of two editors with the same version one loses.
    """
    with write():
        lock_names("workflow", (str(flow.id),))
        present = Workflow.find(flow.id)
        if present is None or present.updated_at != flow.updated_at or expected not in (None, present.version):
            return False
        flow.version = present.version
        text, before = values.get("definition_json"), present.definition_json
        if text is not None and (text == before or orjson.loads(text) == orjson.loads(before)):
            del values["definition_json"]
        for key, value in values.items():
            setattr(flow, key, value)
        flow.updated_at = max(now_ms(), present.updated_at + 1)
        if flow.definition_json != present.definition_json:
            flow.version += 1
            store_version(flow, user_id)
        flow.save()
        if (flow.status, flow.version) != (present.status, present.version):
            sync(flow, triggers)
    return True


def remove(flow: Workflow) -> bool:
    """Delete the flow with its versions and keys. Return True if it existed. Its runs are kept."""
    with write():
        lock_names("workflow", (str(flow.id),))
        WorkflowVersion.delete().where(WorkflowVersion.workflow_id == flow.id).execute()
        execute("DELETE FROM idempotency_keys WHERE workflow_id = ?", (flow.id,))
        for register in SYNCS.values():
            register(flow, [])
        for table in ("polls", "poll_entries"):
            execute(f"DELETE FROM {table} WHERE workflow_id = ?", (flow.id,))
        drafts.drop_all(flow.id)
        drop_labels(str(flow.id))
        return bool(flow.delete_instance())


def select_where(workspace_id: str, status: str | None = None, search: str | None = None) -> Rows[Workflow]:
    """Return the workspace's flows, filtered by status or by text in their name."""
    name = None if search is None else containing(search)
    given = [("workspace_id = ?", workspace_id), ("status = ?", status), ("name LIKE ? ESCAPE '\\'", name)]
    return Rows(Workflow, given)


def of_ids(ids: Sequence[str], brief: bool = False) -> list[Workflow]:
    """Return these flows in any order; `brief`: without their definitions."""
    return list(Workflow.each(f"id {IN_LIST}", (encode_list(ids),), ("definition_json",) if brief else ()))


def active_with(workspace_id: str, texts: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    """Yield id, name and definition of active flows that contain one of these texts; all flows if none is given."""
    having = " OR ".join(CONTAINS for _ in texts) or "1 = 1"
    where = f"workspace_id = ? AND status = 'active' AND ({having})"
    sql = f"SELECT id, name, definition_json FROM workflows WHERE {where}"
    yield from execute(sql, (workspace_id, *texts))


def find_mentioning(workspace_id: str, text: str, most: int) -> Iterator[tuple[str, str, str, int]]:
    """Yield id, name, status and version of the workspace's flows that contain this text, oldest first."""
    sql = f"SELECT id, name, status, version FROM workflows WHERE workspace_id = ? AND {CONTAINS} ORDER BY id LIMIT ?"
    yield from execute(sql, (workspace_id, text, most))


def list_heads(workspace_id: str, most: int) -> Iterator[tuple[str, str, str, int]]:
    """Yield id, name, status and version of the workspace's flows, newest first."""
    sql = "SELECT id, name, status, version FROM workflows WHERE workspace_id = ? ORDER BY id DESC LIMIT ?"
    yield from execute(sql, (workspace_id, most))


def versions_of(
    flow: Workflow, limit: int, before: str | None, brief: bool = False
) -> tuple[list[WorkflowVersion], str | None]:
    """Return a page of its versions, newest first, with `created_by_name`, and the number for the next page.

    `brief`: without definitions. Otherwise the page may end early because of its size.
    """
    number = 2**31 if before is None else int(before if before.isdecimal() else 0)
    where = "workflow_id = ? AND version < ? ORDER BY version DESC LIMIT ?"
    without = ("definition_json",) if brief else ()
    rows: list[WorkflowVersion] = []
    room, more = MAX_CHARACTERS, False
    for row in WorkflowVersion.each(where, (flow.id, number, limit + 1), without):
        room -= len(row.definition_json or "")
        more = len(rows) == limit or (room < 0 and rows != [])
        if more:
            break
        rows.append(row)
    set_authors(rows)
    return rows, str(rows[-1].version) if more else None


def folder_of(flow: Workflow) -> str | None:
    """Return the path of its folder, or None. Reads the database."""
    return labels_of((str(flow.id),))[str(flow.id)].folder


def tags_of(flow: Workflow) -> tuple[str, ...]:
    """Return its tags. Reads the database."""
    return labels_of((str(flow.id),))[str(flow.id)].tags


class Startable(Fired):
    """A flow to run, without its definition, so that it can be cached (see database/shared.py)."""

    __slots__ = ()

    @classmethod
    def find(cls, id_: str) -> Self | None:
        """Return the flow with this id, or None."""

        def read() -> Self | None:
            found = execute(f"SELECT {', '.join(cls._fields)} FROM workflows WHERE id = ?", (id_,)).fetchone()
            return None if found is None else cls(*found)

        return cast("Self | None", _startable.get(id_, read))

    @property
    def definition_json(self) -> str:
        try:
            return super().definition_json
        except NotFound:
            raise NotFound(f"There is no flow {self.id!r}") from None


_startable: QueryCache[str, Startable | None] = QueryCache(settings_commits)


def set_authors(rows: Sequence[WorkflowVersion]) -> None:
    """Set the author of each of these versions: the user's name if the user exists, else the address."""
    names = names_of_users([row.created_by for row in rows])
    for row in rows:
        row.created_by_name = names.get(row.created_by or "")


def describe_version(workflow_id: str, version: int, **values: str | None) -> None:
    """Set `name` or `note` of a version; its definition never changes. Call inside a transaction."""
    names = ", ".join(f"{name} = ?" for name in values)
    sql = f"UPDATE workflow_versions SET {names} WHERE workflow_id = ? AND version = ?"
    execute(sql, (*values.values(), workflow_id, version))


def version_texts(workflow_id: str, first: int, last: int, most: int) -> dict[int, str]:
    """Return the newest of these definitions by number, at most `most` characters in total."""
    sql = (
        "SELECT version, definition_json FROM workflow_versions "
        "WHERE workflow_id = ? AND version BETWEEN ? AND ? ORDER BY version DESC"
    )
    found: dict[int, str] = {}
    size = 0
    for version, text in execute(sql, (workflow_id, first, last)):
        size += len(text)
        if size > most:
            break
        found[version] = text
    return found


# Workflow lists: pages in any order, and the last runs and next due times of flows.

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
    order, folders = ORDERS[sort], filters.folders
    in_folders: tuple[str, Any] = (f"EXISTS ({FOLDER} AND f.path {IN_LIST})", folders and encode_list(folders))
    if folders is not None and not folders:
        in_folders = (f"CASE WHEN EXISTS ({FOLDER}) THEN 1 ELSE 0 END = ?", 0)
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
            in_folders,
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


def current_versions(workspace_id: str) -> list[tuple[str, int]]:
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
