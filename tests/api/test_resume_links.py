"""Answering waiting runs: by session, by API token, by signed link and on the page of a link."""

import re
from types import SimpleNamespace
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from world import at_once, chain, flow, node

from api import resume_links
from api.webhooks.rate_limit import RefusalLog
from database import execute, write
from database.queries import workspaces
from database.queries.waits import without_signatures
from models import Run, Wait
from nodes.base import REGISTRY, Node
from registry import registry

pytestmark = pytest.mark.usefixtures("shared_server")

APPROVAL = flow(
    node("start", "manual"),
    node("ask", "approval", {"message": "Pay {{ input.sum }} to <b>Ada</b>?"}),
    node("pay", "set", {"values": {"paid": "{{ trigger.sum }}", "by": "{{ input.by }}", "why": "{{ input.comment }}"}}),
    node("no", "set", {"values": {"paid": 0}}),
    edges=["start ask", "ask pay approved", "ask no rejected"],
)
CALLBACK = flow(
    node("start", "manual"),
    node("call", "callback"),
    node("end", "set", {"values": {"got": "{{ input }}"}}),
    edges=["start call", "call end received"],
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
def links(owner):
    """`links(run, node)` returns the links that answer the node, without the server's address."""

    def find(run, node_id):
        (step,) = [s for s in owner.get(f"/api/runs/{run['id']}/steps").json["items"] if s["node_id"] == node_id]
        assert step["status"] == "waiting"
        return {name: "{0.path}?{0.query}".format(urlsplit(url)) for name, url in step["output"].items()}

    return find


def ended(owner, run):
    """Return the run once it has ended."""
    dispatcher = owner.application.extensions["headrace"].dispatcher
    row = dispatcher.waiting.wait(dispatcher.ticket_of(Run.get_by_id(run["id"])), 20)
    assert row.finished_at is not None
    return owner.get(f"/api/runs/{run['id']}").json


def test_a_waiting_run_has_its_reason_and_returns_at_once(waiting):
    run = waiting(APPROVAL, {"sum": 5})
    assert run["waiting"] == "approval: Pay 5 to <b>Ada</b>?"
    assert run["progress"] == {"done": 1, "total": 4}


@pytest.mark.parametrize(("answer", "output"), [("approved", {"paid": 5, "by": "owner@example.org", "why": "fine"})])
def test_a_member_answers(owner, waiting, answer, output):
    run = waiting(APPROVAL, {"sum": 5})
    given = owner.post(f"/api/runs/{run['id']}/resume", {"answer": answer, "comment": "fine"})
    assert (given.status_code, given.json["id"]) == (200, run["id"])
    assert (ended(owner, run)["status"], ended(owner, run)["output"]) == ("success", output)


def test_rejecting_goes_the_other_way(owner, waiting, token_client):
    run = waiting(APPROVAL, {"sum": 5})
    assert token_client("operator").post(f"/api/runs/{run['id']}/resume", {"answer": "rejected"}).status_code == 200
    assert ended(owner, run)["output"] == {"paid": 0}


def test_a_second_answer_is_refused(owner, waiting):
    run = waiting(APPROVAL, {"sum": 5})
    path = f"/api/runs/{run['id']}/resume"
    assert owner.post(path, {"node_id": "ask", "answer": "approved"}).status_code == 200
    ended(owner, run)
    again = owner.post(path, {"node_id": "ask", "answer": "rejected"})
    assert (again.status_code, again.json["error"]) == (409, "The run has ended already")


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"answer": "perhaps"}, 400, "must be one of approved, rejected"),
        ({}, 400, "must be one of approved, rejected"),
        ({"node_id": "start", "answer": "approved"}, 404, "no node 'start' that takes an answer"),
        ({"node_id": "x", "answer": "approved"}, 404, "no node 'x'"),
        ({"answer": 5}, 400, "answer"),
        ({"anwser": "approved"}, 400, "anwser"),
    ],
)
def test_a_wrong_answer_changes_nothing(owner, waiting, body, status, words):
    run = waiting(APPROVAL, {"sum": 5})
    answer = owner.post(f"/api/runs/{run['id']}/resume", body)
    assert answer.status_code == status and words in answer.json["error"]
    assert Wait.get().answered_at is None and Run.get_by_id(run["id"]).waiting


def test_a_run_that_does_not_wait_is_not_answered(owner, run):
    answer = owner.post(f"/api/runs/{run['id']}/resume", {"answer": "approved"})
    assert (answer.status_code, answer.json["error"]) == (409, "The run is not waiting for an answer")


