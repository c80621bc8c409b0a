"""Debounced triggers: calls within a window start one run, with the input of the last or the first call, or of all.

While a run collects calls, its input is stored in its row, even if it is large. So a transaction that adds a call and
is rolled back leaves no file behind.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any, NamedTuple

import orjson

import engine
from database import execute_all, write
from database.base import new_id, now_ms
from database.queries import debounces, runs
from database.queries.debounces import Window
from database.queries.workspace_variables import find_variables
from definition import Debouncing, Plan
from errors import BadInput, Conflict, ExpressionError, NodeError, Unavailable
from models import Run

from .acceptance import Start, Ticket, check_input
from .payloads import Kept
from .resources import Flow, Resources

log = logging.getLogger("headrace.dispatch")


def collect(resources: Resources, start: Start, plan: Plan, how: Debouncing) -> Ticket:
    """Record a call, in the run that collects calls of its window or in a new run. Return its ticket.

    Raises: BadInput if the key cannot be computed or the input is too large, Conflict if the flow is archived,
        Unprocessable if another request had the idempotency key.
    """
    flow, node_id = start.flow, start.trigger_node
    assert node_id is not None
    if flow.status == "archived":
        raise Conflict("The flow is archived; make it a draft or active to run it")
    check_input(plan, node_id, lambda: start.input, flow.workspace_id)
    debouncer = Debouncer(resources, flow, plan, node_id, start.triggered_by, how)
    call = debouncer.make_call(start.input, debouncer.encode(start.input))
    with write():
        collected = debouncer.open([call.window])
        key, request_hash = start.key, start.request_hash
        if key is not None and (first := runs.run_of_key(flow.id, key, request_hash)) is not None:
            return Ticket(first, False)
        run = collected.add(call)
        collected.save()
        if key is not None:
            execute_all(runs.take_key(flow.id, key, str(run.id), request_hash))
    return Ticket(run, True)


def wake(resources: Resources, now: int) -> bool:
    """Start the runs whose window has ended. Return True if there were any."""
    if not debounces.is_due(now):
        return False
    with write():
        for run in debounces.end_due(now):
            start_run(resources, run)
    return True


def start_run(resources: Resources, run: Run) -> None:
    """Start a run that has collected calls. A large input is moved out of its row. Call inside a transaction."""
    kept = Kept(run.input, run.input_bytes)
    try:
        if kept.text is not None:
            kept = resources.payloads.keep(str(run.id), "input", kept.text.encode())
    except (Unavailable, OSError) as error:
        # It may stay in the row: a failure of the store must not delay other runs.
        log.warning("The input of the run %s stays in its row: %s", run.id, error)
    debounces.start(run, kept.text, kept.size)


class DebouncedCall(NamedTuple):
    """A call with its window, and its input as JSON text."""

    window: Window
    value: bytes


def find_debouncer(resources: Resources, flow: Flow, node_id: str, triggered_by: str) -> Debouncer | None:
    """Return the debouncing of this trigger, or None if each of its calls starts a run."""
    plan = resources.plan_of(flow)
    how = plan.by_id[node_id].debounce
    return None if how is None else Debouncer(resources, flow, plan, node_id, triggered_by, how)


class Debouncer:
    """The debouncing of one trigger."""

    def __init__(
        self, resources: Resources, flow: Flow, plan: Plan, node_id: str, triggered_by: str, how: Debouncing
    ) -> None:
        self.resources, self.flow, self.plan, self.how = resources, flow, plan, how
        self.node_id, self.triggered_by = node_id, triggered_by
        self.most = resources.config.max_value_bytes
        self.margin = 2 if how.keep == "all" else 0  # bytes of the brackets of a list

    def make_call(self, value: Any, encoded: bytes) -> DebouncedCall:
        """Return a call with this input, and its JSON text. Raises: BadInput if its key cannot be computed."""
        flow, key = self.flow, self.how.key
        if key is None:
            return self._with_key("", encoded)
        scope = {
            "input": value, "trigger": value,
            "workflow": {"id": flow.id, "name": flow.name, "version": flow.version},
            "vars": {**find_variables(flow.workspace_id), **self.plan.settings.vars},
            "now": datetime.fromtimestamp(now_ms() / 1000, UTC),
        }  # fmt: skip
        try:
            text = orjson.dumps(key.evaluate(scope), option=orjson.OPT_SORT_KEYS)
        except (ExpressionError, TypeError) as error:
            raise BadInput(f"debounce.key: {error}") from None
        return self._with_key(_digest(text), encoded)

    def make_lone_call(self, encoded: bytes) -> DebouncedCall:
        """Return a call that is collected only with equal calls."""
        return self._with_key(_digest(encoded), encoded)

    def _with_key(self, key: str, encoded: bytes) -> DebouncedCall:
        return DebouncedCall(Window(self.flow.id, self.node_id, key, self.how.seconds), encoded)

    def encode(self, value: Any) -> bytes:
        """Return the input of a call as JSON text. Raises: BadInput if it is too large."""
        try:
            return engine.encode(value, self.most - self.margin)
        except NodeError as error:
            raise BadInput(f"input: {error.message}") from None

    def open(self, windows: Collection[Window]) -> Collected:
        """Return the runs that collect calls in these windows. Call inside a transaction, and `save` at its end."""
        return Collected(self, windows)

    def make_run(self, value: str) -> Run:
        """Return a new run that collects calls; its row is not written yet."""
        return runs.accept(
            self.flow, id=new_id("run"), input=value, triggered_by=self.triggered_by, trigger_node=self.node_id,
            nodes_total=len(self.plan.nodes), nodes_done=0, waiting=debounces.COLLECTING,
        )  # fmt: skip


def _digest(key: bytes) -> str:
    return hashlib.blake2b(key, digest_size=16).hexdigest()


class Collected:
    """The runs that collect calls in some windows, in one transaction: `add` changes them in memory, `save` writes."""

    def __init__(self, debouncer: Debouncer, windows: Collection[Window]) -> None:
        self.debouncer, self.keep, self.now = debouncer, debouncer.how.keep, now_ms()
        self.taking, self.over = debounces.lock(windows, self.now)
        self.added: dict[Window, list[bytes]] = {}
        self.sizes: dict[Window, int] = {}  # bytes of the inputs

    def takes(self, call: DebouncedCall) -> bool:
        """Return True if there is a run that can collect this call."""
        window, value = call
        if window not in self.taking or self.keep != "all":
            return window in self.taking
        if window not in self.sizes:
            self.sizes[window] = len(self._input_of(self.taking[window]))
        return self.sizes[window] + 1 + len(value) <= self.debouncer.most

    def add(self, call: DebouncedCall) -> Run:
        """Add a call to the run of its window, or to a new run if there is none or its list is full. Return the run."""
        window, value = call
        if self.takes(call):
            self.added.setdefault(window, []).append(value)
            self.sizes[window] = self.sizes.get(window, 0) + 1 + len(value)
            return self.taking[window]
        self._save(window)
        for former in (self.over.pop(window, None), self.taking.pop(window, None)):
            if former is not None:
                start_run(self.debouncer.resources, former)
        first = b"[%b]" % value if self.keep == "all" else value
        run = self.taking[window] = self.debouncer.make_run(first.decode())
        self.sizes[window] = len(first)
        debounces.begin(window, run, self.now)
        return run

    def save(self) -> None:
        """Write the added calls."""
        for window in list(self.added):
            self._save(window)

    def _save(self, window: Window) -> None:
        values = self.added.pop(window, None)
        if values is None:
            return
        run = self.taking[window]
        if self.keep != "first":
            text = values[-1] if self.keep == "last" else b",".join([self._input_of(run)[:-1], *values]) + b"]"
            run.input, run.input_bytes = text.decode(), None
            debounces.replace_input(run, run.input)
        debounces.extend(window, self.now)

    def _input_of(self, run: Run) -> bytes:
        kept = Kept(run.input, run.input_bytes)
        return self.debouncer.resources.payloads.load(str(run.id), "input", kept) or b"null"
