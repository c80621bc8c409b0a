"""Dispatcher of a process: accepts runs, claims pending and abandoned ones, and chooses the thread that executes each.

Every run goes through `_execute`, called by a thread of the pool, by a request that waits for a quick run, or, with
`inline`, by the caller itself. The database decides which process gets a run: see `claim` in
`database/queries/claims.py`.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Container, Iterable
from pathlib import Path
from typing import Any

import engine
from database import execute, write
from database.base import now_ms
from database.queries import claims, concurrent_runs, leases, runs, server_state, waits
from database.queries.locks import lock_flow, lock_runs
from engine import Plan
from errors import BadInput, Conflict, HeadraceError, NodeError, NotFound, Unavailable
from models import Run, Workflow
from nodes.base import Node

from . import debounce
from .acceptance import Active, Note, Start, Ticket, check_input, make_record
from .executor import Executor, ForAnotherProcess, answer_name
from .lease import ProcessLease
from .process_limits import limit_reached
from .queues import LANES, Lane, LocalQueue, Offers, Queue
from .recorder import Done, Recorder
from .resources import Resources
from .run_record import RunRecord
from .run_retry import make_retry, make_run_of_one_node
from .waiting import WaitingThreads

# Free disk space: a full disk stops everything, so new runs are refused before it is full.

LOOK_SECONDS = 1.0
USUAL_FLOOR = 512 * 2**20
USUAL_SHARE = 20  # the usual floor is no more than one part in so many of a disk


class FreeSpace:
    """The free space of these folders, measured at most once a second, since every webhook call asks for it."""

    def __init__(
        self, folders: Iterable[Path], floor: int | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Set the `floor`: the bytes that must be free. None: 512 MB, or 5 % of the disk if that is less."""
        self.folders, self.floor, self.clock = list(dict.fromkeys(folders)), floor, clock
        self._looked_at: float | None = None
        self._is_low = False

    def is_low(self) -> bool:
        """Return True if one of the disks has less free space than its floor."""
        now = self.clock()
        if self._looked_at is None or now - self._looked_at >= LOOK_SECONDS:
            self._looked_at = now
            was_low, self._is_low = self._is_low, any([self._is_short(folder) for folder in self.folders])
            if self._is_low and not was_low:
                log.warning(
                    "the disk of the data is nearly full: no new runs are taken until more than the floor is free"
                )
            elif was_low and not self._is_low:
                log.info("the disk of the data has room again: new runs are taken")
        return self._is_low

    def _is_short(self, folder: Path) -> bool:
        try:
            disk = os.statvfs(folder)
        except OSError:
            # The next write raises the error.
            return False
        return disk.f_bavail * disk.f_frsize < self._floor_of(disk)

    def floor_at(self, folder: Path) -> int:
        """Return the bytes that must stay free on the disk of this folder."""
        return self._floor_of(os.statvfs(folder))

    def _floor_of(self, disk: os.statvfs_result) -> int:
        usual = min(USUAL_FLOOR, disk.f_blocks * disk.f_frsize // USUAL_SHARE)
        return usual if self.floor is None else self.floor


log = logging.getLogger("headrace.dispatch")

SUSPECT_SECONDS = 60.0  # a run that kills its process does so within this time
PAUSE_RETRY = 60  # seconds until callers should retry, while the server is paused
JOIN_SECONDS = 1.0  # for threads between two nodes to end, after the grace period
DEAF_SECONDS = 10.0  # until a worker polls more often, if runs wait and the broker brings none
DELIVERY_SECONDS = 0.5  # between two checks whether the process has released a run
SET_ASIDE_PER_SWEEP = 8  # runs that this process could not start, tried again at each sweep


class Dispatcher:
    """The runs of one process. Call `start` after the fork, and `stop` before the process ends."""

    def __init__(
        self,
        resources: Resources,
        recorder: Recorder,
        inline: bool = False,
        clock: Callable[[], float] = time.monotonic,
        broker: Queue | None = None,
    ) -> None:
        """`broker` brings runs to the workers, whose processes have the role `worker`; without it, they look for them.

        A process of the role `web` executes only runs that it accepts itself: quick ones, and those whose caller waits.
        """
        config = resources.config
        self.resources, self.config, self.recorder, self.inline = resources, config, recorder, inline
        self.lease = ProcessLease(config.lease, clock)
        self.executor = Executor(resources, recorder, self.lease)
        self.waiting = WaitingThreads(resources)
        self.free_space = FreeSpace((config.data_dir, config.database_path.parent), config.min_free_bytes)
        self._active: dict[str, Active] = {}
        self._backlog = 0
        self._choosing = threading.Lock()
        self._has_more = False  # there were more runs to claim than free threads
        self.lanes: Container[Lane] = LANES  # of which this process executes runs
        # Pending runs that cannot be read, or only executed by another process, in the order of the attempts.
        self._set_aside: dict[str, None] = {}
        max_slow = max(1, config.run_threads - config.run_threads // 4)
        self.queue = LocalQueue(0 if inline else config.run_threads, max_slow)
        self.broker = broker
        self.offers = None if broker is None else Offers(broker, self._find_lane, clock)
        self._local = threading.local()
        self.is_stopping = self._refuses = False
        self.is_paused = config.paused

    # The life of the process

    def start(self) -> None:
        """Take the lease of this process and start its threads. Pause until the database says whether it is paused."""
        try:
            self.look_for_pause()
        except Exception:
            log.exception("the database cannot be read; the server is paused until it can")
            self.is_paused = True
        if self.is_paused:
            log.warning("the server is paused: nothing starts by itself, and new runs are refused, until `resume`")
        self.lease.take()
        self.queue.start(self.execute)
        if self.broker is not None:
            self.broker.start(self.deliver)

    def look_for_pause(self) -> None:
        """Read whether the server was paused or resumed by a command in another process."""
        was, self.is_paused = self.is_paused, self.config.paused or server_state.is_paused()
        if was and not self.is_paused:
            log.info("the server is not paused any more")

    def close(self, refuses: bool = True) -> None:
        """Claim no runs, with `refuses` accept none, and begin the grace period. At its end, all waits for runs end."""
        self.waiting.ends_at = min(self.waiting.ends_at, time.monotonic() + self.config.grace)
        self.is_stopping, self._refuses = True, self._refuses or refuses
        if self.broker is not None:
            self.broker.close()

    def wait_for_the_grace_time(self) -> None:
        """Wait for the end of the grace period, which `close` has begun."""
        time.sleep(max(0.0, self.waiting.ends_at - time.monotonic()))

    def stop(self) -> None:
        """Accept no more runs, let active runs finish within the grace period, release the rest, end the threads."""
        self.close()
        for active in list(self._active.values()):
            active.ended.wait(max(0.0, self.waiting.ends_at - time.monotonic()))
        self.recorder.stop_waiting()
        self.executor.hand_back()
        self.queue.close()
        deadline = time.monotonic() + JOIN_SECONDS
        self.queue.stop(deadline)
        if self.broker is not None:
            self.broker.stop(deadline)
        try:
            try:
                self._release_active()
                self.executor.record_unrecorded()
            finally:
                self.lease.stop()
            self.lease.end()
        except Exception:
            log.exception("the runs could not be released; other processes claim them when the lease has expired")
        self.resources.services.close()
        self.resources.payloads.close()

    def _release_active(self) -> None:
        """Release runs that outlived the grace period. Not counted as deaths: the run is not at fault."""
        left = list(self._active.values())
        for active in left:
            active.is_released = True
        # All are submitted before the first wait, so that they are one commit.
        submitted = [
            (active, active.record.last, active.record.submit([claims.release(active.run.id, self.lease.owner)]))
            for active in left
        ]
        for active, last, released in submitted:
            error = released.exception()
            if error is not None and last is not None and last.exception() is error:
                # One of its writes failed, so no process may continue from the record before that.
                self.executor.give_up(active, error)
            elif error is not None:
                raise error

    def is_open(self) -> bool:
        """Return True if the process accepts new runs."""
        has_room = max(len(self._active), self._backlog) < self.config.max_pending
        return self.lease.is_alive() and not self._refuses and has_room

    def active_count(self) -> int:
        """Return the number of runs that this process has queued or executes."""
        return len(self._active)

    def sweep(self) -> None:
        """Claim runs of dead processes and pending runs, and stop runs that other processes have claimed."""
        self.look_for_pause()
        self.executor.record_unrecorded()
        leases.delete_gone()
        trusts = self.lease.trusts_silence()
        for run in claims.abandoned(trusts):
            log.warning("the process of run %s has died; the run will be resumed", run.id, extra={"run_id": run.id})
            self.recorder.commit([claims.lock_lease(run.id), claims.requeue_abandoned(run.id, trusts)])
        concurrent_runs.unqueue()
        self._stop_lost_runs()
        self._release_forgotten()
        # A few at a time, so that many of them do not delay other runs.
        for id_ in list(self._set_aside)[:SET_ASIDE_PER_SWEEP]:
            self._set_aside.pop(id_, None)
        is_free = self.config.role == "worker" and len(self._active) < self.config.run_threads
        if self.broker is not None and is_free and claims.find_claimable(1):
            self.broker.note_missed()  # a pending run
        self._take_pending()

    def wake(self) -> None:
        """Resume runs whose waiting time is over, and claim pending ones, unless the server is paused."""
        if self.is_paused:
            return
        if any([waits.wake(now_ms()), debounce.wake(self.resources, now_ms())]):
            self.pick_up()
            return
        # A worker whose broker brings runs need not look for them that often.
        state = None if self.broker is None or self.config.role != "worker" else self.broker.state()
        if state is None or state.is_down or state.deaf_for >= DEAF_SECONDS:
            self._take_pending()

    def offer_again(self) -> None:
        """Offer runs that still wait to the workers again. For the leader."""
        if self.offers is not None and not self.is_paused:
            self.offers.repeat()

    # Starting runs

    def submit(self, start: Start, here: bool = False) -> Ticket:
        """Accept a run and start it, at once if a thread is free. `Ticket.durable` waits until it is on the disk.

        `here` lets the caller's thread execute a quick run, which saves a change of threads.

        Raises: BadInput if the options do not fit, Unprocessable if the flow refuses the input or the key was another
            request's, Conflict if it is archived or has its maximum of active runs, Unavailable if no run can start.
        """
        flow, key, options = start.flow, start.key, start.options
        if flow.status == "archived":
            raise Conflict("The flow is archived; make it a draft or active to run it")
        if key is not None and (first := runs.run_of_key(flow.id, key, start.request_hash)) is not None:
            return self.ticket_of(first)
        plan = self.resources.plan_with(options, flow)
        self.check_open()
        check_input(plan, start.trigger_node, lambda: start.input, flow.workspace_id)
        is_left = self.config.role == "web" and not (start.is_awaited or plan.is_quick)
        active = self._accept(start, plan, is_left)
        limit = plan.settings.max_concurrent_runs
        if key is not None or limit or options is not None:
            try:
                if not active.record.durable()[0]:
                    raise Conflict(f"The flow {limit_reached(limit)}")
            except HeadraceError as error:
                self._active.pop(active.run.id, None)
                self.executor.remove_values(active.run.id, error.__cause__)
                is_repeated = isinstance(error, Conflict) and key is not None
                if is_repeated and (first := runs.run_of_key(flow.id, str(key), start.request_hash)) is not None:
                    return self.ticket_of(first)
                raise
        if is_left:
            self._leave(active)
        else:
            self._enqueue(active, here and plan.is_quick)
        return Ticket(active.run, True, active)

    def _leave(self, active: Active) -> None:
        """Leave an accepted run to the workers, and offer it to them as soon as it is on the disk."""
        run_id = str(active.run.id)

        def offer(accepted: Done) -> None:
            self._active.pop(run_id, None)
            active.end()
            if (error := accepted.exception()) is not None:
                self.executor.remove_values(run_id, error)
            elif self.offers is not None:
                self.offers.offer(run_id, _lane(active.plan))

        self._backlog += 1  # until `_choose` counts it
        accepted = active.record.accept()
        assert accepted is not None
        accepted.add_done_callback(offer)

    def check_space(self) -> None:
        """Raise Unavailable if the disk has too little free space for new runs."""
        if self.free_space.is_low():
            raise Unavailable(
                "The server accepts no new runs: its disk has less free space than HEADRACE_MIN_FREE_BYTES requires",
                retry_after=30,
            )

    def check_open(self) -> None:
        """Raise Unavailable if no run can start at the moment."""
        if self.is_paused:
            raise Unavailable("The server is paused, so no run starts until it is resumed", retry_after=PAUSE_RETRY)
        if not self.is_open():
            if not self.lease.is_alive():
                raise Unavailable("The database cannot be written at the moment", retry_after=5)
            raise Unavailable("Too many runs are in the queue; try again soon", retry_after=1)
        self.check_space()

    def _accept(self, start: Start, plan: Plan, is_left: bool) -> Active:
        record = make_record(self.resources, self.recorder, start, plan)
        active = self._active[record.run.id] = Active(record, plan)
        has_room = len(self._active) <= self.config.run_threads and not (plan.is_slow and self.queue.is_slow_lane_full)
        if not plan.settings.max_concurrent_runs and (self.inline or has_room) and not is_left:
            record.begin(self.lease.owner)
        return active

    def _enqueue(self, active: Active, here: bool = False) -> bool:
        """Have the run executed. Return False if it waits in the slow lane."""
        if not self.inline and not here:
            return self.queue.offer(active.run.id, _lane(active.plan))
        if (waiting := getattr(self._local, "waiting", None)) is not None:
            waiting.append(active)
            return True
        # This thread executes the run, and the runs that it starts, one after the other.
        waiting = self._local.waiting = deque([active])
        try:
            while waiting:
                self._execute(waiting.popleft())
        finally:
            del self._local.waiting
        return True

    def may_start(self, flow: Workflow) -> str | None:
        """Return why no schedule or poll may start this flow now (`overlap` is skip). Call it in their transaction."""
        plan = self.resources.plans.get(flow.id, flow.version, lambda: str(Workflow.get_by_id(flow.id).definition_json))
        limit = plan.settings.max_concurrent_runs
        if limit and plan.settings.overlap == "skip":
            lock_flow(flow.id)
            if concurrent_runs.busy(flow.id) >= limit:
                return f"it {limit_reached(limit)}"
        return None

    # Answering and ending runs

    def ticket_of(self, run: Run) -> Ticket:
        """Return the ticket of a run that exists already."""
        return Ticket(run, False, self._active.get(run.id))

    def cancel(self, run: Run, by: str, note: Note | None = None) -> Run:
        """End the run now, with the runs for which it waits. The process that executes it stops before the next step.

        The write of `note` is done with its end. Raises: Conflict if it has ended.
        """
        active = self._active.get(run.id)
        if active is not None:
            active.record.durable()
        reason = f"cancelled by {by}"
        with write():
            runs.lock_family(run)
            ended = self._cancel(run, reason, note)
        if not ended:
            raise Conflict("The run has ended already")
        for id_ in ended:
            if (active := self._active.get(id_)) is not None:
                active.stop_reason = reason
            self.executor.tracing.see_unexecuted_end(id_)
        self._try_pick_up()
        return run

    def _cancel(self, run: Run, reason: str, note: Note | None = None) -> list[str]:
        """End the run with those for which it waits, in a transaction. Return the ids of all; none if it had ended."""
        if not runs.cancel(run, reason, () if note is None else [note(run)]):
            return []
        return [str(run.id), *(id_ for child in runs.children(run) for id_ in self._cancel(child, reason))]

    def retry(
        self, run: Run, start: str, version: str | int | None, note: Note | None = None, is_awaited: bool = True
    ) -> Ticket:
        """Repeat an ended run, as retry.py says. The write of `note` is done with the new run."""
        self.check_open()
        return self._take_up(make_retry(self.resources, run, start, version, note), is_awaited)

    def run_one_node(self, start: Start, source: Run | None) -> Ticket:
        """Run only one node, with the recorded outputs of `source`, as one_node.py says."""
        self.check_open()
        return self._take_up(make_run_of_one_node(self.resources, start, source), start.is_awaited)

    def _take_up(self, made: Run, is_awaited: bool) -> Ticket:
        """Have a recorded run executed."""
        active = Active(RunRecord(self.recorder, self.resources.payloads, made), self.resources.plan_of_run(made))
        if self.config.role == "web" and not is_awaited:
            if self.offers is not None:
                self.offers.offer(made.id, _lane(active.plan))
            return Ticket(made, True)
        # It is committed, so another thread may have claimed it already.
        present = self._active.setdefault(made.id, active)
        if present is active:
            self._enqueue(active)
        return Ticket(made, True, present)

    def answerable(self, run: Run, node_id: str) -> Node:
        """Return the node of the run that takes an answer at this place. Raises: NotFound if there is none."""
        planned = self.resources.plan_of_run(run).by_id.get(waits.node_of(node_id))
        if planned is None or not planned.takes_answer(waits.is_item(node_id)):
            raise NotFound(f"The run has no node {node_id[:64]!r} that takes an answer")
        return planned.node

    def answer(
        self,
        run: Run,
        node_id: str,
        name: str,
        value: Any,
        by: str | None,
        question: str | None = None,
        note: Note | None = None,
    ) -> None:
        """Answer a node of the run that waits, or will wait, once. Then the run continues.

        `question` names one of several questions of the node; the default is the present one. The write of `note` is
        done with the answer.

        Raises: NotFound for a node that takes no answer, BadInput for an unknown answer, Conflict if the node was
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
            active.record.durable()
        self.resources.payloads.prepare(run.id, encoded)
        with write():
            lock_runs((run.id,))
            problem = waits.explain_closed(run.id, node_id, now_ms(), node.asks, question)
            if problem is not None:
                raise Conflict(problem)
            kept = self.resources.payloads.keep(run.id, answer_name(node_id), encoded)
            waits.settle(run.id, node_id, name, kept.text, kept.size, by)
            if note is not None:
                execute(*note(run))
        self._try_pick_up()

    # Executing

    def execute(self, run_id: str) -> None:
        """Execute a run that was queued here, in this thread; then look for other runs if no more are queued."""
        if (active := self._active.get(run_id)) is not None:
            self._execute(active)
        if self._has_more and self.queue.is_empty:
            self._try(self._take_pending)

    def deliver(self, run_id: str) -> None:
        """Execute a run that the broker has named, if it is still pending. Return when this process has ended it.

        The calling thread of the broker waits meanwhile, so that the broker brings no more runs than are executed.
        """
        if self.is_stopping or self.is_paused or not self.lease.is_alive() or run_id in self._set_aside:
            return
        run = Run.find(run_id)
        if run is None or run.status != "pending" or run.waiting is not None or run.recorded:
            return
        self._take(run_id, self.queue.max_slow)
        active = self._active.get(run_id)
        if active is None or (active.plan.is_slow and self.queue.waiting):
            return
        while not active.ended.wait(DELIVERY_SECONDS) and not active.is_released:
            continue

    def _execute(self, active: Active) -> None:
        """Execute a run from its recorded state to its end or its next wait, and record that.

        After any error, the run is given up and the thread continues.
        """
        follow = False
        try:
            follow = self.executor.attempt(active)
            self.executor.tidy(active)
        except Exception:
            log.exception("run %s is abandoned in its recorded state", active.run.id, extra={"run_id": active.run.id})
        finally:
            if active.plan.is_slow:
                self.queue.leave(active.run.id)  # while it is active, so that its id is not queued again before
            if active.is_put_off:
                self._set_aside[active.run.id] = None
            self._active.pop(active.run.id, None)
            active.end()
        if follow:
            self._try_pick_up()

    # Recovering

    def pick_up(self) -> None:
        """Start pending runs that no process has claimed, as many as there are free threads. Offer others to workers.

        Call it when runs may have become pending.
        """
        self._take_pending()
        if self.offers is not None and not self.is_paused:
            self.offers.offer_new(self._active.keys())

    def _take_pending(self) -> None:
        while not self.is_stopping and not self.is_paused and self.lease.is_alive():
            with self._choosing:
                chosen = self._choose()
            # A run needs no thread if it has ended, is in the slow lane or cannot be read.
            if all([self._take(id_) for id_ in chosen]):
                return
            log.debug("some of the runs need no thread, so others can start")

    def _choose(self) -> list[str]:
        """Return the ids of runs to start now. `_has_more` is set before the threads are counted, so that a thread that
        becomes free later sees it.
        """
        set_aside = len(self._set_aside)
        pending = runs.backlog(self.config.max_pending + set_aside)
        # Too low if some of the runs set aside no longer exist; the next sweeps correct it.
        self._backlog = max(0, pending - set_aside)
        if self.config.role == "web":
            return []
        self._has_more = pending > 0
        # Runs in the slow lane have no thread.
        free = (self.config.run_threads if not self.inline else 1_000) - len(self._active) + self.queue.waiting
        if free <= 0 or not pending:
            return []
        # Other processes see the same runs: each takes a sample of the oldest, so that they rarely collide.
        skipped = self._active.keys() | self._set_aside.keys()
        found = [id_ for id_ in claims.find_claimable(4 * free + len(skipped)) if id_ not in skipped]
        self._has_more = len(found) > free
        return found if len(found) <= free else sorted(random.sample(found, free))

    def _try_pick_up(self) -> None:
        self._try(self.pick_up)

    @staticmethod
    def _try(pick_up: Callable[[], None]) -> None:
        """Start pending runs, logging any error; the next sweep retries."""
        try:
            pick_up()
        except Exception:
            log.exception("pending runs could not be started; the next sweep tries again")

    def _take(self, id_: str, most_waiting: int | None = None) -> bool:
        """Queue a pending run. Return False if it needs no thread, so that another run can start.

        A slow run is left to others if `most_waiting` wait for a place in the lane.
        """
        try:
            run = Run.find(id_)
            plan = None if run is None else self.executor.plan_of(run)
        except ForAnotherProcess:
            log.info("run %s is left to a process that has its node types", id_, extra={"run_id": id_})
            self._set_aside[id_] = None
            return False
        except Exception:
            log.exception("run %s cannot be read; a later sweep tries it again", id_, extra={"run_id": id_})
            self._set_aside[id_] = None
            return False
        if run is None or plan is None:
            return False
        if _lane(plan) not in self.lanes:
            self._set_aside[id_] = None
            return False
        if most_waiting is not None and plan.is_slow and self.queue.waiting >= most_waiting:
            return True
        active = Active(RunRecord(self.recorder, self.resources.payloads, run), plan)
        # Several threads may start runs at the same time: only one of them may take this run, or a suspect.
        with self._choosing:
            if active.is_suspect and self._has_suspect():
                self._has_more = True
                return True
            present = self._active.setdefault(id_, active)
        return present is not active or self._enqueue(active)

    def _find_lane(self, run_id: str) -> Lane | None:
        """Return the lane of a pending run. A run whose flow this process cannot plan is like any other."""
        run = Run.find(run_id)
        try:
            return None if run is None else _lane(self.resources.plan_of_run(run))
        except Exception as error:
            log.debug("the lane of run %s is not known here: %s", run_id, error)
            return "runs"

    def _has_suspect(self) -> bool:
        """Return True if a run that may kill the process has just begun. Only one may run, or others die with it."""
        since = time.monotonic() - SUSPECT_SECONDS
        return any(active.is_suspect and active.taken_at > since for active in list(self._active.values()))

    def _stop_lost_runs(self) -> None:
        """Stop runs that another process has cancelled, or claimed because this process seemed dead."""
        # A run that waits here for a thread may run elsewhere, be released there and still become ours.
        running = {id_: active for id_, active in list(self._active.items()) if active.run.status == "running"}
        durable = {id_ for id_, active in running.items() if active.record.is_claimed and active.record.is_durable()}
        for id_ in durable - claims.filter_running(durable, self.lease.owner):
            running[id_].stop_reason = "the run was cancelled or is executed elsewhere"

    def _release_forgotten(self) -> None:
        """Release runs that this process has claimed but does not execute: reading the row failed after the claim."""
        for id_, number in claims.find_held_by(self.lease.owner):
            if id_ not in self._active and id_ not in self.executor.unrecorded:
                log.warning("run %s was claimed but not executed; it is released", id_, extra={"run_id": id_})
                # Since it was read, it may have ended, or waited and been claimed again.
                self.recorder.commit([claims.release(id_, self.lease.owner, number)])


def _lane(plan: Plan) -> Lane:
    """Return the lane of the runs of a plan."""
    return "slow" if plan.is_slow else "runs"
