"""When pending runs are offered to the broker, and again; and that a long backlog does not flood it."""

import pytest
from world import add_flow, chain, node

from database import execute
from database.queries import runs as run_queries
from dispatch.queues import DELAY_SECONDS, MAX_NEW, MAX_REPEATED, REPEAT_SECONDS, Offers, OfferTimes


class Clock:
    now = 1_000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


class Kept(list):
    """A broker that keeps the offered ids."""

    def offer(self, run_id, lane):
        self.append(run_id)
        return True


@pytest.fixture
def kept():
    return Kept()


@pytest.fixture
def offers(kept, clock):
    return Offers(kept, lambda run_id: "runs", clock)


def pending(count):
    made = add_flow(chain(node("a", "act")))
    runs = [run_queries.accept(made, triggered_by="manual") for _ in range(count)]
    for run in runs:
        execute(*run_queries.insertion(run))
    return [run.id for run in runs]


def test_a_run_is_due_after_the_delay_and_then_once_a_minute(clock):
    times = OfferTimes(DELAY_SECONDS, clock)
    assert times.find_due(["a"]) == []
    clock.now += DELAY_SECONDS
    assert times.find_due(["a", "b"]) == ["a"]
    clock.now += REPEAT_SECONDS - 1
    assert times.find_due(["a", "b"]) == ["b"]
    clock.now += 1
    assert times.find_due(["a", "b"]) == ["a"]


def test_a_run_that_is_not_pending_any_more_is_forgotten(clock):
    times = OfferTimes(0, clock)
    assert times.find_due(["a", "b"]) == ["a", "b"]
    times.find_due(["b"])
    assert len(times) == 1 and times.find_due(["a", "b"]) == ["a"]


def test_new_runs_are_offered_once_except_those_that_this_process_has(offers, kept):
    ids = pending(3)
    offers.offer_new({ids[0]})
    offers.offer_new({ids[0]})
    assert kept == ids[1:]


def test_the_leader_repeats_offers_of_runs_that_nobody_claims(offers, kept, clock):
    ids = pending(2)
    offers.repeat()
    assert kept == []
    clock.now += DELAY_SECONDS
    offers.repeat()
    offers.repeat()
    assert kept == ids
    execute("UPDATE runs SET status = 'running' WHERE id = ?", (ids[0],))
    clock.now += REPEAT_SECONDS
    offers.repeat()
    assert kept == [*ids, ids[1]]


def test_a_long_backlog_is_offered_in_part(offers, kept, clock):
    pending(MAX_REPEATED + 20)
    offers.offer_new(())
    assert len(kept) == MAX_NEW
    offers.repeat()
    clock.now += DELAY_SECONDS
    for _ in range(int(REPEAT_SECONDS)):
        offers.repeat()
    assert len(kept) == MAX_NEW + MAX_REPEATED
