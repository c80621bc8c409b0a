"""Executor of runs: claims a run, resumes it from its record, records it, suspends, ends or abandons it."""

from __future__ import annotations

import logging
import pkgutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import orjson

import engine
from database import disconnect_thread, get_clock
from database.queries import claims, leases, rate_limits, runs, steps, waits
from database.queries import steps as step_queries
from database.queries import waits as wait_queries
from database.queries.runs import Unit
from database.queries.store import WorkspaceStore
from dispatch.payloads import Kept
from engine import Job, Open, Outcome, Plan, Settled
from errors import DatabaseLost, HeadraceError, Unavailable
from models import Run, Step, Wait
from nodes.base import REGISTRY, Answer
from registry import registry
from server_log import CURRENT

from .acceptance import Active, HandedBack, StepSeen
from .lease import ProcessLease
from .payloads import ValueGone
from .recorder import Recorder
from .resources import NoTracing, Resources
from .run_record import AnyRecord, RunRecord, RunTaken, SharedRecord
from .subflows import SubflowStarter, failure_writes, remains_of

# Resume state: the work of a run so far, read from its recorded steps after a crash, a wait or a retry.

Load = Callable[[str, str, Kept], Any]
INTERRUPTED = "interrupted: the server stopped while this step ran, and on_interrupt is fail"


@dataclass
class ResumeState:
    """State in the form of `engine.Job`. A crash interrupted the `running` steps; the step `final` failed for good.

    `answers` has the answers for nodes that wait, or that resumed with one and are not settled yet.
    """

    settled: dict[tuple[str, int | None], Settled] = field(default_factory=dict)
    tried: dict[tuple[str, int | None], int] = field(default_factory=dict)
    rounds: dict[tuple[str, int | None], int] = field(default_factory=dict)
    rounds_began: dict[tuple[str, int | None], int] = field(default_factory=dict)
    waiting: dict[str, Open] = field(default_factory=dict)
    answers: dict[str, Answer] = field(default_factory=dict)
    running: list[Step] = field(default_factory=list)
    final: Step | None = None
    next_seq: int = 0

    @property
    def done(self) -> int:
        """Return the number of settled nodes, including the node whose failure ends the run."""
        return sum(1 for _, index in self.settled if index is None) + (self.final is not None)

    @classmethod
    def of(cls, run: Run, load: Load) -> ResumeState:
        """Return the state of the run by its steps; `load(run_id, name, kept)` returns a recorded value as data."""
        found = cls()
        waits = wait_queries.of(run.id)
        for step in Step.select().where(Step.run_id == run.id).order_by(Step.seq).iterator():
            found._add(step, waits, load)
        found.answers = {id_: open_.answer for id_, open_ in found.waiting.items() if open_.answer is not None}
        for node_id, wait in waits.items():
            if (node_id, None) in found.tried and wait.seq is not None and (answer := _answer(wait, load)) is not None:
                found.answers[node_id] = answer
        return found

    def _add(self, step: Step, waits: dict[str, Wait], load: Load) -> None:
        self.next_seq = step.seq + 1
        key = (step.node_id, step.item_index)
        if step.final:
            self.final = step
        elif step.status == "running":
            self.rounds_began.setdefault(key, step.started_at)
            self.running.append(step)
            self.tried[key] = step.attempt
        elif step.status == "repeated":
            self.rounds_began.setdefault(key, step.started_at)
            self.rounds[key] = self.rounds.get(key, 0) + 1
            self.tried.pop(key, None)
        elif step.status == "waiting":
            place = steps.place_of(step)
            wait = waits.get(place)
            answer, reason = (None, "") if wait is None else (_answer(wait, load), wait.reason or "")
            is_pause = wait is not None and wait.kind in ("pause", "item_pause")
            begun = (step.seq, step.attempt, step.started_at)
            self.waiting[place] = Open(*begun, reason, answer, is_pause, step.error_text, step.error_kind)
        elif step.status in ("success", "skipped") or steps.has_output(step):
            if step.same_as is not None:
                output = self.settled[step.same_as, None].output
            else:
                output = load(step.run_id, f"step_{step.seq}", Kept(step.output, step.output_bytes))
            skipped = step.status == "skipped" and not steps.has_output(step) and step.same_as is None
            self.settled[key] = Settled(output, step.branch, skipped)
        else:
            self.rounds_began.setdefault(key, step.started_at)
            self.tried[key] = step.attempt

    def end(self, plan: Plan) -> Outcome | None:
        """Return the outcome if the run ends at once: a step failed for good, or must not be repeated; else None.

        If several nodes were in progress, the failure is the cause: no node begins after it.
        """
        if self.final is not None:
            return Outcome("failed", None, self.final.error_text, self.final.node_id, self.final.error_kind)
        for step in self.running:
            node = plan.by_id.get(step.node_id)
            if node is not None and node.on_interrupt == "fail":
                return Outcome("failed", None, INTERRUPTED, node.id, "interrupted")
        return None


