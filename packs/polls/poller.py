"""Polls: asks the sources of polling triggers for new entries, and starts one run for each.

The leader claims due triggers. A few threads poll them, so that a slow server delays nothing else, and record the
result: entries, runs and the trigger's state in one transaction, under the claim's fencing token.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from database import DatabaseRefused, closing_connection, execute, write
from database.base import new_id, now_ms
from database.queries import logs
from database.queries import runs as run_queries
from database.queries.webhooks import Fired
from dispatch import Dispatcher
from dispatch.debounce import Collected, DebouncedCall, Debouncer, find_debouncer
from errors import BadInput, DatabaseLost, HeadraceError, NodeError
from models import Run, Workflow
from nodes.base import REGISTRY, Item
from nodes.credentials.keyring import Keyring
from packs.polls import queries
from packs.polls.look import Line, PollResult, encode_item, look
from packs.polls.queries import CLAIM_MS, Claim
from scheduler.firing import active_flows

# Runs of entries: a polling trigger starts a run for an entry, a listening trigger for a message.

# The digest of an entry's key, or None if it is not to be remembered; and the result of `prepare`.
Entry = tuple[bytes | None, Any]


class EntryRuns(Protocol):
    """Starts runs for the entries of a trigger. Call `open`, `needs_room`, `put` and `close` inside a transaction."""

    def prepare(self, item: Item, lines: list[Line]) -> Any:
        """Return the argument of `put` for an entry; None, with a log entry, if its value cannot be an input."""

    def open(self, prepared: Iterable[Any]) -> None:
        """Take the locks of these entries. Call it first in the transaction, before any other lock is taken."""

    def needs_room(self, one: Any) -> bool:
        """Return True if `put` adds a run."""

    def put(self, one: Any) -> str:
        """Write the run of an entry. Return its id."""

    def close(self) -> None:
        """Write the changes of `put` that are not written yet. Call it at the end of the transaction."""

    def discard(self, one: Any) -> None:
        """Delete the value that `prepare` has stored."""


def make_entry_runs(dispatcher: Dispatcher, claim: Claim, flow: Workflow, keyring: Keyring) -> EntryRuns:
    """Return the object that makes runs from the entries of this trigger. Its flow is active."""
    single = SingleRuns(dispatcher, claim, flow, keyring)
    fired = Fired(flow.id, flow.version, flow.name, flow.workspace_id, "active")
    debouncer = find_debouncer(dispatcher.resources, fired, claim.node_id, "schedule")
    return single if debouncer is None else CollectedRuns(single, debouncer)


def name_of(claim: Claim, flow: Workflow) -> str:
    return f"The trigger {claim.node_id} of the flow {flow.name}"


def write_log(claim: Claim, flow: Workflow, lines: list[Line]) -> None:
    """Write these lines to the workspace's log. Call inside a transaction."""
    for level, message, data in lines:
        told = {"workflow_id": claim.workflow_id, **({} if data is None else {"data": orjson.Fragment(data)})}
        text = orjson.dumps(told).decode()
        execute(*logs.entry(flow.workspace_id, None, claim.node_id, level, message, text))


def put_or_discard(runs: EntryRuns, made: Sequence[Entry], put: Callable[[Sequence[Entry]], int]) -> int:
    """Return the number of entries that `put` has recorded; discard the runs of the others.

    If the database is lost, the runs may be recorded nevertheless; if not, retention deletes their values.
    """
    taken = 0
    try:
        taken = put(made)
    except DatabaseLost:
        taken = len(made)
        raise
    finally:
        for _, one in made[taken:]:
            if one is not None:
                runs.discard(one)
    return taken


def put_entries(
    runs: EntryRuns, made: Sequence[Entry], find_room: Callable[[], int], may_start: Callable[[], bool]
) -> list[str | None]:
    """Write the runs of these entries as far as there is room. Return the ids; None for an entry without a run.

    Call inside a transaction, after `runs.open`.
    """
    room = find_room() if any(one is not None for _, one in made) else 0
    ids: list[str | None] = []
    for _, one in made:
        if one is not None and runs.needs_room(one):
            if room <= 0 or not may_start():
                break
            room -= 1
        ids.append(None if one is None else runs.put(one))
    runs.close()
    return ids


class SingleRuns:
    """One run for each entry."""

    def __init__(self, dispatcher: Dispatcher, claim: Claim, flow: Workflow, keyring: Keyring) -> None:
        self.dispatcher, self.claim, self.flow, self.keyring = dispatcher, claim, flow, keyring
        self.payloads = dispatcher.resources.payloads

    def prepare(self, item: Item, lines: list[Line]) -> Run | None:
        id_ = new_id("run")
        encoded = self.encode(item, lines)
        if encoded is None:
            return None
        kept = self.payloads.keep(id_, "input", encoded)
        return run_queries.accept(
            self.flow, id=id_, input=kept.text, input_bytes=kept.size, triggered_by="schedule",
            trigger_node=self.claim.node_id,
        )  # fmt: skip

    def encode(self, item: Item, lines: list[Line], room: int = 0) -> bytes | None:
        """Return the entry's value as JSON text with `room` bytes left of the limit; None, with a log entry, if not."""
        try:
            return encode_item(item, self.keyring, self.dispatcher.config.max_value_bytes - room)
        except NodeError as error:
            told = f"{name_of(self.claim, self.flow)} cannot start a run for {item.key[:200]!r}: {error.message}"
            lines.append(("error", self.keyring.clean_text(told), None))
            return None

    def open(self, prepared: Iterable[Run]) -> None:
        pass

    def needs_room(self, one: Run) -> bool:
        return True

    def put(self, one: Run) -> str:
        execute(*run_queries.insertion(one))
        return str(one.id)

    def close(self) -> None:
        pass

    def discard(self, one: Run) -> None:
        if one.input_bytes is not None:
            self.payloads.remove(str(one.id))


