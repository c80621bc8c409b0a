"""Polls: each new entry has one run, with any source, any process, and any interruption."""

import json
import re
import threading

import orjson
import pytest
from engines import accept_inserts, refuse_inserts, runs_with_values
from moments import HOUR, MINUTE, SECOND, Clock, logged
from query_plans import explain
from sources import Process, active, change, definition, entries, fired, keys, polling, row
from werkzeug import Response
from world import PATIENCE, Background, Gate, at_once, chain, flow, node, raced

from database import execute, write
from database.base import now_ms
from database.queries import workflows
from database.queries.metrics import failing_polls, metrics, overdue_polls
from dispatch.payloads import Kept
from errors import DefinitionError, NodeError
from models import LogEntry, Poll, PollEntry, Run
from nodes.base import Item, Node, Polled
from nodes.credentials.keyring import DecryptedCredential
from packs.polls import queries as poll_queries
from packs.polls import queries as polls
from packs.polls.poller import HOLD_MS, MAX_THREADS, RUNS_AT_ONCE, THREADS, backoff, run_in_thread
from packs.polls.queries import CLAIM_MS

pytestmark = pytest.mark.usefixtures("path")


# Entries that start a run


def test_existing_entries_start_no_runs_and_new_ones_do(source, process):
    source.shown = ["old"]
    made = active()
    process.look()
    assert fired() == [] and entries(made) == {polls.digest("old"): True}
    source.shown = ["old", "new"]
    process.look()
    (run,) = Run.select()
    assert (run.status, run.triggered_by, run.trigger_node) == ("pending", "schedule", "new")
    assert (run.workflow_id, run.workflow_version, run.workspace_id) == (made.id, 1, "ws_1")
    assert orjson.loads(run.input) == {"key": "new"}
    entry = PollEntry.get(PollEntry.entry == polls.digest("new"))
    assert entry.run_id == run.id
    assert logged() == []


def test_its_run_is_executed_at_once(source, tmp_path):
    active()
    with polling(tmp_path, runs=True) as process:
        process.look()
        source.shown = ["new"]
        process.look()
    (run,) = Run.select()
    assert run.status == "success" and orjson.loads(run.output) == {"key": "new"}


def test_a_poll_knows_the_workspace_of_its_flow(source, process):
    asked = []
    source.during = lambda ctx: asked.append(ctx.workspace_id)
    active()
    process.look()
    assert asked == ["ws_1"]


def test_with_backlog_existing_entries_start_runs_oldest_first(source, process):
    source.shown = ["a", "b", "c"]
    active(definition(backlog=True))
    process.look()
    assert fired() == ["a", "b", "c"]


def test_a_failed_first_poll_is_not_the_first(source, process):
    source.shown, source.problem = ["old"], "no"
    active()
    process.look()
    source.problem = None
    process.look()
    source.shown = ["old", "new"]
    process.look()
    assert fired() == ["new"]


def test_an_entry_that_disappears_and_returns_starts_one_run(source, process):
    made = active()
    process.look()
    for shown in (["a"], ["b", "a"], [], ["a"], ["c", "a", "b", "c"], ["b"], ["c", "b", "a"]):
        source.shown = shown
        process.look()
    assert fired(made) == ["a", "b", "c"]


def test_entries_of_two_triggers_are_different_ones(source, process):
    first, second = active(), active()
    process.look()
    source.shown = ["a"]
    process.look()
    assert fired(first) == fired(second) == ["a"]


def test_each_poll_gets_the_state_of_the_last_one(source, process):
    made = active()
    for _ in range(3):
        process.look()
    assert [state for _, state in source.asked] == [None, {"polls": 1}, {"polls": 2}]
    assert orjson.loads(row(made).state) == {"polls": 3}


def test_a_trigger_is_polled_at_once_and_then_at_its_interval(source, process):
    made = active(definition(every=30))
    process.clock.pass_by(SECOND)
    process.tick()
    assert len(source.asked) == 1 and row(made).next_at == process.clock.now + 30 * SECOND
    process.clock.pass_by(29 * SECOND)
    process.tick()
    assert len(source.asked) == 1
    process.clock.pass_by(SECOND)
    process.tick()
    assert len(source.asked) == 2


def test_a_source_with_more_entries_is_polled_at_once(source, process):
    made = active()
    source.more = True
    process.look()
    assert row(made).next_at == process.clock.now
    process.tick()
    assert len(source.asked) == 2


def test_existing_entries_may_come_in_several_parts(source, process):
    active()
    source.more, source.shown = True, ["a"]
    process.look()
    source.more, source.shown = False, ["b"]
    process.tick()
    source.shown = ["c"]
    process.look()
    assert fired() == ["c"]