def answer_name(place: str) -> str:
    """Return the name of the value of an answer at this place: a node, or an item of its loop."""
    node_id, _, index = place.partition(":")
    return f"answer_{index}_{node_id}" if index else f"answer_{node_id}"


def _answer(wait: Wait, load: Load) -> Answer | None:
    if wait.answered_at is None:
        return None
    value = load(wait.run_id, answer_name(wait.node_id), Kept(wait.answer, wait.answer_bytes))
    if wait.name in ("ended", "failed"):
        value = _end_of(value, load)
    return Answer(str(wait.name), value, wait.answered_by, wait.answered_at, wait.question)


def _end_of(run_id: str, load: Load) -> dict[str, Any]:
    """Return the result of another flow's run: `{"run_id", "status", "output", "error_text", "error_kind"}`."""
    run = Run.find(run_id)
    if run is None:
        text = "its run was deleted"
        return {"run_id": run_id, "status": "failed", "output": None, "error_text": text, "error_kind": "cancelled"}
    output = load(run_id, "output", Kept(run.output, run.output_bytes))
    told = {"error_text": run.error_text, "error_kind": run.error_kind}
    return {"run_id": run_id, "status": run.status, "output": output, **told}


# Worker threads: they execute nodes of a run, or items of a loop, at the same time. A process has at most
# MAX_THREADS.
#
# Each closes its connection to the database at its end.

MAX_THREADS = 128


class RunWorkers:
    """Threads for the work of one run. If `places` has none left, the thread that submits work does it itself."""

    def __init__(self, places: threading.Semaphore) -> None:
        self._places = places
        self._threads: set[threading.Thread] = set()

    def submit(self, work: Callable[[], Any], /) -> Future[Any]:
        """Do the work in a new thread, or in this one."""
        done: Future[Any] = Future()
        if self._places.acquire(blocking=False):
            thread = threading.Thread(target=self._do_and_leave, args=(work, done), name="worker", daemon=True)
            self._threads.add(thread)
            try:
                thread.start()
                return done
            except RuntimeError:  # the system allows no more threads
                self._threads.discard(thread)
                self._places.release()
        _do(work, done)
        return done

    def _do_and_leave(self, work: Callable[[], Any], done: Future[Any]) -> None:
        try:
            _do(work, done)
        finally:
            disconnect_thread()
            self._threads.discard(threading.current_thread())
            self._places.release()

    def finish(self) -> None:
        """Wait for all threads."""
        for thread in tuple(self._threads):
            thread.join()


_places = threading.BoundedSemaphore(MAX_THREADS)


@contextmanager
def make_workers(count: int) -> Iterator[RunWorkers]:
    """Give threads for `count` pieces of work at the same time, and wait for them at the end."""
    workers = RunWorkers(_places)
    try:
        yield workers
    finally:
        workers.finish()


def _do(work: Callable[[], Any], done: Future[Any]) -> None:
    try:
        done.set_result(work())
    except BaseException as error:
        done.set_exception(error)


log = logging.getLogger("headrace.dispatch")
MAX_DEATHS = 3
MAX_WAITING_TEXT = 500  # characters of the reason for which a run waits


