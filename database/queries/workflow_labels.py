"""Labels of workflows: their folders and tags, and the favourites of each user.

They are not part of a flow's versions, and changing them does not change its `updated_at`. A folder is a path, such as
`Billing/Invoices`. It has no row of its own: it exists as long as it contains a flow.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from database import execute, execute_all, fetch_value, write
from database.base import IN_LIST, encode_list, insert_all
from database.queries.audit import NewAuditEntry, differences
from database.queries.locks import lock_names
from errors import Conflict, NotFound
from models import Workflow

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
    _check_folder_count(workspace_id)


def _check_folder_count(workspace_id: str) -> None:
    sql = "SELECT COUNT(DISTINCT path) FROM workflow_folders WHERE workspace_id = ?"
    if fetch_value(sql, (workspace_id,)) > MAX_FOLDERS:
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
