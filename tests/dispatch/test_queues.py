"""The queue of one process: threads that execute runs in the order of their offers, slow runs in their lane."""

import queue
import threading
import time

import pytest
from world import PATIENCE

from dispatch.queues import LocalQueue


class Executed:
    """The ids that the threads executed. Ids in `held` wait until the test opens the gate."""

    def __init__(self, *held):
        self.held, self.ids = held, []
        self.opened, self.came = threading.Event(), queue.SimpleQueue()

    def __call__(self, run_id):
        self.came.put(run_id)
        if run_id in self.held:
            assert self.opened.wait(PATIENCE), "the test never opened the gate"
        self.ids.append(run_id)


@pytest.fixture
def begin():
    """`begin(executed, threads, max_slow)` returns a queue with its threads, which end after the test."""
    begun = []

    def make(executed, threads=1, max_slow=1):
        made = LocalQueue(threads, max_slow)
        made.start(executed)
        begun.append((made, executed))
        return made

    yield make
    for made, executed in begun:
        executed.opened.set()
        made.close()
        made.stop(time.monotonic() + PATIENCE)


def test_runs_are_executed_in_the_order_of_their_offers(begin):
    executed = Executed()
    made = begin(executed)
    assert all([made.offer(f"run_{number}", "runs") for number in range(5)])
    assert [executed.came.get(timeout=PATIENCE) for _ in range(5)] == [f"run_{number}" for number in range(5)]


def test_a_thread_is_made_only_for_a_run_that_finds_none_idle(begin):
    executed = Executed("run_0", "run_1", "run_2", "run_3")
    made = begin(executed, threads=3)
    assert len(made.threads) == 1
    for number in range(3):
        made.offer(f"run_{number}", "runs")
        assert executed.came.get(timeout=PATIENCE) == f"run_{number}"
        assert len(made.threads) == number + 1
    made.offer("run_3", "runs")
    assert len(made.threads) == 3 and made.state().depth == 1
    executed.opened.set()
    assert executed.came.get(timeout=PATIENCE) == "run_3"


def test_every_run_gets_a_thread_at_once_while_there_is_one(begin):
    """Runs come in bursts, from several threads, while others end; two that are held never delay a third."""
    executed = Executed("held_1", "held_2")
    made = begin(executed, threads=4)
    for held in executed.held:
        made.offer(held, "runs")
        assert executed.came.get(timeout=PATIENCE) == held

    def offer(name):
        for number in range(200):
            made.offer(f"{name}_{number}", "runs")

    callers = [threading.Thread(target=offer, args=(name,)) for name in "abc"]
    for caller in callers:
        caller.start()
    assert {executed.came.get(timeout=PATIENCE) for _ in range(600)} == {f"{a}_{n}" for a in "abc" for n in range(200)}
    for caller in callers:
        caller.join(PATIENCE)
    assert 3 <= len(made.threads) <= 4 and made.state().depth == 0


def test_a_slow_run_waits_for_a_place_while_others_get_a_thread(begin):
    executed = Executed("slow_1")
    made = begin(executed, threads=2)
    assert made.offer("slow_1", "slow") and not made.offer("slow_2", "slow")
    assert made.is_slow_lane_full and made.waiting == 1
    assert made.offer("run_1", "runs")
    assert {executed.came.get(timeout=PATIENCE) for _ in range(2)} == {"slow_1", "run_1"}
    made.leave("slow_1")
    assert executed.came.get(timeout=PATIENCE) == "slow_2" and made.waiting == 0


def test_the_end_of_a_waiting_slow_run_leaves_the_lane_free(begin):
    made = begin(Executed())
    assert made.offer("slow_1", "slow") and not made.offer("slow_2", "slow")
    made.leave("slow_1")
    made.leave("slow_2")
    assert not made.is_slow_lane_full


def test_its_depth_counts_runs_without_a_thread_and_without_a_place():
    made = LocalQueue(threads=0, max_slow=1)
    made.start(Executed())
    assert made.is_empty and made.state() == (0, False, 0.0)
    for run_id, lane in (("run_1", "runs"), ("slow_1", "slow"), ("slow_2", "slow")):
        made.offer(run_id, lane)
    assert made.state().depth == 3 and not made.is_empty
    assert [made.take(PATIENCE), made.take(PATIENCE)] == ["run_1", "slow_1"] and made.is_empty


def test_closed_threads_end_after_what_was_offered_before(begin):
    executed = Executed()
    made = begin(executed, threads=2)
    for number in range(20):
        made.offer(f"run_{number}", "runs")
    made.close()
    made.stop(time.monotonic() + PATIENCE)
    assert sorted(executed.ids) == sorted(f"run_{number}" for number in range(20))
