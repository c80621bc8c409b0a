"""Search for a text in the data of runs: input, output, outputs and items of steps, errors.

The recorded values are read and compared, newest run first, within limits on time, runs and bytes; a cursor continues
with older runs. There is no index: writing one would cost each run, also in flows whose data is never searched,
while a search is rare and usually for a recent run. See docs/adr/0026-search-in-run-data.md.

Values are searched as stored, so secrets that were redacted when they were recorded cannot be found.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple, TypeAlias

import orjson

from database.base import Rows
from database.queries.steps import StepData
from database.queries.waits import without_signatures
from errors import Unavailable
from models import Run

from .payloads import Kept, Payloads, ValueGone

MAX_SECONDS = 2.0
MAX_RUNS = 20_000
MAX_BYTES = 256 * 2**20
MAX_RUN_BYTES = 32 * 2**20  # of one run: each page gets past at least one run
MAX_LARGE_BYTES = 2**20  # of a value that is not in its row
STEP_BYTES = 200  # counted for each step in addition to its values: a run may have very many empty ones
MAX_PLACES = 3  # of a run in the answer
RUNS_AT_ONCE = 50
AROUND = 60  # characters around a match
# The columns of a run that a search reads, after the columns to show, of which the first is the id.
OWN = "created_at, error_text, input, input_bytes, output, output_bytes, packed_steps"
OWN_COUNT = OWN.count(",") + 1
SPACED = re.compile(r'(":|[,{[])\s+(?=["\[{\d\-tfn])')


class FoundPlace(NamedTuple):
    """A place in a run's data that contains the text. `text` is the match with the text around it."""

    place: str
    text: str
    step: int | None = None
    node_id: str | None = None
    node_name: str | None = None


FoundRun: TypeAlias = tuple[tuple[Any, ...], list[FoundPlace]]  # the values of its columns, and where the text is


class Searched(NamedTuple):
    """How far a search has looked: `runs` back to the time `until`, in milliseconds; of `partial` ones only a part."""

    runs: int
    until: int | None
    partial: int


class Needle:
    """A text to search for, ignoring case. `unsigned`: not in the signatures of links (see link_signatures.py)."""

    def __init__(self, text: str, unsigned: bool) -> None:
        self.unsigned = unsigned
        self.plain = text.casefold()
        # As a part of a text in JSON, and as JSON copied from the app, which shows it with spaces.
        escaped = orjson.dumps(text).decode()[1:-1].casefold()
        self.in_json = dict.fromkeys((self.plain, escaped, SPACED.sub(r"\1", text).casefold()))

    def find(self, text: str, is_json: bool) -> str | None:
        """Return the first match with the text around it, or None."""
        if self.unsigned and "token" in text:
            text = without_signatures(text.encode()).decode()
        if is_json and "\\u" in text:
            # Senders may escape all letters beyond ASCII. The beginning of a large value is not JSON.
            with suppress(orjson.JSONDecodeError):
                text = orjson.dumps(orjson.loads(text)).decode()
        folded = text.casefold()
        for needle in self.in_json if is_json else (self.plain,):
            at = folded.find(needle)
            if at >= 0:
                # A letter whose folded form is longer shifts the places.
                text = text if len(text) == len(folded) else folded
                start, end = max(0, at - AROUND), at + len(needle) + AROUND
                return f"{'…' if start > 0 else ''}{text[start:end]}{'…' if end < len(text) else ''}"
        return None


class RunSearch:
    """One request of a search. It may take MAX_SECONDS, so callers must hold one of the SEARCHES (limits.py)."""

    def __init__(self, payloads: Payloads, text: str, unsigned: bool) -> None:
        self.payloads, self.needle = payloads, Needle(text, unsigned)
        self.runs = self.partial = self.bytes = 0
        self.until: int | None = None
        self._left = 0  # bytes that may still be read of the present run
        self._is_partial = False
        self._end = time.monotonic() + MAX_SECONDS

    @property
    def searched(self) -> Searched:
        return Searched(self.runs, self.until, self.partial)

    @property
    def _is_over(self) -> bool:
        return self.runs >= MAX_RUNS or self.bytes >= MAX_BYTES or time.monotonic() > self._end

    def page(self, rows: Rows[Run], columns: str, limit: int, before: str | None) -> tuple[list[FoundRun], str | None]:
        """Return the values of `columns`, the id first, of the matching runs, with the places; and the id for the next
        page.

        A page may be short or empty without being the last. Without an id, all runs were searched.
        """
        found: list[FoundRun] = []
        while True:
            batch, last = rows.values(f"{columns}, {OWN}", RUNS_AT_ONCE, before)
            for values in batch:
                if self._is_over and self.runs:
                    return found, before
                shown, (created_at, *data) = values[:-OWN_COUNT], values[-OWN_COUNT:]
                places = self._examine(shown[0], *data)
                self.runs, self.until, before = self.runs + 1, created_at, shown[0]
                if places:
                    found.append((shown, places))
                if len(found) == limit:
                    return found, before
            before = last
            if before is None or self._is_over:
                return found, before

    def _examine(
        self, id_: str, error_text: str | None, input: str | None, input_bytes: int | None, output: str | None,
        output_bytes: int | None, packed: str | None,
    ) -> list[FoundPlace]:  # fmt: skip
        """Return the first places of a run that contain the text."""
        self._left, self._is_partial = MAX_RUN_BYTES, False
        own = [("error", error_text, None), ("input", input, input_bytes), ("output", output, output_bytes)]
        places = [
            FoundPlace(name, found)
            for name, text, size in own
            if (found := self._find(id_, name, text, size, is_json=name != "error")) is not None
        ]
        for step in StepData.unpack(packed) if packed is not None else StepData.of(id_):
            if len(places) >= MAX_PLACES or self._left <= 0:
                break
            self._left -= STEP_BYTES
            places += self._examine_step(id_, step)
        self.partial += self._is_partial or self._left <= 0
        self.bytes += MAX_RUN_BYTES - self._left
        return places[:MAX_PLACES]

    def _examine_step(self, id_: str, step: StepData) -> Iterator[FoundPlace]:
        parts: Iterable[tuple[str, str | None, int | None]] = (
            ("step_error", step.error_text, None),
            ("step_item", step.item, None),
            ("step_output", step.output, step.output_bytes),
        )
        for place, text, size in parts:
            found = self._find(id_, f"step_{step.seq}", text, size, is_json=place != "step_error")
            if found is not None:
                yield FoundPlace(place, found, step.seq, step.node_id, step.node_name)

    def _find(self, run_id: str, name: str, text: str | None, size: int | None, is_json: bool) -> str | None:
        if size is not None:
            value, is_whole = b"", size <= MAX_LARGE_BYTES
            try:
                if is_whole:
                    value = self.payloads.load(run_id, name, Kept(None, size)) or b""
                else:
                    value = self.payloads.beginning(run_id, name, MAX_LARGE_BYTES)
            except (ValueGone, FileNotFoundError, Unavailable):
                is_whole = False  # it is gone, or its store is down
            self._is_partial = self._is_partial or not is_whole
            text = value.decode(errors="replace")
        if text is None:
            return None
        self._left -= len(text) + 1
        return self.needle.find(text, is_json)
