"""Runs, their steps and logs, the keys that keep a run from being started twice, and the processes that run them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Self

from peewee import SQL, BooleanField, CompositeKey, FloatField, IntegerField, ModelSelect, TextField

from database import execute, write
from tables.base import DAY_MS, Base, Write, first_id, insert, made_at, new_id, now_ms
from tables.flows import Workflow
from tables.metrics import RunDay

RUN_STATUSES = ("pending", "running", "success", "failed")
PAGE_BYTES = 8 * 2**20
# Statuses stand in the text of these questions, not as parameters: only so does SQLite use the indexes made for them.
NO_LEASE = "NOT EXISTS (SELECT 1 FROM leases WHERE name = {0}.lease_owner AND until > ?)"


class Run(Base):
    """One execution of a flow.

    `lease_owner` is the process that executes it, `claims` how often one began to; `cancelled` marks a failed run that
    was stopped, `recorded` one that something else executes. An input or output of `…_bytes` is too large for the row
    and lies in a file (see payloads.py).
    """

    prefix = "run"
    id = TextField(primary_key=True)
    workspace_id = TextField()
    workflow_id = TextField()
    workflow_name = TextField()
    workflow_version = IntegerField(null=True)
    status = TextField()
    triggered_by = TextField()
    trigger_node = TextField(null=True)
    input = TextField(null=True)
    input_bytes = IntegerField(null=True)
    output = TextField(null=True)
    output_bytes = IntegerField(null=True)
    error_text = TextField(null=True)
    error_node_id = TextField(null=True)
    cancelled = BooleanField(default=False)
    recorded = BooleanField(default=False)
    waiting = TextField(null=True)
    created_at = IntegerField()
    started_at = IntegerField(null=True)
    finished_at = IntegerField(null=True)
    duration_ms = FloatField(null=True)
    lease_owner = TextField(null=True)
    claims = IntegerField(default=0)

    class Meta:
        table_name = "runs"

    @classmethod
    def accept(cls, flow: Workflow, **values: Any) -> tuple[Run, Write]:
        """A new run of this flow, pending unless `values` say otherwise, and the write that makes it."""
        # `since` and `until` go by the id, so the time that is shown is the id's.
        id_ = values.pop("id", None) or new_id("run")
        row = {
            "id": id_, "workspace_id": flow.workspace_id,
            "workflow_id": flow.id, "workflow_name": flow.name,
            "workflow_version": flow.version, "status": "pending", "cancelled": False, "recorded": False, "claims": 0,
            "created_at": made_at(id_), **values,
        }  # fmt: skip
        return cls(**row), insert("runs", row)

    @classmethod
    def record(cls, flow: Workflow, **values: Any) -> Run:
        """A run that something else executed; it counts like any other."""
        run, made = cls.accept(flow, recorded=True, **values)
        with write():
            execute(*made)
            if run.status in ("success", "failed"):
                execute(*RunDay.count(run, run.finished_at or run.created_at, run.status, run.duration_ms or 0.0))
        return run

    @classmethod
    def select_where(cls, workspace_id: str, **filters: Any) -> ModelSelect:
        """The workspace's runs; filters: `status`, `workflow_id`, `triggered_by`, `since` and `until` (accepted at)."""
        query = cls.select().where(cls.workspace_id == workspace_id)
        for name in ("status", "workflow_id", "triggered_by"):
            if filters.get(name) is not None:
                query = query.where(getattr(cls, name) == filters[name])
        if filters.get("since") is not None:
            query = query.where(cls.id >= first_id("run", filters["since"]))
        if filters.get("until") is not None:
            query = query.where(cls.id < first_id("run", filters["until"] + 1))
        return query

    @classmethod
    def abandoned(cls) -> list[Run]:
        """Runs that claim to be running in a process which is no longer alive."""
        dead = SQL(f"t1.status = 'running' AND t1.lease_owner IS NOT NULL AND {NO_LEASE.format('t1')}", (now_ms(),))
        return list(cls.select().where(dead).order_by(cls.id))

    @classmethod
    def take_from_the_dead(cls, id_: str) -> Write:
        """Make a run pending again, provided that the process which executed it is still not alive."""
        sql = (
            f"UPDATE runs SET status = 'pending', lease_owner = NULL WHERE id = ? AND status = 'running' AND {NO_LEASE}"
        )
        return Write(sql.format("runs"), (id_, now_ms()))

    @classmethod
    def release(cls, id_: str, owner: str, unharmed: bool = False) -> Write:
        """Hand a run of `owner` back as pending, for any process to resume.

        `unharmed` takes the claim back too: the process ends in good order and the run did nothing to it.
        """
        sql = (
            "UPDATE runs SET status = 'pending', lease_owner = NULL, claims = claims - ? "
            "WHERE id = ? AND status = 'running' AND lease_owner = ?"
        )
        return Write(sql, (int(unharmed), id_, owner))

    @classmethod
    def still_running(cls, ids: Iterable[str], owner: str) -> set[str]:
        """Those of the runs that `owner` is still meant to execute: the others were cancelled or taken from it."""
        mine = (cls.status == "running") & (cls.lease_owner == owner)
        return {row.id for row in cls.select(cls.id).where(mine & cls.id.in_(list(ids)))}

    @classmethod
    def waiting_for_a_claim(cls, limit: int) -> list[str]:
        """Ids of pending runs that are to be executed; what something else executes is not ours.

        Oldest first, but last those that were begun twice: they may be why processes died.
        """
        ours = SQL("t1.status = 'pending' AND t1.waiting IS NULL AND t1.recorded = 0")
        return [row.id for row in cls.select(cls.id).where(ours).order_by(cls.claims > 1, cls.id).limit(limit)]

    def remove(self) -> None:
        """Delete the run with its steps and log."""
        with write():
            for table in ("steps", "log_entries"):
                execute(f"DELETE FROM {table} WHERE run_id = ?", (self.id,))
            execute("DELETE FROM idempotency_keys WHERE run_id = ?", (self.id,))
            self.delete_instance()

    @classmethod
    def claim(cls, id_: str, owner: str) -> Write:
        """Become the one that executes a pending run: the row count says whether it worked."""
        sql = (
            "UPDATE runs SET status = 'running', lease_owner = ?, claims = claims + 1, "
            "started_at = COALESCE(started_at, ?) WHERE id = ? AND status = 'pending'"
        )
        return Write(sql, (owner, now_ms(), id_))

    def finish(self, owner: str, status: str, **values: Any) -> list[Write]:
        """Writes that end a run which `owner` executes, and count it; the object is changed at once.

        The last one's row count is 0 where the run was cancelled or taken meanwhile: then the row stays as it is.
        """
        return self._end("status = 'running' AND lease_owner = ?", (owner,), status, **values)

    def cancel(self, reason: str) -> bool:
        """End a pending or running run as cancelled, at once; whoever executes it notices. False if it had ended."""
        writes = self._end("status IN ('pending', 'running')", (), "failed", error_text=reason, cancelled=True)
        with write():
            counts = [execute(*item).rowcount for item in writes]
        return bool(counts[-1])

    def _end(self, where: str, params: tuple[Any, ...], status: str, **values: Any) -> list[Write]:
        now = now_ms()
        duration = values.pop("duration_ms", None)
        if duration is None:
            duration = float(max(0, now - (self.started_at or now)))
        row: dict[str, Any] = {
            "status": status, "finished_at": now, "duration_ms": duration, "lease_owner": None, "waiting": None,
            **values,
        }  # fmt: skip
        columns = ", ".join(f"{key} = ?" for key in row)
        # The count comes first: it sees the row as it was, and counts only where the second statement will change it.
        counted = RunDay.count(self, now, status, duration, where, params)
        for name, value in row.items():
            setattr(self, name, value)
        ended = Write(f"UPDATE runs SET {columns} WHERE id = ? AND {where}", (*row.values(), self.id, *params))
        return [counted, ended]


