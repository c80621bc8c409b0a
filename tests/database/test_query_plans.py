"""Every query of the history is answered from an index, in the order of the index.

The statements are the ones that our methods really send, each explained by SQLite over a migrated database: an empty
one, and one with a history whose statistics ANALYZE has gathered, from which SQLite may conclude otherwise.
"""

import random
import re
from itertools import product

import pytest
from query_plans import explain, log_each
from world import add_flow, flow, fresh_database

from api.runs import COLUMNS
from constants import RUN_STATUSES, TRIGGERS
from database import execute, write
from database.base import Rows, first_id
from database.queries import (
    audit,
    claims,
    concurrent_runs,
    logs,
    rate_limits,
    retention,
    runs,
    saved_filters,
    steps,
    waits,
    workflows,
)
from database.queries.audit import ACTIONS, NewAuditEntry, present_names
from database.queries.concurrent_runs import QUEUED
from database.queries.logs import LogFilters
from database.queries.metrics import metrics, totals
from database.queries.runs import RunFilters
from database.queries.schedules import upcoming
from database.queries.server_metrics import count_claimable, count_unfinished, find_queue_age, measure_flows
from database.queries.workflows import FlowFilters, flow_page, labels_of, last_runs, next_times
from models import Run, Workflow
from packs.agents import agent_memory, agent_runs
from packs.agents.agent_memory import MemoryName, MemoryScope, WorkspaceMemory

pytestmark = pytest.mark.sqlite_only("the plans are those of SQLite; test_postgres_lists.py has some of PostgreSQL")

LARGE_TABLES = re.compile(
    r"SCAN (runs|steps|log_entries|waits|idempotency_keys|agent_runs|agent_steps|agent_memories|audit_entries|t1)\b"
)
SMALL = ("runs_pending", "runs_queued", "runs_running", "runs_claimable", "runs_unfinished", "runs_children")
BY_AGE, ENDED, ENDED_OF_FLOW, UNFINISHED = "run_workspace_id_id", "runs_ended", "runs_ended_of_flow", "runs_unfinished"
KEY_OF_STEPS = "sqlite_autoindex_steps_1"


def record(made, count):
    """Runs of all sorts, most of them successes of webhooks, with a step and a log entry each."""
    chance = random.Random(3)
    for number in range(count):
        status = chance.choices(RUN_STATUSES, (2, 2, 90, 6))[0]
        values = {"status": status, "triggered_by": chance.choices(TRIGGERS, (1, 1, 9))[0]}
        if status == "pending" and number % 4 == 0:
            values["waiting"] = QUEUED
        run = runs.accept(made[number % len(made)], id=first_id("run", 1_000 + number), **values)
        execute(*runs.insertion(run))
        execute(*steps.save_one((run.id, 0, "a", "noop", "A", "success", 1, *[None] * 8, 1, 2, 1.0, False, None), 0))
        execute(*logs.entry(run.workspace_id, run.id, None, chance.choice(("info", "error")), "m", None))
        entry = NewAuditEntry(chance.choice(ACTIONS), run.workspace_id, user_id=f"usr_{number % 7}")
        execute(*entry.target("flow", f"wf_{number % 50}", "F").insertion())
        if number % 3 == 0:
            names = chance.choice("ab"), chance.choice(("", "s", "t")), f"k{number}"
            agent_memory.put(MemoryName("ws_1", *names), f"word {number}", "[]", chance.choice((None, 5)))


@pytest.fixture(scope="module")
def flows(tmp_path_factory):
    """Flows of two workspaces in a database that stays for all tests of this file."""
    with fresh_database(tmp_path_factory.mktemp("plans")):
        yield [add_flow(flow("a"), workspace) for workspace in ("ws_1", "ws_1", "ws_2")]


@pytest.fixture(scope="module", params=["empty", "analyzed"])
def ground(request, flows):
    """The flows, over an empty database and then over one with a history and statistics."""
    if request.param == "analyzed":
        with write():
            record(flows, 3_000)
        execute("ANALYZE")
    return flows


@pytest.fixture
def plans(ground, caplog):
    """`plans(work)` returns the steps of SQLite's plans for the queries of `work`."""
    return lambda work: [step for _, step in explain(work, caplog)]


def indexes(plan):
    """The names of the indexes that a plan uses."""
    return set(re.findall(r"INDEX (\w+)", "\n".join(plan)))


