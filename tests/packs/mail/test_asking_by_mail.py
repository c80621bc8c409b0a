"""Approvals that notify people: the message, and failures to send it."""

import pytest

import engine
from nodes.base import Answer, Suspend

PASSWORD = "hunter2hunter2"
LINKS = {
    "url": "http://flows.example/1",
    "approved_url": "http://flows.example/2",
    "rejected_url": "http://flows.example/3",
}


@pytest.fixture
def ask(httpserver):
    """`ask(path, **job)` runs an approval that notifies a service at this path; returns its outcome, steps and log."""
    httpserver.expect_request("/chat").respond_with_data("taken")
    httpserver.expect_request("/busy").respond_with_data("no", status=503)
    httpserver.expect_request("/gone").respond_with_data("no", status=404)

    def ask(make_ctx, path="chat", url=None, retry=None, links=LINKS, **job):
        place = url or f"json://me:{PASSWORD}@127.0.0.1:{httpserver.port}/{path}"
        ctx, _ = make_ctx(credentials={"chat": ("service_url", {"url": place})})
        config = {"message": "Pay {{ 5 }} €?", "notify": "chat"}
        node = {"id": "ask", "type": "approval", "config": config} | ({"retry": retry} if retry else {})
        steps, lines = [], []
        job = engine.Job(
            "run_1",
            scope={"workflow": {"name": "Bills"}},
            on_step=steps.append,
            log=lambda *entry: lines.append(entry[1:3]),
            sleep=lambda seconds: None,
            keyring=ctx.keyring,
            services=ctx.services,
            links=None if links is None else lambda node_id: links,
            **job,
        )
        return engine.run(engine.plan({"nodes": [node]}), job), steps, lines

    ask.log = httpserver.log
    return ask


def test_an_approval_sends_the_links_to_decide(ask, make_ctx):
    outcome, steps, lines = ask(make_ctx)
    (request, _), sent = ask.log[0], ask.log[0][0].get_json()
    assert outcome.status == "waiting" and steps[-1].wait.told and lines == []
    assert (sent["title"], len(ask.log)) == ("Approval: Bills", 1)
    assert sent["message"].split("\n") == [
        "Pay 5 €?",
        "",
        "Approve: http://flows.example/2",
        "Reject: http://flows.example/3",
        "Open: http://flows.example/1",
    ]
    assert request.authorization.password == PASSWORD and PASSWORD not in repr((outcome, steps))


def test_without_links_an_approval_sends_only_the_question(ask, make_ctx):
    ask(make_ctx, links=None)
    assert ask.log[0][0].get_json()["message"] == "Pay 5 €?"


@pytest.mark.parametrize(
    ("path", "url", "words"),
    [
        ("busy", None, "JSON (status 503): "),
        ("gone", None, "JSON (status 404): "),
        ("", "json://127.0.0.2:1/", "127.0.0.2 may not be reached"),
        ("", "slack://bad", "the service URL is not valid"),
    ],
)
def test_an_approval_waits_also_if_nobody_can_be_notified(ask, make_ctx, path, url, words):
    outcome, steps, lines = ask(make_ctx, path, url)
    assert outcome.status == "waiting" and not steps[-1].wait.told
    ((level, message),) = lines
    assert level == "warning" and message.startswith(f"the approval request was not sent: {words}")


def test_an_approval_waits_also_if_its_credential_was_deleted(run):
    found = run("approval", {"message": "Pay?", "notify": "chat"})
    assert isinstance(found, Suspend) and not found.told
    assert run.lines == [
        ("warning", "the approval request was not sent: there is no credential 'chat' in this workspace", None)
    ]


def test_a_notification_is_retried_unless_its_failure_is_permanent(ask, make_ctx):
    outcome, steps, lines = ask(make_ctx, "busy", retry={"attempts": 3})
    assert [step.status for step in steps] == ["failed", "failed", "waiting"] and outcome.status == "waiting"
    assert len(ask.log) == 3 and len(lines) == 1
    outcome, steps, _ = ask(make_ctx, "gone", retry={"attempts": 3})
    assert [step.status for step in steps] == ["waiting"] and len(ask.log) == 4


def test_no_notification_is_sent_after_the_decision(ask, make_ctx):
    answered = engine.Open(0, 1, 0, "approval", Answer("approved", None, "ann@example.org", 0))
    outcome, steps, _ = ask(make_ctx, waiting={"ask": answered})
    assert outcome.status == "success" and steps[-1].branch == "approved" and not ask.log