def test_a_viewer_neither_answers_nor_sees_the_links(waiting, member):
    run, viewer = waiting(APPROVAL, {"sum": 5}), member("viewer")
    assert viewer.post(f"/api/runs/{run['id']}/resume", {"answer": "approved"}).status_code == 403
    steps = viewer.get(f"/api/runs/{run['id']}/steps").json["items"]
    assert [step["output"] for step in steps if step["status"] == "waiting"] == [None]


WRITTEN = "{{ steps.ask.approved_url }}"
TOLD = flow(
    node("start", "manual"),
    node("write", "log", {"message": f"Answer at {WRITTEN}"}),
    node("keep", "set", {"values": {"html": f'<a href="{WRITTEN}">', "inside": "{{ steps.ask.url | urlencode }}"}}),
    node("ask", "approval", {"message": "Pay?"}),
    edges=["start write", "write keep", "keep ask"],
)


def test_viewers_see_no_link_with_a_valid_signature(waiting, owner, member, token_client, links):
    run = waiting(TOLD)
    token = parse_qs(urlsplit(links(run, "ask")["url"]).query)["token"][0]
    at = f"/api/runs/{run['id']}"
    number = next(step["number"] for step in owner.get(f"{at}/steps").json["items"] if step["node_id"] == "keep")
    shown = [
        f"{at}/steps",
        f"{at}/steps/{number}",
        f"{at}/steps/{number}/output",
        f"/api/logs/{run['id']}",
        "/api/logs",
    ]
    for who in (member("viewer"), token_client("viewer")):
        for path in shown:
            answer = who.get(path)
            assert answer.status_code == 200 and token not in answer.text and "resume" in answer.text
            assert answer.json is not None
    for who in (owner, member("operator"), token_client("operator")):
        assert all(token in who.get(path).text for path in shown)


def test_the_role_that_counts_is_that_in_the_workspace_of_the_run(waiting, owner, member):
    run, viewer = waiting(TOLD), member("viewer")
    own = workspaces.found("Mine", viewer.user).id
    answer = viewer.get(f"/api/logs/{run['id']}", headers={"X-Workspace-Id": own})
    assert answer.status_code == 200 and "token=…" in answer.text


def test_text_that_is_not_a_link_is_unchanged(make_run, member):
    output = {"a": f"token={'a' * 43}", "b": f"resume {'x' * 600} token={'b' * 43}"}
    run = make_run(input=output)
    assert member("viewer").get(f"/api/runs/{run['id']}/input").json == output


def token_of(url):
    return parse_qs(urlsplit(url).query)["token"][0]


def test_of_a_link_that_is_cut_anywhere_no_part_of_the_signature_is_shown(waiting, links):
    url = links(waiting(APPROVAL, {"sum": 5}), "ask")["url"]
    token = token_of(url)
    for written in (url, quote(url), quote(quote(url)), url.replace("=", "\\u003d"), url.replace("=", "\\\\u003D")):
        begin = written.index(token)
        shown = {without_signatures(written[:end].encode()) for end in range(begin + 1, begin + len(token) + 1)}
        assert shown == {(written[:begin] + "…").encode()}
    assert token not in without_signatures(f"{url}-and-more".encode()).decode()


def test_a_value_that_is_cut_within_a_link_shows_nothing_of_it(waiting, owner, member, links):
    run = waiting(APPROVAL, {"sum": 5})
    url = links(run, "ask")["url"]
    data = "x" * (300 - 1 - len(url) + 1) + url + "y" * 300
    owner.post("/api/logs", {"message": "cut", "data": data, "run_id": run["id"]})
    path = f"/api/logs?run_id={run['id']}&search=cut&brief=true"
    assert token_of(url)[:40] in owner.get(path).text
    assert "token=…" in member("viewer").get(path).text and token_of(url)[:3] not in member("viewer").get(path).text


@pytest.mark.pack("agents")
def test_viewers_cannot_search_for_signatures(waiting, owner, member, links):
    run = waiting(APPROVAL, {"sum": 5})
    url = links(run, "ask")["url"]
    token = token_of(url)
    owner.post("/api/logs", {"message": f"Answer at {url}", "run_id": run["id"]})
    owner.post("/api/runs", {"workflow_id": run["workflow_id"], "status": "failed", "error_text": f"not at {url}"})
    owner.post("/api/agent/memory", {"agent_id": "a", "key": "link", "content": f"Answer at {url}"})
    viewer = member("viewer")
    for path in ("/api/logs?search=", "/api/runs?search=", "/api/agent/memory?agent_id=a&search="):
        parts = [part for part in re.split("[-_]", token) if len(part) > 4]  # of which the words of an index are
        words = parts if "memory" in path else [token[:5], token]
        for letters in words:
            assert viewer.get(path + letters).json["items"] == [], path
            assert len(owner.get(path + letters).json["items"]) == 1, path
        assert len(viewer.get(f"{path}resume").json["items"]) == 1, path