def test_a_source_that_reports_more_but_returns_nothing_is_not_polled_forever(source, process):
    made = active()
    source.more = True
    process.look()
    source.poll = lambda node, config, state, ctx: Polled((), state, more=True)
    process.look()
    assert row(made).next_at == process.clock.now + MINUTE


def test_many_entries_are_recorded_in_several_transactions(source, process, caplog):
    made = active()
    process.look()
    source.shown = keys(1, 2 * RUNS_AT_ONCE + 1)
    with caplog.at_level("DEBUG", "peewee"):
        process.look()
    assert fired() == source.shown
    assert orjson.loads(row(made).state) == {"polls": 2}


def test_a_large_value_lies_outside_of_its_row(source, tmp_path):
    active()
    source.value = lambda key: {"key": key, "text": "x" * 100}
    with polling(tmp_path, inline_value_bytes=50) as process:
        process.look()
        source.shown = ["a"]
        process.look()
        (run,) = Run.select()
        assert run.input is None and run.input_bytes > 100
        value = process.dispatcher.resources.payloads.load(run.id, "input", Kept(None, run.input_bytes))
        assert value == b'{"key":"a","text":"' + b"x" * 100 + b'"}'


def test_an_invalid_input_is_logged_and_delays_no_other(source, tmp_path):
    active()
    source.value = lambda key: {"key": key, "text": "x" * (200 if key == "large" else 1)}
    with polling(tmp_path, max_value_bytes=100) as process:
        process.look()
        source.shown = ["a", "large", "b"]
        process.look()
        process.look()
    assert fired() == ["a", "b"]
    ((level, message),) = logged()
    assert level == "error" and message.startswith("The trigger new of the flow Flow cannot start a run for 'large'")


def test_its_expressions_see_vars_secrets_and_the_flow(source, process):
    found = DecryptedCredential("token", "secret", {"value": "s3cret-value"})
    process.dispatcher.resources.find_credential = lambda workspace, name: (
        found if (workspace, name) == ("ws_1", "token") else None
    )
    url = "{{ vars.host }}/{{ secrets.token }}/{{ workflow.name }}"
    made = active(definition(url=url, settings={"vars": {"host": "example.com"}}))
    process.look()
    assert source.asked[0][0]["url"] == "example.com/s3cret-value/Flow"
    source.shown = ["s3cret-value"]
    source.during = lambda ctx: ctx.log("info", "found s3cret-value", {"a": "s3cret-value"})
    process.look()
    source.problem = "s3cret-value is wrong"
    process.look()
    assert fired() == ["***"]
    assert row(made).last_error == "*** is wrong"
    texts = [f"{entry.message} {entry.data}" for entry in LogEntry.select()]
    assert len(texts) == 3 and not any("s3cret" in text for text in texts), texts


@pytest.mark.parametrize("name", ["input", "trigger", "run", "item"])
def test_an_expression_that_only_a_run_could_answer_is_refused(source, name):
    with pytest.raises(DefinitionError, match=rf"nodes \(new\).config.url: {name} is not available here"):
        active(definition(url=f"{{{{ {name}.a }}}}"))


def test_log_lines_of_a_trigger_are_in_the_log_of_the_workspace(source, process):
    made = active()
    source.during = lambda ctx: [ctx.log("info", f"line {number}") for number in range(30)]
    process.look()
    assert logged() == [("info", f"line {number}") for number in range(20)]
    entry = LogEntry.select().first()
    assert (entry.workspace_id, entry.run_id, entry.node_id) == ("ws_1", None, "new")
    assert orjson.loads(entry.data) == {"workflow_id": made.id}


def test_log_lines_of_a_trigger_have_a_limited_length(source, process):
    active()
    source.during = lambda ctx: (ctx.log("info", "x" * 3_000, "y" * 70_000), ctx.log("info", "small", {"a": [1]}))
    process.look()
    (long, dropped), (_, small) = ((entry.message, orjson.loads(entry.data)) for entry in LogEntry.select())
    assert len(long) == 2_001 and dropped["data"] == {"dropped": "70002 characters of JSON"}
    assert small["data"] == {"a": [1]}


# Whose it is


def test_one_of_many_concurrent_processes_polls(source, tmp_path):
    made = active()
    with polling(tmp_path) as first, polling(tmp_path) as second:
        first.look()
        source.shown = keys(1, 20)
        processes = [Process(dispatcher, first.clock) for dispatcher in (first.dispatcher, second.dispatcher) * 3]
        for process in processes:
            process.poller.leads = lambda: True
        with write():
            Poll.update(next_at=first.clock.now).execute()
        at_once(6, lambda number: processes[number].poller.tick())
    assert fired(made) == keys(1, 20) and len(source.asked) == 2


