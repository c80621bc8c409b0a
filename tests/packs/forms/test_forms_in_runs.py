"""Forms in the middle of a run: pages that follow a form, signed links to nodes with fields, and members' answers."""

from urllib.parse import urlsplit

import pytest
from form_pages import CV, EMAIL, NAME, fill, inputs_of, make_definition, only_run, pdf, text_of
from world import flow, node

from models import AuditEntry, Run, Wait

pytestmark = pytest.mark.usefixtures("shared_server")

DAY = {"kind": "date", "name": "day", "title": "Day of delivery", "required": True}
REASON = {"kind": "text", "name": "reason", "title": "Reason", "required": True}
PAGE = node("more", "form_page", {"title": "Delivery", "intro": "Dear {{ input.name }}", "fields": [DAY, CV]})
APPROVAL = flow(
    node("start", "manual"),
    node("ask", "approval", {"message": "Pay {{ input.sum }}?", "fields": [REASON, CV]}),
    node("yes", "set", {"values": {"got": "{{ input }}"}}),
    node("no", "set", {"values": {"no": "{{ input.fields.reason }}"}}),
    edges=["start ask", "ask yes approved", "ask no rejected"],
)
CALLBACK = flow(
    node("start", "manual"),
    node("call", "callback", {"message": "Please tell us", "fields": [REASON]}),
    node("end", "set", {"values": {"got": "{{ input }}"}}),
    edges=["start call", "call end received"],
)


@pytest.fixture
def waiting(make_flow, owner):
    """`waiting(definition)` starts a run that waits; returns it with `link`, the signed address of its question."""

    def make(definition):
        made = make_flow(definition)
        run = owner.post(f"/api/workflows/{made['id']}/run", {"input": {"sum": 5}}).json
        assert run["status"] == "pending"
        (step,) = [s for s in owner.get(f"/api/runs/{run['id']}/steps").json["items"] if s["status"] == "waiting"]
        return {**run, "link": "{0.path}?{0.query}".format(urlsplit(step["output"]["url"])), "links": step["output"]}

    return make


def ended(owner, run_id):
    dispatcher = owner.application.extensions["headrace"].dispatcher
    row = dispatcher.waiting.wait(dispatcher.ticket_of(Run.get_by_id(run_id)), 20)
    assert row.finished_at is not None
    return owner.get(f"/api/runs/{run_id}").json


def test_the_browser_is_led_from_page_to_page_of_one_run(app, owner, client, make_flow):
    end = node("end", "set", {"values": {"when": "{{ input.day }}", "who": "{{ trigger.name }}"}})
    form = make_definition(fields=[NAME, EMAIL], respond="last", thanks_text="On {{ output.when }}, {{ output.who }}.")
    definition = {**form, "nodes": [*form["nodes"], PAGE, end]}
    definition["edges"] = [["form", "more"], ["more", "end", "received"]]
    make_flow(definition, status="active")
    sent = fill(client, client.get("/forms/contact"), name="Ada", email="a@example.com")
    address = sent.headers["Location"]
    page = client.get(address)
    assert "Delivery" in page.text and "Dear Ada" in page.text and "Continue" in page.text
    assert "Set-Cookie" not in page.headers
    wrong = fill(client, page, path=address, day="", files=[("cv", pdf())])
    assert wrong.status_code == 422 and "cv.pdf" in wrong.text
    again = fill(client, wrong, path=address, go="received", day="2026-01-09")
    assert (again.status_code, again.headers["Location"]) == (303, address)
    assert "On 2026-01-09, Ada." in client.get(address).text
    twice = fill(client, wrong, path=address, go="received", day="2026-02-02")
    assert twice.status_code == 303 and "On 2026-01-09, Ada." in client.get(address).text
    run = only_run()
    files = app.extensions["headrace"].dispatcher.resources.files_of(owner.workspace.id)
    (file,) = files.find("forms/")
    assert (
        file["path"].startswith(f"forms/{run.id}/more-") and AuditEntry.get(action="run.answered").target_id == run.id
    )


def test_a_page_waits_for_a_run_that_waits_for_somebody_else(client, owner, make_flow):
    ask = node("ask", "approval", {"message": "All right?"})
    form = make_definition(fields=[NAME], respond="last", thanks_text="Done.")
    nodes = [*form["nodes"], ask, node("end", "set", {"values": {}})]
    make_flow({"nodes": nodes, "edges": [["form", "ask"], ["ask", "end", "approved"]]}, status="active")
    address = fill(client, client.get("/forms/contact"), name="Ada").headers["Location"]
    page = client.get(address)
    assert "One moment, please" in page.text and page.headers["Refresh"].startswith("2; url=/forms/contact?run=")
    assert "All right?" not in page.text
    later = client.get(f"{address}&round=120")
    assert "Refresh" not in later.headers and "Look again" in later.text
    owner.post(f"/api/runs/{only_run().id}/resume", {"answer": "approved"})
    assert "Done." in client.get(address).text


