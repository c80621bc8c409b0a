"""The list of runs, the search in their data, and saved filters."""

import random

import orjson
import pytest
from world import chain, flow, node

import dispatch.run_search as run_search
from api.runs import RunBriefOut, RunItemOut, link_large_values
from database import base, execute, write
from database.queries import runs, saved_filters, users
from database.queries.runs import RunFilters
from database.queries.webhooks import Fired
from dispatch.process_limits import SEARCHES
from dispatch.run_search import Needle
from models import Run, User, Wait

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


@pytest.mark.pack("agents")
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


# Search for a text in the data of runs: what is found and where, limits, and who finds what


RUNS = "/api/runs"
ASKING_WITH_LINK = flow(
    node("start", "manual"),
    node("keep", "set", {"values": {"link": "{{ steps.ask.url }}"}}),
    node("ask", "approval", {"message": "Pay?"}),
    edges=["start keep", "keep ask"],
)


@pytest.fixture
def search(owner):
    """`search(text, **query)` returns the ids of all pages, newest first."""

    def read(text, who=owner, **query):
        found, cursor = [], {}
        for _ in range(200):
            answer = who.get(RUNS, query_string={"data": text, **query, **cursor})
            assert answer.status_code == 200, answer.text
            found += [run["id"] for run in answer.json["items"]]
            if answer.json["next_cursor"] is None:
                return found
            cursor = {"cursor": answer.json["next_cursor"]}
        raise AssertionError("the pages do not end")

    return read


@pytest.fixture
def places(owner):
    """`places(text)` returns the places in the newest run that contains the text, as (place, node id)."""

    def read(text):
        (run, *_) = owner.get(RUNS, query_string={"data": text}).json["items"]
        return [(place["place"], place["node_id"]) for place in run["found_in"]]

    return read


# What is found


def test_input_output_and_steps_are_searched(make_run, search, places):
    definition = chain(
        node("start", "manual"),
        node("one", "set", {"values": {"code": "{{ 'inner' ~ 'most' }}"}}),
        node("two", "set", {"values": {"end": "final"}, "keep_input": False}),
    )
    run = make_run(definition, {"order": "A-1047"})
    make_run(input={"order": "B-2"})
    assert search("a-1047") == [run["id"]] and places("a-1047")[0] == ("input", None)
    assert search("innermost") == [run["id"]] and ("step_output", "one") in places("innermost")
    assert search("final") == [run["id"]] and ("output", None) in places("final")
    assert search("no such text") == []


def test_steps_that_are_rows_are_searched_like_packed_ones(owner, make_run, search, places):
    items = flow(
        node("start", "manual"), node("each", "set", {"values": {"n": "{{ item }}-done"}}) | {"foreach": "{{ input }}"},
        edges=["start each"],
    )  # fmt: skip
    many = make_run(items, [f"item-{at:03}" for at in range(300)])
    assert search("item-271-done") == [many["id"]]
    assert ("step_output", "each") in places("item-271-done")
    assert search("item-300") == []


def test_errors_of_runs_and_steps_are_searched(make_run, search, places):
    failed = make_run(chain(node("start", "manual"), node("halt", "stop", {"message": 'It is "over" \\ now'})))
    assert search('"OVER" \\ now') == [failed["id"]]
    assert places('"over"')[0] == ("error", None) and ("step_error", "halt") in places('"over"')


@pytest.mark.parametrize(
    ("stored", "text"),
    [
        ({"name": "Jürgen Groß"}, "JÜRGEN GROSS"),
        ({"name": "ΣΊΣΥΦΟΣ"}, "σίσυφος"),
        ({"name": "İstanbul 🚀 日本"}, "🚀 日本"),
        ({"quote": 'say "hi"\n\tthere'}, 'say "hi"\n\tthere'),
        ({"path": "C:\\temp\\new"}, "c:\\TEMP\\new"),
        ({"rate": "100% of_it*?[a]"}, "100% of_it*?[a]"),
        ({"n": 12345.5, "on": True}, '"n":12345.5'),
        ({"n": 12345.5, "on": True}, '{"n": 12345.5, "on": true}'),
        ({"list": [1, 2, 3]}, "[1,2,3]"),
        ({"key": None}, "KEY"),
        ({"control": "a\u0001b\u007f"}, "\u0001b"),
    ],
)
def test_text_is_found_as_text_and_as_json(make_run, search, stored, text):
    run = make_run(input=stored)
    assert search(text) == [run["id"]]


@pytest.mark.parametrize("text", ["1000", "of%it", "ofXit", "a?", "\\u", "Gross&", "x" * 200])
def test_no_character_is_a_wildcard(make_run, search, text):
    make_run(input={"rate": "100% of_it*?[a]", "name": "Groß"})
    assert search(text) == []


def test_escaped_letters_of_senders_are_found():
    needle = Needle("Zoë", unsigned=False)
    assert needle.find('{"name": "Zo\\u00eb"}', is_json=True) == '{"name":"Zoë"}'
    assert needle.find('{"cut": "Zo\\u00eb', is_json=True) is None


