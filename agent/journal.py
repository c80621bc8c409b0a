"""The record of one agent's run, from which it goes on after a crash or a wait without doing anything twice.

An agent that goes on begins anew, and whatever it does first is looked up here instead of being done: the answers of
the model are given as they were, and so are the results of tools. Since everything else depends on those alone, it
comes to the same place again. (So do Temporal, DBOS and the durable agents of Pydantic AI.)
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol

KINDS = ("start", "model", "tool")
ENDED = ("success", "failed", "refused")


class DoesNotFit(Exception):
    """The record is of another course of things than this run takes now."""


def now_ms() -> int:
    """Milliseconds since 1970, UTC."""
    return time.time_ns() // 1_000_000


@dataclass(slots=True)
class Entry:
    """One thing that an agent did. `status` is new, running, success, failed, refused, asking or waiting.

    A tool's that is `asking` needs a person to agree before it is called; `waiting` is one whose result another run
    will bring; `refused` was not called, for its arguments are wrong. One that is `running` and has a duration was cut
    off once. `request` and `result` are JSON: of a tool its arguments and what the model is told, of a model
    `{"messages"}` and its answer. Times are milliseconds, `cost` is in US dollars.
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


class Usage(NamedTuple):
    """What a run has used so far; `cost` is in US dollars, None where the price of the model is not known."""

    requests: int = 0
    tool_calls: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = 0.0


def usage_of(entries: Sequence[Entry]) -> Usage:
    """What these entries used, as far as it is known."""
    asked = [entry for entry in entries if entry.kind == "model" and entry.status == "success"]
    called = sum(entry.kind == "tool" and entry.status != "refused" for entry in entries)
    prices = [entry.cost for entry in asked]
    return Usage(
        len(asked),
        called,
        sum(entry.input_tokens or 0 for entry in asked),
        sum(entry.output_tokens or 0 for entry in asked),
        None if None in prices else sum(price or 0.0 for price in prices),
    )


class Journal(Protocol):
    """Where entries are kept. What it raises when the run is no longer ours to go on with goes through everything."""

    entries: Sequence[Entry]

    def write(self, entry: Entry) -> None:
        """Keep it, or replace the one of its number. It is on the disk when this returns."""

    def note(self, entry: Entry) -> None:
        """The same, but together with the step that is recorded next."""


class Tape:
    """A journal that is read from its start to its end, and then written on. One thing is done at a time."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self._recorded = {entry.seq: entry for entry in journal.entries}
        self._began: float | None = None  # on the clock of `time.perf_counter`, while something is being done
        self.taken: list[Entry] = []

    def next(self, kind: str, name: str) -> Entry:
        """The entry of what is done next: the recorded one, or one that is `new` and not written yet."""
        seq = len(self.taken) + 1  # 0 is what the run began with
        entry = self._recorded.get(seq)
        if entry is None:
            entry = Entry(seq, kind, name, "new")
        elif (entry.kind, entry.name) != (kind, name):
            raise DoesNotFit(f"step {entry.seq} was {entry.kind} {entry.name!r} and is now {kind} {name!r}")
        self.taken.append(entry)
        return entry

    def begin(self, entry: Entry) -> None:
        """Put on record that this is done now."""
        entry.status, entry.error_text, entry.started_at, entry.finished_at = "running", None, now_ms(), None
        self.journal.write(entry)
        self._began = time.perf_counter()

    def end(self, entry: Entry, status: str, error_text: str | None = None) -> None:
        """Put on record that this has come to an end, and how."""
        self._stop(entry)
        entry.status, entry.error_text, entry.finished_at = status, error_text, now_ms()
        self.journal.write(entry)

    def wait(self, entry: Entry, status: str) -> None:
        """Note what this waits for: `asking` or `waiting`."""
        self._stop(entry)
        entry.status = status
        self.journal.note(entry)

    def hand_back(self) -> None:
        """Put on record how long that took which will be done again, if anything is being done: it counts as time."""
        if self._began is not None:
            self._stop(self.taken[-1])
            self.journal.write(self.taken[-1])

    def give_up(self, error_text: str) -> None:
        """Note that what is being done has failed, if anything is."""
        if self._began is not None:
            entry = self.taken[-1]
            self._stop(entry)
            entry.status, entry.error_text, entry.finished_at = "failed", error_text, now_ms()
            self.journal.note(entry)

    def _stop(self, entry: Entry) -> None:
        took = 0.0 if self._began is None else (time.perf_counter() - self._began) * 1000
        entry.duration_ms, self._began = (entry.duration_ms or 0.0) + took, None


def spent(entries: Sequence[Entry]) -> float:
    """Seconds that what is recorded took; what a crash cut off does not count, for nobody knows when it ended."""
    return sum(entry.duration_ms or 0.0 for entry in entries) / 1000