def is_slow(line, paged=True):
    """Return True if a step of a plan scans a large table, or sorts rows that an index has in order.

    The indexes of pending and running runs may be scanned: they contain nothing else.
    """
    whole = LARGE_TABLES.search(line) and not line.endswith(tuple(f"INDEX {name}" for name in SMALL))
    return whole or (paged and "TEMP B-TREE" in line)


# Lists of runs


FILTERS = [
    {
        name: value
        for name, value in (("status", status and [status]), ("triggered_by", trigger), ("workflow_id", of))
        if value
    }
    for status, trigger, of in product((None, *RUN_STATUSES), (None, "manual"), (None, "wf_1"))
]
BOUNDS = [{}, {"since": 5}, {"until": 5}, {"since": 1, "until": 5}]


def wanted(filters):
    """The indexes that the list under these filters is read from."""
    if not filters:
        return {BY_AGE}
    ended = ENDED_OF_FLOW if "workflow_id" in filters else ENDED
    if "status" not in filters:
        return {UNFINISHED, ended}
    return {UNFINISHED if filters["status"][0] in ("pending", "running") else ended}


@pytest.mark.parametrize("filters", FILTERS, ids=lambda filters: "+".join(map(str, filters.values())) or "all")
def test_a_list_of_runs_is_read_from_its_indexes_in_order(plans, filters):
    for bounds, before in product(BOUNDS, (None, first_id("run", 1_500))):
        rows = runs.select_where(RunFilters("ws_1", **filters, **bounds))
        found = plans(lambda rows=rows, before=before: rows.page(50, before))
        assert found and not any(is_slow(line) for line in found), (bounds, before, found)
        used = indexes(found)
        if "workflow_id" in filters and "runs_pending" in used:
            used = used - {"runs_pending"} | {UNFINISHED}  # which has the pending runs of a flow in their order too
        assert used == wanted(filters), (bounds, before)


LOOKED_FOR = [
    {"cancelled": True},
    {"cancelled": True, "status": ["failed"], "workflow_id": "wf_1", "triggered_by": "manual", "until": 9},
    {"cancelled": False, "status": ("success", "failed")},
    {"error_kind": ("remote",)},
    {
        "error_kind": ("remote", "timeout"),
        "cancelled": False,
        "triggered_by": "manual",
        "workflow_id": "wf_1",
        "until": 9,
    },
    {"search": "a_b%"},
    {"search": "x", "workflow_id": "wf_1", "since": 5},
    {"search": "run_01"},
    {"asking": ["approval"]},
    {"status": ("pending", "failed")},
]


@pytest.mark.parametrize("filters", LOOKED_FOR, ids=str)
@pytest.mark.parametrize("before", [None, first_id("run", 1_500)], ids=["first page", "later page"])
def test_a_search_examines_rows_in_the_order_of_an_index(plans, filters, before):
    found = plans(lambda: runs.select_where(RunFilters("ws_1", **filters)).values(COLUMNS, 50, before))
    assert found and not any(is_slow(line) for line in found), found
    alone = {"cancelled": "runs_cancelled", "error_kind": "runs_error_kind"}
    wanted = {index for name, index in alone.items() if filters.get(name)}
    wanted = wanted or {BY_AGE, ENDED, ENDED_OF_FLOW, UNFINISHED}
    assert indexes(found) - {KEY_OF_STEPS} <= wanted


def test_every_filter_finds_the_rows_that_a_full_scan_finds(plans, ground):
    columns = ("status", "triggered_by", "workflow_id")
    rows = execute(
        "SELECT id, status, triggered_by, workflow_id FROM runs WHERE workspace_id = 'ws_1' ORDER BY id DESC"
    )
    everything = rows.fetchall()
    for values in product((None, *RUN_STATUSES), (None, *TRIGGERS), (None, ground[0].id, ground[2].id)):
        filters = {name: value for name, value in zip(columns, values, strict=True) if value}
        filters |= {"status": [filters["status"]]} if "status" in filters else {}
        expected = [
            id_ for id_, *own in everything if all(value in (None, has) for value, has in zip(values, own, strict=True))
        ]
        assert [run.id for run in runs.select_where(RunFilters("ws_1", **filters))] == expected
        assert walked(runs.select_where(RunFilters("ws_1", **filters))) == expected


