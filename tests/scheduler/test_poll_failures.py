"""Polls that fail or have no room, and their queries."""

import re

import orjson
import pytest
from engines import accept_inserts, refuse_inserts, runs_with_values
from moments import HOUR, MINUTE, SECOND, logged
from query_plans import explain
from sources import active, change, definition, entries, fired, keys, polling, row
from world import chain, flow, node

from database import execute, write
from database.queries import polls as poll_queries
from database.queries import workflows
from database.queries.metrics import metrics
from errors import DefinitionError, NodeError
from models import Run
from nodes.base import Item, Node, Polled
from scheduler.polls import HOLD_MS, backoff

pytestmark = pytest.mark.usefixtures("path")


# Failures


def test_only_a_trigger_can_poll():
    with pytest.raises(TypeError, match="only a trigger polls"):

        class Wrong(Node):
            """Is refused."""

            type, category, polls = "wrong_here", "logic", True


def test_a_trigger_without_a_poll_function_fails(source, process):
    source.poll = lambda node, config, state, ctx: Node.poll(node, config, state, ctx)
    made = active()
    process.look()
    assert row(made).last_error == "watch does not poll"


def test_a_failing_source_is_polled_with_backoff(source, process):
    made = active(definition(every=600))
    source.problem = "it is down"
    waits = []
    for _ in range(9):
        process.look()
        waits.append((row(made).next_at - process.clock.now) // SECOND)
    assert waits == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]
    source.problem = None
    process.look()
    assert (row(made).next_at - process.clock.now, row(made).failures) == (600 * SECOND, 0)


def test_the_first_retry_is_no_later_than_the_next_poll(source, process):
    assert [backoff(10, failures) for failures in (0, 1, 5, 20, 10_000)] == [
        10 * SECOND,
        20 * SECOND,
        320 * SECOND,
        HOUR,
        HOUR,
    ]


def test_a_retry_after_of_a_source_is_respected(source, process):
    made = active(definition(every=600))

    waits = [7_200.0, 1.0, 1e9]

    def refuse(ctx):
        raise NodeError("too many questions", retry_after=waits.pop(0))

    source.during = refuse
    for seconds in (7_200, 120, 86_400):
        process.look()
        assert (row(made).next_at - process.clock.now) // SECOND == seconds


@pytest.mark.parametrize("every", [0, -1, 1e9])
def test_every_is_a_number_of_seconds(source, every):
    with pytest.raises(DefinitionError, match=r"nodes \(new\)\.config\.every"):
        active(definition(every=every))


def test_a_failure_and_its_end_are_logged_once(source, process):
    active()
    for problem in ("down", "down", "up side down", "up side down", None, None, "down"):
        source.problem = problem
        process.look()
    name = "The trigger new of the flow Flow"
    assert logged() == [
        ("warning", f"{name} cannot be polled: down"),
        ("warning", f"{name} cannot be polled: up side down"),
        ("info", f"{name} can be polled again"),
        ("warning", f"{name} cannot be polled: down"),
    ]


def test_nothing_is_lost_by_failures(source, process):
    made = active()
    process.look()
    source.shown, source.problem = ["a"], "down"
    process.look()
    source.problem = None
    process.look()
    assert fired() == ["a"] and orjson.loads(row(made).state) == {"polls": 2}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["a"], "watch must return Polled with a list of Item"),
        (Polled([("a", 1)]), "watch must return Polled with a list of Item"),
        (Polled([Item(str(number), 1) for number in range(10_001)]), "found 10001 entries at once"),
        (Polled((), {"a": object()}), "the output is not JSON"),
        (Polled((), "x" * 300_000), "the output has 300,002 bytes"),
        (Polled([Item(5, 1)]), "watch must return Polled with a list of Item"),
    ],
)
def test_a_trigger_with_an_invalid_result_fails(source, process, given, told):
    source.poll = lambda node, config, state, ctx: given
    made = active()
    process.look()
    assert told in row(made).last_error and not row(made).begun


def test_a_trigger_that_raises_any_error_fails(source, process, caplog):
    made = active()

    def fall(ctx):
        raise ZeroDivisionError("by \ud800")

    source.during = fall
    process.look()
    assert row(made).last_error == "ZeroDivisionError: by ?" and "Traceback" in caplog.text


def test_a_flow_with_an_unreadable_definition_fails(source, process):
    made = active()
    with write():
        execute("UPDATE workflow_versions SET definition_json = ?", (orjson.dumps(chain("mystery")).decode(),))
        broken = orjson.dumps(flow(node("new", "no_such_type"))).decode()
        execute("UPDATE workflow_versions SET definition_json = ?", (broken,))
        execute("UPDATE workflows SET definition_json = ?", (broken,))
    process.look()
    assert "there is no node type 'no_such_type'" in row(made).last_error