class CollectedRuns:
    """One run for the entries of a window, as the trigger's `debounce` says."""

    def __init__(self, single: SingleRuns, debouncer: Debouncer) -> None:
        self.single, self.debouncer = single, debouncer
        self.collected: Collected | None = None
        self._has_warned = False

    def prepare(self, item: Item, lines: list[Line]) -> DebouncedCall | None:
        encoded = self.single.encode(item, lines, self.debouncer.margin)
        if encoded is None:
            return None
        try:
            return self.debouncer.make_call(orjson.loads(encoded), encoded)
        except BadInput as error:
            # A poll has no caller who could be refused, and no entry may be lost.
            if not self._has_warned:
                told = (
                    f"{name_of(self.single.claim, self.single.flow)} starts a run for {item.key[:200]!r} alone: {error}"
                )
                lines.append(("warning", self.single.keyring.clean_text(told), None))
                self._has_warned = True
            return self.debouncer.make_lone_call(encoded)

    def open(self, prepared: Iterable[DebouncedCall]) -> None:
        self.collected = self.debouncer.open({call.window for call in prepared})

    def needs_room(self, one: DebouncedCall) -> bool:
        return not self._opened.takes(one)

    def put(self, one: DebouncedCall) -> str:
        return str(self._opened.add(one).id)

    def close(self) -> None:
        self._opened.save()

    def discard(self, one: DebouncedCall) -> None:
        pass

    @property
    def _opened(self) -> Collected:
        assert self.collected is not None
        return self.collected


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
        for claim in queries.claim(self.owner, self.wall(), free, busy):
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
            queries.release(self.owner, self.wall())
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
            recorder = PollRecorder(self, claim, flow, found, runs, lines)
            try:
                recorder.work()
            except ClaimLost:
                log.info("Discarded the result of polling %s: the claim was lost", claim.node_id)
            if recorder.fired:
                self.dispatcher.pick_up()

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
            queries.end(claim, self.wall(), next_at, **values)

    def _fail(self, claim: Claim, flow: Workflow, text: str, lines: list[Line], wait: float = 0.0) -> None:
        """Record a failure and back off, at least by `wait` seconds, as the server requests. Log each error once."""
        now = self.wall()
        pause = max(backoff(claim.every, claim.failures), min(round(wait * 1000), MAX_WAIT_MS))
        values = {"failures": claim.failures + 1, "last_error": text, "last_polled_at": now}
        with self.writing():
            if queries.end(claim, now, now + pause, **values):
                if text != claim.last_error:
                    lines = [*lines, ("warning", f"{name_of(claim, flow)} cannot be polled: {text}", None)]
                write_log(claim, flow, lines)


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
            self.known = queries.known_entries(self.claim)
        for item in self.found.items:
            self.shown.setdefault(queries.digest(item.key), item)
        self.unrecorded = [(entry, item) for entry, item in self.shown.items() if entry not in self.known]
        is_first = self.claim.is_new or not self.claim.begun
        if is_first and not self.found.backlog:
            self._put([(entry, None) for entry, _ in self.unrecorded])
            return
        while True:  # also without entries: the poll is recorded
            batch = self.unrecorded[: self.poller.runs_at_once]
            made: list[Entry] = [(entry, self.runs.prepare(item, self.lines)) for entry, item in batch]
            if put_or_discard(self.runs, made, self._put) < len(batch) or not self.unrecorded:
                break

    def _put(self, made: Sequence[Entry]) -> int:
        """Record entries with their runs in one transaction, as far as there is room; return their number.

        The state moves with the last entry; without room, the rest is left for the next poll.
        """
        now = self.poller.wall()
        with self.poller.writing():
            self.runs.open(one for _, one in made if one is not None)
            if not queries.holds(self.claim):
                raise ClaimLost
            if self.claim.is_new:
                queries.reset_state(self.claim)
            ids = put_entries(self.runs, made, self.poller.room, lambda: self.poller.may_start(self.flow))
            taken = len(ids)
            entries = [(entry, id_) for (entry, _), id_ in zip(made, ids, strict=False) if entry is not None]
            queries.learn(self.claim, entries, now, self.found.whole)
            if taken < len(made):
                queries.end(self.claim, now, now + HOLD_MS, last_polled_at=now)
            elif taken == len(self.unrecorded):
                # The state moves after the last entry; entries no longer in the source may be pruned later.
                claim, found = self.claim, self.found
                if found.whole:
                    shown = self.shown.keys() & self.known.keys()
                    queries.mark(claim, self.known, shown, now)
                queries.prune_entries(claim, len(self.known) + len(self.shown), now)
                if claim.last_error is not None:
                    self.lines.append(("info", f"{name_of(claim, self.flow)} can be polled again", None))
                # A source that reports more without returning anything would be polled endlessly.
                at_once = found.more and (bool(self.shown) or found.state != claim.state_text)
                # All parts of the first result count as existing entries.
                begun = claim.begun or not at_once
                next_at = now if at_once else now + round(claim.every * 1000)
                queries.end(
                    claim, now, next_at, state=found.state, begun=begun, failures=0, last_error=None, last_polled_at=now
                )
            write_log(self.claim, self.flow, self.lines)
        self.lines = []
        self.claim = self.claim._replace(state_of=self.claim.source)
        self.fired += [id_ for id_ in ids if id_ is not None]
        self.unrecorded = self.unrecorded[taken:]
        return taken
