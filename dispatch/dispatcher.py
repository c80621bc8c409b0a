"""One process's runs: accepted, claimed, executed, suspended, recovered.

Every run goes through `_execute`, whether a thread of the pool calls it, a request that waits for a quick one, or, with
`inline`, the caller itself (tests, the command line).
"""

from __future__ import annotations

import logging
import math
import queue
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any, TypeAlias

import orjson

import engine
from config import Config
from database import disconnect_thread, write
from engine import Job, Outcome, Plan
from errors import BadInput, Conflict, HeadraceError, NodeError, NotFound, Unavailable
from models import (
    QUEUED,
    Fired,
    IdempotencyKey,
    Lease,
    Run,
    Step,
    Wait,
    Workflow,
    WorkflowVersion,
    WorkspaceStore,
    Write,
    new_id,
    now_ms,
)
from nodes.base import REGISTRY, Node, Once, Services
from nodes.egress import make_client
from nodes.sandbox import Sandbox
from payloads import Kept, Payloads
from recorder import Recorder, RunRecord, RunTaken

from .active import Active, HandedBack, Ticket
from .flows import Starter, failure_writes, remains_of
from .history import History
from .links import Links
from .plans import Plans
from .retrying import make_retry

log = logging.getLogger("headrace.dispatch")
Flow: TypeAlias = Workflow | Fired  # a row, or as much of one as it takes to run it

MAX_DEATHS = 3
SUSPECT_SECONDS = 60.0  # in which a run that kills its process has done so
POLL_SECONDS = 0.05
WAIT_SECONDS = 0.5  # after which who waits for a run looks whether the process ends
LAST_SECONDS = 1.0  # for what is between two nodes, once the grace time is over


def make_services(config: Config) -> Services:
    """What this process lends to its nodes."""
    return Services(Once(lambda: make_client(config.egress_allow, config.http_max_bytes)), Once(Sandbox))


