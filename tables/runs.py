"""Runs, their steps and logs, the keys that keep a run from being started twice, and the processes that run them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import chain
from typing import Any, Self

import orjson
from peewee import SQL, BooleanField, CompositeKey, FloatField, IntegerField, TextField

from database import execute, write
from tables.base import DAY_MS, Base, Rows, Write, boot_id, first_id, insert, made_at, monotonic_ms, new_id, now_ms
from tables.flows import Workflow
from tables.metrics import RunDay
from tables.retention import clear

RUN_STATUSES = ("pending", "running", "success", "failed")
UNFINISHED = ("pending", "running")
TRIGGERS = ("manual", "schedule", "webhook")
PAGE_BYTES = 8 * 2**20
# Statuses stand in the text of these questions, not as parameters: only so does SQLite use the indexes made for them.
NO_LEASE = "NOT EXISTS (SELECT 1 FROM leases WHERE name = {0}.lease_owner AND owner = ? AND until > ?)"
# What a run waits for that may not start yet, since the flow has as many running as it allows at once.
QUEUED = "a free place (max_concurrent_runs)"
RUNNING = "(SELECT COUNT(*) FROM runs AS o WHERE o.workflow_id = {0} AND o.status = 'running' AND o.recorded = 0)"
BUSY = (
    "(SELECT COUNT(*) FROM runs WHERE workflow_id = ? AND status = 'running' AND recorded = 0) + "
    "(SELECT COUNT(*) FROM runs WHERE workflow_id = ? AND status = 'pending' AND recorded = 0 AND waiting IS NULL) + "
    f"(SELECT COUNT(*) FROM runs WHERE workflow_id = ? AND status = 'pending' AND waiting = '{QUEUED}')"
)
OLDER = (
    "(EXISTS (SELECT 1 FROM runs AS o WHERE o.workflow_id = runs.workflow_id AND o.status = 'pending' "
    "AND o.waiting IS NULL AND o.id < runs.id AND o.recorded = 0) "
    "OR EXISTS (SELECT 1 FROM runs AS o WHERE o.workflow_id = runs.workflow_id AND o.status = 'pending' "
    f"AND o.waiting = '{QUEUED}' AND o.id < runs.id))"
)
NEXT = (
    "UPDATE runs SET waiting = NULL WHERE id = (SELECT o.id FROM runs AS o WHERE o.workflow_id = ? "
    f"AND o.status = 'pending' AND o.waiting = '{QUEUED}' ORDER BY o.id LIMIT 1)"
)


def _arms(status: str | None, triggered_by: str | None) -> list[str]:
    """The conditions for the indexes of ended and of unfinished runs: for each status, and each trigger of ended ones.

    ValueError for a status or trigger that no run has: what stands in the conditions are words of ours.
    """
    statuses = RUN_STATUSES if status is None else [RUN_STATUSES[RUN_STATUSES.index(status)]]
    triggers = TRIGGERS if triggered_by is None else [TRIGGERS[TRIGGERS.index(triggered_by)]]
    arms = [f"status = '{name}'" for name in statuses if name in UNFINISHED]
    if triggered_by is not None:
        arms = [f"{arm} AND triggered_by = '{triggers[0]}'" for arm in arms]
    ended = [name for name in statuses if name not in UNFINISHED]
    return arms + [f"status = '{name}' AND triggered_by = '{trigger}'" for name in ended for trigger in triggers]


@cache
def _blank() -> dict[str, Any]:
    """All columns of a run that has nothing yet."""
    return {column.name: column.default for column in Run._meta.sorted_fields}


class Run(Base):
    """One execution of a flow.

    `lease_owner` is the process that executes it, `claims` how often one began to, `deaths` how often one died over
    it; `cancelled` marks a failed run that was stopped, `recorded` one that something else executes. A pending run with
    `waiting` is not to be claimed; the text says what it waits for. An input or output of `…_bytes` is too large for
    the row and lies in a file (see payloads.py). `parent_run_id` is the run that started this one, from its node
    `parent_node_id` where that waits for it; `depth` is how many such runs there are above it; `retry_of` is the run
    that this one repeats. `nodes_done` of `nodes_total` are settled.
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
    deaths = IntegerField(default=0)
    depth = IntegerField(default=0)
    parent_run_id = TextField(null=True)
    parent_node_id = TextField(null=True)
    retry_of = TextField(null=True)
    nodes_total = IntegerField(null=True)
    nodes_done = IntegerField(null=True)

    class Meta:
        table_name = "runs"

    @property
    def progress(self) -> dict[str, int] | None:
        """How many of its nodes are settled: `{done, total}`; None for a run that was executed elsewhere."""
        return None if self.nodes_total is None else {"done": self.nodes_done or 0, "total": self.nodes_total}

    @classmethod
    def accept(cls, flow: Any, **values: Any) -> Run:
        """A new run of this flow, pending unless `values` say otherwise; `insertion` makes its row."""
        # `since` and `until` go by the id, so the time that is shown is the id's.
        id_ = values.pop("id", None) or new_id("run")
        row = {
            **_blank(), "id": id_, "workspace_id": flow.workspace_id, "workflow_id": flow.id,
            "workflow_name": flow.name, "workflow_version": flow.version, "status": "pending",
            "created_at": made_at(id_), **values,
        }  # fmt: skip
        if row["status"] not in RUN_STATUSES or row["triggered_by"] not in TRIGGERS:
            # A list would not find it: see `select_where`.
            raise ValueError(f"no run can be {row['status']} and triggered by {row['triggered_by']}")
        return cls.fresh(row)

    def insertion(self) -> Write:
        """The write that makes its row."""
        return insert("runs", self.__data__)

    def insertion_unless_busy(self, limit: int) -> Write:
        """The write that makes its row unless that many runs of the flow are under way; its row count tells."""
        return self.insertion().provided(f"{BUSY} < ?", (*[self.workflow_id] * 3, limit))

    def while_it_runs(self, made: Write) -> Write:
        """The insertion, to be done only while this run is executed by who claimed it last."""
        still = "EXISTS (SELECT 1 FROM runs WHERE id = ? AND status = 'running' AND claims = ?)"
        return made.provided(still, (self.id, self.claims))

    @classmethod
    def record(cls, flow: Workflow, **values: Any) -> Run:
        """A run that something else executed; it counts like any other."""
        run = cls.accept(flow, recorded=True, **values)
        with write():
            execute(*run.insertion())
            if run.status in ("success", "failed"):
                execute(*RunDay.count(run, run.finished_at or run.created_at, run.status, run.duration_ms or 0.0))
        return run

    @classmethod
    def select_where(
        cls, workspace_id: str, *, status: str | None = None, workflow_id: str | None = None,
        triggered_by: str | None = None, since: int | None = None, until: int | None = None,
    ) -> Rows[Run]:  # fmt: skip
        """The workspace's runs; `since` and `until` go by when they were accepted, in milliseconds.

        ValueError for a status or trigger that no run has.
        """
        given: dict[str, Any] = {"workspace_id = ?": workspace_id}
        if workflow_id is not None:
            given["workflow_id = ?"] = workflow_id
        if since is not None:
            given["id >= ?"] = first_id("run", since)
        filtered = (workflow_id, status, triggered_by) != (None, None, None)
        arms = _arms(status, triggered_by) if filtered else []
        end = None if until is None else first_id("run", until + 1)
        return Rows(cls, " AND ".join(given), given.values(), arms, end)

    @classmethod
    def abandoned(cls) -> list[Run]:
        """Runs that claim to be running in a process which is no longer alive."""
        alive = (boot_id(), monotonic_ms())
        dead = SQL(f"t1.status = 'running' AND t1.lease_owner IS NOT NULL AND {NO_LEASE.format('t1')}", alive)
        return sorted(cls.select().where(dead), key=lambda run: str(run.id))

    @classmethod
    def take_from_the_dead(cls, id_: str) -> Write:
        """Make a run pending again, provided that the process which executed it is still not alive."""
        sql = (
            "UPDATE runs SET status = 'pending', lease_owner = NULL, deaths = deaths + 1 "
            f"WHERE id = ? AND status = 'running' AND {NO_LEASE}"
        )
        return Write(sql.format("runs"), (id_, boot_id(), monotonic_ms()))

    @classmethod
    def release(cls, id_: str, owner: str) -> Write:
        """Hand a run of `owner` back as pending, for any process to resume."""
        mine = "id = ? AND status = 'running' AND lease_owner = ?"
        return Write(f"UPDATE runs SET status = 'pending', lease_owner = NULL WHERE {mine}", (id_, owner))

    def tell_progress(self, done: int) -> Write:
        """The write that says how many nodes are settled."""
        sql = "UPDATE runs SET nodes_done = ?, nodes_total = ? WHERE id = ? AND claims = ?"
        return Write(sql, (done, self.nodes_total, self.id, self.claims))

    def suspend(self, owner: str, reason: str, waits: int, done: int) -> list[Write]:
        """Writes that make a run wait for `waits` nodes that have no answer yet; the next of its flow has its place.

        Where an answer has come meanwhile, the run is pending without waiting, for any process to go on with it.
        """
        sql = (
            "UPDATE runs SET status = 'pending', lease_owner = NULL, nodes_done = ?, nodes_total = ?, "
            "waiting = CASE WHEN (SELECT COUNT(*) FROM waits WHERE run_id = runs.id AND seq IS NOT NULL "
            "AND answered_at IS NULL) >= ? THEN ? END "
            "WHERE id = ? AND status = 'running' AND lease_owner = ? AND claims = ?"
        )
        suspended = Write(sql, (done, self.nodes_total, waits, reason, self.id, owner, self.claims))
        return [Write(NEXT, (self.workflow_id,)), suspended]

    @classmethod
    def still_running(cls, ids: Iterable[str], owner: str) -> set[str]:
        """Those of the runs that `owner` is still meant to execute: the others were cancelled or taken from it."""
        mine = (cls.status == "running") & (cls.lease_owner == owner)
        return {row.id for row in cls.select(cls.id).where(mine & cls.id.in_(list(ids)))}

    @classmethod
    def claimable(cls, limit: int) -> list[str]:
        """Ids of pending runs that are to be executed; what something else executes is not ours.

        Oldest first, but last those over which processes died.
        """
        ours = "status = 'pending' AND waiting IS NULL AND recorded = 0"
        sql = f"SELECT id FROM runs WHERE {ours} ORDER BY (deaths > 1), id LIMIT ?"
        return [id_ for (id_,) in execute(sql, (limit,)).fetchall()]

    @classmethod
    def backlog(cls, most: int) -> int:
        """How many runs wait for a thread or a place, not for an answer; counted up to `most`."""
        sql = (
            "SELECT COUNT(*) FROM (SELECT * FROM (SELECT 1 FROM runs "
            "WHERE status = 'pending' AND waiting IS NULL AND recorded = 0 LIMIT ?) UNION ALL SELECT * FROM ("
            f"SELECT 1 FROM runs WHERE status = 'pending' AND waiting = '{QUEUED}' LIMIT ?) LIMIT ?)"
        )
        return int(execute(sql, (most, most, most)).fetchone()[0])

    @classmethod
    def unqueue(cls) -> None:
        """Let the first of each queue try again, whose flow has none running: nobody else would."""
        sql = (
            "UPDATE runs SET waiting = NULL WHERE id IN (SELECT MIN(q.id) FROM runs AS q WHERE q.status = 'pending' "
            f"AND q.waiting = '{QUEUED}' GROUP BY q.workflow_id) AND {RUNNING.format('runs.workflow_id')} = 0"
        )
        with write():
            execute(sql)

    @classmethod
    def busy(cls, workflow_id: str) -> int:
        """How many runs of the flow are running or about to."""
        return int(execute(f"SELECT {BUSY}", (workflow_id,) * 3).fetchone()[0])

    def children(self) -> list[Run]:
        """The unfinished runs for whose output this one waits."""
        waited = (Run.parent_run_id == self.id) & Run.parent_node_id.is_null(False) & Run.finished_at.is_null()
        return list(Run.select().where(waited, Run.parent_run_id.is_null(False)))

    def remove(self) -> None:
        """Delete the run with its steps and log."""
        with write():
            self.delete_instance()
            clear([str(self.id)])

    @classmethod
    def claim(cls, id_: str, owner: str, limit: int = 0) -> list[Write]:
        """Writes to become the one that executes a pending run; the row count of the first says whether it worked.

        With a `limit`, no more runs of the flow than that are running at once, and the oldest come first: a run that
        has to stand back is queued.
        """
        sql = (
            "UPDATE runs SET status = 'running', lease_owner = ?, claims = claims + 1, "
            "started_at = COALESCE(started_at, ?) WHERE id = ? AND status = 'pending' AND waiting IS NULL"
        )
        params = (owner, now_ms(), id_)
        if not limit:
            return [Write(sql, params)]
        place = f"{RUNNING.format('runs.workflow_id')} < ?"
        queued = f"UPDATE runs SET waiting = '{QUEUED}' WHERE id = ? AND status = 'pending' AND waiting IS NULL"
        following = (
            "UPDATE runs SET waiting = NULL WHERE id = (SELECT o.id FROM runs AS o WHERE o.status = 'pending' "
            "AND o.workflow_id = (SELECT workflow_id FROM runs WHERE id = ?) "
            f"AND o.waiting = '{QUEUED}' ORDER BY o.id LIMIT 1) AND {place} AND NOT {OLDER}"
        )
        return [
            Write(f"{sql} AND {place} AND NOT {OLDER}", (*params, limit)),
            Write(queued, (id_,)),
            Write(following, (id_, limit)),
        ]

    def finish(self, owner: str, status: str, waits: bool = False, **values: Any) -> list[Write]:
        """Writes that end a run which `owner` executes, and count it; the object is changed at once.

        `waits` says that some of its steps may wait. The last one's row count is 0 where the run was cancelled or taken
        meanwhile: then all stays as it is.
        """
        where = "status = 'running' AND lease_owner = ? AND claims = ?"
        return self._end(where, (owner, self.claims), status, waits, **values)

    def counted(self) -> Write:
        """The write that counts a run which has ended and is written in the same transaction."""
        return RunDay.count(self, int(self.finished_at or 0), self.status, float(self.duration_ms or 0.0))

    def cancel(self, reason: str) -> bool:
        """End a pending or running run as cancelled, at once; whoever executes it notices. False if it had ended."""
        values = {"error_text": reason, "cancelled": True}
        writes = self._end("status IN ('pending', 'running')", (), "failed", waits=True, **values)
        with write():
            counts = [execute(*item).rowcount for item in writes]
        return bool(counts[-1])

    def _end(self, where: str, params: tuple[Any, ...], status: str, waits: bool, **values: Any) -> list[Write]:
        now = now_ms()
        duration = values.pop("duration_ms", None)
        if duration is None:
            duration = float(max(0, now - (self.started_at or now)))
        row: dict[str, Any] = {
            "status": status, "finished_at": now, "duration_ms": duration, "lease_owner": None, "waiting": None,
            **values,
        }  # fmt: skip
        columns = ", ".join(f"{key} = ?" for key in row)
        # What goes with the end comes first: it sees the row as it was, and happens only where the last statement does.
        writes = [RunDay.count(self, now, status, duration, where, params)]
        still = f"EXISTS (SELECT 1 FROM runs WHERE id = ? AND {where})"
        if waits:
            writes += self._close_waits(now, still, (self.id, *params))
        if self.parent_node_id is not None:
            writes += self._answer_parent(now, still, (self.id, *params))
        self.__data__.update(row)
        ended = Write(f"UPDATE runs SET {columns} WHERE id = ? AND {where}", (*row.values(), self.id, *params))
        return [*writes, Write(NEXT, (self.workflow_id,)), ended]

    def _close_waits(self, now: int, still: str, params: tuple[Any, ...]) -> list[Write]:
        """Writes that end the steps that wait, since nobody will ever answer them."""
        closed = (
            "UPDATE steps SET status = 'failed', error_text = 'the run ended while this step waited', finished_at = ? "
            f"WHERE run_id = ? AND status = 'waiting' AND {still}"
        )
        gone = f"DELETE FROM waits WHERE run_id = ? AND {still}"
        return [Write(closed, (now, self.id, *params)), Write(gone, (self.id, *params))]

    def _answer_parent(self, now: int, still: str, params: tuple[Any, ...]) -> list[Write]:
        """Writes that let the run go on which waits for this one. It reads the output here."""
        answered = (
            "UPDATE waits SET name = 'ended', answer = ?, answered_at = ? "
            f"WHERE run_id = ? AND node_id = ? AND answered_at IS NULL AND {still}"
        )
        go_on = f"UPDATE runs SET waiting = NULL WHERE id = ? AND status = 'pending' AND {still}"
        return [
            Write(answered, (f'"{self.id}"', now, self.parent_run_id, self.parent_node_id, *params)),
            Write(go_on, (self.parent_run_id, *params)),
        ]


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
OF_NODES = "node_id IN (SELECT value FROM json_each(?))"
SAVE_STEP = INSERT_STEP + REPLACE_STEP
BEGIN_STEP = INSERT_STEP + " AND status = 'running'" + REPLACE_STEP