def test_failing_triggers_are_counted(source, process):
    active()
    active(workspace="ws_2")
    process.look()
    assert (poll_queries.failing(), poll_queries.failing("ws_1"), metrics("ws_1", 1)["failing_polls"]) == (0, 0, 0)
    source.problem = "down"
    made = active()
    process.look()
    assert (poll_queries.failing(), poll_queries.failing("ws_1"), poll_queries.failing("ws_2")) == (3, 2, 1)
    assert metrics("ws_1", 1)["failing_polls"] == 2
    change(made, status="draft")
    assert poll_queries.failing("ws_1") == 1


def test_overdue_triggers_are_counted(source, process):
    active()
    process.look()
    now = process.clock.now
    assert poll_queries.overdue(now + 2 * MINUTE) == 0 and poll_queries.overdue(now + 2 * MINUTE + 1) == 1


def test_a_database_error_loses_no_entries(source, process, caplog):
    made = active()
    process.look()
    source.shown = ["a"]
    source.during = lambda ctx: refuse_inserts("poll_entries")
    process.look()
    source.during = lambda ctx: None
    accept_inserts()
    assert fired() == [] and entries(made) == {}
    assert re.search(": integer overflow|: could not extend file", caplog.text)
    process.look()
    assert fired() == ["a"]


# No room


def test_while_too_many_runs_wait_nothing_is_asked_and_nothing_lost(source, tmp_path):
    made = active()
    with polling(tmp_path, max_pending=10) as process:
        process.look()
        source.shown = keys(1, 8)
        process.look()
        assert fired() == keys(1, 5), "half of the room is for those who call"
        assert orjson.loads(row(made).state) == {"polls": 1} and row(made).next_at == process.clock.now + HOLD_MS
        process.look()
        assert len(source.asked) == 2 and row(made).next_at == process.clock.now + HOLD_MS
        Run.update(status="success").execute()
        source.shown = keys(2, 9)
        process.look()
    assert fired() == keys(1, 9)
    assert orjson.loads(row(made).state) == {"polls": 2}


def test_for_a_little_room_alone_nothing_is_asked(source, tmp_path):
    active()
    with polling(tmp_path, max_pending=100) as process:
        process.look()
        source.shown = keys(1, 60)
        process.look()
        assert fired() == keys(1, 50)
        for left, looks in ((46, 2), (45, 3)):
            Run.update(status="success").where(Run.id.not_in([run.id for run in Run.select().limit(left)])).execute()
            process.look()
            assert len(source.asked) == looks
    assert len(fired()) == 55


def test_a_flow_that_may_not_start_keeps_its_entries_unread(source, tmp_path):
    made = active(definition(settings={"max_concurrent_runs": 1, "overlap": "skip"}))
    with polling(tmp_path) as process:
        process.look()
        source.shown = ["a", "b"]
        process.look()
        assert fired() == ["a"]
        process.look()
        assert fired() == ["a"] and len(source.asked) == 2
        Run.update(status="success").execute()
        process.look()
    assert fired() == ["a", "b"] and entries(made).keys() == {poll_queries.digest("a"), poll_queries.digest("b")}


def test_a_flow_with_a_queue_takes_all_entries(source, tmp_path):
    active(definition(settings={"max_concurrent_runs": 1}))
    with polling(tmp_path, runs=True) as process:
        process.look()
        source.shown = ["a", "b", "c"]
        process.look()
    assert fired() == ["a", "b", "c"] and {run.status for run in Run.select()} == {"success"}


def test_values_of_runs_without_a_row_are_deleted(source, tmp_path):
    active()
    with polling(tmp_path, max_pending=4, inline_value_bytes=1) as process:
        process.look()
        source.shown = keys(1, 4)
        process.look()
        assert runs_with_values(tmp_path) == sorted(run.id for run in Run.select())
    assert Run.select().count() == 2


# Questions


def test_an_idle_tick_of_the_poller_makes_one_query(source, process, caplog):
    active()
    process.look()
    process.clock.pass_by(500)
    with caplog.at_level("DEBUG", "peewee"):
        process.poller.tick()
    (asked,) = [record.msg[0] for record in caplog.records if record.name == "peewee"]
    assert asked.startswith("SELECT")


def test_a_question_uses_an_index(source, process, caplog):
    made = active()
    source.shown = ["a"]
    process.look()
    source.shown, source.problem = ["b"], None

    def work():
        process.look()
        poll_queries.overdue(0)
        poll_queries.failing("ws_1")
        poll_queries.release("nobody", 1)
        poll_queries.prune(1)
        change(made, status="draft")
        workflows.remove(made)

    # PostgreSQL locks a few rows in the order of their keys.
    left_out = ('SET "next_at"', "owner IS NOT NULL ORDER BY")
    found = explain(work, caplog)
    plans = [(sql, step) for sql, step in found if "poll" in sql and not any(part in sql for part in left_out)]
    assert len(plans) > 10
    assert not [plan for plan in plans if plan[1].startswith("SCAN")]