# Links


def test_a_link_is_good_without_a_session_and_only_once(owner, client, waiting, links):
    run = waiting(CALLBACK)
    url = links(run, "call")["url"]
    answer = client.post(url, {"order": 7})
    assert (answer.status_code, answer.json) == (200, {"run_id": run["id"], "node_id": "call", "answer": "received"})
    assert ended(owner, run)["output"] == {"got": {"order": 7}}
    assert client.post(url, {"order": 8}).status_code == 409


@pytest.mark.parametrize(
    ("kind", "raw", "got"),
    [
        ("application/json", b"[1, 2]", [1, 2]),
        ("text/plain", "grüß".encode(), "grüß"),
        ("application/x-www-form-urlencoded", b"a=1&a=2&b=3", {"a": ["1", "2"], "b": "3"}),
        ("image/png", b"\x89PNG", {"content_type": "image/png", "size": 4, "base64": "iVBORw=="}),
        (None, b"", None),
    ],
)
def test_a_callback_receives_a_body_of_any_type(owner, client, waiting, links, kind, raw, got):
    run = waiting(CALLBACK)
    assert client.post(links(run, "call")["url"], data=raw, content_type=kind).status_code == 200
    assert ended(owner, run)["output"] == {"got": got}


def test_a_malformed_body_does_not_use_the_link_up(owner, client, waiting, links):
    run = waiting(CALLBACK)
    url = links(run, "call")["url"]
    assert client.post(url, data=b"{", content_type="application/json").status_code == 400
    assert client.post(url, {"a": 1}).status_code == 200


def test_an_approval_has_a_link_for_each_answer(owner, client, waiting, links):
    run = waiting(APPROVAL, {"sum": 5})
    found = links(run, "ask")
    assert found.keys() == {"url", "approved_url", "rejected_url"}
    assert client.post(found["approved_url"]).status_code == 200
    assert ended(owner, run)["output"] == {"paid": 5, "by": "a signed link", "why": None}


def test_opening_a_link_shows_a_page_and_does_nothing(client, waiting, links):
    run = waiting(APPROVAL, {"sum": 5})
    for _ in range(2):
        page = client.get(links(run, "ask")["url"])
        assert (page.status_code, page.mimetype) == (200, "text/html")
    assert "Pay 5 to &lt;b&gt;Ada&lt;/b&gt;?" in page.text and "<b>Ada" not in page.text
    assert re.findall(r'name="answer" value="(\w+)"', page.text) == ["approved", "rejected"]
    assert "script" not in page.text and page.headers["Cache-Control"] == "no-store"
    assert "default-src 'none'; style-src 'sha256-" in page.headers["Content-Security-Policy"]
    assert Wait.get().answered_at is None


def test_the_button_of_the_page_answers(owner, client, waiting, links):
    run = waiting(APPROVAL, {"sum": 5})
    url = links(run, "ask")["url"]
    form = {"data": "answer=approved&comment=go+on", "content_type": "application/x-www-form-urlencoded"}
    page = client.post(url, headers={"Accept": "text/html"}, **form)
    assert (page.status_code, page.mimetype) == (200, "text/html") and "Thank you" in page.text
    assert ended(owner, run)["output"]["why"] == "go on"
    again = client.post(url, headers={"Accept": "text/html"}, **form)
    assert again.status_code == 409 and "ended already" in again.text
    assert "ended already" in client.get(url).text


@pytest.mark.parametrize("change", [("token=", "token=x"), ("node=ask", "node=pay"), ("node=ask&", "")])
def test_a_changed_link_is_not_valid(client, owner, waiting, links, change):
    run = waiting(APPROVAL, {"sum": 5})
    url = links(run, "ask")["approved_url"].replace(*change)
    for who in (client, owner):
        assert who.post(url).status_code == 403
        assert who.get(url).status_code == 403
    assert Wait.get().answered_at is None


@pytest.fixture
def told(caplog, monkeypatch):
    """The log lines about refused links. Moving `told.clock` by a minute starts a new window."""
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(resume_links, "refusals", RefusalLog(lambda: clock.now))
    caplog.set_level("INFO", "headrace.resume")

    def lines():
        return [record.getMessage() for record in caplog.records if record.name == "headrace.resume"]

    lines.clock = clock
    return lines


