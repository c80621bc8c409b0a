"""The list of runs, as the app requests it: brief, filtered, searched, and with open questions."""

import random

import orjson
import pytest
from world import flow, node

from api.runs import RunBriefOut, RunItemOut, link_large_values
from database import base, execute, write
from database.queries import runs
from database.queries.runs import RunFilters
from database.queries.webhooks import Fired
from models import Run, Wait

pytestmark = pytest.mark.usefixtures("shared_server")

TIMED = flow(node("start", "manual"), node("rest", "wait", {"seconds": 3600}), edges=["start rest"])
CALLBACK = flow(node("start", "manual"), node("call", "callback"), edges=["start call"])
APPROVAL = flow(
    node("start", "manual"),
    node("ask", "approval", {"message": "Pay {{ input.sum }} to Ada\u202e?"}, name="Ask the boss"),
    edges=["start ask"],
)


@pytest.fixture
def waiting(make_flow, owner):
    """`waiting(definition)` starts a run of the definition and returns its JSON once it waits."""

    def make(definition, input=None):
        made = make_flow(definition)
        answer = owner.post(f"/api/workflows/{made['id']}/run", {"input": input})
        assert (answer.status_code, answer.json["status"]) == (202, "pending"), answer.text
        return answer.json

    return make


@pytest.fixture
def record(owner, make_flow):
    """`record(status, name="Echo", **values)` records a run of a flow of this name and returns its id."""
    flows = {}

    def make(status="success", name="Echo", **values):
        made = flows.get(name) or flows.setdefault(name, make_flow(name=name))
        return owner.post("/api/runs", {"workflow_id": made["id"], "status": status, **values}).json["id"]

    return make


@pytest.fixture
def list_ids(owner):
    """`list_ids(**query)` returns the ids of all pages of the list of runs."""

    def read(**query):
        found, cursor = [], {}
        for _ in range(50):
            answer = owner.get("/api/runs", query_string={**query, **cursor})
            assert answer.status_code == 200, answer.text
            found += [run["id"] for run in answer.json["items"]]
            if answer.json["next_cursor"] is None:
                return found
            cursor = {"cursor": answer.json["next_cursor"]}
        raise AssertionError("the pages never end")

    return read


def cancel(run_id):
    with write():
        execute("UPDATE runs SET cancelled = 1 WHERE id = ?", (run_id,))


# Brief


@pytest.mark.parametrize("path", ["/api/runs", "/api/dashboard/runs/latest"])
def test_a_brief_list_is_the_list_without_inputs_and_outputs(owner, run, record, path):
    record("failed", error_text="no")
    whole, brief = owner.get(path).json, owner.get(f"{path}?brief=true&").json
    assert brief["next_cursor"] == whole["next_cursor"] and len(brief["items"]) == 2
    for full, short in zip(whole["items"], brief["items"], strict=True):
        assert {key: value for key, value in full.items() if key not in ("input", "output")} == short


def test_a_brief_list_has_pages_too(owner, record, list_ids):
    made = [record() for _ in range(3)]
    assert list_ids(brief="true", limit=1) == made[::-1]


# Filters


def test_several_statuses_are_asked_for_at_once(record, list_ids):
    made = {status: record(status) for status in ("running", "pending", "failed", "success")}
    assert list_ids(status="running,pending") == [made["pending"], made["running"]]
    assert list_ids(status="failed,failed") == [made["failed"]]
    assert list_ids(status="success,failed,running,pending") == list_ids() == list(made.values())[::-1]


def test_cancelled_runs_are_listed_alone_or_left_out(record, list_ids):
    failed, cancelled, success = record("failed"), record("failed"), record("success")
    cancel(cancelled)
    assert list_ids(cancelled="true") == [cancelled] == list_ids(cancelled="true", status="failed,success")
    assert list_ids(cancelled="false") == [success, failed]
    assert list_ids(cancelled="false", status="failed") == [failed]
    assert list_ids(cancelled="true", status="success") == []


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("status=done", "status"),
        ("status=failed,", "status"),
        ("status=failed, success", "status"),
        ("cancelled=perhaps", "cancelled"),
        ("waiting=2", "waiting"),
        ("brief=x", "brief"),
        ("search=%00", "search"),
        (f"search={'x' * 201}", "search"),
    ],
)
def test_a_wrong_filter_is_400_and_named(owner, query, name):
    answer = owner.get(f"/api/runs?{query}")
    assert answer.status_code == 400 and answer.json["error"].startswith(f"{name}: ")


