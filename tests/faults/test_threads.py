"""The threads of two processes in any order: each run ends, and no node is executed twice.

One thread runs at a time, and yields at random between two statements, before and after a commit, and within a node.
So the seed determines the order, except for the commits of the recorders' threads and the threads of parallel nodes.
"""

import threading
from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import replace
from queue import SimpleQueue

import pytest
from world import PATIENCE, Types, add_flow, chain, flow, fresh_database, node, steps_of
from world import process as a_process

import database
from database.queries import leases
from dispatch import Dispatcher, Resources, Start
from dispatch.acceptance import Active
from dispatch.executor import Executor
from dispatch.recorder import Recorder
from dispatch.run_record import RunRecord
from errors import HeadraceError
from models import Run, RunDay, Wait
from nodes.base import REGISTRY, Suspend

pytestmark = [pytest.mark.slow, pytest.mark.soak, pytest.mark.postgres]

PLACES = [
    (type(database.db), ["execute_sql"]),
    (Recorder, ["commit"]),
    (RunRecord, ["begin", "durable", "step", "finish"]),
    (Active, ["end"]),
    (Executor, ["tidy", "plan_of"]),
    (Resources, ["plan_of_run"]),
    (Dispatcher, ["_enqueue"]),
]


class Turns:
    """Threads of which one runs at a time; each yields at random, with this probability at each place."""

    def __init__(self, random, chance):
        self.random, self.chance = random, chance
        self.turns, self.errors = {}, []
        self.over = threading.Event()
        self.own = threading.local()

    def add(self, work):
        turn = threading.Semaphore(0)
        self.turns[turn] = threading.Thread(target=self._work, args=(turn, work), daemon=True)
        self.turns[turn].start()

    def take(self):
        """Run the threads until all have ended."""
        self._next().release()
        assert self.over.wait(3 * PATIENCE), "they wait for each other"
        assert not self.errors, self.errors

    def place(self):
        """Perhaps yield, unless this thread writes: the others would wait for the lock."""
        turn = getattr(self.own, "turn", None)
        if turn is not None and not database.db.in_transaction() and self.random.random() < self.chance:
            self.hand_over(turn)

    def hand_over(self, turn):
        following = self._next()
        if following is not turn:
            following.release()
            assert turn.acquire(timeout=PATIENCE)

    def _next(self):
        return self.random.choice(list(self.turns))

    def _work(self, turn, work):
        assert turn.acquire(timeout=PATIENCE)
        self.own.turn = turn
        try:
            work()
        except BaseException as error:
            self.errors.append(repr(error))
        finally:
            del self.own.turn, self.turns[turn]
            database.disconnect_thread()
            self._next().release() if self.turns else self.over.set()


class Lock:
    """A lock for which the running thread does not block: it yields."""

    def __init__(self, turns):
        self.turns, self.lock = turns, threading.Lock()

    def __enter__(self):
        while not self.lock.acquire(timeout=0 if (turn := getattr(self.turns.own, "turn", None)) else PATIENCE):
            self.turns.hand_over(turn)

    def __exit__(self, *error):
        self.lock.release()


class Ends(SimpleQueue):
    """The ends of parallel nodes, for which the running thread does not block: it yields."""

    def __init__(self, turns):
        self.turns = turns

    def get(self):
        turn = getattr(self.turns.own, "turn", None)
        while turn is not None and self.empty():
            self.turns.hand_over(turn)
        return super().get(timeout=PATIENCE)


def at_each_place(monkeypatch, turns):
    def watched(function):
        def work(*args, **more):
            turns.place()
            given = function(*args, **more)
            turns.place()
            return given

        return work

    for owner, names in PLACES:
        for name in names:
            monkeypatch.setattr(owner, name, watched(getattr(owner, name)))
    monkeypatch.setattr("engine.SimpleQueue", lambda: Ends(turns))


def some_flows():
    called = add_flow(chain(node("called", "called"), node("x", "act"), node("w", "ask")), name="Called")
    teller = add_flow(chain(node("error", "error"), node("x", "act")), name="Teller")
    a, b, ask = node("a", "act"), node("b", "act"), node("w", "ask")
    loose = {"workflow_id": called.id, "wait": False}
    return [
        add_flow(made)
        for made in (
            chain("a", "b"),
            chain(a, ask, b),
            chain(a, node("c", "subflow", {"workflow_id": called.id}), b),
            chain(a, node("c", "subflow", loose), b),
            chain(a, ask, b, max_concurrent_runs=1),
            chain(a, b, max_concurrent_runs=1, overlap="skip"),
            chain(a, node("s", "slow")),
            chain(a, node("f", "fail"), error_workflow_id=teller.id),
            flow(a, b, node("x", "act"), "z", edges=["a b", "a x", "b z", "x z"], parallel=2),
        )
    ]


