"""Every template as a flow with real credentials, run by the server against local servers."""

import copy
import hashlib
import hmac
import os
import re
import sqlite3
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import llm_server
import orjson
import pytest
from stage import content, differs, lacks, stage  # noqa: F401  (a fixture)
from stage_servers import stage_llm, stage_mqtt, stage_s3, stage_ssh  # noqa: F401  (fixtures)
from werkzeug.serving import make_server

from api import catalogue
from database import disconnect_thread, write
from database.base import now_ms
from database.queries import logs
from database.queries.store import WorkspaceStore
from dispatch import Start
from dispatch.payloads import Kept
from models import Run, Wait, Workflow
from nodes import REGISTRY

TEMPLATES = [each for each in catalogue.read_templates() if (catalogue.FOLDER / f"{each['id']}.json").exists()]
PATIENCE = 60
SERVERS = {"ssh", "mqtt", "s3", "llm"}
ASKING = {"agent", "classify", "llm"}  # a language model


@pytest.fixture
def config(config, stage_llm):  # noqa: F811
    return replace(
        config, egress_allow=("127.0.0.1",), openai_base_url=stage_llm.url, llm_model="openai:gpt-4o-mini"
    )  # fmt: skip


class Trial:
    """A template with everything that it needs; `run` runs it."""

    def __init__(self, template, owner, server, stage):  # noqa: F811
        self.template, self.owner, self.server, self.stage = template, owner, server, stage
        self.given = template.get("trial", {})
        self.nodes = template["definition"]["nodes"]
        self.stage.serve(self.given.get("http", []))
        self.folder = server.dispatcher.resources.files_of(owner.workspace.id)
        self.kept = WorkspaceStore(owner.workspace.id)
        self.put()
        self.trust()
        self.flow = self.prepared()

    def put(self):
        """Prepare the workspace's files, its store and the servers."""
        for path, file in self.stage.filled(self.given.get("files", {})).items():
            self.folder.write(path, content(file))
            if isinstance(file, dict) and "days" in file:
                then = time.time() - file["days"] * 86_400
                os.utime(self.folder.real_path(path), (then, then))
        for path, statements in self.given.get("databases", {}).items():
            self.folder.write(path, b"")
            with closing(sqlite3.connect(self.folder.real_path(path))) as database, database:
                for statement in statements:
                    database.execute(statement)
        for key, value in self.given.get("store", {}).items():
            self.kept.set(key, value)
        for kind in self.given.keys() & SERVERS:
            self.stage.server(kind).put(self.stage.filled(self.given[kind]))

    def trust(self):
        """Create the credentials that the template names."""
        values = self.stage.filled(self.given.get("credentials", {}))
        for needed in self.template["credentials"]:
            name, type_ = needed["name"], needed["type"]
            body = {"name": name, "type": type_, "hosts": ["127.0.0.1"], "data": values[name]}
            self.made("/api/credentials", body)

    def prepared(self):
        """Return the flow, with its variables and other flows. Its retries have no delay."""
        text = orjson.dumps(self.template["definition"]).decode()
        for id_, definition in self.given.get("flows", {}).items():
            other = self.made("/api/flows", {"name": id_, "status": "active", "definition": definition})
            text = text.replace(id_, other["id"])
        definition = orjson.loads(text)
        for node in definition["nodes"]:
            node.get("retry", {})["delay"] = 0
        settings = definition.setdefault("settings", {})
        settings["vars"] = settings.get("vars", {}) | self.stage.filled(self.given.get("vars", {}))
        return self.made("/api/flows", {"name": self.template["name"], "status": "active", "definition": definition})

    def made(self, path, body):
        answer = self.owner.post(path, body)
        assert answer.status_code == 201, answer.text
        return answer.json

    def run(self, **different):
        """Run it once to the end, with the sample input or another `input`."""
        flow, dispatcher = Workflow.find(self.flow["id"]), self.server.dispatcher
        trigger = next(node for node in dispatcher.resources.plan_of(flow).nodes if node.node.trigger)
        input = different.get("input", self.template["sample_input"])
        run = dispatcher.waiting.wait(dispatcher.submit(Start(flow, input, "manual", trigger.id)), PATIENCE)
        for answer in different.get("answers", self.given.get("answers", [])):
            body = {"node_id": answer["node"], **{key: answer[key] for key in answer.keys() - {"node"}}}
            body["question"] = Wait.get(Wait.run_id == run.id, Wait.node_id == answer["node"]).question
            answered = self.owner.post(f"/api/runs/{run.id}/resume", body)
            assert answered.status_code == 200, answered.text
            run = dispatcher.waiting.wait(dispatcher.ticket_of(Run.get_by_id(run.id)), PATIENCE)
        return run

    def check_runs(self):
        """Run it as often as its file says, and check each end."""
        runs = self.given.get("runs", 1)
        runs = [{}] * runs if isinstance(runs, int) else runs
        for number, different in enumerate(runs):
            expected = {"status": "success", "error_text": None} | self.given | different
            if number == len(runs) - 1 and "expected_output" in self.template:
                expected = {"output": self.template["expected_output"]} | expected
            run = self.run(**self.stage.filled(different))
            found = {"status": run.status, "error_text": run.error_text, "output": self.output(run)}
            wanted = {key: value for key, value in expected.items() if key in found}
            assert differs({key: found[key] for key in wanted}, self.stage.filled(wanted), f"run {number}") is None

    def check_calls(self):
        """Call its webhook as its file says."""
        for number, call in enumerate(self.given.get("calls", [])):
            answer = self.call(call)
            found = {"status": answer.status_code}
            if "answer" in call:
                found["answer"] = answer.json if answer.is_json else answer.text
            assert differs(found, {key: call[key] for key in found}, f"call {number}") is None
            self.ended()

    def ended(self):
        """Return all its ended runs, oldest first: some continue after their response."""
        listed = self.owner.get(f"/api/runs?workflow_id={self.flow['id']}&limit=100").json["items"]
        dispatcher = self.server.dispatcher
        runs = [dispatcher.ticket_of(Run.get_by_id(run["id"])) for run in reversed(listed)]
        return [dispatcher.waiting.wait(run, PATIENCE) for run in runs]

    def call(self, call):
        """Return the response of its webhook to a call without authentication."""
        hook = next(node["config"] for node in self.nodes if node["type"] == "webhook")
        return self.owner.application.test_client().open(
            f"/api/webhooks/{hook['path']}",
            call.get("json"),
            method=call.get("method", hook["methods"][0]),
            query_string=call.get("query"),
            headers=call.get("headers"),
        )

    def check_sent(self):
        """Check everything that it has sent and stored."""
        sent = self.stage.filled(self.given.get("sent", {}))
        for kind, found in self.stage.sent().items():
            assert kind not in sent or lacks(found, sent[kind], kind) is None
        for kind in sent.keys() & {"files", "rows", "store", "log"}:
            assert differs(getattr(self, kind)(sent[kind]), sent[kind], kind) is None
        for kind in sent.keys() & SERVERS:
            assert lacks(self.stage.server(kind).sent(), sent[kind], kind) is None

    def files(self, expected):
        return {path: self.folder.read(path).decode() for path in expected}

    def rows(self, expected):
        return {path: self.answers(path, queries) for path, queries in expected.items()}

    def answers(self, path, queries):
        with closing(sqlite3.connect(self.folder.real_path(path))) as database:
            return {query: [list(row) for row in database.execute(query)] for query in queries}

    def store(self, expected):
        return {key: self.kept.get(key) for key in expected}

    def log(self, expected=None):
        """Return the log of its nodes, without the entry of a failed run."""
        entries = [entry for run in self.ended() for entry in logs.of(run.id, 1000, None)[0]]
        ends = "The run failed: ", "The run was stopped: "
        return [[entry.level, entry.message] for entry in entries if not entry.message.startswith(ends)]

    def output(self, run):
        return self.server.dispatcher.resources.value(run.id, "output", Kept(run.output, run.output_bytes))