def walked(rows):
    """The ids of all pages."""
    found, before = [], None
    while True:
        page, before = rows.page(97, before)
        found += [run.id for run in page]
        if before is None:
            return found


@pytest.mark.parametrize("filters", [{"status": ["' OR 1 = 1 --"]}, {"triggered_by": "' OR 1 = 1 --"}])
def test_unknown_words_are_refused_and_not_part_of_a_statement(flows, filters):
    with pytest.raises(ValueError):
        runs.select_where(RunFilters("ws_1", **filters))


@pytest.mark.parametrize("values", [{"status": "done"}, {"triggered_by": "chance"}])
def test_a_run_with_an_unknown_status_or_trigger_is_refused(flows, values):
    with pytest.raises(ValueError):
        runs.accept(flows[0], **{"triggered_by": "manual", **values})


# Other lists


AUDITED = {
    "all": {},
    "an action": {"action": "flow.deleted"},
    "a subject": {"action": "credential"},
    "a user": {"user_id": "usr_1"},
    "a target": {"target_id": "wf_1"},
    "a user's subject": {"user_id": "usr_1", "action": "flow"},
    "a target's action": {"target_id": "wf_1", "action": "flow.updated"},
    "a user's work on a target": {"target_id": "wf_1", "user_id": "usr_1", "action": "flow"},
}


@pytest.mark.parametrize("filters", AUDITED.values(), ids=AUDITED)
def test_a_list_of_the_audit_trail_is_read_from_its_indexes_in_order(plans, filters):
    one = {"user_id": "user_id", "target_id": "target_id", "action": "action"}
    wanted = {f"auditentry_workspace_id_{one[name]}_id" for name in filters} or {"auditentry_workspace_id_id"}
    if len(filters) > 1:
        wanted.discard("auditentry_workspace_id_action_id")
    for bounds, before in product(BOUNDS, (None, first_id("aud", 1_500))):
        rows = audit.select_where("ws_1", **filters, **bounds)
        found = plans(lambda rows=rows, before=before: rows.page(50, before))
        assert found and not any(is_slow(line) for line in found), (bounds, before, found)
        assert indexes(found) <= wanted and indexes(found), (bounds, before, found)


PAGED = {
    "log": lambda: logs.select_where(LogFilters("ws_1")).page(50, None),
    "older log": lambda: logs.select_where(LogFilters("ws_1")).page(50, "log_1"),
    "log of some levels": lambda: logs.select_where(LogFilters("ws_1", level=("info", "error"))).page(50, "log_1"),
    "log of a time": lambda: logs.select_where(LogFilters("ws_1", since=1, until=5)).page(50, None),
    "log with some letters": lambda: logs.select_where(LogFilters("ws_1", search="a_")).page(50, "log_1"),
    "log of a flow": lambda: logs.select_where(LogFilters("ws_1", level=("info",), workflow_id="wf_1")).page(9, None),
    "log of a level": lambda: logs.select_where(LogFilters("ws_1", level=["error"])).page(50, "log_1"),
    "log of a run": lambda: logs.of("run_1", 50, "log_1"),
    "log of a run, newest first": lambda: logs.select_where(LogFilters("ws_1", "run_1")).page(50, None),
    "flows in brief": lambda: flow_page(FlowFilters("ws_1"), "newest", 50, ("wf_1", "wf_1")),
    "flows that fail": lambda: flow_page(FlowFilters("ws_1", failing=True), "newest", 50, None),
    "flows": lambda: workflows.select_where("ws_1").page(50, "wf_1"),
    "versions": lambda: workflows.versions_of(Workflow(id="wf_1"), 50, "5"),
    "abandoned": claims.abandoned,
    "claimable": lambda: claims.find_claimable(5),
    "held": lambda: claims.find_held_by("me"),
    "runs that may go": lambda: retention.runs_over("run_0", "run_1", 5, 5),
    "log entries that may go": lambda: retention.rows_over("log_entries", "log_0", 5),
    "audit entries that may go": lambda: retention.rows_over("audit_entries", "aud_0", 5),
    "a conversation": lambda: agent_runs.conversation("ws_1", "a", "s", 20),
    "an agent's run": lambda: agent_runs.of("run_1", "n", -1),
    "an agent's steps": lambda: agent_runs.steps_of(["arun_1", "arun_2"]),
}
A_RUN = Run(
    id="run_1", workspace_id="ws_1", workflow_id="wf_1", started_at=1, claims=1, parent_run_id="r", parent_node_id="n"
)