def test_a_signed_link_opens_the_form_of_an_approval(owner, client, waiting):
    run = waiting(APPROVAL)
    page = client.get(run["link"])
    assert page.status_code == 200 and "Pay 5?" in page.text and "Approve" in page.text and "Reject" in page.text
    assert Wait.get().answered_at is None, "opening a link must change nothing"
    wrong = fill(client, page, path=run["link"], go="approved", reason="")
    assert wrong.status_code == 422 and "Fill in “Reason”." in wrong.text
    undecided = fill(client, page, path=run["link"], go="", reason="fine")
    assert undecided.status_code == 422 and "Choose Approve or Reject." in undecided.text
    sent = fill(client, wrong, path=run["link"], go="approved", reason="fine", files=[("cv", pdf())])
    assert sent.status_code == 200 and "The answer arrived" in sent.text
    got = ended(owner, run["id"])["output"]["got"]
    assert (got["answer"], got["by"], got["fields"]["reason"]) == ("approved", "a signed link", "fine")
    assert got["fields"]["cv"]["path"].startswith(f"forms/{run['id']}/ask-")
    for answer in (client.get(run["link"]), fill(client, wrong, path=run["link"], go="rejected", reason="no")):
        assert answer.status_code in (409, 410) and "ended already" in text_of(answer)


def test_a_link_that_is_too_late_says_so(owner, client, waiting):
    run = waiting(APPROVAL)
    page = client.get(run["link"])
    owner.post(f"/api/runs/{run['id']}/cancel")
    for answer in (client.get(run["link"]), fill(client, page, path=run["link"], go="approved", reason="x")):
        assert answer.status_code in (409, 410) and "The run has ended already" in answer.text
    assert client.get(run["link"].replace("token=", "token=x")).status_code == 403


def test_a_callback_with_fields_is_a_form_for_people_and_takes_json(owner, client, waiting):
    run = waiting(CALLBACK)
    assert "Please tell us" in client.get(run["link"]).text
    refused = client.post(run["link"], {"reason": "x", "cv": {"path": "secret.txt"}})
    assert refused.status_code == 400 and "cv" in refused.json["error"]
    assert client.post(run["link"], {}).status_code == 400
    assert client.post(run["link"], {"reason": "because"}).status_code == 200
    assert ended(owner, run["id"])["output"] == {"got": {"reason": "because"}}


def test_a_member_sees_the_fields_and_answers_with_them(owner, waiting):
    run = waiting(APPROVAL)
    (question,) = owner.get(f"/api/runs/{run['id']}").json["questions"]
    assert list(question["form"]["properties"]) == ["reason"] and question["form"]["required"] == ["reason"]
    assert question["has_files"] is True and question["text"] == "Pay 5?"
    path = f"/api/runs/{run['id']}/resume"
    refused = owner.post(path, {"answer": "rejected", "body": {"reson": "x"}})
    assert refused.status_code == 400 and {issue["path"] for issue in refused.json["details"]} == {"body"}
    assert owner.post(path, {"answer": "rejected", "comment": "no", "body": {"reason": "late"}}).status_code == 200
    assert ended(owner, run["id"])["output"] == {"no": "late"}


def test_a_question_without_fields_has_no_form(owner, waiting):
    run = waiting(flow(node("start", "manual"), node("ask", "approval", {"message": "?"}), edges=["start ask"]))
    (question,) = owner.get(f"/api/runs/{run['id']}").json["questions"]
    assert (question["form"], question["has_files"]) == (None, False)


def test_editors_open_the_form_of_a_draft_and_its_answer_is_a_test(owner, client, member, make_flow):
    saved = make_flow(make_definition())
    path = f"/forms-test/{saved['id']}/contact"
    assert client.get(path).status_code == member("viewer").get(path).status_code == 404
    preview = owner.get(path)
    assert "This is a preview" in preview.text
    assert fill(owner, preview, path=path, name="Ada", email="a@example.com").status_code == 503
    definition = make_definition(node("end", "set", {"values": {"x": "{{ input.name }}"}}), title="Changed")
    begun = owner.post(f"/api/workflows/{saved['id']}/test-call", {"definition": definition, "seconds": 900}).json
    assert begun["addresses"] == [{"method": "GET", "path": path}]
    page = owner.get(path)
    assert "This is a test" in page.text and "Changed" in page.text
    sent = fill(owner, page, path=path, name="Ada", email="a@example.com")
    assert sent.status_code == 303
    shown = owner.get(f"/api/workflows/{saved['id']}/test-call").json
    run = ended(owner, shown["run_id"])
    assert (run["triggered_by"], run["draft"], run["output"]) == ("manual", True, {"x": "Ada"})
    assert "Thank you" in owner.get(sent.headers["Location"]).text
    other = owner.post(path, data={}, headers={"Origin": "https://evil.example"})
    assert other.status_code == 403


def test_hidden_texts_of_a_page_are_only_its_own(client, waiting):
    assert [name for name, _ in inputs_of(client.get(waiting(APPROVAL)["link"]).text)] == ["_state", "_page"]