class Dispatcher:
    """One process's runs. `start` it after the fork, `stop` it before the end."""

    def __init__(
        self, config: Config, recorder: Recorder, services: Services, inline: bool = False, links: Links | None = None
    ) -> None:
        self.config, self.recorder, self.services = config, recorder, services
        self.inline, self.links = inline, links
        self.payloads = Payloads(config.data_dir / "values", config.inline_value_bytes)
        self.plans = Plans(config.max_nodes)
        self.owner = ""
        self.on_step: Callable[[Run, engine.Step], None] | None = None
        self._active: dict[str, Active] = {}
        self._unrecorded: dict[str, list[Write]] = {}
        self._backlog = 0
        self._more = False  # there was more to claim than threads to do it
        self._queue: queue.SimpleQueue[Active | None] = queue.SimpleQueue()
        self._local = threading.local()
        self._threads: list[threading.Thread] = []
        self._stopping = threading.Event()
        self._grace_ends = math.inf
        self._alive_until = 0.0
        self._hand_back = threading.Event()

    # The life of the process

    def start(self) -> None:
        """Take a name, say that this process is alive, and start its threads."""
        self.owner = new_id("proc")
        try:
            self.beat()
        except Exception:
            # A process that fails at its start has gunicorn end the whole server. This one can still answer reads.
            log.exception("the database cannot be written; no runs are taken until it can")
        for number in range(0 if self.inline else self.config.run_threads):
            thread = threading.Thread(target=self._work, name=f"run-{number}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def close(self) -> None:
        """Take no more runs. The grace time begins: when it is over, nobody is kept waiting for a run."""
        self._grace_ends = min(self._grace_ends, time.monotonic() + self.config.grace)
        self._stopping.set()

    def stop(self) -> None:
        """Take no more runs, let those that run finish for the grace time, hand the rest back, end the threads."""
        self.close()
        for active in list(self._active.values()):
            active.ended.wait(max(0.0, self._grace_ends - time.monotonic()))
        self._hand_back.set()
        for _ in self._threads:
            self._queue.put(None)
        deadline = time.monotonic() + LAST_SECONDS
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._threads.clear()
        try:
            self._let_go()
            Lease.end(self.owner)
        except Exception:
            log.exception("the runs could not be handed back; others take them up when the lease has run out")
        self.services.close()

    def _let_go(self) -> None:
        """Hand back the runs whose node does not end: with the process it does, and they did nothing to that."""
        for active in list(self._active.values()):
            active.let_go = True
            active.flush([Run.release(active.run.id, self.owner)]).result()

    def is_open(self) -> bool:
        """Whether it takes runs."""
        most = self.config.max_pending
        return self._is_alive() and not self._stopping.is_set() and len(self._active) < most and self._backlog < most

    def _is_alive(self) -> bool:
        """Whether others know that this process lives. If not, they would take up what it begins."""
        return time.monotonic() < self._alive_until

    def active_count(self) -> int:
        """How many runs this process has queued or executes."""
        return len(self._active)

    def beat(self) -> None:
        """Prolong the lease that covers all runs of this process."""
        now = time.monotonic()
        Lease.beat(self.owner, self.config.lease * 1000)
        self._alive_until = now + self.config.lease

    def sweep(self) -> None:
        """Take up what nobody does: runs of dead processes, pending ones; and drop the runs that were taken from us."""
        self._record_the_rest()
        for run in Run.abandoned():
            log.warning("run %s was left by a process that is gone; it will be resumed", run.id)
            self.recorder.commit([Run.take_from_the_dead(run.id)])
        Run.unqueue()
        self._notice_the_taken()
        self.pick_up()

    def wake(self) -> None:
        """Let those runs go on for which the time to wait is over, and take up pending ones."""
        Wait.wake(now_ms())
        self.pick_up()

    # Starting runs

    def plan_of(self, flow: Flow) -> Plan:
        """The plan of the flow as it is; DefinitionError where it is not valid."""
        return self.plans.get(flow.id, flow.version, lambda: str(flow.definition_json))

    def submit(
        self,
        flow: Flow,
        input: Any,
        triggered_by: str,
        trigger_node: str | None = None,
        key: str | None = None,
        here: bool = False,
    ) -> Ticket:
        """Accept a run and start it, at once where a thread is free. `wait` says when it is durable.

        `here` lets the caller's own thread execute it where it is a quick one, which saves handing it over.
        """
        if flow.status == "archived":
            raise Conflict("The flow is archived; make it a draft or active to run it")
        if key is not None and (first := IdempotencyKey.run_of(flow.id, key)) is not None:
            return self.ticket_of(first)
        plan = self.plan_of(flow)
        self._check_open()
        active = self._accept(flow, plan, input, triggered_by, trigger_node, key)
        if key is not None or plan.settings.max_concurrent_runs:
            try:
                self._settle_acceptance(active, plan)
            except HeadraceError as error:
                self._active.pop(active.run.id, None)
                self.payloads.remove(active.run.id)
                first = IdempotencyKey.run_of(flow.id, key) if isinstance(error, Conflict) and key else None
                if first is None:
                    raise
                return self.ticket_of(first)
        self._enqueue(active, here and plan.is_quick)
        return Ticket(active.run, True, active)

    def _check_open(self) -> None:
        if not self._is_alive():
            raise Unavailable("The database cannot be written at the moment", retry_after=5)
        if not self.is_open():
            raise Unavailable("Too many runs are waiting; try again soon", retry_after=1)

    def _accept(
        self, flow: Flow, plan: Plan, input: Any, triggered_by: str, trigger_node: str | None, key: str | None
    ) -> Active:
        try:
            encoded = engine.encode(input, self.config.max_value_bytes)
        except NodeError as error:
            raise BadInput(f"input: {error.message}") from None
        id_ = new_id("run")
        kept = self.payloads.keep(id_, "input", encoded)
        run = Run.accept(
            flow, id=id_, input=kept.text, input_bytes=kept.size, triggered_by=triggered_by, trigger_node=trigger_node,
            nodes_total=len(plan.nodes), nodes_done=0,
        )  # fmt: skip
        limit = plan.settings.max_concurrent_runs
        unless = limit if plan.settings.overlap == "skip" else 0

        def made() -> list[Write]:
            bound = IdempotencyKey.take(flow.id, key, id_) if key is not None else []
            return [*bound, run.insertion_unless_busy(unless) if unless else run.insertion()]

        active = self._active[id_] = Active(run, plan, self.recorder, made)
        if not limit and (self.inline or len(self._active) <= self.config.run_threads):
            active.begin(self.owner)
        return active

    def _settle_acceptance(self, active: Active, plan: Plan) -> None:
        """Wait for the row; Conflict for a key that is taken, or for one run too many at once."""
        counts = active.durable()
        if not counts[-1]:
            limit = plan.settings.max_concurrent_runs
            raise Conflict(f"The flow runs {limit} times already, and its overlap is skip")

    def _enqueue(self, active: Active, here: bool = False) -> None:
        if not self.inline and not here:
            self._queue.put(active)
        elif (waiting := getattr(self._local, "waiting", None)) is not None:
            waiting.append(active)
        else:
            self._drain(active)

    def _drain(self, first: Active) -> None:
        """Execute a run, and what that lets start, in this thread, one after the other."""
        waiting = self._local.waiting = deque([first])
        try:
            while waiting:
                self._execute(waiting.popleft())
        finally:
            del self._local.waiting

    def _work(self) -> None:
        try:
            while (active := self._queue.get()) is not None:
                self._execute(active)
                if self._more and self._queue.empty():
                    self._look_around()
        finally:
            disconnect_thread()

    def may_start(self, flow: Workflow) -> str | None:
        """Why a schedule is not to start this flow now, if its `overlap` is skip. In the transaction that would."""
        plan = self.plans.get(flow.id, flow.version, lambda: str(Workflow.get_by_id(flow.id).definition_json))
        limit = plan.settings.max_concurrent_runs
        if limit and plan.settings.overlap == "skip" and Run.busy(flow.id) >= limit:
            return f"it runs {limit} times already, and its overlap is skip"
        return None

    # Waiting for runs, answering and ending them

    def durable(self, ticket: Ticket) -> None:
        """Return when the run is on the disk. Unavailable where that failed."""
        if ticket.active is not None:
            ticket.active.durable()

    def ticket_of(self, run: Run) -> Ticket:
        """What `submit` would have given for a run that is there already."""
        return Ticket(run, False, self._active.get(run.id))

    def wait(self, ticket: Ticket, seconds: float) -> Run:
        """The run as it stands when it has ended, waits for longer than that, or the time is over. It is durable."""
        deadline = time.monotonic() + seconds
        active = ticket.active
        if active is not None:
            self._await(active.ended, deadline)
            active.durable()
            if active.run.finished_at is not None and active.ended.is_set():
                return active.run
        while True:
            present, left = Run.find(ticket.run.id), self._left(deadline)
            if present is None:
                if left <= 0:
                    raise Unavailable("The run could not be recorded", retry_after=5)
            elif present.finished_at is not None or present.recorded or left <= 0 or _sleeps_past(present, left):
                return present
            time.sleep(min(POLL_SECONDS, left))

    def _left(self, deadline: float) -> float:
        """Seconds until somebody who waits has waited long enough."""
        return min(deadline, self._grace_ends) - time.monotonic()

    def _await(self, event: threading.Event, deadline: float) -> bool:
        """Wait for the event as long as that is of use; whether it came."""
        while (left := self._left(deadline)) > 0 and not event.wait(min(left, WAIT_SECONDS)):
            continue
        return event.is_set()

    def response(self, ticket: Ticket, seconds: float) -> tuple[Run, Any]:
        """The run and the output of its first `respond` node, as soon as that is durable; else as `wait`, and None."""
        deadline = time.monotonic() + seconds
        active = ticket.active
        if active is not None and self._await(active.answered, deadline) and active.response is not None:
            active.durable()
            return active.run, active.response
        run = self.wait(ticket, max(0.0, deadline - time.monotonic()))
        for step in Step.successes(run.id, [type_ for type_, node in REGISTRY.items() if node.responds]):
            response = self.value(run.id, f"step_{step.seq}", Kept(step.output, step.output_bytes))
            if engine.is_response(response):
                return run, response
        return run, None

    def cancel(self, run: Run, by: str) -> Run:
        """End the run now, and those for which it waits; whoever executes it stops before its next step.

        Conflict if it has ended.
        """
        active = self._active.get(run.id)
        if active is not None:
            active.durable()
        if not self._cancel(run, f"cancelled by {by}"):
            raise Conflict("The run has ended already")
        self._look_around()
        return run

    def _cancel(self, run: Run, reason: str) -> bool:
        if not run.cancel(reason):
            return False
        if (active := self._active.get(run.id)) is not None:
            active.stop_reason = reason
        for child in run.children():
            self._cancel(child, reason)
        return True

    def retry(self, run: Run, start: str, version: str | int) -> Ticket:
        """Repeat an ended run, as retrying.py says."""
        self._check_open()
        made = make_retry(self, run, start, version)
        active = self._active[made.id] = Active(made, self._plan_of_version(made), self.recorder)
        self._enqueue(active)
        return Ticket(made, True, active)

    def answerable(self, run: Run, node_id: str) -> Node:
        """The node of the run that takes an answer; NotFound where there is no such one."""
        planned = self._plan_of_version(run).by_id.get(node_id)
        if planned is None or planned.disabled or not planned.node.answers:
            raise NotFound(f"The run has no node {node_id[:64]!r} that could be answered")
        return planned.node

    def answer(self, run: Run, node_id: str, name: str, value: Any, by: str | None) -> None:
        """Answer a node of the run that waits, or soon will, once; then the run goes on.

        NotFound for a node that takes no answer, BadInput for an answer that it does not know, Conflict where it was
        answered before, its time is over or the run has ended.
        """
        node = self.answerable(run, node_id)
        if name not in node.answers:
            raise BadInput(f"answer: must be one of {', '.join(node.answers)}")
        try:
            encoded = engine.encode(value, self.config.max_value_bytes)
        except NodeError as error:
            raise BadInput(f"body: {error.message}") from None
        if (active := self._active.get(run.id)) is not None:
            active.durable()
        with write():
            problem = Wait.why_closed(run.id, node_id, now_ms())
            if problem is not None:
                raise Conflict(problem)
            kept = self.payloads.keep(run.id, f"answer_{node_id}", encoded)
            Wait.settle(run.id, node_id, name, kept.text, kept.size, by)
        self._look_around()

    # Executing

    def _execute(self, active: Active) -> None:
        """Run it from what is done of it to where it ends or waits, and record that.

        Whatever goes wrong, the run is let go of, and the thread goes on.
        """
        follow = False
        try:
            follow = self._attempt(active)
            self._tidy(active)
        except Exception:
            log.exception("run %s is let go of as it is on record", active.run.id)
        finally:
            self._active.pop(active.run.id, None)
            active.end()
        if follow:
            self._look_around()

    def _attempt(self, active: Active) -> bool:
        """Execute it where it is ours; whether something else may start now."""
        try:
            try:
                if self._hand_back.is_set():
                    raise HandedBack
                if active.begin(self.owner) or self._claim(active):
                    return self._perform(active, RunRecord(active.flush, self.payloads, active.run))
            except HandedBack:
                if not active.let_go:
                    active.flush([Run.release(active.run.id, self.owner)]).result()
        except RunTaken:
            log.warning("run %s is no longer ours; it is let go of", active.run.id)
        except Exception as error:
            self._give_up(active, error)
        return False

    def _tidy(self, active: Active) -> None:
        """Delete the files of runs that were never started, since what was to start them is not on record."""
        if active.inputs:
            self.recorder.commit([])  # what was handed over before is on the disk now, or will never be
        for id_ in active.inputs:
            if Run.find(id_) is None:
                self.payloads.remove(id_)

    def _give_up(self, active: Active, error: Exception) -> None:
        """The disk refuses this run's record: it has failed, which is written as soon as the disk takes it."""
        log.error("run %s could not be recorded", active.run.id, exc_info=error)
        if active.refuse(error):
            self.payloads.remove(active.run.id)
            return
        run, text = active.run, f"could not be recorded: {error}"
        closed = Step.close_the_running(run.id, run.claims)
        self._unrecorded[run.id] = [closed, *run.finish(self.owner, "failed", waits=True, error_text=text)]
        run.finished_at = None

    def _claim(self, active: Active) -> bool:
        """Become the one that executes a pending run, unless another process or a cancellation was first."""
        active.durable()
        limit = active.plan.settings.max_concurrent_runs
        if not self.recorder.commit(Run.claim(active.run.id, self.owner, limit))[0]:
            return False
        claimed = Run.get_by_id(active.run.id)
        if claimed.lease_owner != self.owner:
            # Asleep since the claim, and taken meanwhile: the number of claims in the row is somebody else's.
            raise RunTaken
        active.run = claimed
        active.is_claimed, active.is_new = True, False
        return True

    def _perform(self, active: Active, record: RunRecord) -> bool:
        """Execute it; whether something else may start now: what it called, what waited for it or for its place."""
        run, plan = active.run, active.plan
        began = time.perf_counter()
        outcome = self._outcome(active, record)
        if outcome.status == "waiting":
            return self._suspend(active, record, outcome)
        kept = Kept(None)
        if outcome.status == "success":
            try:
                encoded = engine.encode(outcome.output, self.config.max_value_bytes)
                kept = self.payloads.keep(run.id, "output", encoded, run.claims)
            except NodeError as error:
                outcome = Outcome("failed", None, error.message, response=outcome.response)
        told = failure_writes(self, active, outcome) if plan.settings.error_workflow_id else []
        # A run that was resumed has taken as long as the clock on the wall says; another is measured finely.
        duration = (time.perf_counter() - began) * 1000 if run.claims == 1 else None
        ending = run.finish(
            self.owner, outcome.status, waits=plan.suspends, duration_ms=duration, output=kept.text,
            output_bytes=kept.size, error_text=outcome.error_text, error_node_id=outcome.error_node_id,
            nodes_done=record.done, nodes_total=len(plan.nodes),
        )  # fmt: skip
        if not record.finish([*told, *ending])[-1]:
            # Cancelled meanwhile, or taken from a process that seemed dead: the row as it is counts.
            active.run = Run.find(run.id) or run
        active.response = outcome.response
        return plan.suspends or run.parent_node_id is not None or bool(plan.settings.max_concurrent_runs or told)

    def _outcome(self, active: Active, record: RunRecord) -> Outcome:
        run = active.run
        history = History() if active.is_new else History.of(run, self.value)
        record.done = history.done
        run.nodes_total = len(active.plan.nodes)
        if history.running:
            # With what comes next, be it the end: until then a step in doubt must be in doubt to who takes up the run.
            record.add(Step.close_the_running(run.id, run.claims))
        if run.deaths >= MAX_DEATHS:
            text = f"given up: {MAX_DEATHS} processes died while they executed this run"
            return Outcome("failed", None, text)
        return history.end(active.plan) or engine.run(active.plan, self._job(active, record, history))

    def _suspend(self, active: Active, record: RunRecord, outcome: Outcome) -> bool:
        run, waits = active.run, outcome.waits
        reason = "; ".join(waits.values())[:500]
        record.finish(run.suspend(self.owner, reason, len(waits), record.done))
        active.run = Run.find(run.id) or run
        return True

    def _job(self, active: Active, record: RunRecord, history: History) -> Job:
        run, plan, config = active.run, active.plan, self.config

        def on_step(step: engine.Step) -> None:
            if active.let_go:
                raise HandedBack
            record.step(step)
            if step.node_id in plan.responding and step.status == "success" and step.item_index is None:
                active.respond(orjson.loads(step.output or b"null"), record.flush())
            if self.on_step is not None:
                self.on_step(run, step)

        def stop() -> str | None:
            if self._hand_back.is_set():
                raise HandedBack
            return active.stop_reason

        return Job(
            run_id=run.id,
            input=self.value(run.id, "input", Kept(run.input, run.input_bytes)),
            trigger_node=run.trigger_node,
            scope={
                "run": {"id": run.id, "triggered_by": run.triggered_by, "started_at": run.started_at},
                "workflow": {"id": run.workflow_id, "name": run.workflow_name, "version": run.workflow_version},
            },
            on_step=on_step,
            settled=history.settled,
            tried=history.tried,
            waiting=history.waiting,
            first_seq=history.next_seq,
            stop=stop,
            sleep=lambda seconds: self._pause(active, seconds),
            log=record.log,
            store=WorkspaceStore(run.workspace_id),
            services=self.services,
            flows=Starter(self, active, record) if plan.suspends else None,
            links=self._links(run, plan),
            timeout=config.run_timeout,
            max_steps=config.max_steps,
            max_items=config.max_items,
            max_value_bytes=config.max_value_bytes,
        )

    def _links(self, run: Run, plan: Plan) -> Callable[[str], dict[str, str]] | None:
        links = self.links
        if links is None or not plan.answerable:
            return None
        return lambda node_id: links.of(run.id, node_id, plan.by_id[node_id].node)

    def _pause(self, active: Active, seconds: float) -> None:
        """Sleep before another attempt; a cancellation or the process's end cuts it short."""
        end = time.monotonic() + seconds
        while active.stop_reason is None and (left := end - time.monotonic()) > 0:
            if self._hand_back.wait(min(left, 0.5)):
                return

    def value(self, run_id: str, name: str, kept: Kept) -> Any:
        """A recorded value as JSON data."""
        text = self.payloads.load(run_id, name, kept)
        return None if text is None else orjson.loads(text)

    # Recovering

    def pick_up(self) -> None:
        """Start pending runs that nobody has in hand, as many as there are threads free."""
        while self._pick_up():
            log.debug("some runs could not start any more, which may let others start")

    def _pick_up(self) -> bool:
        """Take some up; whether one of them ended by that."""
        if self._stopping.is_set() or not self._is_alive():
            return False
        free = (self.config.run_threads if not self.inline else 1_000) - len(self._active)
        self._backlog = Run.backlog(self.config.max_pending)
        self._more = self._backlog > 0
        if free <= 0 or not self._backlog:
            return False
        # Other processes look at the same ones: each takes some of the oldest, not all the very oldest.
        found = [id_ for id_ in Run.claimable(4 * free + len(self._active)) if id_ not in self._active]
        chosen = found if len(found) <= free else sorted(random.sample(found, free))
        self._more = len(found) > free
        return not all([self._take(id_) for id_ in chosen])

    def _look_around(self) -> None:
        """`pick_up`, for who has done its own work and can do nothing about it where that fails."""
        try:
            self.pick_up()
        except Exception:
            log.exception("there may be runs to take up, which the next sweep will")

    def _take(self, id_: str) -> bool:
        """Take a run in hand; False where that ended it, which may let another one start."""
        run = Run.find(id_)
        plan = None if run is None else self._plan_of_run(run)
        if run is None or plan is None:
            return False
        active = Active(run, plan, self.recorder)
        if active.is_suspect and self._has_suspect():
            self._more = True
            return True
        # Several threads may look for runs at the same time, and one of them takes this one.
        if self._active.setdefault(id_, active) is active:
            self._enqueue(active)
        return True

    def _has_suspect(self) -> bool:
        """Whether a run that may have killed processes has just begun: one at a time, or others share its fate."""
        since = time.monotonic() - SUSPECT_SECONDS
        return any(active.is_suspect and active.taken_at > since for active in list(self._active.values()))

    def _plan_of_run(self, run: Run) -> Plan | None:
        """The plan of the version that the run began with; a run for which there is none any more fails."""
        try:
            return self._plan_of_version(run)
        except HeadraceError as error:
            outcome = Outcome("failed", None, error.message)
        if self.recorder.commit(Run.claim(run.id, self.owner))[0]:
            claimed = Run.get_by_id(run.id)
            version = WorkflowVersion.get_or_none(workflow_id=run.workflow_id, version=run.workflow_version)
            left = remains_of(orjson.loads(version.definition_json) if version else {"nodes": []}, run)
            active = Active(claimed, left, self.recorder)
            told = failure_writes(self, active, outcome)
            ending = claimed.finish(self.owner, "failed", waits=True, error_text=outcome.error_text)
            self.recorder.commit([*told, *ending])
            self._tidy(active)
        return None

    def _plan_of_version(self, run: Run) -> Plan:
        """The plan of the version that the run began with; Conflict where there is none any more."""
        version = int(run.workflow_version or 0)

        def kept() -> str:
            row = WorkflowVersion.get_or_none(workflow_id=run.workflow_id, version=version)
            if row is None:
                raise Conflict("the flow was deleted before the run could start")
            return str(row.definition_json)

        return self.plans.get(run.workflow_id, version, kept)

    def _notice_the_taken(self) -> None:
        """Stop executing what was cancelled through another process, or given to one because we seemed dead."""
        running = {id_: active for id_, active in list(self._active.items()) if active.run.status == "running"}
        durable = {id_ for id_, active in running.items() if active.is_durable()}
        for id_ in durable - Run.still_running(durable, self.owner):
            running[id_].stop_reason = "the run was cancelled or is executed elsewhere"

    def _record_the_rest(self) -> None:
        """Try once more to write the ends of runs that the disk refused."""
        for id_, writes in list(self._unrecorded.items()):
            self.recorder.commit(writes)
            del self._unrecorded[id_]


def _sleeps_past(run: Run, seconds: float) -> bool:
    """Whether the run waits for something that will not come within these seconds by itself."""
    if run.status != "pending" or run.waiting is None or run.waiting == QUEUED:
        return False
    wake_at = Wait.next_wake(run.id)
    if wake_at is not None and wake_at <= now_ms() + seconds * 1000:
        return False
    if not all(_sleeps_past(child, seconds) for child in run.children()):
        return False
    # What it waited for may have ended since the row was read: then there is no child left, and it goes on.
    present = Run.find(run.id)
    return present is not None and (present.status, present.waiting) == (run.status, run.waiting)
