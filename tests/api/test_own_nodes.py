"""Node types of HEADRACE_NODES_DIR through the API: they are in the catalog and run; broken files are reported."""

from dataclasses import replace

import pytest

import workflow_server
from models import Run
from nodes import REGISTRY, plugins

SHOUT = '''
from marshmallow import Schema
from nodes.sdk import Node, setting, text


class Shout(Node):
    """Says it loudly."""

    type = "shout"
    category = "data"

    class Config(Schema):
        message = text("What to say", required=True)

    def run(self, config, input, ctx):
        ctx.log("info", "shouting")
        return config["message"].upper()
'''
HOLD = '''
from nodes.sdk import Node, Suspend


class Hold(Node):
    """Waits until somebody says yes."""

    type = "hold"
    category = "logic"
    suspends = True
    answers = ("yes",)

    def run(self, config, input, ctx):
        return Suspend(None, "a yes")

    def resume(self, config, input, answer):
        return answer.name
'''
FLOW = {
    "nodes": [{"id": "start", "type": "manual"}, {"id": "say", "type": "shout", "config": {"message": "{{ input }}!"}}],
    "edges": [["start", "say"]],
}


@pytest.fixture
def files(tmp_path):
    """A folder with one node type and one broken file."""
    place = tmp_path / "own"
    place.mkdir()
    (place / "shout.py").write_text(SHOUT)
    (place / "whisper.py").write_text("x = 1\n1 / 0\n")
    yield place
    plugins.load(None)


@pytest.fixture
def folder(files, owner):
    """The same folder, loaded by a running server."""
    plugins.load(files)
    return files


def test_an_own_type_is_in_the_catalogue_and_marked(folder, owner):
    items = owner.get("/api/nodes?search=loudly").json["items"]
    assert [(item["type"], item["own"], item["name"]) for item in items] == [("shout", True, "Shout")]
    assert items[0]["config_schema"]["required"] == ["message"]
    assert [item["type"] for item in owner.get("/api/nodes").json["items"] if item["own"]] == ["shout"]


def test_broken_files_are_listed_with_every_search(folder, member):
    for query in ("", "?search=loudly", "?search=no+such+node"):
        answer = member("viewer").get(f"/api/nodes{query}").json
        reason = "line 2: ZeroDivisionError: division by zero"
        assert answer["broken"] == [{"file": "whisper.py", "reason": reason}] and answer["next_cursor"] is None


def test_without_a_folder_nothing_is_broken(owner):
    assert owner.get("/api/nodes").json["broken"] == []


def test_an_own_type_runs_in_a_flow(folder, owner, make_run):
    run = make_run(FLOW, "hello")
    assert (run["status"], run["output"]) == ("success", "HELLO!")
    assert [entry["message"] for entry in owner.get(f"/api/logs/{run['id']}").json["items"]] == ["shouting"]


def test_a_flow_with_a_type_of_a_broken_file_has_the_reason_as_its_error(folder, owner):
    definition = {"nodes": [{"id": "a", "type": "whisper"}]}
    why = "the file whisper.py in HEADRACE_NODES_DIR could not be loaded: line 2: ZeroDivisionError: division by zero"
    answer = owner.post("/api/workflows/validate", {"definition": definition}).json
    assert [issue["message"] for issue in answer["issues"]] == [f"unknown node type 'whisper'; {why}"]
    answer = owner.post("/api/flows", {"name": "W", "definition": definition, "status": "active"})
    assert answer.status_code == 400 and why in answer.json["error"]


def test_a_run_that_waits_while_its_type_vanishes_can_still_be_asked_about(folder, owner, make_flow):
    (folder / "hold.py").write_text(HOLD)
    assert [broken.file for broken in plugins.load(folder)] == ["whisper.py"]
    flow = make_flow({"nodes": [{"id": "a", "type": "hold"}]})
    run = owner.post(f"/api/workflows/{flow['id']}/run", {}).json
    assert (run["status"], run["waiting"]) == ("pending", "a yes")
    plugins.load(None)
    assert owner.post(f"/api/runs/{run['id']}/resume", {}).status_code == 409
    assert owner.get(f"/api/runs/{run['id']}/steps").json["items"][0]["status"] == "waiting"


def test_an_own_type_can_wait_for_an_answer(folder, owner, make_flow, server):
    (folder / "hold.py").write_text(HOLD)
    plugins.load(folder)
    flow = make_flow({"nodes": [{"id": "a", "type": "hold"}]})
    run = owner.post(f"/api/workflows/{flow['id']}/run", {}).json
    assert owner.post(f"/api/runs/{run['id']}/resume", {}).status_code == 200
    finished = server.dispatcher.waiting.wait(server.dispatcher.ticket_of(Run.get_by_id(run["id"])), 20)
    assert (finished.status, finished.output) == ("success", '"yes"')


def test_an_app_has_the_node_types_of_its_config(files, config):
    """Needs a process without a server, since it has one database open at a time."""
    for _ in range(2):
        workflow_server.create_app(replace(config, nodes_dir=files))
        assert REGISTRY["shout"].own and [broken.file for broken in plugins.BROKEN] == ["whisper.py"]
    workflow_server.create_app(config)
    assert "shout" not in REGISTRY and plugins.BROKEN == []


def test_an_app_starts_without_the_folder_that_its_config_names(config, tmp_path):
    workflow_server.create_app(replace(config, nodes_dir=tmp_path / "nothing"))
    assert [broken.file for broken in plugins.BROKEN] == [str(tmp_path / "nothing")]
    plugins.load(None)
