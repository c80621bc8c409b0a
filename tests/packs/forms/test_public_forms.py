"""Public forms: the page, its steps, what is refused and kept, and the run that an answer starts."""

import base64
from types import SimpleNamespace

import pytest
from form_pages import CV, EMAIL, NAME, fill, inputs_of, make_definition, only_run, pdf, text_of
from world import at_once

from database.queries.store import WorkspaceStore
from errors import Unavailable
from models import LogEntry, Run
from nodes.files.staged import MARKS, remove_unsent

pytestmark = pytest.mark.usefixtures("shared_server")

STEPS = [NAME, {"kind": "page", "title": "More"}, EMAIL, {"kind": "checkbox", "name": "terms", "title": "I agree"}]


@pytest.fixture
def active(make_flow, owner):
    """Return `active(*nodes, fields, **config)`, which makes an active flow with a form."""
    return lambda *nodes, **config: make_flow(make_definition(*nodes, **config), status="active")


def input_of(app, run):
    return app.extensions["headrace"].dispatcher.resources.input_of(run)


def test_a_form_is_a_page_without_scripts_or_cookies(client, active):
    active(intro="Tell us <b>all</b>.", accent="#ffcc00")
    page = client.get("/forms/contact")
    assert (page.status_code, page.mimetype) == (200, "text/html")
    assert "Set-Cookie" not in page.headers and "<script" not in page.text and "&lt;b&gt;" in page.text
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy and "frame-ancestors 'none'" in policy and "unsafe" not in policy
    assert page.headers["X-Frame-Options"] == "DENY" and page.headers["X-Content-Type-Options"] == "nosniff"
    assert "no-store" not in page.headers["Cache-Control"], "the browser's Back would lose what was entered"


def test_an_answer_starts_a_run_and_leads_to_the_thanks(app, client, active):
    active(thanks_title="Thank you, {{ input.name }}", thanks_text="We write to {{ input.email }}.")
    sent = fill(client, client.get("/forms/contact"), name=" Ada <3 ", email="ada@example.com")
    assert sent.status_code == 303 and sent.headers["Location"].startswith("/forms/contact?run=run_")
    run = only_run()
    given = input_of(app, run)
    about = given.pop("_form")
    assert given == {"name": "Ada <3", "email": "ada@example.com"}
    assert (run.triggered_by, run.trigger_node) == ("webhook", "form")
    assert about["path"] == "contact" and about["by"] is None and about["submitted_at"].endswith("Z")
    thanks = client.get(sent.headers["Location"])
    assert "Thank you, Ada &lt;3" in thanks.text and "We write to ada@example.com." in thanks.text


def test_a_form_that_is_sent_again_starts_no_second_run(client, active):
    active()
    page = client.get("/forms/contact")
    first, second = (fill(client, page, name="Ada", email="ada@example.com") for _ in range(2))
    assert first.headers["Location"] == second.headers["Location"]
    assert only_run().id in first.headers["Location"]
    assert fill(client, client.get("/forms/contact"), name="Ada", email="ada@example.com").status_code == 303
    assert Run.select().count() == 2


def test_a_double_click_starts_one_run(app, client, active):
    active()
    page = client.get("/forms/contact")
    sent = at_once(4, lambda number: fill(app.test_client(), page, name="Ada", email="a@example.com"))
    assert len({one.headers["Location"] for one in sent}) == 1 and only_run()


@pytest.mark.parametrize(
    ("texts", "problems"),
    [
        ({"name": "", "email": "ada@example.com"}, ["Fill in “Your name”."]),
        ({"name": "A" * 21, "email": "ada"}, ["Shorten “Your name” to 20 characters", "such as name@example.com"]),
        ({}, ["Fill in “Your name”.", "Fill in “E-mail address”."]),
    ],
)
def test_a_wrong_answer_is_said_beside_its_field_and_everything_is_kept(client, active, texts, problems):
    active()
    again = fill(client, client.get("/forms/contact"), **texts)
    assert again.status_code == 422 and not Run.select().count()
    for problem in problems:
        assert text_of(again).count(problem) == 2, "in the summary and beside the field"
    for value in filter(None, texts.values()):
        assert f'value="{value}"' in again.text
    assert again.text.count('aria-invalid="true"') == len(problems)


