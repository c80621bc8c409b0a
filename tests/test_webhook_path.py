"""The path of a webhook is as docs/architecture.md describes it: few files, read in one direction."""

import re
import sys
import threading
from collections import deque
from pathlib import Path

import pytest

from tools.benchmarks.webhook import INPUT, definition

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
SECTION = PAGE[PAGE.index("## The path of a webhook") : PAGE.index("## Files and folders")]
# The HTTP worker hands requests to the shortcut, and is not part of these tests.
TRUNK = [path for path in re.findall(r"^\| `([\w/]+\.py)`", SECTION, re.MULTILINE) if not path.startswith("net/")]
pytestmark = pytest.mark.sqlite_only("the files of SQLite are counted")
MAX_FILES = 30  # with nodes, expressions and all helpers, without the HTTP worker
MAX_VIEW_FILES = 40  # if the view answers it
MAX_TRUNK = 20
TESTS = "tests/"


class Trace:
    """The calls between files of this repository, in the threads that start under `threading.setprofile`."""

    def __init__(self):
        self.is_on = False
        self.calls = deque()

    def __call__(self, frame, event, _):
        if self.is_on and event == "call" and (path := own(frame)) is not None:
            self.calls.append((caller_of(frame), path))


def own(frame):
    """Return the file of a frame relative to the repository; None if it is another's."""
    path = Path(frame.f_code.co_filename)
    if not path.is_relative_to(ROOT) or path.is_relative_to(ROOT / ".venv"):
        return None
    return str(path.relative_to(ROOT))


def caller_of(frame):
    """Return the file of this repository that called, directly or through a library."""
    while (frame := frame.f_back) is not None:
        if (path := own(frame)) is not None:
            return path
    return None


@pytest.fixture
def trace():
    made = Trace()
    threading.setprofile(made)
    yield made
    threading.setprofile(None)
    sys.setprofile(None)


@pytest.fixture
def calls(trace, app, behind, client, make_flow, unhurried):
    """The calls between production files while one webhook is answered, after others have filled the caches."""
    make_flow(definition("path", "node"), status="active", name="Path")
    for _ in range(3):
        assert client.post("/api/webhooks/path", json=INPUT).text == '{"text":"Ada: 105"}'
    sys.setprofile(trace)
    trace.is_on = True
    assert client.post("/api/webhooks/path", json=INPUT).status_code == 200
    trace.is_on = False
    sys.setprofile(None)
    assert behind.taken == 4
    # What the worker of the tests calls outside the path is no part of it.
    found = [
        (caller, called)
        for caller, called in trace.calls
        if not called.startswith(TESTS) and (called in TRUNK or not str(caller).startswith(TESTS))
    ]
    first = found.index((next(caller for caller, called in found if called == TRUNK[0]), TRUNK[0]))
    return found[first:]


def test_a_webhook_passes_through_the_files_of_the_table_in_one_direction(calls):
    place = {path: number for number, path in enumerate(TRUNK)}
    assert place.keys() <= {called for _, called in calls}
    inner = {(caller, called) for caller, called in calls if caller is not None and not caller.startswith(TESTS)}
    back = {
        (caller, called) for caller, called in inner if place.get(caller, len(TRUNK)) > place.get(called, len(TRUNK))
    }
    assert back == set(), "a call to an earlier file of the table, or from a file that is not in it"


def test_a_webhook_touches_few_files(calls):
    assert len({called for _, called in calls}) <= MAX_FILES
    assert len(TRUNK) < MAX_TRUNK


def test_a_webhook_by_the_view_touches_few_files(trace, client, make_flow, unhurried):
    make_flow(definition("path", "node"), status="active", name="Path")
    for _ in range(3):
        assert client.post("/api/webhooks/path", json=INPUT).text == '{"text":"Ada: 105"}'
    sys.setprofile(trace)
    trace.is_on = True
    assert client.post("/api/webhooks/path", json=INPUT).status_code == 200
    trace.is_on = False
    sys.setprofile(None)
    found = {called for _, called in trace.calls if not called.startswith(TESTS)}
    assert len(found) <= MAX_VIEW_FILES, sorted(found)