STEP_COLUMNS = (
    "run_id", "seq", "node_id", "node_type", "node_name", "status", "attempt", "item_index", "inputs", "item", "output",
    "output_bytes", "same_as", "branch", "error_text", "started_at", "finished_at", "duration_ms", "final",
)  # fmt: skip
# A process that was asleep may still execute what another has taken from it. `claims` tells the two apart: only who
# claimed the run last writes its steps, and a node with effects starts only while the run goes on.
INSERT_STEP = (
    f"INSERT INTO steps ({', '.join(STEP_COLUMNS)}) SELECT {', '.join('?' * len(STEP_COLUMNS))} "
    "WHERE EXISTS (SELECT 1 FROM runs WHERE id = ? AND claims = ?"
)
REPLACE_STEP = ") ON CONFLICT (run_id, seq) DO UPDATE SET " + ", ".join(
    f"{name} = excluded.{name}" for name in STEP_COLUMNS if name not in ("run_id", "seq")
)
SAVE_STEP = INSERT_STEP + REPLACE_STEP
BEGIN_STEP = INSERT_STEP + " AND status = 'running'" + REPLACE_STEP


class Step(Base):
    """What happened to one node, once (see engine.Step): `seq` orders the steps of a run.

    `inputs` is a JSON list of the nodes whose outputs made the input; null for the run's own input. `same_as` names the
    node whose output this one passed on. `final` marks the failure that ends the run.
    """

    run_id = TextField()
    seq = IntegerField()
    node_id = TextField()
    node_type = TextField()
    node_name = TextField()
    status = TextField()
    attempt = IntegerField()
    item_index = IntegerField(null=True)
    inputs = TextField(null=True)
    item = TextField(null=True)
    output = TextField(null=True)
    output_bytes = IntegerField(null=True)
    same_as = TextField(null=True)
    branch = TextField(null=True)
    error_text = TextField(null=True)
    started_at = IntegerField()
    finished_at = IntegerField(null=True)
    duration_ms = FloatField(null=True)
    final = BooleanField(default=False)

    class Meta:
        table_name = "steps"
        primary_key = CompositeKey("run_id", "seq")

    @property
    def id(self) -> str:
        """`step_`, the run's ULID and the step's number."""
        return f"step_{self.run_id.removeprefix('run_')}_{self.seq:06d}"

    @classmethod
    def save_one(cls, values: Sequence[Any], claims: int) -> Write:
        """Insert a step, or replace the one of its number; values in the order of STEP_COLUMNS.

        Nothing is written for a run that was claimed again since.
        """
        return Write(SAVE_STEP, (*values, values[0], claims))

    @classmethod
    def begin_one(cls, values: Sequence[Any], claims: int) -> Write:
        """Insert a step that is about to run; the row count is 0 where it may not, since the run ended or was taken."""
        return Write(BEGIN_STEP, (*values, values[0], claims))

    @classmethod
    def of(cls, run_id: str, limit: int, after: int = -1) -> tuple[list[Step], int | None]:
        """The run's steps in their order, after number `after`, and the number to go on from, None at the end.

        A page ends at `limit` rows or at PAGE_BYTES of output, whichever comes first.
        """
        query = cls.select().where((cls.run_id == run_id) & (cls.seq > after)).order_by(cls.seq).limit(limit + 1)
        rows: list[Step] = []
        size = 0
        for row in query.iterator():
            if len(rows) == limit or (size > PAGE_BYTES and rows):
                return rows, rows[-1].seq
            size += len(row.output or "") + len(row.item or "")
            rows.append(row)
        return rows, None

    @classmethod
    def outputs(cls, run_id: str, node_ids: Iterable[str]) -> dict[str, Step]:
        """The steps in which these nodes settled, with those whose output they passed on."""
        found: dict[str, Step] = {}
        wanted = set(node_ids)
        while wanted:
            settled = cls.run_id == run_id, cls.item_index.is_null(), cls._has_output() | cls.same_as.is_null(False)
            rows = cls.select().where(*settled, cls.node_id.in_(sorted(wanted)))
            found |= {row.node_id: row for row in rows}
            wanted = {row.same_as for row in found.values() if row.same_as} - found.keys()
        return found

    @classmethod
    def _has_output(cls) -> Any:
        return cls.output.is_null(False) | cls.output_bytes.is_null(False)

    @classmethod
    def unsettled(cls, run_id: str) -> list[Step]:
        """The steps that a crash left running, and the failure that was to end the run."""
        return list(cls.select().where((cls.run_id == run_id) & ((cls.status == "running") | cls.final)))

    @classmethod
    def settled(cls, run_id: str) -> list[Step]:
        """The steps that need not be done again: successes, skips and failures that the flow went on from."""
        done = (cls.status.in_(["success", "skipped"])) | ((cls.status == "failed") & cls._has_output())
        return list(cls.select().where((cls.run_id == run_id) & done).order_by(cls.seq))

    @classmethod
    def close_the_running(cls, run_id: str, claims: int) -> Write:
        """Close the steps that a crash left running, unless the run was claimed again since."""
        sql = (
            "UPDATE steps SET status = 'failed', error_text = 'interrupted: the server stopped while this step ran', "
            "finished_at = ? WHERE run_id = ? AND status = 'running' "
            "AND EXISTS (SELECT 1 FROM runs WHERE id = ? AND claims = ?)"
        )
        return Write(sql, (now_ms(), run_id, run_id, claims))

    @classmethod
    def interrupt(cls, run_id: str, claims: int) -> int:
        """Close the steps that a crash left running, before they are done again; the run's next free number."""
        with write():
            execute(*cls.close_the_running(run_id, claims))
        last = execute("SELECT MAX(seq) FROM steps WHERE run_id = ?", (run_id,)).fetchone()[0]
        return 0 if last is None else int(last) + 1