def test_steps_lose_nothing_on_the_way_to_and_fro(app, client, active):
    active(fields=STEPS)
    first = client.get("/forms/contact")
    assert "Step 1 of 2" in first.text and "E-mail" not in first.text
    assert "Fill in “Your name”." in text_of(fill(client, first, go="next", name=""))
    second = fill(client, first, go="next", name="Ada")
    assert "Step 2 of 2" in second.text and ("name", "Ada") in inputs_of(second.text)
    back = fill(client, second, go="back", email="ada@exam", terms="true")
    assert 'value="Ada"' in back.text and {("email", "ada@exam"), ("terms", "true")} <= set(inputs_of(back.text))
    again = fill(client, back, go="next", name="Ada B")
    assert 'value="ada@exam"' in again.text and "checked" in again.text
    assert fill(client, again, email="ada@example.com", terms="true").status_code == 303
    assert {**input_of(app, only_run()), "_form": 0} == {
        "name": "Ada B", "email": "ada@example.com", "terms": True, "_form": 0,
    }  # fmt: skip


def test_a_problem_on_an_earlier_page_leads_there(client, active):
    active(fields=STEPS)
    second = fill(client, client.get("/forms/contact"), go="next", name="Ada")
    tampered = SimpleNamespace(text=second.text.replace('name="name" value="Ada"', 'name="name" value=""'))
    again = fill(client, tampered, email="ada@example.com")
    assert again.status_code == 422 and "Step 1 of 2" in again.text


def test_only_fields_that_allow_it_are_filled_in_by_the_address(client, active):
    active(fields=[NAME, EMAIL, {"kind": "hidden", "name": "source", "prefill": True}])
    page = client.get("/forms/contact?name=Ada&email=x@example.com&source=ad<")
    assert 'value="Ada"' in page.text and "x@example.com" not in page.text
    assert ("source", "ad<") in inputs_of(page.text)
    assert "A" * 21 not in client.get(f"/forms/contact?name={'A' * 21}").text


def test_a_fixed_hidden_value_cannot_be_changed(app, client, active):
    active(fields=[NAME, {"kind": "hidden", "name": "price", "default": "10"}])
    page = client.get("/forms/contact").text.replace('name="price" value="10"', 'name="price" value="1"')
    fill(client, SimpleNamespace(text=page), name="Ada")
    assert input_of(app, only_run())["price"] == "10"


def test_every_kind_of_answer_arrives_with_its_type(app, client, active):
    fields = [
        {"kind": "number", "name": "seats", "title": "Seats", "integer": True, "min": 1, "max": 9},
        {"kind": "number", "name": "price", "title": "Price"},
        {"kind": "date", "name": "day", "title": "Day"},
        {"kind": "time", "name": "hour", "title": "Hour"},
        {"kind": "datetime", "name": "moment", "title": "Moment"},
        {"kind": "choice", "name": "room", "title": "Room", "options": ["north", "south"]},
        {"kind": "choices", "name": "extras", "title": "Extras", "options": ["tea", "cake", "sun"], "max": 2},
        {"kind": "long_text", "name": "note", "title": "Note"},
        {"kind": "heading", "title": "The end"},
        {"kind": "text", "name": "empty", "title": "Empty"},
    ]
    active(fields=fields)
    wrong = fill(
        client, client.get("/forms/contact"), seats="10", price="1,5", day="31.1.2026", hour="25:00", moment="x",
        room="east", extras=["tea", "cake", "sun"],
    )  # fmt: skip
    assert wrong.status_code == 422 and wrong.text.count('class="problem"') == 7
    right = {"seats": "4", "price": "1.5", "day": "2026-01-31", "hour": "14:30", "moment": "2026-01-31T14:30"}
    sent = fill(client, wrong, **right, room="north", extras=["sun", "tea"], note="one\r\ntwo")
    assert sent.status_code == 303
    given = input_of(app, only_run())
    del given["_form"]
    assert given == {
        **right, "seats": 4, "price": 1.5, "room": "north", "extras": ["tea", "sun"], "note": "one\ntwo", "empty": None,
    }  # fmt: skip


# Files


@pytest.fixture
def root(app, owner):
    """The folder of the workspace's files."""
    return app.extensions["headrace"].dispatcher.resources.files_of(owner.workspace.id)


def staged(files):
    folder = files.root / ".draft-uploads"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_a_file_is_kept_in_the_folder_of_the_run(app, client, active, root):
    active(fields=[NAME, {**CV, "required": True}])
    page = client.get("/forms/contact")
    assert fill(client, page, name="Ada", files=[("cv", pdf("", 0))]).status_code == 422
    sent = fill(client, page, name="Ada", files=[("cv", pdf("../../my cv.pdf"))])
    assert sent.status_code == 303
    run = only_run()
    file = input_of(app, run)["cv"]
    assert file["path"].startswith(f"forms/{run.id}/cv-") and file["size"] == 100
    assert root.read(file["path"]) == b"x" * 100 and staged(root) == []
    assert list((root.root / MARKS).iterdir()) == []


