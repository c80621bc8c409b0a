"""Search for a text in the data of runs: what is found and where, limits, and who finds what."""

import orjson
import pytest
from world import chain, flow, node

import dispatch.run_search as run_search
from database.queries import users
from dispatch.limits import SEARCHES
from dispatch.run_search import Needle
from models import Run, User

pytestmark = pytest.mark.usefixtures("shared_server")

PATH = "/api/runs"
APPROVAL = flow(
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
            answer = who.get(PATH, query_string={"data": text, **query, **cursor})
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
        (run, *_) = owner.get(PATH, query_string={"data": text}).json["items"]
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
    assert owner.get(PATH, query_string={"data": "other"}).json["searched"]["partly_read"] == 0


def test_only_the_beginning_of_a_huge_value_is_read_and_this_is_said(owner, make_run, search, monkeypatch):
    monkeypatch.setattr(run_search, "MAX_LARGE_BYTES", 100_000)
    run = make_run(input={"begin": "first-words", "filler": "x" * 200_000, "end": "last-words"})
    assert search("first-words") == [run["id"]] and search("last-words") == []
    assert owner.get(PATH, query_string={"data": "last-words"}).json["searched"]["partly_read"] == 1


def test_the_text_around_a_match_is_shown(owner, make_run):
    make_run(input={"a": "x" * 500 + "needle" + "y" * 500})
    (run,) = owner.get(PATH, query_string={"data": "NEEDLE", "brief": "true"}).json["items"]
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
    page = owner.get(PATH, query_string={"data": "needle", "limit": 2}).json
    assert len(page["items"]) == 2 and page["next_cursor"] is not None and page["searched"]["runs"] == 3


def test_a_search_says_how_far_it_looked(owner, make_run, search, monkeypatch):
    runs = [make_run(input=f"number {at}") for at in range(7)]
    monkeypatch.setattr(run_search, "MAX_RUNS", 3)
    page = owner.get(PATH, query_string={"data": "number 1"}).json
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
    page = owner.get(PATH, query_string={"data": "absent"}).json
    assert page["searched"]["partly_read"] == 1


def test_steps_count_even_if_they_have_no_values(owner, make_run, monkeypatch):
    monkeypatch.setattr(run_search, "STEP_BYTES", run_search.MAX_RUN_BYTES // 2)
    make_run(chain(node("start", "manual"), node("one"), node("two")))
    assert owner.get(PATH, query_string={"data": "absent"}).json["searched"]["partly_read"] == 1


def test_without_the_filter_the_list_is_as_before(owner, run):
    page = owner.get(PATH).json
    assert "searched" not in page and "found_in" not in page["items"][0]


# Who finds what


def test_a_search_finds_nothing_in_another_workspace(other, make_run, search):
    make_run(input="secret-word")
    assert search("secret-word", who=other) == []
    assert other.get(PATH, query_string={"data": "secret-word"}).json["searched"]["runs"] == 0


def test_viewers_may_search_but_not_for_signatures_of_links(owner, member, make_flow, search):
    made = make_flow(APPROVAL)
    run = owner.post(f"/api/workflows/{made['id']}/run", {"input": "needle"}).json
    steps = owner.get(f"{PATH}/{run['id']}/steps").json["items"]
    link = next(step["output"] for step in steps if step["node_id"] == "keep")
    token = orjson.dumps(link).decode().partition("token=")[2][:20]
    assert len(token) == 20 and search(token) == [run["id"]]
    viewer = member("viewer")
    assert search("needle", who=viewer) == [run["id"]]
    assert search(token, who=viewer) == [] == search(token[:4], who=viewer)


@pytest.mark.parametrize("query", ["data=%20", "data=%00", f"data={'x' * 201}", "data=x&cursor=run_%00"])
def test_a_wrong_text_is_400_and_named(owner, query):
    answer = owner.get(f"{PATH}?{query}")
    assert answer.status_code == 400 and answer.json["error"].split(":")[0] in ("data", "cursor")


def test_bytes_that_are_no_text_are_no_error(owner, make_run):
    make_run(input="x")
    answer = owner.get(f"{PATH}?data=%ff%fe%80abc")
    assert answer.status_code == 200 and answer.json["items"] == []


def test_a_user_has_one_search_at_a_time(owner, make_run):
    make_run(input="needle")
    user = users.by_email("owner@example.com") or User.get()
    with SEARCHES.taken(user.id):
        answer = owner.get(PATH, query_string={"data": "needle"})
    assert answer.status_code == 429 and answer.headers["Retry-After"] == "1"
    assert owner.get(PATH, query_string={"data": "needle"}).status_code == 200
