"""Every template at work: a flow with real credentials, run by the server against local servers."""

from dataclasses import replace

import orjson
import pytest
from stage import differs, lacks, stage  # noqa: F401  (a fixture)

import templates
from models import LogEntry, Run, Workflow
from nodes import REGISTRY
from payloads import Kept

TEMPLATES = templates.all_templates()
PATIENCE = 20


@pytest.fixture
def config(config):
    return replace(config, egress_allow=("127.0.0.1",))


class Trial:
    """A template on the stage: what it needs is there, and `run` runs it."""

    def __init__(self, template, owner, server, stage):  # noqa: F811
        self.template, self.owner, self.server, self.stage = template, owner, server, stage
        self.given = template.get("trial", {})
        self.stage.serve(self.given.get("http", []))
        self.files = server.dispatcher.files_of(owner.workspace.id)
        self.flow = self.prepared()

    def prepared(self):
        """The flow, with its credentials, files and the other flows that it knows."""
        for path, text in self.given.get("files", {}).items():
            self.files.write(path, self.stage.filled(text).encode())
        values = self.stage.filled(self.given.get("credentials", {}))
        for needed in self.template["credentials"]:
            body = {
                "name": needed["name"],
                "type": needed["type"],
                "hosts": ["127.0.0.1"],
                "data": values[needed["name"]],
            }
            self.made("/api/credentials", body)
        text = orjson.dumps(self.template["definition"]).decode()
        for id_, definition in self.given.get("flows", {}).items():
            other = self.made("/api/flows", {"name": id_, "status": "active", "definition": definition})
            text = text.replace(id_, other["id"])
        definition = orjson.loads(text)
        definition["settings"] = definition.get("settings", {})
        definition["settings"]["vars"] = {
            **definition["settings"].get("vars", {}),
            **self.stage.filled(self.given.get("vars", {})),
        }
        return self.made("/api/flows", {"name": self.template["name"], "status": "active", "definition": definition})

    def made(self, path, body):
        answer = self.owner.post(path, body)
        assert answer.status_code == 201, answer.text
        return answer.json

    def run(self):
        """One run with the sample input, to its end."""
        flow, dispatcher = Workflow.find(self.flow["id"]), self.server.dispatcher
        trigger = next(node for node in dispatcher.plan_of(flow).nodes if node.node.trigger)
        ticket = dispatcher.submit(flow, self.template["sample_input"], "manual", trigger.id)
        run = dispatcher.wait(ticket, PATIENCE)
        for answer in self.given.get("answers", []):
            body = {"node_id": answer["node"], **{key: answer[key] for key in answer.keys() - {"node"}}}
            answered = self.owner.post(f"/api/runs/{run.id}/resume", body)
            assert answered.status_code == 200, answered.text
            run = dispatcher.wait(dispatcher.ticket_of(Run.get_by_id(run.id)), PATIENCE)
        return run

    def output(self, run):
        return self.server.dispatcher.value(run.id, "output", Kept(run.output, run.output_bytes))

    def sent(self, kind):
        if kind == "files":
            return {path: self.files.read(path).decode() for path in self.given["sent"]["files"]}
        return {"http": self.stage.requests, "mail": self.stage.mail, "messages": self.stage.messages}[kind]()


@pytest.fixture
def trial(owner, server, stage):  # noqa: F811
    return lambda template: Trial(template, owner, server, stage)


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template["id"])
def test_a_template_does_what_its_file_says(trial, template):
    for extra in {REGISTRY[node["type"]].extra for node in template["definition"]["nodes"]} - {""}:
        pytest.importorskip({"ssh": "asyncssh", "mqtt": "paho", "spreadsheet": "openpyxl", "s3": "minio"}[extra])
    played = trial(template)
    for _ in range(played.given.get("runs", 1)):
        run = played.run()
    assert (run.status, run.error_text) == (played.given.get("status", "success"), played.given.get("error_text"))
    if "expected_output" in template:
        assert differs(played.output(run), template["expected_output"], "the output") is None
    sent = played.stage.filled(played.given.get("sent", {}))
    if "log" in sent:
        entries, _ = LogEntry.of(run.id, 1000, None)
        assert differs([[entry.level, entry.message] for entry in entries], sent.pop("log"), "the log") is None
    if "files" in sent:
        assert differs(played.sent("files"), sent.pop("files"), "files") is None
    for kind, expected in sent.items():
        assert lacks(played.sent(kind), expected, kind) is None
