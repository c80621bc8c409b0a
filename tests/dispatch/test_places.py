"""Places limit the requests of one kind that a process serves at the same time."""

import time

import pytest
from world import PATIENCE, Background

from dispatch.limits import RequestLimit
from errors import TooMany, Unavailable


def hold(places, who):
    with places.taken(who):
        return True


def test_a_place_is_free_again_after_an_error():
    places = RequestLimit("to test things", 1, 1, 0.01)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), places.taken("ada"):
            raise ZeroDivisionError
    with places.taken("ada"):
        pass


def test_the_places_of_one_person_are_limited_and_waiting_for_one_counts():
    places = RequestLimit("to test things", 1, 2, PATIENCE)
    with places.taken("bob"):
        waiting = [Background(hold, places, "ada") for _ in range(2)]
        end = time.monotonic() + PATIENCE
        while places._in_use["ada"] < 2 and time.monotonic() < end:
            waiting[0].thread.join(0.01)
        with pytest.raises(TooMany, match="2 of your requests to test things"), places.taken("ada"):
            pass
    assert all(one.result() for one in waiting) and not places._in_use


def test_a_request_that_waits_too_long_for_a_place_is_refused():
    places = RequestLimit("to test things", 1, 1, 0.01)
    with places.taken("ada"), pytest.raises(Unavailable, match="too many requests to test things"), places.taken("bob"):
        pass
    with places.taken("bob"):
        pass