def test_large_values_are_searched(owner, make_run, search, places):
    large = {"filler": "x" * 200_000, "end": "needle-at-the-end"}
    run = make_run(input=large)
    assert Run.find(run["id"]).input_bytes is not None
    assert search("needle-at-the-end") == [run["id"]] and places("needle-at-the-end")[0] == ("input", None)
    assert owner.get(RUNS, query_string={"data": "other"}).json["searched"]["partly_read"] == 0


def test_only_the_beginning_of_a_huge_value_is_read_and_this_is_said(owner, make_run, search, monkeypatch):
    monkeypatch.setattr(run_search, "MAX_LARGE_BYTES", 100_000)
    run = make_run(input={"begin": "first-words", "filler": "x" * 200_000, "end": "last-words"})
    assert search("first-words") == [run["id"]] and search("last-words") == []
    assert owner.get(RUNS, query_string={"data": "last-words"}).json["searched"]["partly_read"] == 1


def test_the_text_around_a_match_is_shown(owner, make_run):
    make_run(input={"a": "x" * 500 + "needle" + "y" * 500})
    (run,) = owner.get(RUNS, query_string={"data": "NEEDLE", "brief": "true"}).json["items"]
    assert run["found_in"][0]["text"] == "…" + "x" * 60 + "needle" + "y" * 60 + "…"
    assert "input" not in run and len(run["found_in"]) <= 3


# With other filters, and pages


def test_other_filters_hold_too(make_flow, owner, make_run, search):
    first, second = make_run(input="needle"), make_run(input="needle")
    assert search("needle", workflow_id=first["workflow_id"]) == [first["id"]]
    assert search("needle", status="failed") == [] == search("needle", until="2001-01-01")
    assert search("needle", search=second["id"]) == [second["id"]]
    assert search("needle", status="success", triggered_by="manual") == [second["id"], first["id"]]


def test_pages_have_each_run_once(owner, make_run, search):
    runs = [make_run(input=f"needle {at}")["id"] for at in range(5)]
    make_run(input="other")
    assert search("needle", limit=2) == runs[::-1]
    page = owner.get(RUNS, query_string={"data": "needle", "limit": 2}).json
    assert len(page["items"]) == 2 and page["next_cursor"] is not None and page["searched"]["runs"] == 3


def test_a_search_says_how_far_it_looked(owner, make_run, search, monkeypatch):
    runs = [make_run(input=f"number {at}") for at in range(7)]
    monkeypatch.setattr(run_search, "MAX_RUNS", 3)
    page = owner.get(RUNS, query_string={"data": "number 1"}).json
    assert page["items"] == [] and page["next_cursor"] is not None
    assert page["searched"] == {"runs": 3, "until": runs[4]["created_at"], "partly_read": 0}
    assert search("number 1") == [runs[1]["id"]]
    assert search("number 9") == []


@pytest.mark.parametrize("limit", ["MAX_SECONDS", "MAX_BYTES", "MAX_RUN_BYTES"])
def test_every_page_gets_past_at_least_one_run(make_run, search, monkeypatch, limit):
    monkeypatch.setattr(run_search, limit, -1 if limit == "MAX_SECONDS" else 1)
    runs = [make_run(input=f"needle {at}")["id"] for at in range(3)]
    assert search("needle") == runs[::-1]


def test_of_a_run_with_too_much_data_a_part_is_read(owner, make_run, monkeypatch):
    monkeypatch.setattr(run_search, "MAX_RUN_BYTES", 50)
    make_run(chain(node("start", "manual"), node("end", "set", {"values": {"last": "needle"}})), "x" * 100)
    page = owner.get(RUNS, query_string={"data": "absent"}).json
    assert page["searched"]["partly_read"] == 1


