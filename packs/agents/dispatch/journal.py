"""Journal of an agent in a node of a run, written as the agent works, from which it resumes."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import orjson

from database.base import new_id, now_ms
from database.queries import agent_runs
from dispatch.lease import ProcessLease
from dispatch.run_record import AnyRecord, RunTaken
from models import AgentRun, AgentStep
from packs.agents.runtime.journal import AgentUsage, Entry, sum_usage

NO_ITEM = -1  # item index of an agent that does not work on an item of a list
MAX_INPUT = 50_000  # characters of JSON, for display only
COLUMNS = tuple(field.name for field in dataclasses.fields(Entry))  # of agent_steps, after the id of the agent run


class AgentRunJournal:
    """An `agent.journal.Journal` in the database, for one agent run. Entry 0 is the start of the run.

    Writes take effect only while this process executes the run; otherwise `begin`, `keep_start` and `write` raise
    RunTaken.
    """

    def __init__(self, record: AnyRecord, lease: ProcessLease, node_id: str, index: int | None) -> None:
        self.record, self.run, self.lease = record, record.run, lease
        self.node_id, self.item_index = node_id, NO_ITEM if index is None else index
        row = agent_runs.of(self.run.id, node_id, self.item_index)
        self.id = new_id(AgentRun.prefix) if row is None else str(row.id)
        found = [] if row is None else [_entry(step) for step in agent_runs.steps_of([self.id])[self.id]]
        self.start: Any = found[0].request if found else None
        self.entries: Sequence[Entry] = found[1:]
        self._now = {entry.seq: entry for entry in self.entries}
        self._since = now_ms() if row is None else row.created_at

    def begin(self, agent_id: str, task: str, input: Any, session: str, model: str) -> None:
        """Record that the agent starts or resumes."""
        self._write(
            agent_runs.begun(
                self.run, self.id, agent_id=agent_id, node_id=self.node_id, item_index=self.item_index, task=task,
                input=_beginning(_json(input)), session=session, model=model,
            )
        )  # fmt: skip

    def keep_start(self, start: Any) -> None:
        """Record the agent's start as JSON, before it does anything."""
        self.start = start
        entry = Entry(0, "start", start["agent"]["id"], "success", start, finished_at=now_ms(), duration_ms=0.0)
        self._write(self._saved(entry))

    def write(self, entry: Entry) -> None:
        self._now[entry.seq] = entry
        self._write(self._saved(entry))

    def note(self, entry: Entry) -> None:
        self._now[entry.seq] = entry
        self.record.add(self._saved(entry))

    def usage(self) -> AgentUsage:
        """Return the usage so far."""
        return sum_usage(list(self._now.values()))

    def calls(self) -> list[Entry]:
        """Return the tool calls so far in order, without refused ones."""
        return [entry for _, entry in sorted(self._now.items()) if entry.kind == "tool" and entry.status != "refused"]

    def end(self, status: str, output: Any = None, error_text: str | None = None) -> None:
        """Record the end of the agent run, or its wait, together with the next recorded step."""
        values = {**self.usage()._asdict(), "output": _json(output), "error_text": error_text}
        if status != "waiting":
            now = now_ms()
            values |= {"finished_at": now, "duration_ms": float(max(0, now - self._since))}
        self.record.add(agent_runs.ended(self.run, self.id, status, **values))

    def _saved(self, entry: Entry) -> Any:
        values = {name: getattr(entry, name) for name in COLUMNS}
        values |= {"request": _json(entry.request), "result": _json(entry.result)}
        return agent_runs.save_step((self.id, *values.values()), self.run)

    def _write(self, *writes: Any) -> None:
        counts = self.record.flush(*writes).result()
        if not all(counts[-len(writes) :]):
            raise RunTaken
        self.lease.check(self.run)


def _beginning(written: str | None) -> str | None:
    """Return the JSON text, or only its start if it is long: the whole text is the input of the run or of the node."""
    if written is None or len(written) <= MAX_INPUT:
        return written
    return _json({"$cut": {"bytes": len(written.encode()), "start": written[:MAX_INPUT]}})


def _json(value: Any) -> str | None:
    return None if value is None else orjson.dumps(value).decode()


def _entry(row: AgentStep) -> Entry:
    request, result = (None if text is None else orjson.loads(text) for text in (row.request, row.result))
    return Entry(**{name: getattr(row, name) for name in COLUMNS} | {"request": request, "result": result})
