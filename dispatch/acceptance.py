"""Acceptance of a run: the request to start it, its row with all that is committed together with it, and the ticket."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection
from typing import Any, NamedTuple, TypeAlias

import engine
from database.base import Write, new_id
from database.queries import runs
from database.queries.locks import FlowLock
from database.queries.runs import Unit
from engine import Plan
from errors import BadInput, Issue, NodeError, Unavailable, Unprocessable
from models import Run
from nodes.core.triggers import AskingNode, InputRefused
from nodes.credentials.keyring import Keyring

from .recorder import Done, Recorder
from .resources import Flow, Resources, StartOptions, Task
from .run_record import RunRecord

# Active runs: requests to start a run, runs that this process has queued or executes, and tickets to wait for them.

# Makes a write that is committed together with a change of the run, or not at all, such as its audit log entry.
Note: TypeAlias = Callable[[Run], Write]
StepSeen: TypeAlias = Callable[[Run, engine.StepRecord], None]


class HandedBack(BaseException):
    """The process ends and releases this run. A BaseException, so that no handler of node errors catches it."""


class Active:
    """A run that this process has queued or executes. `ended` is set when it no longer does."""

    def __init__(self, record: RunRecord, plan: Plan) -> None:
        self.record, self.plan = record, plan
        self.taken_at = time.monotonic()
        self.is_suspect = record.run.deaths > 1
        self.ended = threading.Event()
        # A `respond` node has run, and that is durable; or the run has ended.
        self.answered = threading.Event() if plan.responding else self.ended
        self.stop_reason: str | None = None
        self.is_put_off = False  # it could not be read at the moment
        self.is_released = False  # the process ends: results of its nodes from now on do not count
        self.response: Any = None
        self.heard: Callable[[], object] | None = None  # called after each response, and at the end
        self.place: Any = None  # in a trace, as `Tracing.find_place` returned it
        self.keyring = Keyring()
        self.inputs: list[str] = []  # ids of child runs whose input is in a file

    @property
    def run(self) -> Run:
        """Return the run's row as this process knows it."""
        return self.record.run

    def respond(self, response: Any, flushed: Done) -> None:
        """Give the response to waiting callers once these writes are on the disk. The last of them is the step.

        If the step was not written, the run was cancelled or claimed by another process.
        """

        def tell(done: Done) -> None:
            if done.exception() or done.result()[-1:] == [0]:
                return
            if engine.is_response(response) and self.response is None:
                self.response = response
                self.answered.set()
            if self.heard is not None:
                self.heard()

        flushed.add_done_callback(tell)

    def end(self) -> None:
        """Wake all waiting callers: the run is no longer active in this process."""
        self.ended.set()
        self.answered.set()
        if self.heard is not None:
            self.heard()


class Start(NamedTuple):
    """A request to start a run.

    `trigger_node` is the trigger that fired (None: the run begins at all triggers), `key` the idempotency key.
    `options` change the flow for this run. The write of `note` is committed together with the run. `is_awaited`: a
    caller waits for its end, so the process that accepts it executes it. `run_id` is that of the new run, if the caller
    made it, as for files that are in place before the run. `request_hash` is that of the only request that `key` stands
    for.
    """

    flow: Flow
    input: Any
    triggered_by: str
    trigger_node: str | None = None
    key: str | None = None
    options: StartOptions | None = None
    note: Note | None = None
    is_awaited: bool = True
    run_id: str | None = None
    request_hash: str | None = None


class Ticket(NamedTuple):
    """A submitted run. `is_new` is False if the idempotency key had started it before; `active`: it runs here."""

    run: Run
    is_new: bool
    active: Active | None = None

    def durable(self) -> None:
        """Wait until the run is on the disk. Raises: Unavailable if that failed."""
        if self.active is not None:
            self.active.record.durable()


def make_record(resources: Resources, recorder: Recorder, start: Start, plan: Plan) -> RunRecord:
    """Return the record of a new run. Nothing is in the database yet; large values are in files.

    Raises: BadInput if the input is too large.
    """
    flow, input, triggered_by, trigger_node, key, options, note, _, run_id, request_hash = start
    try:
        encoded = engine.encode(input, resources.config.max_value_bytes)
    except NodeError as error:
        raise BadInput(f"input: {error.message}") from None
    id_ = run_id or new_id("run")
    payloads = resources.payloads
    kept = payloads.keep(id_, "input", encoded)
    run = runs.accept(
        flow, id=id_, input=kept.text, input_bytes=kept.size, triggered_by=triggered_by, trigger_node=trigger_node,
        nodes_total=len(plan.nodes), nodes_done=0, **({} if options is None else options.columns(flow.version)),
    )  # fmt: skip
    given = []
    if options is not None:
        kept = payloads.keep(id_, "options", options.encoded())
        given = [runs.keep_options(id_, kept.text, kept.size)]
    limit = plan.settings.max_concurrent_runs
    unless = limit if plan.settings.overlap == "skip" else 0

    def made() -> Unit:
        bound = runs.take_key(flow.id, key, id_, request_hash) if key is not None else []
        more = flow.record(run) if isinstance(flow, Task) else []
        lock = [FlowLock(flow.id, alone=True)] if unless else []
        return [
            runs.insertion_unless_busy(run, unless) if unless else runs.insertion(run),
            *bound,
            *given,
            *more,
            *lock,
        ]

    noted = [] if note is None else [note(run)]
    if unless:
        # If the flow is busy, the run is not written.
        noted = [one.with_condition("EXISTS (SELECT 1 FROM runs WHERE id = ?)", (id_,)) for one in noted]
    return RunRecord(recorder, payloads, run, made, noted)


# Input validation by a run's triggers, before the run exists.


def check_input(
    plan: Plan, trigger_node: str | None, value: Callable[[], Any], workspace_id: str, done: Collection[str] = ()
) -> None:
    """Check the input with the triggers that the run of this workspace would execute; `value` returns the input.

    Without a `trigger_node`, all triggers of the flow check it, except the nodes in `done`, which are not executed.

    A refused input starts no run and uses no idempotency key: the caller is present and can correct it. The trigger
    checks again when it is executed, for runs that no request started. `default` in a schema is for forms only: the
    server never applies it, so a repeated run has the same input, and a changed schema gives old inputs no new meaning.

    Raises: Unprocessable if a trigger refuses the input, Unavailable if the check failed and may work later.
    """
    fired = plan.by_id.get(trigger_node) if trigger_node is not None else None
    for planned in plan.nodes if trigger_node is None else (fired,) if fired is not None else ():
        node, config = planned.node, planned.config.static
        # Executed for the whole input, not for its items.
        is_whole = not planned.disabled and planned.pinned is None and planned.foreach is None
        if isinstance(node, AskingNode) and is_whole and planned.id not in done and "input_schema" in config:
            _check(node, config, value(), workspace_id)


def _check(node: AskingNode, config: dict[str, Any], value: Any, workspace_id: str) -> None:
    try:
        node.check(config, value, workspace_id)
    except InputRefused as error:
        issues = []
        for issue in error.issues:  # with paths in the request
            dot = "." if issue["path"] and not issue["path"].startswith("[") else ""
            issues.append(Issue(f"input{dot}{issue['path']}", issue["message"]))
        raise Unprocessable(error.message[0].upper() + error.message[1:], issues) from None
    except NodeError as error:
        told = f"The input cannot be checked: {error.message}"
        if error.permanent:
            raise Unprocessable(told, [Issue("input", error.message)]) from None
        raise Unavailable(told, retry_after=5) from None