def test_a_process_that_does_not_lead_does_not_poll(source, tmp_path):
    active()
    clock = Clock(now_ms())
    with polling(tmp_path, clock) as first, polling(tmp_path, clock) as second:
        first.look()
        second.look()
    assert len(source.asked) == 1


def test_the_result_of_a_lost_claim_is_discarded(source, tmp_path):
    made = active()
    clock = Clock(now_ms())
    with polling(tmp_path, clock) as slow, polling(tmp_path, clock) as other:
        slow.look()
        source.shown = ["a", "b"]

        def be_overtaken(ctx):
            source.during = lambda ctx: None
            clock.pass_by(CLAIM_MS)
            other.tick()
            assert fired(made) == ["a", "b"], "the other has found them"
            source.shown = ["c"]

        source.during = be_overtaken
        slow.look()
        assert fired(made) == ["a", "b"] and len(source.asked) == 3
        assert orjson.loads(row(made).state) == {"polls": 2}
        other.look()
    assert fired(made) == ["a", "b", "c"]


def test_the_failure_of_a_lost_claim_is_discarded(source, tmp_path):
    made = active()
    clock = Clock(now_ms())
    with polling(tmp_path, clock) as slow, polling(tmp_path, clock) as other:

        def be_overtaken(ctx):
            source.during = lambda ctx: None
            clock.pass_by(CLAIM_MS)
            other.tick()
            raise NodeError("too late")

        source.during = be_overtaken
        slow.look()
    assert (row(made).failures, row(made).last_error, row(made).state) == (0, None, '{"polls":1}')
    assert row(made).next_at == clock.now + MINUTE and logged() == []


def test_no_other_process_polls_before_the_claim_expires(source, tmp_path):
    active()
    clock = Clock(now_ms())
    with polling(tmp_path, clock) as slow, polling(tmp_path, clock) as other:

        def wait(ctx):
            clock.pass_by(6 * SECOND)
            other.poller.leads = lambda: True
            other.poller.tick()

        source.during = wait
        slow.look()
    assert len(source.asked) == 1


def test_a_new_leader_does_not_wait_for_the_claims_of_the_old_one(source, tmp_path):
    made = active()
    clock = Clock(now_ms())
    with polling(tmp_path, clock) as dead, polling(tmp_path, clock) as other:
        dead.look()
        dead.poller.start = lambda work: None  # killed during its poll
        dead.look()
        assert row(made).owner == dead.leader.owner
        source.shown = ["a"]
        clock.pass_by(5 * SECOND)
        other.tick()
    assert fired(made) == ["a"]


def test_a_process_polls_a_source_once_at_a_time(source, tmp_path):
    gate, clock = Gate(), Clock(now_ms())
    made = active()
    with polling(tmp_path, clock) as process:
        process.poller.start = threads = Threads()
        source.during = lambda ctx: gate(None, None, None)
        process.look()
        assert gate.reached.wait(PATIENCE)
        with write():
            Poll.update(next_at=clock.now).execute()
        process.tick()
        assert len(source.asked) == 1
        gate.opened.set()
        threads.join()
    # The test had made it due, not the process that had claimed it.
    assert row(made).begun


class Threads:
    """Starts polls in threads that the test can wait for."""

    def __init__(self):
        self.made = []

    def __call__(self, work):
        self.made.append(Background(work))

    def join(self):
        for thread in self.made:
            thread.result()


def test_slow_sources_hold_up_no_schedule_and_no_more_than_their_number_of_threads(source, tmp_path):
    gate, clock = Gate(), Clock(now_ms())
    for _ in range(2 * THREADS):
        active()
    with polling(tmp_path, clock) as process:
        process.poller.start = threads = Threads()
        source.during = lambda ctx: gate(None, None, None)
        process.look()
        process.tick()
        assert len(threads.made) == THREADS
        clock.pass_by(CLAIM_MS)  # these hang: other threads continue in their place, up to a limit
        process.look()
        process.look()
        assert len(threads.made) == MAX_THREADS
        clock.pass_by(CLAIM_MS)
        process.look()
        assert len(threads.made) == MAX_THREADS
        gate.opened.set()
        threads.join()
        process.look()
        assert len(threads.made) == MAX_THREADS + THREADS
        threads.join()


def test_a_polling_thread_closes_its_connection(source, tmp_path):
    done = threading.Event()
    active()
    with polling(tmp_path) as process:
        process.poller.start = lambda work: run_in_thread(lambda: (work(), done.set()))
        process.look()
        assert done.wait(PATIENCE)
    assert PollEntry.select().count() == 0 and Poll.get().begun


def test_a_stopped_process_writes_nothing_and_others_continue_at_once(source, tmp_path):
    made = active()
    clock = Clock(now_ms())
    with polling(tmp_path, clock) as process, polling(tmp_path, clock) as other:
        process.look()
        source.shown = ["a"]

        def end(ctx):
            source.during = lambda ctx: None
            process.poller.stop()
            process.leader.stop()

        source.during = end
        process.look()
        assert fired() == [] and row(made).next_at == clock.now and row(made).owner is None
        other.tick()
        assert fired() == ["a"]
        process.look()
        assert len(source.asked) == 3