def test_steps_count_even_if_they_have_no_values(owner, make_run, monkeypatch):
    monkeypatch.setattr(run_search, "STEP_BYTES", run_search.MAX_RUN_BYTES // 2)
    make_run(chain(node("start", "manual"), node("one"), node("two")))
    assert owner.get(RUNS, query_string={"data": "absent"}).json["searched"]["partly_read"] == 1


def test_without_the_filter_the_list_is_as_before(owner, run):
    page = owner.get(RUNS).json
    assert "searched" not in page and "found_in" not in page["items"][0]


# Who finds what


def test_a_search_finds_nothing_in_another_workspace(other, make_run, search):
    make_run(input="secret-word")
    assert search("secret-word", who=other) == []
    assert other.get(RUNS, query_string={"data": "secret-word"}).json["searched"]["runs"] == 0


def test_viewers_may_search_but_not_for_signatures_of_links(owner, member, make_flow, search):
    made = make_flow(ASKING_WITH_LINK)
    run = owner.post(f"/api/workflows/{made['id']}/run", {"input": "needle"}).json
    steps = owner.get(f"{RUNS}/{run['id']}/steps").json["items"]
    link = next(step["output"] for step in steps if step["node_id"] == "keep")
    token = orjson.dumps(link).decode().partition("token=")[2][:20]
    assert len(token) == 20 and search(token) == [run["id"]]
    viewer = member("viewer")
    assert search("needle", who=viewer) == [run["id"]]
    assert search(token, who=viewer) == [] == search(token[:4], who=viewer)


@pytest.mark.parametrize("query", ["data=%20", "data=%00", f"data={'x' * 201}", "data=x&cursor=run_%00"])
def test_a_wrong_text_is_400_and_named(owner, query):
    answer = owner.get(f"{RUNS}?{query}")
    assert answer.status_code == 400 and answer.json["error"].split(":")[0] in ("data", "cursor")


def test_bytes_that_are_no_text_are_no_error(owner, make_run):
    make_run(input="x")
    answer = owner.get(f"{RUNS}?data=%ff%fe%80abc")
    assert answer.status_code == 200 and answer.json["items"] == []


def test_a_user_has_one_search_at_a_time(owner, make_run):
    make_run(input="needle")
    user = users.by_email("owner@example.com") or User.get()
    with SEARCHES.taken(user.id):
        answer = owner.get(RUNS, query_string={"data": "needle"})
    assert answer.status_code == 429 and answer.headers["Retry-After"] == "1"
    assert owner.get(RUNS, query_string={"data": "needle"}).status_code == 200


# Saved filters: each user has their own in each workspace


FILTERS = "/api/saved-filters"
FAILED = {"outcome": "failed", "range": "24h"}


@pytest.fixture
def save():
    """`save(client, name)` saves a filter and returns its JSON."""

    def post(client, name, status=201, query=FAILED, **values):
        answer = client.post(FILTERS, {"name": name, "query": query, **values})
        assert answer.status_code == status, answer.text
        return answer.json

    return post


def names(client, **query):
    return [one["name"] for one in client.get(FILTERS, query_string=query).json["items"]]


def test_filters_are_saved_listed_by_name_and_deleted(owner, save):
    made = save(owner, " Failed today ")
    assert made["name"] == "Failed today" and made["query"] == FAILED and made["page"] == "runs"
    save(owner, "all", query={"search": ""})
    assert names(owner) == ["all", "Failed today"]
    assert owner.delete(f"{FILTERS}/{made['id']}").status_code == 204
    assert owner.delete(f"{FILTERS}/{made['id']}").status_code == 404
    assert names(owner) == ["all"]


def test_each_page_has_its_own(owner, save):
    save(owner, "mine", page="flows")
    save(owner, "mine")
    assert names(owner) == names(owner, page="flows") == ["mine"]
    assert owner.get(f"{FILTERS}?page=logs").status_code == 400


def test_a_filter_is_renamed_and_replaced(owner, save):
    made = save(owner, "a")
    save(owner, "b")
    path = f"{FILTERS}/{made['id']}"
    assert owner.patch(path, {"name": "c", "query": {"flow": "wf_1"}}).json["query"] == {"flow": "wf_1"}
    assert owner.patch(path, {"name": "c"}).status_code == 200
    assert "'b'" in owner.patch(path, {"name": "b"}).json["error"]
    assert owner.patch(path, {}).status_code == 200
    assert names(owner) == ["b", "c"]


def test_a_name_is_used_once(owner, save):
    save(owner, "a")
    assert "choose another name" in save(owner, "a", status=409)["error"]
    assert names(owner) == ["a"]


def test_the_number_is_bounded(owner, save, monkeypatch):
    monkeypatch.setattr(saved_filters, "MAX_SAVED", 2)
    save(owner, "a")
    save(owner, "b")
    assert "delete one first" in save(owner, "c", status=409)["error"]
    save(owner, "c", page="flows")


@pytest.mark.parametrize(
    "body",
    [
        {"query": FAILED},
        {"name": "", "query": FAILED},
        {"name": "x" * 101, "query": FAILED},
        {"name": "a", "query": {}},
        {"name": "a", "query": {"a": 1}},
        {"name": "a", "query": {"a": "x" * 301}},
        {"name": "a", "query": {"x" * 41: "x"}},
        {"name": "a", "query": {f"n{number}": "x" for number in range(21)}},
        {"name": "a", "query": [1]},
        {"name": "a", "query": FAILED, "page": "logs"},
    ],
)
def test_a_bad_filter_is_refused(owner, body):
    answer = owner.post(FILTERS, body)
    assert answer.status_code == 400 and answer.json["error"], answer.text
    assert names(owner) == []


def test_nobody_sees_or_changes_those_of_others(owner, member, save):
    made = save(owner, "mine")
    viewer = member("viewer")
    assert names(viewer) == []
    save(viewer, "mine")
    for answer in (viewer.patch(f"{FILTERS}/{made['id']}", {"name": "x"}), viewer.delete(f"{FILTERS}/{made['id']}")):
        assert answer.status_code == 404 and "no saved filter" in answer.json["error"]
    assert names(owner) == ["mine"]


def test_each_workspace_has_its_own(owner, save):
    made = save(owner, "mine")
    second = owner.post("/api/workspaces", {"name": "Second"}).json["id"]
    headers = {"X-Workspace-Id": second}
    assert owner.get(FILTERS, headers=headers).json["items"] == []
    assert owner.delete(f"{FILTERS}/{made['id']}", headers=headers).status_code == 404