@pytest.fixture
def trial(owner, server, stage):  # noqa: F811
    return lambda template: Trial(template, owner, server, stage)


def test_a_failed_run_is_reported_to_the_chat(trial, stage, owner, make_flow):  # noqa: F811
    watching = trial(catalogue.find_template("error-alert-to-chat"))
    broken = {
        "nodes": [{"id": "pay", "type": "stop", "name": "Pay", "config": {"message": "the bank is closed"}}],
        "edges": [],
        "settings": {"error_workflow_id": watching.flow["id"]},
    }
    flow = make_flow(broken, name="Payments")
    failed = [owner.post(f"/api/workflows/{flow['id']}/run", {"input": None}).json for _ in range(3)]
    assert [run["status"] for run in failed] == ["failed"] * 3
    told = [watching.output(run)["told"] for run in watching.ended()]
    assert sorted(told) == [False, False, True]
    (message,) = stage.sent()["messages"]
    assert message["title"] == "Payments failed"
    assert message["message"].startswith("At pay: the bank is closed\n\nStarted by manual, version 1\n")
    assert any(message["message"].endswith(f"http://127.0.0.1:8000/runs/{run['id']}") for run in failed)


@pytest.mark.parametrize(
    ("statement", "wrong"),
    [
        ("CREATE VIEW sign_ups AS SELECT 1 AS email", "cannot modify sign_ups because it is a view"),
        ("CREATE INDEX sign_ups ON others (id)", "there is already an index named sign_ups"),
    ],
)
def test_a_sign_up_that_cannot_be_stored_gets_a_request_to_retry(trial, statement, wrong):
    form = trial(broken("form-to-database", {"people.db": ["CREATE TABLE others (id)", statement]}))
    answer = form.call({"json": {"name": "Ada", "email": "ada@example.com"}})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "60")
    assert form.log() == [["error", f"A sign-up could not be written down: SQLite: {wrong}"]]


