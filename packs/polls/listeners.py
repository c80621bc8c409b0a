"""Listeners: triggers that hold a connection to their source, and start a run for each message that arrives.

A listener is a claimed poll that does not end: the leader extends the claim, whose version is the fencing token of each
write. So it ends like a poll if the flow changes, if another process leads or if the process stops, and a lost
connection is retried like a failed poll. Each listener has a thread. This module is loaded with the first listener.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from database import DatabaseRefused, closing_connection
from database.queries.webhooks import Fired
from errors import NodeError
from models import Workflow
from nodes.base import Item
from nodes.credentials.keyring import Keyring
from packs.polls import queries
from packs.polls.look import Line, encode_state, open_trigger, redacted_errors
from packs.polls.poller import (
    RUNS_AT_ONCE,
    ClaimLost,
    Entry,
    EntryRuns,
    Poller,
    Stopped,
    make_entry_runs,
    name_of,
    put_entries,
    put_or_discard,
    write_log,
)
from packs.polls.queries import MAX_ENTRIES, Claim
from scheduler.firing import active_flows

log = logging.getLogger("headrace.scheduler")
MAX_LISTENERS = 100
CLAIM_MS, EXTEND_SECONDS = 30_000, 10.0
STOP_SECONDS = 5.0  # for disconnecting all listeners
FIRST_BACKOFF_MS, MAX_BACKOFF_MS = 1_000, 60_000
STABLE_SECONDS = 60.0  # after a connection of this length the backoff starts anew from its first value
PRUNE_EVERY = 500  # known entries
ROOM_SECONDS = 0.5


class Listeners:
    """The listeners of one process. Only one thread may call its methods, besides the threads of the listeners."""

    def __init__(self, poller: Poller) -> None:
        self.poller = poller
        self._open: dict[tuple[str, str], Listener] = {}
        self._extended = poller.monotonic()

    def keys(self) -> set[tuple[str, str]]:
        """Return flow and node of each listener."""
        return set(self._open)

    def start(self, claim: Claim) -> None:
        """Listen under this claim, in a thread of its own."""
        flow = active_flows([claim.workflow_id]).get(claim.workflow_id)
        if flow is None:
            queries.end(claim, self.poller.wall(), None, idle_since=self.poller.wall())
            return
        listener = Listener(self.poller, claim, flow)
        if len(self._open) >= MAX_LISTENERS:
            listener.fail(f"this server listens to {MAX_LISTENERS} sources already, which is the limit")
            return
        queries.extend([claim], self.poller.wall(), self.poller.wall() + CLAIM_MS)
        self._open[claim.workflow_id, claim.node_id] = listener
        listener.thread.start()

    def tick(self) -> None:
        """End the listeners that have lost their claim, and extend the claims of the others."""
        self._open = {key: one for key, one in self._open.items() if one.thread.is_alive()}
        if not self._open:
            return
        held = queries.held(self.poller.owner) if self.poller.leads() else set()
        for (workflow_id, node_id), one in self._open.items():
            if (workflow_id, node_id, one.claim.version) not in held:
                one.closing.set()
        now = self.poller.monotonic()
        if held and now - self._extended >= EXTEND_SECONDS:
            wall = self.poller.wall()
            queries.extend([one.claim for one in self._open.values()], wall, wall + CLAIM_MS)
            self._extended = now

    def stop(self) -> None:
        """End all listeners, so that another process can take over at once."""
        for one in self._open.values():
            one.closing.set()
        end = time.monotonic() + STOP_SECONDS
        for one in self._open.values():
            one.thread.join(max(0.0, end - time.monotonic()))


class Listener:
    """A trigger that listens, and its inbox: see `nodes.base.Inbox`."""

    def __init__(self, poller: Poller, claim: Claim, flow: Workflow) -> None:
        self.poller, self.claim, self.flow = poller, claim, flow
        self.closing = threading.Event()
        self.thread = threading.Thread(target=closing_connection(self.work), name="listener", daemon=True)
        self.lines: list[Line] = []
        self.keyring: Keyring = poller.dispatcher.resources.keyring_of(flow.workspace_id)
        self.failures, self._connected_at = claim.failures, 0.0
        self.runs: EntryRuns
        self._learned = 0

    # The work of its thread

    def work(self) -> None:
        """Listen until the inbox is closed or the source is lost, and release the claim."""
        name = name_of(self.claim, self.flow)
        try:
            if self.claim.is_new:  # the config has changed: the state belongs to another source
                with self.poller.writing():
                    queries.reset_state(self.claim)
                self.claim = self.claim._replace(state_of=self.claim.source, state=None, begun=0)
            self._listen()
            with self.poller.writing():
                queries.end(self.claim, self.poller.wall(), self.poller.wall())
        except NodeError as error:
            try:
                self.fail(error.message)
            except (Stopped, DatabaseRefused, OSError) as failure:
                log.warning("Could not record that %s failed: %s", name, failure)
        except (Stopped, ClaimLost):
            log.debug("%s stops listening", name)
        except (DatabaseRefused, OSError) as error:
            log.error("%s cannot be recorded: %s", name, error)
        except Exception:
            log.exception("%s stopped listening; it starts again in %d ms", name, CLAIM_MS)

    def _listen(self) -> None:
        fired = Fired(self.flow.id, self.flow.version, self.flow.name, self.flow.workspace_id, "active")
        node_id, state = self.claim.node_id, self.claim.state_text
        dispatcher = self.poller.dispatcher
        resources = dispatcher.resources
        ending: BaseException | None = None
        with redacted_errors(self.keyring, fired, node_id):
            opened = open_trigger(resources, fired, node_id, state, self.lines, self.keyring, None)
            self.runs = make_entry_runs(dispatcher, self.claim, self.flow, self.keyring)
            try:
                opened.planned.node.listen(opened.config, opened.state, opened.ctx, self)
            except (Stopped, ClaimLost, DatabaseRefused) as error:
                ending = error  # not a failure of the trigger
        if ending is not None:
            raise ending

    def fail(self, text: str) -> None:
        """Record a failure, and try again after a pause. Each error is logged once."""
        now, claim = self.poller.wall(), self.claim
        if self._connected_at and self.poller.monotonic() - self._connected_at >= STABLE_SECONDS:
            self.failures = 0
        pause = min(FIRST_BACKOFF_MS * 2 ** min(self.failures, 30), MAX_BACKOFF_MS)
        values = {"failures": self.failures + 1, "last_error": text, "last_polled_at": now}
        with self.poller.writing():
            if queries.end(claim, now, now + pause, **values):
                if text != claim.last_error:
                    self.lines.append(("warning", f"{name_of(claim, self.flow)} cannot listen: {text}", None))
                write_log(claim, self.flow, self.lines)

    # The inbox

    def is_open(self) -> bool:
        """Return False once the trigger must stop listening."""
        return not self.closing.is_set()

    def connected(self) -> None:
        """Report that the source was reached, which ends a failure."""
        if self.claim.last_error is not None:
            self.lines.append(("info", f"{name_of(self.claim, self.flow)} listens again", None))
        self._connected_at = self.poller.monotonic()
        self._update(failures=0, last_error=None, last_polled_at=self.poller.wall())
        self.claim = self.claim._replace(failures=0, last_error=None)

    def save(self, state: Any) -> None:
        """Save the state for the next connection."""
        self._update(state=encode_state(state, self.keyring))

    def deliver(self, items: Sequence[Item]) -> int:
        """Start a run for each item whose key is empty or unknown, as far as there is room. Return the number done."""
        dispatcher = self.poller.dispatcher
        if not self.is_open() or dispatcher.is_paused or dispatcher.free_space.is_low():
            return 0
        batch = items[:RUNS_AT_ONCE]
        keys = [queries.digest(item.key) if item.key else None for item in batch]
        known = queries.find_known(self.claim, {key for key in keys if key is not None})
        made: list[Entry] = []
        for key, item in zip(keys, batch, strict=True):
            is_new = key is None or key not in known
            known |= set() if key is None else {key}
            one = self.runs.prepare(item, self.lines) if is_new else None
            made.append((key if is_new else None, one))
        taken = put_or_discard(self.runs, made, self._put)
        if any(one is not None for _, one in made[:taken]):
            dispatcher.pick_up()
        return taken

    def catch_up(self, items: Sequence[Item], backlog: bool) -> None:
        """Start a run for each item whose key is unknown; at the first connection to a source only with `backlog`."""
        if not self.claim.begun and not backlog:
            entries = {queries.digest(item.key): None for item in items}
            with self._writing():
                known = queries.find_known(self.claim, entries.keys()) if entries else set()
                unknown = [(entry, None) for entry in entries if entry not in known]
                queries.learn(self.claim, unknown, self.poller.wall(), False)
        else:
            left = list(items)
            while left and self.is_open():
                taken = self.deliver(left)
                left = left[taken:]
                if not taken:
                    self.closing.wait(ROOM_SECONDS)
            if left:
                return
        self._update(begun=True)
        self.claim = self.claim._replace(begun=1)

    # Writing

    def _put(self, made: Sequence[Entry]) -> int:
        """Record runs with their keys in one transaction, as far as there is room; return their number."""
        now = self.poller.wall()
        with self._writing([one for _, one in made if one is not None]):
            ids = put_entries(self.runs, made, self.poller.room, lambda: self.poller.may_start(self.flow))
            entries = [(key, id_) for (key, _), id_ in zip(made, ids, strict=False) if key is not None]
            queries.learn(self.claim, entries, now, False)
            queries.update_held(self.claim, now, last_polled_at=now)
        self._learned += len(entries)
        if self._learned >= PRUNE_EVERY:
            self._learned = 0
            with self._writing():
                queries.prune_entries(self.claim, MAX_ENTRIES, now)
        return len(ids)

    def _update(self, **values: Any) -> None:
        with self._writing():
            queries.update_held(self.claim, self.poller.wall(), **values)

    @contextmanager
    def _writing(self, prepared: Sequence[Any] | None = None) -> Iterator[None]:
        """Open a write transaction under the claim, which writes the log entries too. Raises: ClaimLost, Stopped."""
        with self.poller.writing():
            if prepared is not None:
                self.runs.open(prepared)
            if not queries.holds(self.claim):
                raise ClaimLost
            yield
            write_log(self.claim, self.flow, self.lines)
        del self.lines[:]