class LogEntry(Base):
    prefix = "log"
    id = TextField(primary_key=True)
    workspace_id = TextField()
    run_id = TextField(null=True)
    node_id = TextField(null=True)
    level = TextField()
    message = TextField()
    data = TextField(null=True)
    created_at = IntegerField()

    class Meta:
        table_name = "log_entries"

    @classmethod
    def entry(
        cls, workspace_id: str, run_id: str, node_id: str | None, level: str, message: str, data: str | None
    ) -> Write:
        """The write of a run's log entry."""
        row = {
            "id": new_id("log"), "workspace_id": workspace_id, "run_id": run_id, "node_id": node_id, "level": level,
            "message": message, "data": data, "created_at": now_ms(),
        }  # fmt: skip
        return insert("log_entries", row)

    @classmethod
    def select_where(cls, workspace_id: str, run_id: str | None, level: str | None) -> ModelSelect:
        """The workspace's entries, or those of one run, of one level where given."""
        query = cls.select().where(cls.workspace_id == workspace_id if run_id is None else cls.run_id == run_id)
        return query if level is None else query.where(cls.level == level)

    @classmethod
    def of(cls, run_id: str, limit: int, after: str | None) -> tuple[list[Self], str | None]:
        """The run's entries, oldest first, after the id `after`, and the id to go on from."""
        query = cls.select().where(cls.run_id == run_id)
        if after is not None:
            query = query.where(cls.id > after)
        rows = list(query.order_by(cls.id).limit(limit + 1))
        return rows[:limit], rows[limit - 1].id if len(rows) > limit else None