# Search


def test_a_run_is_found_by_the_beginning_of_its_id(owner, record, list_ids):
    made = [record() for _ in range(3)]
    assert list_ids(search=made[1]) == [made[1]] == list_ids(search=made[1].lower())
    assert list_ids(search=made[1][:10]) == made[::-1]
    assert list_ids(search="run_7ZZ") == []
    at = owner.get(f"/api/runs/{made[1]}").json["created_at"]
    assert made[1] in list_ids(search=made[1], since=at, until=at)
    assert list_ids(search=made[1], until="2001-01-01") == list_ids(search=made[1], since="9999-01-01") == []


def test_a_run_is_found_by_the_last_six_characters_of_its_id(record, list_ids):
    made, named = record(), record(name="Letters ABC123")
    assert list_ids(search=made[-6:]) == [made] == list_ids(search=made[-6:].lower())
    assert list_ids(search="ABC123") == [named]
    assert list_ids(search=made[-7:]) == list_ids(search=made[-5:]) == []


def test_runs_are_found_by_letters_of_the_flow_or_the_error(record, list_ids):
    orders, failed, other = record(name="New orders"), record("failed", error_text="100% lost_it"), record(name="Odd")
    assert list_ids(search="ORDER") == [orders]
    assert list_ids(search="lost_it") == [failed] and list_ids(search="lostXit") == []
    assert list_ids(search="%") == [failed] and list_ids(search="\\") == []
    assert list_ids(search="o") == [other, failed, orders]
    assert list_ids(search="o", status="failed") == [failed]
    assert list_ids(search="run_daily") == []


def test_a_search_continues_on_the_next_page(owner, record, list_ids, monkeypatch):
    monkeypatch.setattr(base, "MAX_EXAMINED", 4)
    wanted = [record(name="Rare") for _ in range(2)]
    for _ in range(9):
        record()
    first = owner.get("/api/runs?search=rare").json
    assert first["items"] == [] and first["next_cursor"] is not None
    assert list_ids(search="rare") == wanted[::-1] == list_ids(search="rare", limit=1)


def test_a_search_shows_no_runs_of_another_workspace(other, record):
    made = record(name="Secret")
    for text in (made, "Secret"):
        assert other.get("/api/runs", query_string={"search": text}).json["items"] == []


# What runs ask


def test_runs_that_wait_for_people_can_be_selected(waiting, record, list_ids):
    asking = waiting(APPROVAL, {"sum": 5})["id"]
    waiting(TIMED)
    waiting(CALLBACK)
    record("pending")
    assert list_ids(waiting="true") == [asking]
    assert list_ids(waiting="true", status="failed") == []


def test_a_waiting_run_has_its_question_and_answers(owner, waiting, member):
    run = waiting(APPROVAL, {"sum": 5})
    (asked,) = member("viewer").get(f"/api/runs/{run['id']}").json["questions"]
    assert asked["expires_at"] > asked["asked_at"] >= run["created_at"]
    del asked["expires_at"], asked["asked_at"]
    assert asked == {
        "node_id": "ask",
        "node_name": "Ask the boss",
        "node_type": "approval",
        "text": "Pay 5 to Ada\\u202e?",
        "answers": ["approved", "rejected"],
        "question": None,
        "item_index": None,
        "form": None,
        "has_files": False,
        "files": [],
    }
    page = owner.get(f"/api/runs/{run['id']}/resume").text
    assert "Pay 5 to Ada\\u202e?" in page


def test_a_question_holds_no_signed_link(owner, waiting):
    run = waiting(APPROVAL, {"sum": 5})
    answer = owner.get(f"/api/runs/{run['id']}")
    assert "token" not in answer.text and "http" not in answer.text


