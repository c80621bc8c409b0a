"""Triggers that are polled: who asks their sources, and how each new entry gets its one run.

The leader says what is due. A few threads ask, so that no slow server delays anything else, and put on record what
they found: the entries, their runs and the state of the trigger in one transaction, under the fence of the claim.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson

from database import disconnect_thread, execute, write
from dispatch import Dispatcher, Found, Line, look
from errors import HeadraceError, NodeError
from models import CLAIM_MS, Claim, DatabaseRefused, Fired, LogEntry, Poll, PollEntry, Run, Workflow, new_id, now_ms
from nodes.base import Item
from scheduler.firing import active_flows

log = logging.getLogger("headrace.scheduler")
THREADS = 8
MOST_THREADS = 16  # with those that hang beyond their time
RUNS_AT_ONCE = 100
HOLD_MS = 10_000  # after which to ask again for what there was no room for
FIRST_BACKOFF_MS = 60_000
LONGEST_BACKOFF_MS = 3_600_000
LONGEST_WAIT_MS = 24 * LONGEST_BACKOFF_MS  # of what a server asks for


class Stopped(Exception):
    """The process ends; nothing is written any more."""


class Overtaken(Exception):
    """The claim is somebody else's by now, or the flow has changed: what was found does not count."""


@dataclass(slots=True, eq=False)
class Asking:
    """A poll that is under way. At `lapses` (on the clock that nobody sets) others may take it."""

    claim: Claim
    lapses: float

    @property
    def key(self) -> tuple[str, str]:
        return self.claim.workflow_id, self.claim.node_id


def in_a_thread(work: Callable[[], None]) -> None:
    """Do this in a thread of its own, which gives its connection to the database back."""

    def run() -> None:
        try:
            work()
        finally:
            disconnect_thread()

    threading.Thread(target=run, name="poll", daemon=True).start()