def test_a_file_stays_while_something_else_is_corrected_and_can_be_removed(app, client, active, root):
    active(fields=[NAME, CV])
    again = fill(client, client.get("/forms/contact"), name="", files=[("cv", pdf())])
    assert "cv.pdf" in again.text and len(staged(root)) == 1
    (key,) = staged(root)
    without = fill(client, again, name="", _drop=key, files=[("cv", pdf("", 0))])
    assert "cv.pdf" not in without.text and staged(root) == []
    assert fill(client, again, name="Ada", files=[("cv", pdf("other.pdf", 7))]).status_code == 303
    assert input_of(app, only_run())["cv"]["size"] == 7 and staged(root) == []


def test_a_kept_file_is_sent_with_the_last_page(app, client, active, root):
    active(fields=[{**CV, "max": 2}, {"kind": "page"}, NAME])
    second = fill(client, client.get("/forms/contact"), go="next", files=[("cv", pdf("a.pdf")), ("cv", pdf("a.pdf"))])
    assert fill(client, second, name="Ada").status_code == 303
    assert fill(client, second, name="Ada").status_code == 303, "sent twice"
    files = input_of(app, only_run())["cv"]
    assert len({file["path"] for file in files}) == 2 and all(root.read(file["path"]) for file in files)


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (("cv", pdf("cv.exe")), "Choose a file of the type .pdf, .txt"),
        (("cv", pdf(size=2_001)), "is larger than 2 KB"),
        (("other", pdf()), None),
    ],
)
def test_a_file_that_is_not_asked_for_leaves_nothing(client, active, root, file, words):
    active(fields=[NAME, CV])
    answer = fill(client, client.get("/forms/contact"), name="Ada", files=[file])
    assert (answer.status_code, words or "") == (422 if words else 303, words or "")
    assert words is None or words in text_of(answer)
    assert staged(root) == [] and root.find("forms/") == []


def test_a_token_of_another_form_names_no_file(client, active, root, make_flow):
    active(fields=[NAME, CV])
    make_flow(make_definition(fields=[NAME, CV], path="other"), status="active")
    again = fill(client, client.get("/forms/contact"), name="", files=[("cv", pdf())])
    other = fill(client, again, path="/forms/other", name="Ada", files=[("cv", pdf("", 0))])
    assert other.status_code == 422 and "open for very long" in other.text and not Run.select().count()


def test_files_of_a_run_that_never_was_are_found_and_removed(root):
    run_id = "run_" + "0" * 26
    root.write(f"forms/{run_id}/cv.pdf", b"x")
    root.write(f"forms/{run_id[:-1]}1/cv.pdf", b"x")
    (root.root / MARKS).mkdir()
    (root.root / MARKS / f"{run_id}-00000000").touch()
    assert remove_unsent(root, lambda id_: False) == 0, "its process may be alive"
    later = (root.root / MARKS / f"{run_id}-00000000").stat().st_mtime + 4_000
    assert remove_unsent(root, lambda id_: True, later) == 0
    (root.root / MARKS / f"{run_id}-00000000").touch()
    assert remove_unsent(root, lambda id_: False, later) == 1
    assert [file["path"] for file in root.find("forms/")] == [f"forms/{run_id[:-1]}1/cv.pdf"]


def test_files_find_their_run_after_a_write_that_was_done_though_it_failed(app, client, active, root, monkeypatch):
    active(fields=[NAME, CV], max_answers=5)
    page = client.get("/forms/contact")
    dispatcher = app.extensions["headrace"].dispatcher
    submit = dispatcher.submit

    def submit_and_fail(*args, **options):
        submit(*args, **options).durable()
        raise Unavailable("the database went away")

    monkeypatch.setattr(dispatcher, "submit", submit_and_fail)
    again = fill(client, page, name="Ada", files=[("cv", pdf())])
    monkeypatch.undo()
    assert again.status_code == 503 and "cv.pdf" in again.text and root.find("forms/") == []
    assert fill(client, again, name="Ada", files=[("cv", pdf("", 0))]).status_code == 303
    assert root.read(input_of(app, only_run())["cv"]["path"]) == b"x" * 100 and staged(root) == []


# Bounds


