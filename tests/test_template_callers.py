"""Templates together with realistic copies of the systems that they are made for.

The figures in data/github/ are cut from GitHub's own examples of its webhooks, as `@octokit/webhooks-examples` (MIT
licence, © Gregor Martynus, GitHub and others) has collected them.
"""

import copy
import hashlib
import hmac
import re
import threading
from pathlib import Path

import llm_server
import orjson
import pytest
from stage import stage  # noqa: F401  (a fixture)
from stage_servers import stage_llm, stage_mqtt, stage_s3, stage_ssh  # noqa: F401  (fixtures)
from test_template_trials import config, trial  # noqa: F401  (fixtures)
from werkzeug.serving import make_server

from api import catalogue
from database import disconnect_thread, write
from database.base import now_ms
from models import Wait

GITHUB = Path(__file__).parent / "data" / "github"


@pytest.fixture
def github(trial, stage):  # noqa: F811
    """`github(event, figure)` delivers like GitHub; `github.flow` is the template, `github.told` returns messages."""
    flow = trial(catalogue.find_template("github-to-chat"))

    def deliver(event, figure, secret="a long secret", delivery="1"):
        body = (GITHUB / f"{figure}.json").read_bytes()
        headers = {
            "User-Agent": "GitHub-Hookshot/044aadd",
            "X-GitHub-Delivery": delivery,
            "X-GitHub-Event": event,
            "X-Hub-Signature-256": f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}",
        }
        client = flow.owner.application.test_client()
        return client.post("/api/webhooks/github", data=body, content_type="application/json", headers=headers)

    def told():
        flow.ended()
        return [(message["title"], message["message"]) for message in stage.sent()["messages"]]

    deliver.flow, deliver.told = flow, told
    return deliver


@pytest.mark.parametrize(
    ("event", "figure", "title", "message"),
    [
        (
            "push",
            "push",
            "Codertocat/Hello-World: Codertocat pushed 1 commit to master",
            "6113728 Initial commit (Codertocat)\n"
            "https://github.com/Codertocat/Hello-World/commit/6113728f27ae82c7b1a177c8d03f9e96e0adf246",
        ),
        (
            "push",
            "tag-deleted",
            "Codertocat/Hello-World: Codertocat deleted simple-tag",
            "https://github.com/Codertocat/Hello-World/compare/d70c5c6fa638^...000000000000",
        ),
        (
            "issues",
            "issues-opened",
            "Codertocat/Hello-World: issue #1 opened by Codertocat",
            "Spelling error in the README file\nLabels: bug\n\n"
            "It looks like you accidently spelled 'commit' with two 't's.\n"
            "https://github.com/Codertocat/Hello-World/issues/1",
        ),
        (
            "ping",
            "ping",
            "Octocoders/Hello-World is connected",
            "It tells of: *. Anything added dilutes everything else.",
        ),
    ],
)
def test_a_signed_delivery_of_github_is_posted_to_the_chat(github, event, figure, title, message):
    assert github(event, figure).status_code == 202
    assert github.told() == [(title, message)]


def test_a_repeated_delivery_of_github_is_posted_once(github):
    answers = [github("push", "push", delivery=delivery).json["run_id"] for delivery in ("1", "1", "2")]
    assert answers[0] == answers[1] != answers[2]
    assert len(github.told()) == 2


def test_a_delivery_with_a_wrong_signature_is_refused_and_starts_nothing(github):
    assert github("push", "push", secret="a guess").status_code == 401
    assert github.flow.ended() == [] and github.told() == []


@pytest.fixture
def address(app):
    """The real address of the server under test."""
    listening = make_server("127.0.0.1", 0, app)

    def serve():
        try:
            listening.serve_forever(0.01)
        finally:
            disconnect_thread()

    thread = threading.Thread(target=serve)
    thread.start()
    yield f"http://127.0.0.1:{listening.port}"
    listening.shutdown()
    thread.join(60)
    listening.server_close()


def test_a_backup_of_this_server_restores_its_flows(trial, owner, make_flow, address):  # noqa: F811
    definitions = {f"Flow {number}": {"nodes": [{"id": f"n{number}", "type": "manual"}]} for number in range(60)}
    flows = {make_flow(definition, name=name)["id"]: name for name, definition in definitions.items()}
    template = copy.deepcopy(catalogue.find_template("nightly-backup-of-flows"))
    token = owner.post("/api/tokens", {"name": "backup"}).json["token"]
    template["trial"] = {"vars": {"server": address}, "credentials": {"headrace": {"token": token}}}
    backup = trial(template)
    output = backup.output(backup.run())
    assert output["flows"] == 61
    assert {entry["name"] for entry in backup.folder.list(output["folder"])} == {
        f"{id_}.json" for id_ in [*flows, backup.flow["id"]]
    }
    for id_, name in flows.items():
        saved = orjson.loads(backup.folder.read(f"{output['folder']}/{id_}.json"))
        assert owner.post("/api/flows", saved).status_code == 201
        assert (saved["name"], saved["definition"]["nodes"]) == (name, definitions[name]["nodes"])


