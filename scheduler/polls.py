"""Polls: asks the sources of polling triggers for new entries, and starts one run for each.

The leader claims due triggers. A few threads poll them, so that a slow server delays nothing else, and record the
result: entries, runs and the trigger's state in one transaction, under the claim's fencing token.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from database import DatabaseRefused, closing_connection, write
from database.base import now_ms
from database.queries import polls
from database.queries import runs as run_queries
from database.queries.polls import CLAIM_MS, Claim
from database.queries.webhooks import Fired
from dispatch import Dispatcher, Line, PollResult, look
from errors import HeadraceError, NodeError
from models import Workflow
from nodes.base import REGISTRY, Item
from scheduler.entry_runs import Entry, EntryRuns, make_entry_runs, name_of, put_entries, put_or_discard, write_log
from scheduler.firing import active_flows

log = logging.getLogger("headrace.scheduler")
THREADS = 8
MAX_THREADS = 16  # including threads that hang past their timeout
RUNS_AT_ONCE = 100
HOLD_MS = 10_000  # pause if there is no room for runs
FIRST_BACKOFF_MS = 60_000
MAX_BACKOFF_MS = 3_600_000
MAX_WAIT_MS = 24 * MAX_BACKOFF_MS  # limit on a server's Retry-After


class Listening(Protocol):
    """The listeners of a process: triggers that hold a connection. They are in `listeners.py`, loaded at first use."""

    def keys(self) -> set[tuple[str, str]]:
        """Return flow and node of each listener."""

    def start(self, claim: Claim) -> None:
        """Listen under this claim until the claim or the connection is lost."""

    def tick(self) -> None:
        """Extend the claims, and end the listeners that have lost theirs."""

    def stop(self) -> None:
        """End all listeners."""


class Stopped(Exception):
    """The process is stopping and must not write any more."""


class ClaimLost(Exception):
    """Another process has claimed the poll, or the flow has changed: the result is discarded."""


@dataclass(slots=True, eq=False)
class ActivePoll:
    """A poll in progress. At `lapses` (on the monotonic clock) other processes may claim the trigger."""

    claim: Claim
    lapses: float

    @property
    def key(self) -> tuple[str, str]:
        return self.claim.workflow_id, self.claim.node_id


def run_in_thread(work: Callable[[], None]) -> None:
    """Run `work` in a new thread."""
    threading.Thread(target=closing_connection(work), name="poll", daemon=True).start()


class Poller:
    """Polls triggers while this process leads, see `leads`. Call `tick` every half second, and `stop` at the end.

    `owner` is the process's id. `start` runs the work of one poll. `make_listeners` is called for the first trigger
    that listens.
    """

    runs_at_once = RUNS_AT_ONCE

    def __init__(
        self,
        dispatcher: Dispatcher,
        owner: str,
        leads: Callable[[], bool],
        start: Callable[[Callable[[], None]], None] = run_in_thread,
        wall: Callable[[], int] = now_ms,
        monotonic: Callable[[], float] = time.monotonic,
        make_listeners: Callable[[Poller], Listening] | None = None,
    ) -> None:
        self.make_listeners = make_listeners
        self.listeners: Listening | None = None
        self.dispatcher, self.owner, self.leads = dispatcher, owner, leads
        self.start, self.wall, self.monotonic = start, wall, monotonic
        self._active: list[ActivePoll] = []
        self._lock = threading.Lock()
        self._stopped = False

    def tick(self) -> None:
        """Start polling due triggers, as far as threads are available."""
        if self._stopped:
            return
        if self.listeners is not None:
            self.listeners.tick()
        if not self.leads():
            return
        now = self.monotonic()
        active = [one for one in list(self._active) if one.lapses > now]
        free = min(THREADS - len(active), MAX_THREADS - len(self._active))
        if free <= 0:
            return
        busy = {one.key for one in active} | (self.listeners.keys() if self.listeners is not None else set())
        for claim in polls.claim(self.owner, self.wall(), free, busy):
            node = REGISTRY.get(claim.type)
            if node is not None and node.listens and self.make_listeners is not None:
                self.listeners = self.listeners or self.make_listeners(self)
                self.listeners.start(claim)
            else:
                self._begin(ActivePoll(claim, now + CLAIM_MS / 1000))

    def stop(self) -> None:
        """Stop writing, and release the claims of unfinished polls to other processes."""
        if self.listeners is not None:
            self.listeners.stop()
        with self._lock:
            self._stopped = True
        try:
            polls.release(self.owner, self.wall())
        except Exception as error:
            # A failure must not prevent the rest of the shutdown.
            log.warning("Could not release the polls; other processes wait for %d ms: %s", CLAIM_MS, error)

    def _begin(self, active: ActivePoll) -> None:
        def work() -> None:
            try:
                self.poll(active.claim)
            except Stopped:
                log.debug("The process stops during the poll of %s", active.key)
            except (DatabaseRefused, OSError) as error:
                log.error("Could not record the poll of %s: %s", active.key, error)
            except Exception:
                log.exception("The poll of %s failed; the next one is in %d ms", active.key, CLAIM_MS)
            finally:
                self._active.remove(active)

        self._active.append(active)
        try:
            self.start(work)
        except RuntimeError:  # no more threads can be started
            self._active.remove(active)
            raise

    def poll(self, claim: Claim) -> None:
        """Poll the source of a trigger and record the result."""
        flow = active_flows([claim.workflow_id]).get(claim.workflow_id)
        if flow is None:
            # An orphaned poll; it starts again when the flow is active again.
            self._end(claim, None, idle_since=self.wall())
            return
        lines: list[Line] = []
        try:
            # Less room is not worth a poll: reading fifty mails again for a single run would be a waste.
            if self.room() < max(1, self.dispatcher.config.max_pending // 20) or not self.may_start(flow):
                self._end(claim, self.wall() + HOLD_MS)
                return
            fired = Fired(flow.id, flow.version, flow.name, flow.workspace_id, "active")
            found = look(self.dispatcher.resources, fired, claim.node_id, claim.state_text, lines)
            runs = make_entry_runs(self.dispatcher, claim, flow, found.keyring)
        except NodeError as error:
            self._fail(claim, flow, error.message, lines, error.retry_after)
        except HeadraceError as error:
            self._fail(claim, flow, error.message, lines)
        else:
            self._record(PollRecorder(self, claim, flow, found, runs, lines))

    def room(self) -> int:
        """Return how many runs may be queued: half of the queue is reserved for callers, who cannot retry later."""
        most = self.dispatcher.config.max_pending
        return max(1, most // 2) - run_queries.backlog(most)

    def may_start(self, flow: Workflow) -> bool:
        """Return False while the flow is at its concurrency limit and skips further runs."""
        return self.dispatcher.may_start(flow) is None

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Open a write transaction. Raises: Stopped if the process stops."""
        with self._lock:
            if self._stopped:
                raise Stopped
            with write():
                yield

    def _end(self, claim: Claim, next_at: int | None, **values: Any) -> None:
        with self.writing():
            polls.end(claim, self.wall(), next_at, **values)

    def _fail(self, claim: Claim, flow: Workflow, text: str, lines: list[Line], wait: float = 0.0) -> None:
        """Record a failure and back off, at least by `wait` seconds, as the server requests. Log each error once."""
        now = self.wall()
        pause = max(backoff(claim.every, claim.failures), min(round(wait * 1000), MAX_WAIT_MS))
        values = {"failures": claim.failures + 1, "last_error": text, "last_polled_at": now}
        with self.writing():
            if polls.end(claim, now, now + pause, **values):
                if text != claim.last_error:
                    lines = [*lines, ("warning", f"{name_of(claim, flow)} cannot be polled: {text}", None)]
                write_log(claim, flow, lines)

    def _record(self, recorder: PollRecorder) -> None:
        try:
            recorder.work()
        except ClaimLost:
            log.info("Discarded the result of polling %s: the claim was lost", recorder.claim.node_id)
        if recorder.fired:
            self.dispatcher.pick_up()


