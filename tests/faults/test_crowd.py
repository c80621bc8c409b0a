"""Three processes with their threads on PostgreSQL, and people who start, cancel, answer, retry and delete runs.

Their recorders commit at the same time. In the end each run has ended, was counted once, and did nothing twice unless
its process was taken for dead.
"""

import threading
import time
from contextlib import ExitStack, suppress
from random import Random

import pytest
from test_threads import Team, check, some_flows
from world import PATIENCE, Background, Types
from world import process as a_process

import database
from database.queries import retention
from errors import HeadraceError
from models import Run, Wait
from nodes.base import REGISTRY, Suspend

pytestmark = [pytest.mark.slow, pytest.mark.soak]

PEOPLE, ACTIONS = 6, 40


class Crowd(Team):
    """A person of its own `random`; `deleted` counts the runs that all have deleted."""

    def __init__(self, random, processes, flows, deleted):
        super().__init__(random, processes, flows)
        self.deleted = deleted

    def act(self):
        process = self.random.choice(self.processes)
        weights = {
            process.sweep: 3, process.wake: 3, process.lease.beat: 1, lambda: self.submit(process): 9,
            lambda: self.cancel(process): 1, lambda: self.repeat(process): 3, lambda: self.answer(process): 6,
            lambda: self.sleep(process): 1, self.delete: 1,
        }  # fmt: skip
        (do,) = self.random.choices(list(weights), list(weights.values()))
        with suppress(HeadraceError, database.LockTimeout):
            do()

    def delete(self):
        ended = Run.finished_at.is_null(False) & Run.parent_run_id.is_null()
        self._with_one(ended, lambda run: self.deleted.extend(retention.remove_runs([run.id], lambda: True).ids))


def end_all(processes):
    """Answer and sweep until every run has ended."""
    deadline = time.monotonic() + 2 * PATIENCE
    pause = threading.Event()
    while Run.select().where(Run.finished_at.is_null()).exists():
        assert time.monotonic() < deadline, [
            (run.id, run.workflow_name, run.status, run.waiting, run.lease_owner)
            for run in Run.select().where(Run.finished_at.is_null())
        ]
        for process in processes:
            process.lease.beat()
            process.sweep()
        for wait in Wait.select().where(Wait.answered_at.is_null(), Wait.node_id == "w"):
            with suppress(HeadraceError):
                processes[0].answer(Run.get_by_id(wait.run_id), "w", "yes", 1, "ann")
        pause.wait(0.02)
    while any(process.active_count() for process in processes):
        assert time.monotonic() < deadline
        pause.wait(0.02)


def test_recorders_that_commit_together_lose_and_repeat_nothing(fresh_url, tmp_path, seeded, rounds):
    for number in rounds(2):
        database.connect(fresh_url(), "normal")
        try:
            meet(tmp_path / str(number), seeded)
        finally:
            database.disconnect()


def meet(folder, random):
    effects = []

    def act(config, input, ctx):
        effects.append(ctx.idempotency_key)
        return input

    with Types() as types, ExitStack() as stack:
        del REGISTRY["act"]
        types.offer("act", act, pure=False)
        types.offer("slow", act, pure=False, slow=True)
        resume = {"resume": lambda self, config, input, answer: input}
        types.offer("ask", lambda *_: Suspend(None, "ann"), suspends=True, answers=("yes",), **resume)
        processes = [stack.enter_context(a_process(folder, run_threads=4)) for _ in range(3)]
        flows, deleted = some_flows(), []
        people = [Crowd(Random(random.random()), processes, flows, deleted) for _ in range(PEOPLE)]
        acts = [Background(lambda one=one: [one.act() for _ in range(ACTIONS)]) for one in people]
        for each in acts:
            each.result()
        end_all(processes)
        people[0].slept = any(one.slept for one in people)
        check(people[0], effects, len(deleted))