RACER = """
import pathlib, sys, database
from chosen_engine import connect
from world import process
from sources import Process, Source, watched
from models import Poll
connect(sys.argv[1])
source = Source()
with watched(source), process(pathlib.Path(sys.argv[2]), inline=True) as dispatcher:
    dispatcher.close()
    made = Process(dispatcher)
    made.poller.leads = lambda: True
    print("ready", flush=True)
    sys.stdin.readline()
    for step in range(1, 80):
        source.shown = [f"entry {number}" for number in range(max(1, step - 10), step + 1)]
        for (id_,) in database.execute("SELECT workflow_id FROM polls").fetchall():
            with database.write():  # of its own, since others write several in one order of rows
                Poll.update(next_at=0).where(Poll.workflow_id == id_).execute()
        made.poller.tick()
    print(len(source.asked))
database.disconnect()
"""


@pytest.mark.slow
def test_processes_that_poll_at_once_start_each_run_once(source, process, path, tmp_path):
    made = [active() for _ in range(4)]
    process.look()
    looks = raced(3, RACER, path, tmp_path)
    assert all(int(count) > 100 for count in looks)
    for each in made:
        assert len(fired(each)) == len(set(fired(each))) == len(entries(each))
    source.shown = keys(1, 79)
    process.look()
    for each in made:
        assert sorted(fired(each)) == sorted(keys(1, 79))


# The trigger `poll` as the scheduler polls it: runs for new entries, and expressions that read the cursor


@pytest.fixture
def orders(httpserver):
    """The orders of a shop: a list that the test changes; `orders.asked` are the requests' queries."""

    class Orders(list):
        asked = []

    found = Orders([{"id": 1, "at": 10}, {"id": 2, "at": 20}])
    found.url = httpserver.url_for("/orders")

    def answer(request):
        found.asked.append(request.args.get("after"))
        after = int(request.args.get("after") or 0)
        return Response(json.dumps([order for order in found if order["at"] > after]), content_type="application/json")

    httpserver.expect_request("/orders").respond_with_handler(answer)
    Orders.asked = []
    return found


def new_orders(orders, **config):
    config = {"url": orders.url, "query": {"after": "{{ since or 0 }}"}, "cursor": "at", **config}
    return active(flow(node("new", "poll", config), node("end"), edges=["new end"]))


@pytest.mark.parametrize("backlog", [False, True])
def test_new_entries_start_one_run_each_and_since_is_the_last_cursor(orders, tmp_path, backlog):
    with polling(tmp_path, egress_allow=("localhost",), runs=True) as process:
        made = new_orders(orders, backlog=backlog)
        process.look()
        assert row(made).last_error is None
        orders += [{"id": 4, "at": 40}, {"id": 3, "at": 30}]
        process.look()
        process.look()
    assert orders.asked == ["0", "20", "40"]
    runs = Run.select().order_by(Run.id)
    assert [orjson.loads(run.input)["id"] for run in runs] == ([1, 2] if backlog else []) + [3, 4]
    # A run does not evaluate the expressions of the poll, which have no `since` there.
    assert {run.status for run in runs} == {"success"}


def test_a_failed_poll_is_shown_and_keeps_the_cursor(orders, tmp_path, httpserver):
    with polling(tmp_path, egress_allow=("localhost",)) as process:
        made = new_orders(orders)
        process.look()
        orders[:] = [{"at": 50}]
        process.look()
        assert "key: there is nothing at id in entry 1" in row(made).last_error
        assert orjson.loads(row(made).state)["since"] == 20


# Polls that fail or have no room, and their queries


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
    assert "unknown node type 'no_such_type'" in row(made).last_error


def test_failing_triggers_are_counted(source, process):
    active()
    active(workspace="ws_2")
    process.look()
    assert (failing_polls(), failing_polls("ws_1"), metrics("ws_1", 1)["failing_polls"]) == (0, 0, 0)
    source.problem = "down"
    made = active()
    process.look()
    assert (failing_polls(), failing_polls("ws_1"), failing_polls("ws_2")) == (3, 2, 1)
    assert metrics("ws_1", 1)["failing_polls"] == 2
    change(made, status="draft")
    assert failing_polls("ws_1") == 1


def test_overdue_triggers_are_counted(source, process):
    active()
    process.look()
    now = process.clock.now
    assert overdue_polls(now + 2 * MINUTE) == 0 and overdue_polls(now + 2 * MINUTE + 1) == 1


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
        overdue_polls(0)
        failing_polls("ws_1")
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