STEPS_AT_ONCE = 20


@cache
def _inserting(count: int) -> str:
    row = f"({', '.join('?' * len(STEP_COLUMNS))})"
    return f"INSERT INTO steps ({', '.join(STEP_COLUMNS)}) VALUES {', '.join([row] * count)}"


def _json_list(names: Sequence[str]) -> str:
    return orjson.dumps(list(names)).decode()


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

    @property
    def has_output(self) -> bool:
        """Whether it gave something itself, in the row or in a file."""
        return self.output is not None or self.output_bytes is not None

    @classmethod
    def insertions(cls, rows: Sequence[Sequence[Any]]) -> list[Write]:
        """Writes that insert the steps of a new run; values in the order of STEP_COLUMNS."""
        pages = [rows[at : at + STEPS_AT_ONCE] for at in range(0, len(rows), STEPS_AT_ONCE)]
        return [Write(_inserting(len(page)), tuple(chain.from_iterable(page))) for page in pages]

    @classmethod
    def save_one(cls, values: Sequence[Any], claims: int) -> Write:
        """Insert a step, or replace the one of its number; values in the order of STEP_COLUMNS.

        Nothing is written for a run that was claimed again since.
        """
        return Write(SAVE_STEP, (*values, values[0], claims))

    @classmethod
    def begin_one(cls, values: Sequence[Any], claims: int) -> Write:
        """Insert a step that is about to run or to wait; the row count is 0 where the run ended or was taken."""
        return Write(BEGIN_STEP, (*values, values[0], claims))

    @classmethod
    def of(cls, run_id: str, limit: int, after: int = -1) -> tuple[list[Step], int | None]:
        """The run's steps in their order, after number `after`, and the number to go on from, None at the end.

        A page ends at `limit` rows or at PAGE_BYTES of output, whichever comes first.
        """
        rows: list[Step] = []
        size = 0
        for row in cls.each("run_id = ? AND seq > ? ORDER BY seq LIMIT ?", (run_id, after, limit + 1)):
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
        settled = (
            "run_id = ? AND item_index IS NULL AND node_id IN ({}) "
            "AND (output IS NOT NULL OR output_bytes IS NOT NULL OR same_as IS NOT NULL)"
        )
        while wanted:
            rows = cls.each(settled.format(", ".join("?" * len(wanted))), (run_id, *sorted(wanted)))
            found |= {row.node_id: row for row in rows}
            wanted = {row.same_as for row in found.values() if row.same_as} - found.keys()
        return found

    @classmethod
    def successes(cls, run_id: str, types: Iterable[str]) -> list[Step]:
        """The steps of these node types, as a whole, that gave something themselves."""
        mine = (cls.run_id == run_id) & cls.node_type.in_(list(types)) & (cls.status == "success")
        return list(cls.select().where(mine, cls.item_index.is_null(), cls._has_output()).order_by(cls.seq))

    @classmethod
    def _has_output(cls) -> Any:
        return cls.output.is_null(False) | cls.output_bytes.is_null(False)

    @classmethod
    def files(cls, run_id: str, node_ids: Sequence[str]) -> list[str]:
        """The names of the files in which outputs of these nodes lie."""
        sql = f"SELECT seq FROM steps WHERE run_id = ? AND output_bytes IS NOT NULL AND {OF_NODES}"
        return [f"step_{seq}" for (seq,) in execute(sql, (run_id, _json_list(node_ids))).fetchall()]

    @classmethod
    def keep(cls, run_id: str, for_id: str, node_ids: Sequence[str]) -> None:
        """Copy what is completed of these nodes from one run to another."""
        columns = ", ".join(STEP_COLUMNS[1:])
        sql = (
            f"INSERT INTO steps (run_id, {columns}) SELECT ?, {columns} FROM steps WHERE run_id = ? AND {OF_NODES} "
            "AND (status IN ('success', 'skipped') OR (status = 'failed' AND final = 0 "
            "AND (output IS NOT NULL OR output_bytes IS NOT NULL)))"
        )
        execute(sql, (for_id, run_id, _json_list(node_ids)))

    @classmethod
    def waiting(cls, run_id: str) -> list[Step]:
        """The steps at which the run waits."""
        return list(cls.select().where((cls.run_id == run_id) & (cls.status == "waiting")))

    @classmethod
    def close_the_running(cls, run_id: str, claims: int) -> Write:
        """Close the steps that a crash left running, unless the run was claimed again since."""
        sql = (
            "UPDATE steps SET status = 'failed', error_text = 'interrupted: the server stopped while this step ran', "
            "finished_at = ? WHERE run_id = ? AND status = 'running' "
            "AND EXISTS (SELECT 1 FROM runs WHERE id = ? AND claims = ?)"
        )
        return Write(sql, (now_ms(), run_id, run_id, claims))


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
        cls, workspace_id: str, run_id: str | None, node_id: str | None, level: str, message: str, data: str | None
    ) -> Write:
        """The write of a log entry, of a run or of the workspace."""
        row = {
            "id": new_id("log"), "workspace_id": workspace_id, "run_id": run_id, "node_id": node_id, "level": level,
            "message": message, "data": data, "created_at": now_ms(),
        }  # fmt: skip
        return insert("log_entries", row)

    @classmethod
    def select_where(cls, workspace_id: str, run_id: str | None, level: str | None) -> Rows[LogEntry]:
        """The workspace's entries, or those of one run, of one level where given."""
        where, of = ("workspace_id = ?", workspace_id) if run_id is None else ("run_id = ?", run_id)
        return Rows(cls, where, (of,)) if level is None else Rows(cls, f"{where} AND level = ?", (of, level))

    @classmethod
    def of(cls, run_id: str, limit: int, after: str | None) -> tuple[list[Self], str | None]:
        """The run's entries, oldest first, after the id `after`, and the id to go on from."""
        rows = list(cls.each("run_id = ? AND id > ? ORDER BY id LIMIT ?", (run_id, after or "", limit + 1)))
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
        """Writes that bind the key to the run, if that has a row; the second violates the primary key while the key is
        bound.
        """
        now = now_ms()
        stale = "DELETE FROM idempotency_keys WHERE workflow_id = ? AND key = ? AND created_at < ?"
        row = {"workflow_id": workflow_id, "key": key, "run_id": run_id, "created_at": now}
        bound = insert("idempotency_keys", row).provided("EXISTS (SELECT 1 FROM runs WHERE id = ?)", (run_id,))
        return [Write(stale, (workflow_id, key, now - DAY_MS)), bound]

    @classmethod
    def run_of(cls, workflow_id: str, key: str) -> Run | None:
        """The run that was started under this key within a day."""
        row = cls.one("workflow_id = ? AND key = ? AND created_at >= ?", workflow_id, key, now_ms() - DAY_MS)
        return None if row is None else Run.find(row.run_id)

    @classmethod
    def prune(cls) -> int:
        """Delete those that stand for nothing any more."""
        with write():
            return int(cls.delete().where(cls.created_at < now_ms() - DAY_MS).execute())