class IdempotencyKey(Base):
    """A key under which a flow was started; for a day it stands for that run."""

    workflow_id = TextField()
    key = TextField()
    run_id = TextField(index=True)
    created_at = IntegerField()

    class Meta:
        table_name = "idempotency_keys"
        primary_key = CompositeKey("workflow_id", "key")

    @classmethod
    def take(cls, workflow_id: str, key: str, run_id: str) -> list[Write]:
        """Writes that bind the key to the run; the second violates the primary key while the key is bound."""
        now = now_ms()
        stale = "DELETE FROM idempotency_keys WHERE workflow_id = ? AND key = ? AND created_at < ?"
        row = {"workflow_id": workflow_id, "key": key, "run_id": run_id, "created_at": now}
        return [Write(stale, (workflow_id, key, now - DAY_MS)), insert("idempotency_keys", row)]

    @classmethod
    def run_of(cls, workflow_id: str, key: str) -> Run | None:
        """The run that was started under this key within a day."""
        row = cls.get_or_none(
            (cls.workflow_id == workflow_id) & (cls.key == key) & (cls.created_at >= now_ms() - DAY_MS)
        )
        return None if row is None else Run.find(row.run_id)

    @classmethod
    def prune(cls) -> int:
        """Delete those that stand for nothing any more."""
        with write():
            return int(cls.delete().where(cls.created_at < now_ms() - DAY_MS).execute())


class Lease(Base):
    """A process that is alive until `until`, unless it says so again; or who holds a named right until then."""

    name = TextField(primary_key=True)
    until = IntegerField()

    class Meta:
        table_name = "leases"

    @classmethod
    def beat(cls, name: str, for_ms: int) -> None:
        """Hold the lease for this long from now."""
        sql = "INSERT INTO leases (name, until) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET until = excluded.until"
        with write():
            execute(sql, (name, now_ms() + for_ms))

    @classmethod
    def drop(cls, name: str) -> None:
        """Give the lease up."""
        with write():
            cls.delete().where(cls.name == name).execute()

    @classmethod
    def prune(cls) -> None:
        """Delete leases that ran out a day ago."""
        with write():
            cls.delete().where(cls.until < now_ms() - DAY_MS).execute()
