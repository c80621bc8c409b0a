"""Every template as a flow with real credentials, run by the server against local servers."""

import copy
import os
import sqlite3
import time
from contextlib import closing
from dataclasses import replace

import orjson
import pytest
from stage import content, differs, lacks, stage  # noqa: F401  (a fixture)
from stage_servers import stage_llm, stage_mqtt, stage_s3, stage_ssh  # noqa: F401  (fixtures)

from api import catalogue
from database.queries import logs
from database.queries.store import WorkspaceStore
from dispatch import Start
from dispatch.payloads import Kept
from models import Run, Wait, Workflow
from nodes import REGISTRY

TEMPLATES = catalogue.read_templates()
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