AN_ITEM = Run(
    id="run_2", workspace_id="ws_1", workflow_id="wf_1", started_at=1, claims=1, parent_run_id="r", parent_node_id="n:1"
)
MEMORY = WorkspaceMemory("ws_1")


OTHERS = {
    "names of what the audit trail tells of": lambda: present_names("ws_1", ["run_1", "wf_1", "mem_1", "usr_1"], "a"),
    "flows by their last run": lambda: flow_page(FlowFilters("ws_1", failing=False), "last_run", 50, ("", "wf_1")),
    "heads of flows": lambda: list(workflows.list_heads("ws_1", 5)),
    "last runs of flows": lambda: last_runs("ws_1", ["wf_1", "wf_2"]),
    "next times of flows": lambda: next_times(["wf_1", "wf_2"]),
    "what is due next": lambda: upcoming("ws_1", 5, 50, (5, "wf_1", "n")),
    "claim": lambda: log_each(claims.claim("run_1", "me", 2)),
    "suspend": lambda: log_each(runs.suspend(A_RUN, "me", "a callback", 1, 1)),
    "end": lambda: log_each(runs.finish(A_RUN, "me", "success", waits=True)),
    "take from the dead": lambda: log_each([claims.requeue_abandoned("run_1")]),
    "backlog": lambda: runs.backlog(10),
    "busy": lambda: concurrent_runs.busy("wf_1"),
    "first of each queue": concurrent_runs.unqueue,
    "children": lambda: runs.children(A_RUN),
    "runs that a run started": lambda: runs.started(A_RUN, 5),
    "end of an item": lambda: log_each(runs.finish(AN_ITEM, "me", "success", output="1")),
    "suspend at a loop": lambda: log_each(waits.check("run_1", "n", 1)),
    "stop a loop": lambda: log_each([*waits.stop("run_1", "n"), waits.stop_all("run_1")]),
    "take a turn": lambda: rate_limits.take("ws_1", "k", 1, 1),
    "what is to be woken": lambda: waits.wake(5),
    "waits": lambda: waits.of("run_1"),
    "what a retry keeps": lambda: steps.keep("run_1", "run_2", ["a"]),
    "run": lambda: Run.find("run_1"),
    # Sorted where statistics say that a run has few entries; it never has many (run_record.MAX_LOG_ENTRIES).
    "log of a run and level": lambda: logs.select_where(LogFilters("ws_1", "run_1", ["error"])).page(50, None),
    "outputs": lambda: steps.outputs("run_1", ["a"]),
    "metrics": lambda: metrics("ws_1", 365),
    "metrics by the hour": lambda: metrics("ws_1", 2),
    "metrics for Prometheus": totals,
    "unfinished runs by flow": count_unfinished,
    "metrics of flows": lambda: measure_flows(count_unfinished()),
    "claimable runs by flow": count_claimable,
    "age of the queue": lambda: find_queue_age(5),
    "still running": lambda: claims.filter_running(["run_1", "run_2"], "me"),
    "key": lambda: runs.run_of_key("wf_1", "k"),
    "what goes with runs": lambda: retention.clear(["run_1"]),
    "runs that go": lambda: retention.remove_runs(["run_1"], lambda: True),
    "files without a run": lambda: retention.missing(["run_1"]),
    "what an agent knows by key": lambda: MEMORY.read("a", "k", "s"),
    "what an agent finds": lambda: MEMORY.search("a", "some word", "s"),
    "what it finds in all sessions": lambda: MEMORY.search("a", "some word"),
    "what an agent is reminded of": lambda: MEMORY.recall("a", "s", "any word of these", 1_000),
    "what an agent writes": lambda: MEMORY.write("a", "k", "word"),
    "what goes for it": lambda: WorkspaceMemory("ws_1", most=1).write("a", "another", "word"),
    "what an agent deletes": lambda: MEMORY.delete("a", "k"),
    "what agents remember": lambda: agent_memory.listed(MemoryScope("ws_1", None, None, 5), "", 50, None),
    "what one remembers": lambda: agent_memory.listed(MemoryScope("ws_1", "a", ("s",), 5), "", 50, "900"),
    "what was said in a session": lambda: agent_memory.listed(MemoryScope("ws_1", None, ("s",), 5), "", 50, "900"),
    "what agents remember of something": lambda: agent_memory.listed(MemoryScope("ws_1", None, None, 5), "wor", 5, "9"),
    "a memory": lambda: agent_memory.find("mem_1"),
    "what agents were to remember for so long": lambda: retention.remove_expired_memories(5, lambda: True),
    "what an agent is to forget": lambda: list(agent_memory.forget(MemoryScope("ws_2", "a", None, 5))),
}