def test_a_callback_is_a_question_with_one_answer_and_a_timer_is_not_a_question(owner, waiting):
    call, timed = waiting(CALLBACK), waiting(TIMED)
    (asked,) = owner.get(f"/api/runs/{call['id']}").json["questions"]
    assert (asked["node_id"], asked["answers"]) == ("call", ["received"])
    assert owner.get(f"/api/runs/{timed['id']}").json["questions"] == []


def test_answered_and_expired_questions_are_not_open(owner, waiting, run):
    asking, late = waiting(APPROVAL, {"sum": 5}), waiting(CALLBACK)
    with write():
        Wait.update(answered_at=1, name="approved").where(Wait.run_id == asking["id"]).execute()
        Wait.update(wake_at=1).where(Wait.run_id == late["id"]).execute()
    for id_ in (asking["id"], late["id"], run["id"]):
        assert owner.get(f"/api/runs/{id_}").json["questions"] == []
    assert owner.get("/api/runs?waiting=true").json["items"] == []


def test_an_agents_question_is_of_people_and_the_flow_that_it_waits_for_is_not(owner, waiting, list_ids):
    run = waiting(CALLBACK)
    with write():
        execute("UPDATE steps SET node_type = 'agent' WHERE run_id = ? AND node_id = 'call'", (run["id"],))
    assert list_ids(waiting="true") == []
    assert owner.get(f"/api/runs/{run['id']}").json["questions"] == []
    with write():
        Wait.update(question="q1", reason="approval: a wants to call b").where(Wait.run_id == run["id"]).execute()
    assert list_ids(waiting="true") == [run["id"]]
    (asked,) = owner.get(f"/api/runs/{run['id']}").json["questions"]
    assert (asked["question"], asked["text"]) == ("q1", "a wants to call b")


def test_unknown_words_are_refused_and_not_part_of_a_statement(app):
    for filters in ({"status": ["' OR 1 = 1 --"]}, {"triggered_by": "' OR 1 = 1 --"}):
        with pytest.raises(ValueError):
            runs.select_where(RunFilters("ws_1", **filters))


# Items


def of_all_sorts(workspace, count):
    """Rows of runs with all possible values of each column, in many combinations."""
    chance, flow = random.Random(5), Fired("wf_1", 3, 'Ädd "it"', workspace.id, "active")
    options = orjson.dumps({"draft": True, "until": "b", "pinned": ["a", "ü"]}).decode()
    value, size = '{"a":[1,2.5,"ü",null]}', 2_000_000
    for _ in range(count):
        given = {
            "status": ("pending", "running", "success", "failed"),
            "triggered_by": ("manual", "schedule", "webhook"),
            **dict.fromkeys(("error_text", "error_node_id", "waiting", "parent_run_id", "retry_of"), (None, "é\n")),
            **dict.fromkeys(("started_at", "finished_at"), (None, 0, 1_764_000_000_123)),
            **dict.fromkeys(("input", "output"), (None, value, "0", "[]")),
            **dict.fromkeys(("input_bytes", "output_bytes"), (None, None, size)),
            "duration_ms": (None, 0.0, 0.0004, 1.5, 2.5, 86_400_000.4),
            "nodes_total": (None, 0, 7),
            "nodes_done": (None, 3),
            "workflow_version": (None, 3),
            "options": (None, options),
            "cancelled": (False, True),
        }
        yield runs.accept(flow, **{name: chance.choice(values) for name, values in given.items()})


@pytest.mark.parametrize(("query", "shape"), [("", RunItemOut()), ("brief=true&", RunBriefOut())])
def test_an_item_has_the_fields_of_its_schema(owner, workspace, query, shape):
    with write():
        for run in of_all_sorts(workspace, 300):
            execute(*runs.insertion(run))
    found, cursor = [], ""
    for _ in range(2):
        page = owner.get(f"/api/runs?{query}limit=150{cursor}").json
        found, cursor = found + page["items"], f"&cursor={page['next_cursor']}"
    rows = Run.select().order_by(Run.id.desc())
    assert (
        found == orjson.loads(orjson.dumps([shape.dump(link_large_values(run)) for run in rows])) and len(found) == 300
    )
    assert owner.get(f"/api/dashboard/runs/latest?{query}").json["items"] == found[:8]
