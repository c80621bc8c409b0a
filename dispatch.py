"""Who executes a run, and when: accept, claim, execute, record, recover. The database decides who wins.

A dispatcher is one process's. Every run goes through `_execute`, whether a thread of the pool calls it, the sweep that
resumes what a dead process left, or, with `inline`, the caller itself (tests, the command line).
"""

from __future__ import annotations

import logging
import math
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, NamedTuple

import orjson

import engine
from config import Config
from database import disconnect_thread
from engine import Job, Outcome, Plan, Settled
from errors import BadInput, Conflict, DefinitionError, HeadraceError, NodeError, Unavailable
from models import IdempotencyKey, Lease, Run, Step, Workflow, WorkflowVersion, WorkspaceStore, Write, new_id, now_ms
from nodes.base import Once, Services
from nodes.egress import make_client
from nodes.sandbox import Sandbox
from payloads import Kept, Payloads
from recorder import Recorder, RunRecord, RunTaken

log = logging.getLogger("headrace.dispatch")

MAX_CLAIMS = 3
SUSPECT_SECONDS = 60.0  # in which a run that kills its process has done so
PLANS_KEPT = 256
POLL_SECONDS = 0.05
WAIT_SECONDS = 0.5  # after which who waits for a run looks whether the process ends
LAST_SECONDS = 1.0  # for what is between two nodes, once the grace time is over


def make_services(config: Config) -> Services:
    """What this process lends to its nodes."""
    return Services(Once(lambda: make_client(config.egress_allow, config.http_max_bytes)), Once(Sandbox))


class HandedBack(Exception):
    """The process ends, and this run is given back unfinished."""


class Ticket(NamedTuple):
    """What `submit` gives: the run, and whether it is a new one rather than the first of the same key."""

    run: Run
    is_new: bool


class Active:
    """A run that this process has queued or executes. `ended` is set when it no longer does."""

    def __init__(self, run: Run, plan: Plan, is_new: bool) -> None:
        self.run, self.plan = run, plan
        self.is_new = is_new  # made by this process just now, so nothing of it is done yet
        self.claimed = is_new and run.status == "running"
        self.accepted: Future[list[int]] | None = None
        self.ended = threading.Event()
        self.taken_at = time.monotonic()
        self.is_suspect = not is_new and run.claims == MAX_CLAIMS - 1
        self.stop_reason: str | None = None
        self.let_go = False  # the process ends without it: whatever its node still comes to does not count
        self.response: Any = None

    def is_durable(self) -> bool:
        """Whether the run's row is on the disk, or will never be. A new run's is not even asked for at first."""
        return not self.is_new or (self.accepted is not None and self.accepted.done())

    def durable(self) -> None:
        """Return when the run's row is on the disk. Unavailable where that failed, Conflict for a taken key."""
        try:
            if self.accepted is not None:
                self.accepted.result()
        except Conflict:
            raise
        except Exception as error:
            log.error("run %s could not be accepted: %s", self.run.id, error)
            raise Unavailable(f"The run could not be recorded: {error}", retry_after=5) from error


