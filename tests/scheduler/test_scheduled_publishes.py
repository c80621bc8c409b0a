"""Scheduled publishes: once, whichever processes look, at their time by a clock that the test sets."""

import orjson
import pytest
from moments import HOUR, MINUTE, START
from world import add_flow, at_once, flow, raced

from database import write
from database.queries import drafts, workspaces
from dispatch.publishing import save_draft
from models import LogEntry, Membership, User, Workflow, WorkflowVersion
from scheduler import publish_due

pytestmark = pytest.mark.usefixtures("path")


@pytest.fixture
def ann():
    return User.add(email="ann@example.org", name="ann", password_hash="x")


@pytest.fixture
def schedule(ann):
    """`schedule(at)` makes a flow whose draft is published at this time."""
    workspace = workspaces.found("W", ann)

    def make(at, **values):
        made = add_flow(flow("a"), workspace.id)
        text = orjson.dumps(flow("b")).decode()
        save_draft(made, text, 1, 0, ann.id)
        with write():
            drafts.schedule(
                workflow_id=made.id, draft_revision=1, definition_json=text, base_version=1, name=None, note=None,
                publish_at=at, created_by=ann.id, **values,
            )  # fmt: skip
        return made.id

    return make


def versions(id_):
    return [row.version for row in WorkflowVersion.select().where(WorkflowVersion.workflow_id == id_)]


def test_nothing_is_published_before_its_time(schedule):
    id_ = schedule(START + HOUR)
    assert publish_due(START + HOUR - 1, 100) == 0 and versions(id_) == [1]
    assert publish_due(START + HOUR, 100) == 1 and sorted(versions(id_)) == [1, 2]


def test_a_publish_missed_while_the_server_was_down_is_made_up(schedule):
    id_ = schedule(START)
    assert publish_due(START + 100 * HOUR, 100) == 1 and Workflow.find(id_).version == 2


PROCESS = """
import sys, database
from chosen_engine import connect
connect(sys.argv[1])
from scheduler import publish_due
print("ready", flush=True)
sys.stdin.readline()
print(publish_due(int(sys.argv[2]), 100))
database.disconnect()
"""


@pytest.mark.slow
def test_several_processes_publish_once(schedule, path):
    ids = [schedule(START + number * MINUTE) for number in range(20)]
    published = raced(3, PROCESS, path, START + HOUR)
    assert sum(map(int, published)) == 20
    assert {Workflow.find(id_).version for id_ in ids} == {2}
    assert LogEntry.select().count() == 0


def test_a_publish_that_is_cancelled_as_it_is_due_is_published_or_not_but_never_half(schedule):
    id_ = schedule(START)

    def act(number):
        if number == 0:
            return publish_due(START, 100)
        with write():
            return drafts.unschedule(id_)

    published, cancelled = at_once(2, act)
    assert (published, cancelled) in ((1, False), (0, True))
    assert Workflow.find(id_).version == 1 + published


def test_a_member_who_left_publishes_nothing(schedule, ann):
    id_ = schedule(START)
    with write():
        Membership.delete().execute()
    assert publish_due(START, 100) == 0 and versions(id_) == [1]
    assert "may no longer change flows" in drafts.find_scheduled(id_).failure
    (entry,) = LogEntry.select()
    assert entry.level == "error" and orjson.loads(entry.data)["workflow_id"] == id_
