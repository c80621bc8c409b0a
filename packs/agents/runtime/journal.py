"""Journal of an agent's run, from which it resumes after a crash or a wait without doing anything twice.

A resumed agent starts again from the beginning, but recorded steps are read from the journal instead of executed: both
the model's answers and the results of tools. Everything else depends on these alone, so it reaches the same state.
(Temporal, DBOS and the durable agents of Pydantic AI work the same way.)
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

ENDED = ("success", "failed", "refused")


class JournalMismatch(Exception):
    """The journal belongs to a different sequence of steps than the run takes now."""


def now_ms() -> int:
    """Return the time in milliseconds since 1970, UTC."""
    return time.time_ns() // 1_000_000


@dataclass(slots=True)
class Entry:
    """One step of an agent, of the `kind` start, model or tool.

    `status` is new, running, success, failed, refused, asking or waiting. A tool call is `asking` while it waits for
    approval, `waiting` while it waits for another run, and `refused` if its arguments were invalid, so it was not made.
    A `running` step with a duration was interrupted before. `request` and `result` are JSON: a tool's arguments and the
    result for the model, or `{"messages"}` and the model's answer. Times are in milliseconds, `cost` in US dollars.
    """

    seq: int
    kind: str
    name: str
    status: str
    request: Any = None
    result: Any = None
    error_text: str | None = None
    prompt_chars: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost: float | None = None
    started_at: int = field(default_factory=now_ms)
    finished_at: int | None = None
    duration_ms: float | None = None


class AgentUsage(NamedTuple):
    """Resources used by a run; `cost` is in US dollars, None if the price of the model is unknown."""

    requests: int = 0
    tool_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = 0.0


def sum_usage(entries: Sequence[Entry]) -> AgentUsage:
    """Return the known usage of these entries."""
    asked = [entry for entry in entries if entry.kind == "model" and entry.status == "success"]
    called = sum(entry.kind == "tool" and entry.status != "refused" for entry in entries)
    prices = [entry.cost for entry in asked]
    return AgentUsage(
        len(asked),
        called,
        sum(entry.input_tokens or 0 for entry in asked),
        sum(entry.output_tokens or 0 for entry in asked),
        None if None in prices else sum(price or 0.0 for price in prices),
    )


class Journal(Protocol):
    """Storage of entries. Its exceptions pass through, for example if the run now belongs to another process."""

    entries: Sequence[Entry]

    def write(self, entry: Entry) -> None:
        """Store or replace the entry by its number. It is on disk when this returns."""

    def note(self, entry: Entry) -> None:
        """Store the entry together with the next recorded step."""


class Replay:
    """Replays a journal from its start, then appends to it. Handles one step at a time."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self._recorded = {entry.seq: entry for entry in journal.entries}
        self._began: float | None = None  # on the clock of `time.perf_counter`, while a step runs
        self.taken: list[Entry] = []

    def next(self, kind: str, name: str) -> Entry:
        """Return the entry of the next step: recorded, or `new` and not written yet."""
        seq = len(self.taken) + 1  # 0 is the start of the run
        entry = self._recorded.get(seq)
        if entry is None:
            entry = Entry(seq, kind, name, "new")
        elif (entry.kind, entry.name) != (kind, name):
            raise JournalMismatch(f"step {entry.seq} was {entry.kind} {entry.name!r} and is now {kind} {name!r}")
        self.taken.append(entry)
        return entry

    def begin(self, entry: Entry) -> None:
        """Record that the step starts."""
        entry.status, entry.error_text, entry.started_at, entry.finished_at = "running", None, now_ms(), None
        self.journal.write(entry)
        self._began = time.perf_counter()

    def end(self, entry: Entry, status: str, error_text: str | None = None) -> None:
        """Record the end of the step and its status."""
        self._stop(entry)
        entry.status, entry.error_text, entry.finished_at = status, error_text, now_ms()
        self.journal.write(entry)

    def wait(self, entry: Entry, status: str) -> None:
        """Note that the step waits: `asking` or `waiting`."""
        self._stop(entry)
        entry.status = status
        self.journal.note(entry)

    def release(self) -> None:
        """Record the duration of an interrupted step, which will run again: it counts against the time limit."""
        if self._began is not None:
            self._stop(self.taken[-1])
            self.journal.write(self.taken[-1])

    def give_up(self, error_text: str) -> None:
        """Note that the running step failed, if there is one."""
        if self._began is not None:
            entry = self.taken[-1]
            self._stop(entry)
            entry.status, entry.error_text, entry.finished_at = "failed", error_text, now_ms()
            self.journal.note(entry)

    def _stop(self, entry: Entry) -> None:
        took = 0.0 if self._began is None else (time.perf_counter() - self._began) * 1000
        entry.duration_ms, self._began = (entry.duration_ms or 0.0) + took, None


def sum_seconds(entries: Sequence[Entry]) -> float:
    """Return the seconds that recorded steps took; steps cut off by a crash do not count, as their end is unknown."""
    return sum(entry.duration_ms or 0.0 for entry in entries) / 1000