class Dispatcher:
    """One process's runs. `start` it after the fork, `stop` it before the end."""

    def __init__(self, config: Config, recorder: Recorder, services: Services, inline: bool = False) -> None:
        self.config, self.recorder, self.services, self.inline = config, recorder, services, inline
        self.payloads = Payloads(config.data_dir / "values", config.inline_value_bytes)
        self.owner = ""
        self.on_step: Callable[[Run, engine.Step], None] | None = None
        self._plans: OrderedDict[tuple[str, int], Plan] = OrderedDict()
        self._active: dict[str, Active] = {}
        self._unrecorded: dict[str, list[Write]] = {}
        self._lock = threading.Lock()
        self._claiming = threading.Lock()
        self._has_backlog = False
        self._queue: queue.SimpleQueue[Active | None] = queue.SimpleQueue()
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
            Lease.drop(self.owner)
        except Exception:
            log.exception("the runs could not be handed back; others take them up when the lease has run out")
        self.services.close()

    def _let_go(self) -> None:
        """Hand back the runs whose node does not end: with the process it does, and they did nothing to that."""
        left = list(self._active.values())
        for active in left:
            active.let_go = True
        if left:
            self.recorder.commit([Run.release(active.run.id, self.owner, unharmed=True) for active in left])

    def is_open(self) -> bool:
        """Whether it takes runs."""
        return self._is_alive() and not self._stopping.is_set() and len(self._active) < self.config.max_pending

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
        self._notice_the_taken()
        self._claim_the_waiting()

    # Starting runs

    def plan_of(self, flow: Workflow) -> Plan:
        """The plan of the flow as it is; DefinitionError where it is not valid."""
        return self._plan(flow.id, flow.version, flow.definition_json)

    def submit(
        self, flow: Workflow, input: Any, triggered_by: str, trigger_node: str | None = None, key: str | None = None
    ) -> Ticket:
        """Accept a run and start it, at once where a thread is free. `wait` says when it is durable."""
        if flow.status == "archived":
            raise Conflict("The flow is archived; make it a draft or active to run it")
        if key is not None and (first := IdempotencyKey.run_of(flow.id, key)) is not None:
            return Ticket(first, False)
        plan = self.plan_of(flow)
        if not self._is_alive():
            raise Unavailable("The database cannot be written at the moment", retry_after=5)
        if not self.is_open():
            raise Unavailable("Too many runs are waiting; try again soon", retry_after=1)
        active = self._accept(flow, plan, input, triggered_by, trigger_node, key)
        if key is not None:
            try:
                active.durable()
            except HeadraceError as error:
                del self._active[active.run.id]
                self.payloads.remove(active.run.id)
                first = IdempotencyKey.run_of(flow.id, key) if isinstance(error, Conflict) else None
                if first is None:
                    raise
                return Ticket(first, False)
        self._enqueue(active)
        return Ticket(active.run, True)

    def wait(self, run: Run, seconds: float) -> Run:
        """The run as it stands when it has ended or the time is over; what this returns is durable."""
        deadline = time.monotonic() + seconds
        active = self._active.get(run.id)
        if active is not None:
            active.durable()
            while (left := self._left(deadline)) > 0 and not active.ended.wait(min(left, WAIT_SECONDS)):
                pass
            if active.run.finished_at is not None and active.ended.is_set():
                return active.run
        while True:
            present = Run.find(run.id)
            left = self._left(deadline)
            if present is None and left <= 0:
                raise Unavailable("The run could not be recorded", retry_after=5)
            if present is not None and (present.finished_at is not None or present.recorded or left <= 0):
                return present
            time.sleep(min(POLL_SECONDS, left))

    def _left(self, deadline: float) -> float:
        """Seconds until somebody who waits has waited long enough."""
        return min(deadline, self._grace_ends) - time.monotonic()

    def cancel(self, run: Run, by: str) -> Run:
        """End the run now; whoever executes it stops before its next step. Conflict if it has ended."""
        active = self._active.get(run.id)
        if active is not None:
            active.durable()
        reason = f"cancelled by {by}"
        if not run.cancel(reason):
            raise Conflict("The run has ended already")
        if active is not None:
            active.stop_reason = reason
        return run

    def _accept(
        self, flow: Workflow, plan: Plan, input: Any, triggered_by: str, trigger_node: str | None, key: str | None
    ) -> Active:
        try:
            encoded = engine.encode(input, self.config.max_value_bytes)
        except NodeError as error:
            raise BadInput(f"input: {error.message}") from None
        id_ = new_id("run")
        kept = self.payloads.keep(id_, "input", encoded)
        with self._lock:
            state: dict[str, Any] = {"status": "pending"}
            if self.inline or len(self._active) < self.config.run_threads:
                state = {"status": "running", "lease_owner": self.owner, "claims": 1, "started_at": now_ms()}
            run, made = Run.accept(
                flow, id=id_, input=kept.text, input_bytes=kept.size, triggered_by=triggered_by,
                trigger_node=trigger_node, **state,
            )  # fmt: skip
            active = self._active[id_] = Active(run, plan, is_new=True)
        bound = IdempotencyKey.take(flow.id, key, id_) if key is not None else []
        active.accepted = self.recorder.submit([*bound, made])
        return active

    def _enqueue(self, active: Active) -> None:
        if self.inline:
            self._execute(active)
        else:
            self._queue.put(active)

    def _work(self) -> None:
        try:
            while (active := self._queue.get()) is not None:
                self._execute(active)
                if self._has_backlog:
                    self._take_more()
        finally:
            disconnect_thread()

    def _take_more(self) -> None:
        """A thread is free: have it take up what the last sweep had to leave, rather than wait for the next."""
        try:
            self._claim_the_waiting()
        except Exception:
            log.exception("no pending run could be taken up; the next sweep tries again")

    # Executing

    def _execute(self, active: Active) -> None:
        """Run it from what is done of it to its end, and record that. Whatever goes wrong, the run is let go of."""
        try:
            if self._hand_back.is_set():
                raise HandedBack
            if active.claimed or self._claim(active):
                self._perform(active, RunRecord(self.recorder, self.payloads, active.run))
        except RunTaken:
            log.warning("run %s is no longer ours; it is let go of", active.run.id)
        except HandedBack:
            if not active.let_go:
                self.recorder.commit([Run.release(active.run.id, self.owner, unharmed=True)])
        except Exception as error:
            self._give_up(active, error)
        finally:
            self._active.pop(active.run.id, None)
            active.ended.set()

    def _give_up(self, active: Active, error: Exception) -> None:
        """The disk refuses this run's record: it has failed, which is written as soon as the disk takes it."""
        log.exception("run %s could not be recorded", active.run.id)
        text = f"could not be recorded: {error}"
        run = active.run
        closed = Step.close_the_running(run.id, run.claims)
        self._unrecorded[run.id] = [closed, *run.finish(self.owner, "failed", error_text=text)]
        run.finished_at = None

    def _claim(self, active: Active) -> bool:
        """Become the one that executes a pending run, unless another process or a cancellation was first."""
        active.durable()
        if not self.recorder.commit([Run.claim(active.run.id, self.owner)])[0]:
            return False
        active.run = Run.get_by_id(active.run.id)
        active.claimed, active.is_new = True, False
        return True

    def _perform(self, active: Active, record: RunRecord) -> None:
        run = active.run
        began = time.perf_counter()
        if run.claims > MAX_CLAIMS:
            outcome = Outcome("failed", None, f"given up: {MAX_CLAIMS} processes died while they executed this run")
        else:
            outcome = self._doubtful(active) or engine.run(active.plan, self._job(active, record))
        active.response = outcome.response
        kept = Kept(None)
        if outcome.status == "success":
            try:
                encoded = engine.encode(outcome.output, self.config.max_value_bytes)
                kept = self.payloads.keep(run.id, "output", encoded, run.claims)
            except NodeError as error:
                outcome = Outcome("failed", None, error.message)
        # A run that was resumed has taken as long as the clock on the wall says; another is measured finely.
        duration = (time.perf_counter() - began) * 1000 if run.claims == 1 else None
        writes = run.finish(
            self.owner, outcome.status, duration_ms=duration, output=kept.text, output_bytes=kept.size,
            error_text=outcome.error_text, error_node_id=outcome.error_node_id,
        )  # fmt: skip
        if not active.is_new:
            # With the end, not before it: a step in doubt must still be in doubt to whoever takes the run up next.
            writes.insert(0, Step.close_the_running(run.id, run.claims))
        if not record.finish(writes)[-1]:
            # Cancelled meanwhile, or taken from a process that seemed dead: the row as it is counts.
            active.run = Run.find(run.id) or run

    def _doubtful(self, active: Active) -> Outcome | None:
        """How a resumed run ends at once: by a step that had failed for good, or one that must not be done twice."""
        for step in () if active.is_new else Step.unsettled(active.run.id):
            node = active.plan.by_id.get(step.node_id)
            if node is None:
                continue
            if step.status == "running" and node.on_interrupt == "fail":
                text = "interrupted: the server stopped while this step ran, and on_interrupt is fail"
                return Outcome("failed", None, text, node.id)
            if step.final:
                return Outcome("failed", None, step.error_text, node.id)
        return None

    def _job(self, active: Active, record: RunRecord) -> Job:
        run = active.run
        settled: dict[tuple[str, int | None], Settled] = {}
        first_seq = 0
        if not active.is_new:
            first_seq = Step.interrupt(run.id, run.claims)
            settled = self._settled(run.id)

        def on_step(step: engine.Step) -> None:
            if active.let_go:
                raise HandedBack
            record.step(step)
            if self.on_step is not None:
                self.on_step(run, step)

        def stop() -> str | None:
            if self._hand_back.is_set():
                raise HandedBack
            return active.stop_reason

        config = self.config
        return Job(
            run_id=run.id,
            input=self.value(run.id, "input", Kept(run.input, run.input_bytes)),
            trigger_node=run.trigger_node,
            scope={
                "run": {"id": run.id, "triggered_by": run.triggered_by, "started_at": run.started_at},
                "workflow": {"id": run.workflow_id, "name": run.workflow_name, "version": run.workflow_version},
            },
            on_step=on_step,
            settled=settled,
            first_seq=first_seq,
            stop=stop,
            sleep=lambda seconds: self._pause(active, seconds),
            log=record.log,
            store=WorkspaceStore(run.workspace_id),
            services=self.services,
            timeout=config.run_timeout,
            max_steps=config.max_steps,
            max_items=config.max_items,
            max_value_bytes=config.max_value_bytes,
        )

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

    def _settled(self, run_id: str) -> dict[tuple[str, int | None], Settled]:
        """What the run has done, from its record."""
        settled: dict[tuple[str, int | None], Settled] = {}
        for step in Step.settled(run_id):
            if step.same_as is not None:
                output = settled[step.same_as, None].output
            else:
                output = self.value(run_id, f"step_{step.seq}", Kept(step.output, step.output_bytes))
            has_output = step.output is not None or step.output_bytes is not None or step.same_as is not None
            skipped = step.status == "skipped" and not has_output
            settled[step.node_id, step.item_index] = Settled(output, step.branch, skipped)
        return settled

    def _claim_the_waiting(self) -> None:
        """Start pending runs that nobody has in hand, as many as there are threads free."""
        if not self._claiming.acquire(blocking=False):
            return  # another thread is at it, and two would take up the same
        try:
            free = self.config.run_threads - len(self._active)
            if free <= 0 or self._stopping.is_set() or not self._is_alive():
                return
            found = [id_ for id_ in Run.waiting_for_a_claim(free + 1 + len(self._active)) if id_ not in self._active]
            self._has_backlog = len(found) > free
            for id_ in found[:free]:
                self._take_up(id_)
        finally:
            self._claiming.release()

    def _take_up(self, id_: str) -> None:
        run = Run.find(id_)
        plan = None if run is None else self._plan_of_run(run)
        if run is None or plan is None:
            return
        active = Active(run, plan, is_new=False)
        if active.is_suspect and self._has_suspect():
            self._has_backlog = True
            return
        self._active[id_] = active
        self._enqueue(active)

    def _has_suspect(self) -> bool:
        """Whether a run that may have killed processes has just begun: one at a time, or others share its fate."""
        since = time.monotonic() - SUSPECT_SECONDS
        return any(active.is_suspect and active.taken_at > since for active in list(self._active.values()))

    def _plan_of_run(self, run: Run) -> Plan | None:
        """The plan of the version that the run began with; a run for which there is none any more fails."""
        version = int(run.workflow_version or 0)
        kept = WorkflowVersion.get_or_none(workflow_id=run.workflow_id, version=version)
        try:
            if kept is not None:
                return self._plan(run.workflow_id, version, kept.definition_json)
            reason = "the flow was deleted before the run could start"
        except DefinitionError as error:
            reason = error.message
        if self.recorder.commit([Run.claim(run.id, self.owner)])[0]:
            self.recorder.commit(run.finish(self.owner, "failed", error_text=reason))
        return None

    def _plan(self, workflow_id: str, version: int, definition_json: str) -> Plan:
        key = (workflow_id, version)
        with self._lock:
            plan = self._plans.get(key)
            if plan is not None:
                self._plans.move_to_end(key)
                return plan
        plan = engine.plan(orjson.loads(definition_json), self.config.max_nodes)
        with self._lock:
            self._plans[key] = plan
            if len(self._plans) > PLANS_KEPT:
                self._plans.popitem(last=False)
        return plan

    def _notice_the_taken(self) -> None:
        """Stop executing what was cancelled through another process, or given to one because we seemed dead."""
        running = {id_: active for id_, active in self._active.items() if active.run.status == "running"}
        durable = {id_ for id_, active in running.items() if active.is_durable()}
        for id_ in durable - Run.still_running(durable, self.owner):
            running[id_].stop_reason = "the run was cancelled or is executed elsewhere"

    def _record_the_rest(self) -> None:
        """Try once more to write the ends of runs that the disk refused."""
        for id_, writes in list(self._unrecorded.items()):
            self.recorder.commit(writes)
            del self._unrecorded[id_]