@pytest.mark.parametrize(
    ("statement", "wrong"),
    [
        ("CREATE VIEW products AS SELECT 1 AS sku", "item 0: SQLite: cannot modify products because it is a view"),
        ("CREATE INDEX products ON others (id)", "SQLite: there is already an index named products"),
    ],
)
def test_an_import_that_the_database_rejects_has_the_reason(trial, statement, wrong):
    run = trial(broken("csv-to-database", {"shop.db": ["CREATE TABLE others (id)", statement]})).run()
    assert (run.status, run.error_text) == ("failed", f"The import failed: {wrong}")


def test_an_export_that_the_database_refuses_has_the_reason(trial):
    run = trial(broken("database-to-csv", {"shop.db": []})).run()
    assert (run.status, run.error_text) == ("failed", "The database gave no answer: SQLite: no such table: orders")


def test_files_that_the_store_rejects_are_kept(trial):
    pytest.importorskip("minio")
    template = copy.deepcopy(catalogue.find_template("s3-archive"))
    template["trial"]["s3"] = ["another-bucket"]
    archive = trial(template)
    run = archive.run()
    assert run.status == "failed"
    assert run.error_text.startswith(
        "2 of 2 files were not archived and are still here, the first, reports/a report.csv: "
    )
    assert len(archive.folder.list("reports")) == 4


def broken(id_, databases):
    """The template with these databases."""
    template = catalogue.find_template(id_)
    return {**template, "trial": {**template["trial"], "databases": databases}}


MODULES = {"ssh": "asyncssh", "mqtt": "paho", "formats": "openpyxl", "s3": "minio"}


def types_of(template):
    return {node["type"] for node in template["definition"]["nodes"]}


def skip_without_extras(template):
    for extra in {REGISTRY[type_].extra for type_ in types_of(template)} - {""}:
        pytest.importorskip(MODULES[extra])


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template["id"])
def test_a_template_does_the_trial_of_its_file(trial, template):
    skip_without_extras(template)
    played = trial(template)
    played.check_runs()
    played.check_calls()
    played.check_sent()


@pytest.mark.parametrize(
    "template",
    [template for template in TEMPLATES if "http" in types_of(template)],
    ids=lambda template: template["id"],
)
def test_a_template_with_unavailable_services_continues_or_has_a_reason(trial, stage, template):  # noqa: F811
    skip_without_extras(template)
    stage.web = "http://127.0.0.1:1"
    run = trial(template).run()
    types = {node["id"]: node["type"] for node in template["definition"]["nodes"]}
    assert run.status == "success" or types[run.error_node_id] == "stop", run.error_text


@pytest.mark.parametrize(
    "template", [template for template in TEMPLATES if ASKING & types_of(template)], ids=lambda template: template["id"]
)
def test_a_template_with_a_silent_model_continues_or_has_a_reason(trial, template):
    skip_without_extras(template)
    assert "language model" in template["needs"]
    silent = {key: value for key, value in template["trial"].items() if key != "llm"}
    run = trial({**template, "trial": silent}).run(answers=[])
    types = {node["id"]: node["type"] for node in template["definition"]["nodes"]}
    assert run.status == "success" or types[run.error_node_id] == "stop", run.error_text


# Templates together with realistic copies of the systems that they are made for


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