class Team:
    """Two processes without own threads; the test's threads do their work."""

    def __init__(self, random, processes, flows):
        self.random, self.processes, self.flows = random, processes, flows
        self.slept = False

    def act(self):
        """Do a random action that is possible at any time."""
        process = self.random.choice(self.processes)
        weights = {
            lambda: work(process): 9, process.sweep: 4, process.pick_up: 3, process.wake: 2, process.lease.beat: 1,
            lambda: self.sleep(process): 2, lambda: self.submit(process): 5, lambda: self.cancel(process): 1,
            lambda: self.repeat(process): 3, lambda: self.answer(process): 4,
        }  # fmt: skip
        (do,) = self.random.choices(list(weights), list(weights.values()))
        with suppress(HeadraceError):  # for example too late
            do()

    def sleep(self, process):
        self.slept = True
        leases.beat(process.lease.owner, -1)

    def submit(self, process):
        key = self.random.choice([None, None, "key"])
        process.submit(Start(self.random.choice(self.flows), 1, "manual", key=key)).durable()

    def cancel(self, process):
        self._with_one(Run.finished_at.is_null(), lambda run: process.cancel(run, "ann"))

    def repeat(self, process):
        ended = Run.finished_at.is_null(False) & Run.retry_of.is_null() & Run.parent_run_id.is_null()
        self._with_one(ended, lambda run: process.retry(run, "start", None))

    def answer(self, process):
        self._with_one(Run.finished_at.is_null(), lambda run: process.answer(run, "w", "yes", 1, "ann"))

    def _with_one(self, where, do):
        if found := list(Run.select().where(where)):
            do(self.random.choice(found))

    def bring_all_to_an_end(self):
        for _ in range(100):
            for process in self.processes:
                process.lease.beat()
                process.sweep()
                while work(process):
                    continue
            for wait in Wait.select().where(Wait.answered_at.is_null(), Wait.node_id == "w"):
                self.processes[0].answer(Run.get_by_id(wait.run_id), "w", "yes", 1, "ann")
            if not Run.select().where(Run.finished_at.is_null()).exists():
                return


def work(process):
    """Do the work of one thread of the process for one run. Return True if there was a run."""
    if process.queue.is_empty:
        return False
    process.execute(process.queue.take(PATIENCE))
    return True


def begin(folder, stack, turns):
    process = stack.enter_context(a_process(folder, run_threads=0))
    process.config = process.resources.config = replace(process.config, run_threads=3)
    process._choosing = Lock(turns)
    return process


def check(team, effects, deleted=0):
    """`deleted`: the number of runs that were deleted, none of which another run has started."""
    runs = list(Run.select())
    children = Counter((run.parent_run_id, run.workflow_name) for run in runs)
    assert {process.active_count() for process in team.processes} == {0}
    assert sum(day.total for day in RunDay.select()) == len(runs) + deleted
    assert not Wait.select().where(Wait.seq.is_null(False)).exists()
    for run in runs:
        steps = steps_of(run.id)
        told = f"{run.workflow_name} {run.id} {run.status} {run.error_text}"
        assert run.finished_at is not None and not {step.status for step in steps} & {"running", "waiting"}, told
        assert run.status == "success" or run.cancelled or "processes died" in run.error_text or steps[-1].final, told
        done = Counter(step.node_id for step in steps if step.status == "success")
        begun = Counter(step.node_id for step in steps)
        for id_ in begun:
            times = effects.count(f"{run.id}:{id_}:0")
            assert done["c"] <= children[run.id, "Called"], f"{told}: the run that it started is not there"
            assert done[id_] <= 1 and times <= begun[id_] and (times <= 1 or team.slept), f"{told} {id_}: {times} times"
        if run.status == "success":
            assert run.nodes_done == run.nodes_total and children[run.id, "Called"] == ("c" in done), told
        assert children[run.id, "Teller"] == (any(step.node_id == "f" for step in steps) and not run.cancelled), told


def meet(folder, random, monkeypatch):
    """Let four threads do ten actions each, then finish and check everything."""
    effects, turns = [], Turns(random, random.choice([0.05, 0.2, 0.5]))

    def act(config, input, ctx):
        effects.append(ctx.idempotency_key)
        turns.place()
        return input

    def ask(config, input, ctx):
        return Suspend(None, "ann")

    with fresh_database(folder), Types() as types, ExitStack() as stack:
        del REGISTRY["act"]
        types.offer("act", act, pure=False)
        types.offer("slow", act, pure=False, slow=True)
        types.offer("ask", ask, suspends=True, answers=("yes",), resume=lambda self, config, input, answer: input)
        team = Team(random, [begin(folder, stack, turns) for _ in range(2)], some_flows())
        with monkeypatch.context() as patch:
            at_each_place(patch, turns)
            for _ in range(4):
                turns.add(lambda: [team.act() for _ in range(10)])
            turns.take()
        team.bring_all_to_an_end()
        check(team, effects)


def test_no_order_of_threads_leaves_a_run_stuck_or_repeated(tmp_path, seeded, rounds, monkeypatch):
    for number in rounds(6):
        folder = tmp_path / str(number)
        folder.mkdir()
        meet(folder, seeded, monkeypatch)
