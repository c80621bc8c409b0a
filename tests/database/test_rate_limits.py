"""Rate limits: no window of `per` seconds has more starts than `calls`, whenever nodes ask. Time is the tests'."""

import heapq
import math
from bisect import bisect_left, bisect_right

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from properties import examples
from world import at_once

from database import execute
from database.queries import rate_limits
from database.queries.rate_limits import MAX_STARTS, Starts
from models import RateLimit

START = 1_772_452_800_000


def simulate(asks, calls, per, lateness):
    """Return the times at which nodes start that ask at these times, and again so late after each wait."""
    state, started, late = Starts(), [], iter(lateness)
    waiting = [(at, number, False) for number, at in enumerate(asks)]
    heapq.heapify(waiting)
    while waiting:
        at, number, has_waited = heapq.heappop(waiting)
        wait, state = state.take(calls, per, at, has_waited)
        if not wait:
            started.append(at)
        else:
            heapq.heappush(waiting, (at + wait + next(late), number, True))
    return started


def most_within(starts, length):
    """Return the highest number of starts in a window of this length, both ends included."""
    starts = sorted(starts)
    return max(bisect_right(starts, at + length) - bisect_left(starts, at) for at in starts)


@given(
    st.lists(st.integers(0, 3_000), min_size=1, max_size=60),
    st.integers(1, 12),
    st.sampled_from([0.001, 0.05, 0.4, 1, 1.5, 60]),
    st.lists(st.integers(0, 700), min_size=1, max_size=20),
)
@settings(max_examples=examples(300), deadline=None)
def test_no_window_has_more_starts_than_calls(gaps, calls, per, lateness):
    asks = [START + sum(gaps[: number + 1]) for number in range(len(gaps))]
    started = simulate(asks, calls, per, (late for _ in range(10_000) for late in lateness))
    assert len(started) == len(asks)
    assert most_within(started, per * 1000) <= calls


@pytest.mark.parametrize(("calls", "per"), [(1, 0.5), (5, 1), (60, 60), (300, 10), (1000, 60)])
@pytest.mark.parametrize("tick", [1, 500])
def test_a_backlog_starts_nearly_as_fast_as_the_limit_allows(calls, per, tick):
    number = 6 * calls
    state, started, asked = Starts(), [], 0
    waiting = [(START, one, False) for one in range(number)]
    while waiting:
        at, one, has_waited = heapq.heappop(waiting)
        wait, state = state.take(calls, per, at, has_waited)
        asked += 1
        if wait:
            again = at + wait if wait <= 5_000 else math.ceil((at + wait) / tick) * tick
            heapq.heappush(waiting, (again, one, True))
        else:
            started.append(at)
    assert most_within(started, per * 1000) <= calls
    assert started[-1] - START <= 7 * per * 1000 and asked <= 4 * number


def test_all_calls_may_start_at_once_and_the_next_ones_in_turn():
    state, waits = Starts(), []
    for _ in range(8):
        wait, state = state.take(5, 1, START, False)
        waits.append(wait)
    assert waits == [0, 0, 0, 0, 0, 1050, 1260, 1470]
    assert state.take(5, 1, START + 1050, True)[0] == 0
    assert state.take(5, 1, START + 1049, True)[0] == 1
    assert state.take(5, 1, START + 3000, False)[0] == 0


def test_a_clock_that_is_set_back_makes_nobody_wait_for_longer():
    _, state = Starts().take(1, 60, START, False)
    assert state.take(1, 60, START - 3_600_000, True)[0] == 60_050


def test_many_starts_share_entries_and_count_not_shorter():
    state, started = Starts(), []
    for at in range(START, START + 4_000):
        wait, state = state.take(2_000, 2, at, True)
        assert len(state.starts) <= MAX_STARTS
        if not wait:
            started.append(at)
    assert most_within(started[::50], 2_000) <= 2_000 // 50 + 1 and len(started) > 3_800


def test_nodes_with_different_limits_share_the_starts_of_a_key():
    _, state = Starts().take(1, 3600, START, False)
    wait, state = state.take(9, 1, START + 60_000, False)
    assert wait == 0
    assert state.take(1, 3600, START + 70_000, True)[0] == 3_600_050 - 10_000


# In the database


@pytest.mark.usefixtures("path")
def test_of_many_that_ask_at_once_as_many_start_as_the_limit_allows():
    waits = at_once(8, lambda number: [rate_limits.take("ws_1", "k", 5, 3600) for _ in range(3)])
    assert sum(wait == 0 for each in waits for wait in each) == 5
    assert rate_limits.take("ws_2", "k", 5, 3600) == rate_limits.take("ws_1", "other", 5, 3600) == 0


@pytest.mark.usefixtures("path")
def test_a_row_of_the_version_before_limits_nothing(monkeypatch):
    monkeypatch.setattr(rate_limits, "now_ms", lambda: START)
    execute("INSERT INTO rate_limits (workspace_id, key, empty_at) VALUES ('ws_1', 'k', ?)", (START * 1000 + 5,))
    assert [rate_limits.take("ws_1", "k", 1, 1) for _ in range(2)] == [0, 1.05]
    row = RateLimit.get()
    assert row.empty_at == (START + 1050 + 1050) * 1000