@pytest.fixture
def long_job(trial, stage):  # noqa: F811
    """The started template of a long job; `handed` is the callback address that the service got."""
    flow = trial(copy.deepcopy(catalogue.find_template("job-with-callback")) | {"trial": LONG_JOB})
    flow.waiting = flow.run()
    assert flow.waiting.status == "pending"
    (asked,) = stage.sent()["http"]
    flow.handed = asked["json"]["callback_url"]
    return flow


LONG_JOB = {
    "credentials": {"service": {"token": "the-token-of-the-service"}, "chat": {"url": "{messages}"}},
    "vars": {"service": "{http}"},
    "http": [
        {"path": "/jobs", "method": "POST", "status": 202, "json": {"id": "j-1"}},
        {"path": "/jobs/j-1/result", "text": "sku,sold\n"},
        {"path": "/jobs/j-1", "method": "DELETE", "status": 204},
    ],
}


def run_out(flow):
    """Let its wait time out. Return its ended run."""
    with write():
        Wait.update(wake_at=now_ms() - 1).where(Wait.run_id == flow.waiting.id).execute()
    flow.server.dispatcher.wake()
    (run,) = flow.ended()
    return run


def test_a_job_calls_its_callback_address_once(long_job, client, stage):  # noqa: F811
    path = "/" + long_job.handed.split("/", 3)[3]
    assert client.post(path, {"status": "done"}).status_code == 200
    (run,) = long_job.ended()
    assert long_job.output(run) == {"job": "j-1", "file": f"results/{run.id}.csv", "size": 9}
    assert client.post(path, {"status": "failed"}).status_code == 409
    assert [message["title"] for message in stage.sent()["messages"]] == ["Nightly export is ready"]


def test_a_job_that_never_calls_back_is_cancelled_and_reported(long_job, stage):  # noqa: F811
    run = run_out(long_job)
    reason = "the job has not called back in four hours and was called off"
    assert (run.status, run.error_text) == ("failed", f"Nightly export: {reason}")
    assert stage.sent()["http"][-1]["method"] == "DELETE"
    (message,) = stage.sent()["messages"]
    assert (message["title"], message["message"].lower()) == ("Nightly export failed", reason)


def test_a_payment_without_a_decision_is_not_made(trial, stage):  # noqa: F811
    payment = trial(catalogue.find_template("approval-before-payment"))
    payment.waiting = payment.run(answers=[])
    assert payment.output(run_out(payment)) == {"payment_id": "P-2026-014", "status": "expired"}
    assert stage.sent()["http"] == []
    assert stage.sent()["messages"][-1]["message"] == "180.00 EUR to Tea Ltd: nobody has decided in three days"


def test_orders_of_a_graphql_service_can_be_read_in_excel(trial):  # noqa: F811
    openpyxl = pytest.importorskip("openpyxl")
    orders = trial(catalogue.find_template("graphql-to-spreadsheet"))
    orders.check_runs()
    with orders.folder.reading("exports/orders-2026-01-05.xlsx") as file:
        rows = list(openpyxl.load_workbook(file)["Orders"].values)
    assert rows == [
        ("Order", "Day", "Customer", "Country", "Amount", "Currency"),
        ("A-8", "2026-01-05", None, None, 20, "USD"),
        ("A-9", "2026-01-06", '=HYPERLINK("x")', None, 180, "EUR"),
        ("A-10", "2026-01-06", "Zoë", "FR", 9.9, "EUR"),
    ]


def test_a_missing_broker_fails_the_run_with_the_reason(trial):  # noqa: F811
    pytest.importorskip("paho")
    template = copy.deepcopy(catalogue.find_template("sensor-threshold-mqtt"))
    template["trial"] = {"credentials": {"plant": {"host": "127.0.0.1", "port": 1, "tls": False}}}
    run = trial(template).run()
    assert (run.status, run.error_node_id) == ("failed", "deaf")
    assert run.error_text.startswith("No readings: ")


def test_a_failed_run_is_explained_by_its_steps(trial, stage, stage_llm, owner, make_flow):  # noqa: F811
    watching = copy.deepcopy(catalogue.find_template("incident-explainer-on-error"))
    why, explained = watching["trial"]["llm"][1]["data"], []

    def look(request):
        explained.append(re.search(r"run_\w+", stage_llm.asked(request)["prompt"])[0])
        return llm_server.call("get_run", {"run_id": explained[0]})

    watching["trial"]["llm"] = []
    stage_llm.server.then(look, llm_server.data(why))
    watching = trial(watching)
    pay = {"id": "pay", "type": "stop", "config": {"message": "the bank is closed"}}
    flow = make_flow({"nodes": [pay], "settings": {"error_workflow_id": watching.flow["id"]}}, name="Payments")
    failed = owner.post(f"/api/workflows/{flow['id']}/run", {"input": {"sum": 30}}).json
    (run,) = watching.ended()
    assert (run.status, explained) == ("success", [failed["id"]])
    told = stage_llm.sent()[1]["last"]
    assert "the bank is closed" in told and '"sum": 30' in told
    (message,) = stage.sent()["messages"]
    assert message["title"] == "Payments failed: upstream" and message["message"].endswith(f"/runs/{failed['id']}")