@pytest.mark.parametrize("question", PAGED)
def test_a_page_is_read_in_the_order_of_an_index(plans, question):
    found = plans(PAGED[question])
    assert found and not any(is_slow(line) for line in found), found


@pytest.mark.parametrize("after", [-1, 5], ids=["first page", "later page"])
@pytest.mark.parametrize("node_id", [None, "a"], ids=["all", "of a node"])
@pytest.mark.parametrize("read", [steps.of, steps.outlines], ids=["whole", "outlines"])
def test_steps_of_their_own_rows_are_read_in_order_and_packed_ones_sorted(plans, after, node_id, read):
    """There can be 100,000 rows, of which a page reads no more than its own; packed steps are few."""
    found = plans(lambda: read("run_1", 50, after, node_id))
    rows, packed = found[: found.index("RIGHT")], found[found.index("RIGHT") :]
    assert rows == ["MERGE (UNION ALL)", "LEFT", f"SEARCH steps USING INDEX {KEY_OF_STEPS} (run_id=? AND seq>?)"]
    assert packed[1] == "SEARCH runs USING INDEX sqlite_autoindex_runs_1 (id=?)"


@pytest.mark.parametrize("question", OTHERS)
def test_a_question_reads_no_whole_table(plans, question):
    found = plans(OTHERS[question])
    assert found and not any(is_slow(line, paged=False) for line in found), found


def test_the_nth_newest_run_is_counted_off_in_an_index_alone(plans):
    assert plans(lambda: retention.nth_newest(100)) == ["SCAN runs USING COVERING INDEX sqlite_autoindex_runs_1"]


LABELS = {
    "flows of a folder": lambda: flow_page(FlowFilters("ws_1", folders=["A"], tags=["x"]), "newest", 50, None),
    "favourites in no folder": lambda: flow_page(FlowFilters("ws_1", folders=[], marked_by="u"), "newest", 50, None),
    "folders": lambda: workflows.count_folders("ws_1"),
    "subfolders": lambda: workflows.folders_within("ws_1", "A"),
    "tags": lambda: workflows.count_tags("ws_1"),
    "labels of flows": lambda: labels_of(["wf_1", "wf_2"]),
    "favourites": lambda: workflows.favourites_of("usr_1", ["wf_1", "wf_2"]),
    "saved filters": lambda: saved_filters.of("ws_1", "usr_1", "runs"),
}


@pytest.mark.parametrize("question", LABELS)
def test_labels_of_flows_are_found_by_an_index(plans, question):
    found = plans(LABELS[question])
    assert any(line.startswith("SEARCH") for line in found), found
    assert not any(re.match(r"SCAN (f|t|m|workflow_\w+|favourites|saved_filters)\b", line) for line in found), found


@pytest.mark.parametrize("question", ["flows that fail", "flows by their last run", "last runs of flows"])
def test_the_last_run_of_a_flow_is_an_entry_of_an_index(plans, question):
    found = plans({**PAGED, **OTHERS}[question])
    looked_up = {line for line in found if re.search(r"(SEARCH|SCAN) runs", line)}
    assert looked_up and all("workflow_id=?" in line or line.endswith("(id=?)") for line in looked_up), found


def test_a_query_without_an_index_is_noticed(plans):
    (whole,) = plans(lambda: list(Run.select().where(Run.error_text == "x")))
    found = plans(lambda: Rows(Run, [("workflow_id = ?", "wf_1")]).page(50, None))
    assert is_slow(whole) and any(is_slow(line) for line in found), found


def test_every_index_of_runs_is_used(plans):
    asked = [*FILTERS, *LOOKED_FOR]
    work = [lambda filters=filters: runs.select_where(RunFilters("ws_1", **filters)).page(9, None) for filters in asked]
    used = set().union(*(indexes(plans(ask)) for ask in (*work, *PAGED.values(), *OTHERS.values())))
    rows = execute("SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = 'runs'").fetchall()
    assert {name for (name,) in rows} <= used