def backoff(every: float, failures: int) -> int:
    """Return the milliseconds until the next attempt after `failures` earlier failures."""
    first = min(round(every * 1000), FIRST_BACKOFF_MS)
    return int(min(first * 2 ** min(failures, 30), MAX_BACKOFF_MS))


@dataclass
class PollRecorder:
    """Records the result of one poll in short transactions.

    Each has entries with their runs, so the next poll can continue after an interruption: the trigger's state moves
    only with the last one. `fired` are the ids of the runs.
    """

    poller: Poller
    claim: Claim
    flow: Workflow
    found: PollResult
    runs: EntryRuns
    lines: list[Line]
    fired: list[str] = field(default_factory=list)
    known: dict[bytes, int | None] = field(init=False, default_factory=dict)
    shown: dict[bytes, Item] = field(init=False, default_factory=dict)
    unrecorded: list[tuple[bytes, Item]] = field(init=False, default_factory=list)

    def work(self) -> None:
        """Record the result, as far as there is room for runs. Raises: ClaimLost, Stopped."""
        if not self.claim.is_new and (self.found.items or self.found.whole):
            self.known = polls.known_entries(self.claim)
        for item in self.found.items:
            self.shown.setdefault(polls.digest(item.key), item)
        self.unrecorded = [(entry, item) for entry, item in self.shown.items() if entry not in self.known]
        is_first = self.claim.is_new or not self.claim.begun
        if is_first and not self.found.backlog:
            self._put([(entry, None) for entry, _ in self.unrecorded])
            return
        while self._fire(self.unrecorded[: self.poller.runs_at_once]):
            continue

    def _fire(self, batch: list[tuple[bytes, Item]]) -> bool:
        """Record some entries with their runs; return True to continue."""
        made: list[Entry] = [(entry, self.runs.prepare(item, self.lines)) for entry, item in batch]
        taken = put_or_discard(self.runs, made, self._put)
        return taken == len(batch) and bool(self.unrecorded)

    def _put(self, made: Sequence[Entry]) -> int:
        """Record entries with their runs in one transaction, as far as there is room; return their number.

        The state moves with the last entry; without room, the rest is left for the next poll.
        """
        now = self.poller.wall()
        with self.poller.writing():
            self.runs.open(one for _, one in made if one is not None)
            if not polls.holds(self.claim):
                raise ClaimLost
            if self.claim.is_new:
                polls.reset_state(self.claim)
            ids = put_entries(self.runs, made, self.poller.room, lambda: self.poller.may_start(self.flow))
            taken = len(ids)
            entries = [(entry, id_) for (entry, _), id_ in zip(made, ids, strict=False) if entry is not None]
            polls.learn(self.claim, entries, now, self.found.whole)
            if taken < len(made):
                polls.end(self.claim, now, now + HOLD_MS, last_polled_at=now)
            elif taken == len(self.unrecorded):
                self._settle(now)
            write_log(self.claim, self.flow, self.lines)
        self.lines = []
        self.claim = self.claim._replace(state_of=self.claim.source)
        self.fired += [id_ for id_ in ids if id_ is not None]
        self.unrecorded = self.unrecorded[taken:]
        return taken

    def _settle(self, now: int) -> None:
        """Move the state after the last entry; entries no longer in the source may be pruned later."""
        claim, found = self.claim, self.found
        if found.whole:
            shown = self.shown.keys() & self.known.keys()
            polls.mark(claim, self.known, shown, now)
        polls.prune_entries(claim, len(self.known) + len(self.shown), now)
        if claim.last_error is not None:
            self.lines.append(("info", f"{name_of(claim, self.flow)} can be polled again", None))
        # A source that reports more without returning anything would be polled endlessly.
        at_once = found.more and (bool(self.shown) or found.state != claim.state_text)
        # All parts of the first result count as existing entries.
        begun = claim.begun or not at_once
        values = {"state": found.state, "begun": begun, "failures": 0, "last_error": None, "last_polled_at": now}
        polls.end(claim, now, now if at_once else now + round(claim.every * 1000), **values)