class Poller:
    """One process's part in it. `tick` every half second, `stop` at the end.

    `owner` names the process, and `leads` says whether it is the one that polls. `start` does the work of one poll.
    """

    runs_at_once = RUNS_AT_ONCE

    def __init__(
        self,
        dispatcher: Dispatcher,
        owner: str,
        leads: Callable[[], bool],
        start: Callable[[Callable[[], None]], None] = in_a_thread,
        wall: Callable[[], int] = now_ms,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.dispatcher, self.owner, self.leads = dispatcher, owner, leads
        self.start, self.wall, self.monotonic = start, wall, monotonic
        self._asking: list[Asking] = []
        self._lock = threading.Lock()
        self._stopped = False

    def tick(self) -> None:
        """Begin to poll what is due, as far as there are threads for it."""
        if self._stopped or not self.leads():
            return
        now = self.monotonic()
        asking = [one for one in list(self._asking) if one.lapses > now]
        free = min(THREADS - len(asking), MOST_THREADS - len(self._asking))
        if free <= 0:
            return
        for claim in Poll.claim(self.owner, self.wall(), free, {one.key for one in asking}):
            self._begin(Asking(claim, now + CLAIM_MS / 1000))

    def stop(self) -> None:
        """Write nothing any more, and let others poll what is not over: their answers would come too late."""
        with self._lock:
            self._stopped = True
        try:
            Poll.release(self.owner, self.wall())
        except Exception as error:
            # Nothing else of the process's end may wait for that.
            log.warning("the polls could not be given up, so others wait for %d ms: %s", CLAIM_MS, error)

    def _begin(self, asking: Asking) -> None:
        def work() -> None:
            try:
                self.poll(asking.claim)
            except Stopped:
                log.debug("the poll of %s is not over, and the process ends", asking.key)
            except (DatabaseRefused, OSError) as error:
                log.error("what the poll of %s found could not be recorded: %s", asking.key, error)
            except Exception:
                log.exception("the poll of %s is let go of; it comes again in %d ms", asking.key, CLAIM_MS)
            finally:
                self._asking.remove(asking)

        self._asking.append(asking)
        try:
            self.start(work)
        except RuntimeError:  # there can be no more threads
            self._asking.remove(asking)
            raise

    def poll(self, claim: Claim) -> None:
        """Ask the source of a trigger and put on record what that gives."""
        flow = active_flows([claim.workflow_id]).get(claim.workflow_id)
        if flow is None:
            # Whatever made the two differ; it is polled again when the flow is active again.
            self._end(claim, None, idle_since=self.wall())
            return
        lines: list[Line] = []
        try:
            if self.room() < self.least_room() or self.dispatcher.may_start(flow) is not None:
                self._end(claim, self.wall() + HOLD_MS)
                return
            fired = Fired(flow.id, flow.version, flow.name, flow.workspace_id, "active")
            found = look(self.dispatcher.resources, fired, claim.node_id, claim.state_text, lines)
        except NodeError as error:
            self._fail(claim, flow, error.message, lines, error.retry_after)
        except HeadraceError as error:
            self._fail(claim, flow, error.message, lines)
        else:
            self._keep(Keeping(self, claim, flow, found, lines))

    def room(self) -> int:
        """For how many runs there is room: half of what may wait is left to those who call and cannot come again."""
        most = self.dispatcher.config.max_pending
        return max(1, most // 2) - Run.backlog(most)

    def least_room(self) -> int:
        """How much of it there has to be to ask at all: for one run it would not be worth to read fifty mails again."""
        return max(1, self.dispatcher.config.max_pending // 20)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """A transaction, unless the process ends."""
        with self._lock:
            if self._stopped:
                raise Stopped
            with write():
                yield

    def _end(self, claim: Claim, next_at: int | None, **values: Any) -> None:
        with self.writing():
            Poll.end(claim, self.wall(), next_at, **values)

    def _fail(self, claim: Claim, flow: Workflow, text: str, lines: list[Line], wait: float = 0.0) -> None:
        """Ask again later, and later each time, but not before the other side wants it (`wait` seconds).

        The log tells it once, not each time.
        """
        now = self.wall()
        pause = max(backoff(claim.every, claim.failures), min(round(wait * 1000), LONGEST_WAIT_MS))
        values = {"failures": claim.failures + 1, "last_error": text, "last_polled_at": now}
        with self.writing():
            if Poll.end(claim, now, now + pause, **values):
                if text != claim.last_error:
                    lines = [*lines, ("warning", f"{name_of(claim, flow)} cannot be polled: {text}", None)]
                write_log(claim, flow, lines)

    def _keep(self, keeping: Keeping) -> None:
        try:
            keeping.work()
        except Overtaken:
            log.info("what the poll of %s found does not count: it was overtaken", keeping.claim.node_id)
        if keeping.fired:
            self.dispatcher.pick_up()


def backoff(every: float, failures: int) -> int:
    """Milliseconds until the next try, after one that has failed so often before."""
    first = min(round(every * 1000), FIRST_BACKOFF_MS)
    return int(min(first * 2 ** min(failures, 30), LONGEST_BACKOFF_MS))


def name_of(claim: Claim, flow: Workflow) -> str:
    return f"The trigger {claim.node_id} of the flow {flow.name}"


def write_log(claim: Claim, flow: Workflow, lines: list[Line]) -> None:
    """Write these to the workspace's log. In a transaction."""
    for level, message, data in lines:
        told = {"workflow_id": claim.workflow_id, **({} if data is None else {"data": orjson.Fragment(data)})}
        text = orjson.dumps(told).decode()
        execute(*LogEntry.entry(flow.workspace_id, None, claim.node_id, level, message, text))


@dataclass
class Keeping:
    """What one poll found, put on record in transactions of bearable length.

    Each has entries with their runs, so whatever cuts it off, the next poll goes on with the others: the state of the
    trigger moves only with the last of them. `fired` are the ids of the runs.
    """

    poller: Poller
    claim: Claim
    flow: Workflow
    found: Found
    lines: list[Line]
    fired: list[str] = field(default_factory=list)
    known: dict[bytes, int | None] = field(init=False, default_factory=dict)
    shown: dict[bytes, Item] = field(init=False, default_factory=dict)
    left: list[tuple[bytes, Item]] = field(init=False, default_factory=list)

    def work(self) -> None:
        """Put all of it on record, or as much as there is room for. Raises Overtaken, or Stopped."""
        if not self.claim.is_new and (self.found.items or self.found.whole):
            self.known = PollEntry.known(self.claim)
        for item in self.found.items:
            self.shown.setdefault(PollEntry.digest(item.key), item)
        self.left = [(entry, item) for entry, item in self.shown.items() if entry not in self.known]
        is_first = self.claim.is_new or not self.claim.begun
        if is_first and not self.found.backlog:
            self._put([(entry, None) for entry, _ in self.left])
            return
        while self._fire(self.left[: self.poller.runs_at_once]):
            continue

    def _fire(self, batch: list[tuple[bytes, Item]]) -> bool:
        """Put some entries on record with their runs; whether to go on."""
        made = [(entry, self._run_of(item)) for entry, item in batch]
        taken = 0
        try:
            taken = self._put(made)
        finally:
            for _, run in made[taken:]:
                if run is not None and run.input_bytes is not None:
                    self.poller.dispatcher.resources.payloads.remove(str(run.id))
        return taken == len(batch) and bool(self.left)

    def _run_of(self, item: Item) -> Run | None:
        """The run of an entry, not written yet; None where its value can be no input, which is logged."""
        dispatcher, id_ = self.poller.dispatcher, new_id("run")
        try:
            encoded = self.found.encoded(item, dispatcher.config.max_value_bytes)
        except NodeError as error:
            told = f"{name_of(self.claim, self.flow)} found {item.key[:200]!r}, which starts no run: {error.message}"
            self.lines.append(("error", self.found.keyring.clean_text(told), None))
            return None
        kept = dispatcher.resources.payloads.keep(id_, "input", encoded)
        return Run.accept(
            self.flow, id=id_, input=kept.text, input_bytes=kept.size, triggered_by="schedule",
            trigger_node=self.claim.node_id,
        )  # fmt: skip

    def _put(self, made: list[tuple[bytes, Run | None]]) -> int:
        """One transaction: these entries and their runs, as many as there is room for. How many that were.

        With the last of them the state moves; where there is no room, it is left for the next poll.
        """
        now = self.poller.wall()
        with self.poller.writing():
            if not Poll.holds(self.claim):
                raise Overtaken
            if self.claim.is_new:
                Poll.begin_anew(self.claim)
            taken = self._insert(made, now)
            if taken < len(made):
                Poll.end(self.claim, now, now + HOLD_MS, last_polled_at=now)
            elif taken == len(self.left):
                self._settle(now)
            write_log(self.claim, self.flow, self.lines)
        self.lines = []
        self.claim = self.claim._replace(state_of=self.claim.source)
        self.fired += [str(run.id) for _, run in made[:taken] if run is not None]
        self.left = self.left[taken:]
        return taken

    def _insert(self, made: list[tuple[bytes, Run | None]], now: int) -> int:
        room = self.poller.room() if any(run is not None for _, run in made) else 0
        taken = 0
        for _, run in made:
            if run is not None:
                if room <= 0 or self.poller.dispatcher.may_start(self.flow) is not None:
                    break
                execute(*run.insertion())
                room -= 1
            taken += 1
        entries = [(entry, None if run is None else str(run.id)) for entry, run in made[:taken]]
        PollEntry.learn(self.claim, entries, now, self.found.whole)
        return taken

    def _settle(self, now: int) -> None:
        """All is dealt with: the state moves on, and what the source shows no more may be forgotten some day."""
        claim, found = self.claim, self.found
        if found.whole:
            shown = self.shown.keys() & self.known.keys()
            PollEntry.mark(claim, self.known, shown, now)
        PollEntry.prune(claim, len(self.known) + len(self.shown), now)
        if claim.last_error is not None:
            self.lines.append(("info", f"{name_of(claim, self.flow)} can be polled again", None))
        # What claims to have more without having given anything would be asked for ever.
        at_once = found.more and (bool(self.shown) or found.state != claim.state_text)
        # What a first look finds is there already, in however many parts it comes.
        begun = claim.begun or not at_once
        values = {"state": found.state, "begun": begun, "failures": 0, "last_error": None, "last_polled_at": now}
        Poll.end(claim, now, now if at_once else now + round(claim.every * 1000), **values)