def test_a_robot_is_thanked_and_starts_nothing(client, active):
    active()
    page = client.get("/forms/contact")
    data = dict(inputs_of(page.text)) | {"name": "A", "email": "a@example.com", "_website": "x", "_go": "send"}
    answer = client.post("/forms/contact", data=data)
    assert answer.status_code == 200 and "Thank you" in answer.text and not Run.select().count()


def test_an_answer_that_comes_at_once_is_asked_again(client, active):
    active(min_seconds=3600)
    again = fill(client, client.get("/forms/contact"), name="Ada", email="a@example.com")
    assert again.status_code == 422 and "That was very quick" in again.text and 'value="Ada"' in again.text


def test_answers_are_limited_by_minute_and_what_was_entered_stays(client, active):
    active(rate_limit=1)
    assert fill(client, client.get("/forms/contact"), name="Ada", email="a@example.com").status_code == 303
    again = fill(client, client.get("/forms/contact"), name="Bea", email="b@example.com")
    assert again.status_code == 429 and 'value="Bea"' in again.text
    assert Run.select().count() == 1


def test_one_address_sends_a_limited_number_of_pages(client, active):
    active()
    page = client.get("/forms/contact")
    answers = []
    for number in range(60):
        client.environ_base["HTTP_X_FORWARDED_FOR"] = f"203.0.113.{number}"
        answers.append(fill(client, page, name="").status_code)
    assert answers[:40] == [422] * 40 and set(answers[40:]) <= {422, 429} and answers.count(429) > 10


def test_a_form_closes_after_its_answers(owner, client, active):
    flow = active(max_answers=2, closed_text="All seats are taken.")
    page = client.get("/forms/contact")
    for _ in range(2):
        assert fill(client, page, name="Ada", email="a@example.com").status_code == 303
    late = client.get("/forms/contact")
    assert fill(client, late, name="Bea", email="b@example.com").status_code == 303
    assert client.get("/forms/contact").status_code == 410
    refused = fill(client, late, name="Cy", email="c@example.com", _state=inputs_of(page.text)[0][1])
    assert refused.status_code in (303, 410) and Run.select().count() == 2
    assert WorkspaceStore(owner.workspace.id).get(f"forms/{flow['id']}/form/answers") == 2


def test_a_form_closes_at_its_time(client, active):
    active(closes_at="2026-01-31T18:00:00Z", closed_text="Too late & over.")
    page = client.get("/forms/contact")
    assert page.status_code == 410 and "Too late &amp; over." in page.text


def test_an_inactive_flow_has_no_form_and_its_page_says_nothing_of_it(client, make_flow):
    make_flow(make_definition())
    for answer in (client.get("/forms/contact"), client.post("/forms/contact"), client.get("/forms/../x")):
        assert answer.status_code == 404 and answer.mimetype == "text/html" and "Contact us" not in answer.text
    assert client.delete("/forms/contact").status_code == 405


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{}", "application/json", 415),
        (b"--x\r\nbad\r\n\r\n--x--", "multipart/form-data; boundary=x", 400),
        (b"--x\r\n", "multipart/form-data; boundary=x", 400),
        (b"a=1&" * 6_000, "application/x-www-form-urlencoded", 400),
        (b"a=" + b"x" * 5_000_000, "application/x-www-form-urlencoded", 413),
    ],
)
def test_a_malformed_body_is_a_plain_page(client, active, body, kind, status):
    active(fields=[NAME, CV])
    answer = client.post("/forms/contact", data=body, content_type=kind)
    assert (answer.status_code, answer.mimetype) == (status, "text/html") and not Run.select().count()


# Who may open it


def test_a_password_is_asked_for_and_counted(app, owner, client, active):
    owner.post(
        "/api/credentials", {"name": "p", "type": "http_basic", "data": {"username": "u", "password": "pass word"}}
    )
    active(access="password", credential="p")
    asked = client.get("/forms/contact")
    assert (asked.status_code, asked.mimetype) == (401, "text/html") and "Basic" in asked.headers["WWW-Authenticate"]
    right = {"Authorization": "Basic " + base64.b64encode(b"u:pass word").decode()}
    wrong = {"Authorization": "Basic " + base64.b64encode(b"u:x").decode()}
    assert client.get("/forms/contact", headers=right).status_code == 200
    assert [client.get("/forms/contact", headers=wrong).status_code for _ in range(11)] == [401] * 10 + [429]
    assert client.post("/forms/contact", data={}).status_code in (401, 429)
    app.extensions["headrace"].recorder.commit([])  # waits for earlier writes
    assert "wrong password" in LogEntry.get().message


