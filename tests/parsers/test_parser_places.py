"""Places of parser processes: one workspace leaves some for others, and waiting workspaces take turns."""

import queue
import threading
from contextlib import ExitStack

import pytest

from parsers.process import NoPlace, ParserSlots

DEADLINE = 20


def is_refused(places, workspace):
    try:
        with places.take(workspace, 0):
            return False
    except NoPlace:
        return True


@pytest.mark.parametrize("count", [2, 3, 8])
def test_a_workspace_never_holds_the_last_place(count):
    places = ParserSlots(count)
    with ExitStack() as held:
        for _ in range(count - 1):
            held.enter_context(places.take("a", 0))
        assert is_refused(places, "a") and not is_refused(places, "b") and not is_refused(places, None)
    assert not is_refused(places, "a")


def test_no_more_places_are_given_than_there_are():
    places = ParserSlots(2)
    with places.take("a", 0), places.take("b", 0):
        assert is_refused(places, "c")
    assert not is_refused(places, "c")


def test_a_place_is_given_back_after_an_error():
    places = ParserSlots(2)
    with pytest.raises(RuntimeError), places.take("a", 0):
        raise RuntimeError
    assert not is_refused(places, "a") and places._free == 2 and not places._held and not places._waiting


def test_waiting_workspaces_take_turns():
    """The third workspace is served after one end, not after all that came before it."""
    places, served, go_on = ParserSlots(2), queue.Queue(), threading.Event()

    def work(workspace):
        with places.take(workspace, DEADLINE):
            served.put(workspace)
            assert go_on.wait(DEADLINE)

    def start(workspace):
        thread = threading.Thread(target=work, args=(workspace,))
        before = sum(map(len, places._waiting.values()))
        thread.start()
        end = threading.Event()
        while sum(map(len, places._waiting.values())) == before:
            assert not end.wait(0.001) and thread.is_alive()
        return thread

    with ExitStack() as held:
        held.enter_context(places.take("x", 0))
        held.enter_context(places.take("y", 0))
        threads = [start(workspace) for workspace in "aaaaaaac"]
    assert {served.get(timeout=DEADLINE), served.get(timeout=DEADLINE)} == {"a", "c"}
    go_on.set()
    for thread in threads:
        thread.join(DEADLINE)
    assert sorted(served.get(timeout=DEADLINE) for _ in "aaaaaa") == [*"aaaaaa"]
    assert places._free == 2 and not places._held and not places._waiting