class ForAnotherProcess(Exception):
    """This process lacks a node type of the run. A process that has it will execute the run."""


class Executor:
    """Executes runs in the calling thread, for the process that holds the lease."""

    def __init__(self, resources: Resources, recorder: Recorder, lease: ProcessLease) -> None:
        self.resources, self.recorder, self.lease = resources, recorder, lease
        self.on_step: StepSeen | None = None
        self.tracing = NoTracing()
        # Without the pack of agents, there are no services of agents.
        self._make_agents: Any = pkgutil.resolve_name(registry.agents) if registry.agents else lambda *args: None
        # Runs whose end could not be written yet, by id: with their outcome and the writes of the end.
        self.unrecorded: dict[str, tuple[Active, Outcome, Unit]] = {}
        self._hand_back = threading.Event()

    def hand_back(self) -> None:
        """Release all runs before their next step."""
        self._hand_back.set()

    def attempt(self, active: Active) -> bool:
        """Execute the run if this process can claim it. Return True if another run may start now."""
        record = active.record
        CURRENT.run = record.run
        try:
            try:
                if self._hand_back.is_set():
                    raise HandedBack
                if record.begin(self.lease.owner) or self._claim(active):
                    return self._perform(active)
                # It may have been queued again while it was still active here.
                return bool(active.plan.settings.max_concurrent_runs)
            except HandedBack:
                if not active.is_released:
                    record.submit([claims.release(record.run.id, self.lease.owner)]).result()
        except RunTaken:
            log.warning("run %s no longer belongs to this process, which stops executing it", record.run.id)
            self._reload(record.run)
        except Exception as error:
            self.give_up(active, error)
        finally:
            CURRENT.run = None
            CURRENT.traceparent = ""
        return False

    def _claim(self, active: Active) -> bool:
        """Claim a pending run. Return False if it was claimed or cancelled before."""
        record = active.record
        record.durable()
        limit = active.plan.settings.max_concurrent_runs
        claim = claims.claim(record.run.id, self.lease.owner, limit, record.run.workflow_id)
        if not self.recorder.commit(claim)[0]:
            return False
        claimed = Run.get_by_id(record.run.id)
        if claimed.lease_owner != self.lease.owner:
            # This process was suspended since the claim: the number of claims in the row is that of another process.
            raise RunTaken
        record.adopt_claim(claimed)
        return True

    def _perform(self, active: Active) -> bool:
        """Execute a claimed run. Return True if another run may start now: one that it called, or one that waited for
        it or for the concurrency limit.
        """
        record, plan = active.record, active.plan
        run = record.run
        began = time.perf_counter()
        active.place = self.tracing.find_place(run)
        outcome = self._outcome(active)
        if outcome.status == "waiting":
            return self._suspend(record, outcome)
        encoded, outcome = engine.encode_output(outcome, active.keyring, self.resources.config.max_value_bytes)
        kept = self.resources.payloads.keep(run.id, "output", encoded, run.claims, is_patient=True)
        told = failure_writes(self.resources, active, outcome) if plan.settings.error_workflow_id else []
        # The duration of a resumed run is the difference of its times; that of others is measured precisely.
        duration = (time.perf_counter() - began) * 1000 if run.claims == 1 else None
        ending = runs.finish(run,
            self.lease.owner, outcome.status, waits=plan.suspends, duration_ms=duration, output=kept.text,
            output_bytes=kept.size, error_text=outcome.error_text, error_node_id=outcome.error_node_id,
            error_kind=outcome.error_kind, nodes_done=record.done, nodes_total=len(plan.nodes),
        )  # fmt: skip
        if not record.finish([*told, *ending], whole=not told and not plan.suspends)[len(told)]:
            # Cancelled meanwhile, or claimed by another process because this one seemed dead: the row counts.
            log.info("run %s no longer belongs to this process, and its end here is not recorded", run.id)
            record.run = self._reload(run) or runs.deleted(run)
        else:
            active.response = outcome.response
            self.tracing.see_end(active.place, run)
        return plan.suspends or run.parent_node_id is not None or bool(plan.settings.max_concurrent_runs or told)

    def _outcome(self, active: Active) -> Outcome:
        record, run = active.record, active.run
        # A run's first claim has no steps to continue from, unless it repeats another one.
        has_steps = not record.is_new and (run.claims > 1 or run.retry_of is not None)
        try:
            state = ResumeState.of(run, self.resources.value) if has_steps else ResumeState()
            input = self.resources.input_of(run)
        except ValueGone as error:
            return Outcome("failed", None, error.message, error_kind="storage")
        except Unavailable:  # the store of large values
            active.is_put_off = True
            raise HandedBack from None
        record.done = state.done
        run.nodes_total = len(active.plan.nodes)
        if state.running:
            # Written with the next step or the end: until then the next claim must also find the step interrupted.
            record.add(step_queries.close_running_steps(run.id, run.claims))
        if run.deaths >= MAX_DEATHS:
            text = f"given up: {MAX_DEATHS} processes died while they executed this run"
            return Outcome("failed", None, text, error_kind="interrupted")
        return state.end(active.plan) or engine.run(active.plan, self._job(active, state, input))

    def _suspend(self, record: RunRecord, outcome: Outcome) -> bool:
        run, waiting = record.run, outcome.waits
        reason = "; ".join(waiting.values())
        reason = reason if len(reason) <= MAX_WAITING_TEXT else f"{reason[:MAX_WAITING_TEXT]}… (cut)"
        checks = [
            write for id_ in waiting if id_ in record.loops for write in waits.check(run.id, id_, record.loops[id_])
        ]
        record.finish([*checks, *runs.suspend(run, self.lease.owner, reason, len(waiting), record.done)])
        record.run = Run.find(run.id) or run
        return True

    def _job(self, active: Active, state: ResumeState, input: Any) -> Job:
        resources, record, plan = self.resources, active.record, active.plan
        run, config = record.run, resources.config
        keyring = active.keyring = resources.keyring_of(run.workspace_id)
        used = SharedRecord(record) if plan.uses_threads else record
        return Job(
            run_id=run.id, input=input, trigger_node=run.trigger_node, scope=resources.scope_of(run),
            on_step=partial(self._on_step, active, used), stop=lambda: self._stop_reason(active),
            sleep=lambda seconds: self._pause(active, seconds), log=used.log,
            settled=state.settled, tried=state.tried, rounds=state.rounds,
            rounds_began=state.rounds_began, waiting=state.waiting, answers=state.answers, started_at=run.started_at,
            first_seq=state.next_seq, store=WorkspaceStore(run.workspace_id, keyring.clean),
            services=resources.services, flows=SubflowStarter(resources, active, used) if plan.suspends else None,
            links=resources.links_for(run, plan), keyring=keyring, files=resources.files_of(run.workspace_id),
            agents=self._make_agents(resources, self.lease, used, keyring), timeout=config.run_timeout,
            max_steps=config.max_steps, max_items=config.max_items, max_value_bytes=config.max_value_bytes,
            workspace_id=run.workspace_id, clock=get_clock(), rates=partial(rate_limits.take, run.workspace_id),
            workers=make_workers,
        )  # fmt: skip

    def _on_step(self, active: Active, record: AnyRecord, step: engine.StepRecord) -> None:
        """Record a step; a `running` one, which has effects, is durable when this returns, and the lease good."""
        if active.is_released:
            raise HandedBack
        plan, answered = active.plan, None
        answers = step.status == "success" and step.item_index is None and plan.by_id[step.node_id].node.responds
        if answers and step.node_id in plan.responding:
            answered = record.answer(step)
        else:
            record.step(step, answers)
        self.tracing.see_step(active.place, record.run, step)
        if step.status == "running":
            self.lease.check(record.run)
        if answered is not None:
            active.respond(orjson.loads(step.output or b"null"), answered)
        if self.on_step is not None:
            self.on_step(record.run, step)

    def _stop_reason(self, active: Active) -> str | None:
        if self._hand_back.is_set():
            raise HandedBack
        return active.stop_reason

    def _pause(self, active: Active, seconds: float) -> None:
        """Sleep before another attempt; a cancellation or the process's end cuts it short."""
        end = time.monotonic() + seconds
        while active.stop_reason is None and (left := end - time.monotonic()) > 0:
            if self._hand_back.wait(min(left, 0.5)):
                return

    # Runs that cannot be executed or recorded

    def plan_of(self, run: Run) -> Plan | None:
        """Return the plan with which a pending run began. If it is no longer valid, fail the run and return None.

        Raises: ForAnotherProcess if only other processes have the node types of the run.
        """
        try:
            return self.resources.plan_of_run(run)
        except HeadraceError as error:
            definition = self.resources.definition_of(run) or {"nodes": []}
            missing = {node["type"] for node in definition["nodes"] if REGISTRY.get(node["type"]) is None}
            if missing and leases.has_node_types(missing):
                raise ForAnotherProcess from error
            outcome = Outcome("failed", None, error.message, error_kind="config")
        if self.recorder.commit(claims.claim(run.id, self.lease.owner))[0]:
            claimed = Run.get_by_id(run.id)
            active = Active(RunRecord(self.recorder, self.resources.payloads, claimed), remains_of(definition, run))
            told = failure_writes(self.resources, active, outcome)
            values = {"error_text": outcome.error_text, "error_kind": outcome.error_kind}
            ending = runs.finish(claimed, self.lease.owner, "failed", waits=True, **values)
            self.recorder.commit([*told, *ending])
            self.tracing.see_unexecuted_end(str(run.id))
            self.tidy(active)
        return None

    def give_up(self, active: Active, error: BaseException) -> None:
        """Fail a run whose record could not be written; its end is written as soon as the disk accepts it.

        If the database is lost, the run stays as it is recorded: the next sweep releases it.
        """
        run, is_lost = active.run, isinstance(error, DatabaseLost)
        if is_lost:
            log.warning("run %s is continued later: %s", run.id, error, extra={"run_id": run.id})
        else:
            log.error("run %s could not be recorded", run.id, exc_info=error, extra={"run_id": run.id})
        if is_refused := active.record.refuse(error):
            self.remove_values(run.id, error)
        if is_lost or is_refused:
            return
        text = f"could not be recorded: {error}"
        closed = step_queries.close_running_steps(run.id, run.claims)
        values = {"error_text": text, "error_kind": "storage"}
        ending = [closed, *runs.finish(run, self.lease.owner, "failed", waits=True, **values)]
        self.unrecorded[run.id] = active, Outcome("failed", None, text, error_kind="storage"), ending
        run.finished_at = None

    def remove_values(self, run_id: str, error: BaseException | None) -> None:
        """Delete the values of a run that could not be accepted.

        If the database is lost, the run may have been accepted after all; else retention deletes them.
        """
        if not isinstance(error, DatabaseLost):
            self.resources.payloads.remove(run_id)

    def record_unrecorded(self) -> None:
        """Try again to write the ends of runs that the disk refused."""
        for id_, unrecorded in list(self.unrecorded.items()):
            active, outcome, ending = unrecorded
            try:
                self.recorder.commit([*failure_writes(self.resources, active, outcome), *ending])
                if self.unrecorded[id_] is unrecorded:  # else it was claimed and refused once more meanwhile
                    del self.unrecorded[id_]
                self.tidy(active)
            except Exception as error:
                log.error("the end of run %s can still not be recorded: %s", id_, error, extra={"run_id": id_})

    def tidy(self, active: Active) -> None:
        """Delete the files of child runs that were never started, because the step that starts them is not recorded."""
        if active.inputs:
            self.recorder.commit([])  # all earlier writes are on the disk now, or have failed
        for id_ in active.inputs:
            if Run.find(id_) is None:
                self.resources.payloads.remove(id_)

    def _reload(self, run: Run) -> Run | None:
        """Return the run as the database has it. If it was deleted, delete the files that were written since."""
        present = Run.find(run.id)
        if present is None:
            self.resources.payloads.remove(run.id)
        return present