def test_no_header_of_the_visitor_lifts_a_limit(owner, client, active):
    owner.post("/api/credentials", {"name": "p", "type": "http_basic", "data": {"username": "u", "password": "pass"}})
    active(access="password", credential="p")
    statuses = []
    for number in range(60):
        guess = base64.b64encode(b"u:%d" % number).decode()
        headers = {"Authorization": f"Basic {guess}", "X-Forwarded-For": f"203.0.113.{number}"}
        statuses.append(client.get("/forms/contact", headers=headers).status_code)
    assert statuses[:10] == [401] * 10 and statuses.count(429) > 40


def test_members_alone_open_a_form_for_members(app, owner, client, active):
    active(access="members")
    assert client.get("/forms/contact").status_code == 401
    sent = fill(owner, owner.get("/forms/contact"), name="Ada", email="a@example.com")
    assert sent.status_code == 303 and input_of(app, only_run())["_form"]["by"] == "owner@example.org"
    other = owner.post("/forms/contact", data={}, headers={"Origin": "https://evil.example"})
    assert other.status_code == 403


def test_a_form_may_be_embedded_where_it_says(client, active):
    active(embed=["https://shop.example"])
    page = client.get("/forms/contact")
    assert "frame-ancestors https://shop.example" in page.headers["Content-Security-Policy"]
    assert "X-Frame-Options" not in page.headers


# What comes after

SUM = {"id": "sum", "type": "set", "config": {"values": {"number": "{{ input.name | upper }}"}}}


def send(client, **texts):
    sent = fill(client, client.get("/forms/contact"), **{"name": "Ada", "email": "a@example.com"} | texts)
    assert sent.status_code == 303, sent.text
    return client.get(sent.headers["Location"])


def test_the_thanks_may_wait_for_the_output(client, active):
    active(SUM, respond="last", thanks_text="Your number is {{ output.number }}.")
    assert "Your number is ADA." in send(client).text


def test_a_failed_run_is_told_without_its_reason(client, active):
    active({"id": "stop", "type": "stop", "config": {"message": "secret reason"}}, respond="last")
    page = send(client)
    assert page.status_code == 500 and "secret reason" not in page.text and only_run().id in page.text


@pytest.mark.parametrize(
    ("answer", "words", "refresh"),
    [
        ({"body": {"title": "Hello {{ input.name }}", "text": "a <b>"}}, "Hello Ada", None),
        ({"body": "plain {{ input.name }}"}, "plain Ada", None),
        ({"status": 302, "headers": {"Location": "https://example.com/x"}}, "Continue to example.com", "https://example.com/x"),
        ({"status": 302, "headers": {"Location": "javascript:x"}}, "Thank you", None),
    ],
)  # fmt: skip
def test_a_respond_node_says_what_is_shown(client, active, answer, words, refresh):
    active({"id": "say", "type": "respond", "config": answer}, respond="node")
    page = send(client)
    assert words in page.text and "<b>" not in page.text
    assert page.headers.get("Refresh") == (refresh and f"0; url={refresh}")


def test_a_form_may_lead_elsewhere(client, active):
    active(redirect="https://example.com/thanks?x=1")
    assert send(client).headers["Refresh"] == "0; url=https://example.com/thanks?x=1"


@pytest.mark.parametrize(
    "redirect", ["http://example.com", "//example.com", "javascript:alert(1)", "/\\example.com", "https://["]
)
def test_a_redirect_to_an_unsafe_address_is_refused(make_flow, owner, redirect):
    body = {"name": "x", "status": "active", "definition": make_definition(redirect=redirect)}
    answer = owner.post("/api/flows", body)
    assert answer.status_code == 400 and "redirect" in answer.text


def test_a_wrong_address_of_a_run_is_not_found(client, active):
    active()
    sent = fill(client, client.get("/forms/contact"), name="Ada", email="a@example.com")
    assert client.get(sent.headers["Location"][:-1] + "x").status_code == 404


def test_two_flows_cannot_have_one_form_and_a_webhook_may_have_its_path(owner, active, make_flow):
    active()
    taken = owner.post("/api/flows", {"name": "x", "status": "active", "definition": make_definition()})
    assert taken.status_code == 409 and "/forms/contact is taken by the flow" in taken.json["error"]
    hook = {"nodes": [{"id": "hook", "type": "webhook", "config": {"path": "contact"}}], "edges": []}
    make_flow(hook, status="active")
    answer = owner.get("/api/webhooks/contact")
    assert answer.status_code == 405 and "FORM" not in answer.headers["Allow"]