def test_a_link_that_is_refused_leaves_one_line_a_minute(client, waiting, links, told):
    run = waiting(CALLBACK)
    url = links(run, "call")["url"]
    for method in (client.get, client.post):
        assert method(url.replace("token=", "token=x")).status_code == 403
    (line,) = told()
    assert run["id"] in line and "127.0.0.1" in line and "signature" in line and token_of(url) not in line
    told.clock.now += 60
    client.post(url.replace("token=", "token=x"))
    assert len(told()) == 2


def test_a_link_that_was_used_leaves_a_line_too(client, waiting, links, told):
    run = waiting(CALLBACK)
    url = links(run, "call")["url"]
    assert client.post(url, {}).status_code == 200 and told() == []
    assert client.post(url, {}).status_code == 409
    (line,) = told()
    assert run["id"] in line
    told.clock.now += 60
    assert client.get(url).status_code == 200 and len(told()) == 2


def test_a_run_that_ends_while_its_page_is_made_asks_no_more(client, waiting, links, monkeypatch):
    run, find = waiting(CALLBACK), Wait.one

    def end_first(*args):
        with write():
            execute("DELETE FROM waits WHERE run_id = ?", (run["id"],))
            execute("UPDATE runs SET status = 'success' WHERE id = ?", (run["id"],))
        return find(*args)

    url = links(run, "call")["url"]
    monkeypatch.setattr(Wait, "one", end_first)
    assert "The run has ended already" in client.get(url).text


def test_links_of_runs_that_do_not_exist_leave_one_line_together(client, told):
    for letter in "ABC":
        client.get(f"/api/runs/run_01J9ZQ4N5Y8S2T6V7W8X9YABC{letter}/resume?node=a&token=x")
    assert len(told()) == 1 and "01J9" not in told()[0]


def test_a_link_is_good_for_its_own_run_only(client, waiting, links):
    one, other = waiting(APPROVAL, {"sum": 5}), waiting(APPROVAL, {"sum": 6})
    url = links(one, "ask")["approved_url"].replace(one["id"], other["id"])
    assert client.post(url).status_code == 403


def test_a_link_is_there_before_its_node_is_reached_and_an_answer_too(owner, client, make_flow):
    """A node before the callback sends its link, and the receiver is quicker than the run."""
    definition = chain(
        node("start", "manual"),
        node("tell", "set", {"values": {"url": "{{ steps.call.url }}"}}),
        node("hold", "hold"),
        node("call", "callback"),
    )
    definition["edges"][-1] = ["hold", "call"]
    definition["nodes"].append(node("end", "set", {"values": {"got": "{{ input }}"}}))
    definition["edges"].append(["call", "end", "received"])
    given = {}

    class Hold(Node):
        """A service that calls back at once."""

        type = "hold"
        category = "logic"
        pure = False

        def run(self, config, input, ctx):
            url = urlsplit(ctx.scope["steps"]["call"]["url"])
            answer = client.post(f"{url.path}?{url.query}", {"n": 1})
            given["status"], given["again"] = answer.status_code, client.post(f"{url.path}?{url.query}", {}).status_code
            return input

    try:
        made = make_flow(definition)
        run = owner.post(f"/api/workflows/{made['id']}/run").json
        assert (run["status"], run["output"]) == ("success", {"got": {"n": 1}})
        assert given == {"status": 200, "again": 409}
    finally:
        del REGISTRY["hold"]


def test_of_many_answers_at_once_one_counts(owner, app, waiting, links):
    run = waiting(CALLBACK)
    url = links(run, "call")["url"]
    statuses = at_once(8, lambda number: app.test_client().post(url, {"n": number}).status_code)
    assert sorted(statuses) == [200] + [409] * 7
    assert ended(owner, run)["status"] == "success"


def test_without_the_pages_of_forms_a_question_with_fields_is_answered_as_json(
    owner, client, waiting, links, monkeypatch
):
    monkeypatch.setattr(registry, "question_pages", "")
    fields = [{"kind": "text", "name": "reason", "required": True}]
    run = waiting(
        flow(
            node("start", "manual"),
            node("ask", "approval", {"message": "Pay?", "fields": fields}),
            edges=["start ask"],
        )
    )
    link = links(run, "ask")["url"]
    page = client.get(link)
    assert page.status_code == 503 and "are switched off here" in page.text and page.mimetype == "text/html"
    sent = client.post(link, data="reason=x", content_type="application/x-www-form-urlencoded")
    assert sent.status_code == 503 and "are switched off here" in sent.json["error"]
    path = f"/api/runs/{run['id']}/resume"
    assert owner.post(path, {"answer": "approved", "body": {}}).status_code == 400
    assert owner.post(path, {"answer": "approved", "body": {"reason": "late"}}).status_code == 200
    assert ended(owner, run)["output"]["fields"] == {"reason": "late"}
    assert client.get(link).status_code == 200, "a plain page that says why"