class Lease(Base):
    """A process that is alive until `until`, unless it says so again; or a right that `owner` holds until then.

    A process says so on a clock that nobody sets, since a clock that jumps must kill nobody: `until` is in milliseconds
    since the machine started, and `owner` says which start that was. A right is held on the clock on the wall.
    """

    name = TextField(primary_key=True)
    until = IntegerField()
    owner = TextField(null=True)

    class Meta:
        table_name = "leases"

    @classmethod
    def beat(cls, name: str, for_ms: int) -> None:
        """Be alive for this long from now."""
        sql = (
            "INSERT INTO leases (name, until, owner) VALUES (?, ?, ?) "
            "ON CONFLICT (name) DO UPDATE SET until = excluded.until"
        )
        with write():
            execute(sql, (name, monotonic_ms() + for_ms, boot_id()))

    @classmethod
    def end(cls, name: str) -> None:
        """Be alive no more."""
        cls.drop(name, boot_id())

    @classmethod
    def lead(cls, name: str, owner: str, for_ms: int, wall: Callable[[], int]) -> bool:
        """Hold the right for this long from now; False while somebody else does.

        The clock is looked at after the row: from an older time, a lease that was just renewed would seem too long.
        """
        # Whoever has to wait looks only, and disturbs no writer. Nobody holds it for longer than `for_ms`: such a row
        # was written while the clock was ahead.
        row = execute("SELECT owner, until FROM leases WHERE name = ?", (name,)).fetchone()
        now = wall()
        if row is not None and row[0] != owner and now < row[1] <= now + for_ms:
            return False
        sql = (
            "INSERT INTO leases (name, until, owner) VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET "
            "until = excluded.until, owner = excluded.owner "
            "WHERE owner = excluded.owner OR until <= ? OR until > excluded.until"
        )
        with write():
            now = wall()
            return bool(execute(sql, (name, now + for_ms, owner, now)).rowcount)

    @classmethod
    def drop(cls, name: str, owner: str) -> None:
        """Give the right up, if `owner` still holds it."""
        with write():
            execute("DELETE FROM leases WHERE name = ? AND owner = ?", (name, owner))

    @classmethod
    def prune(cls) -> None:
        """Delete those of processes that ended a day ago, or before the machine started."""
        old = "name LIKE 'proc%' AND (owner IS NOT ? OR until < ?)"
        with write():
            execute(f"DELETE FROM leases WHERE {old}", (boot_id(), monotonic_ms() - DAY_MS))
