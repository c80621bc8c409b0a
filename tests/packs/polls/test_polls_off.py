"""A server without the pack of polls, which still has node types that poll: those of somebody's own."""

import pytest
from sources import Source, watched

from database import execute
from registry import PollKeeper, registry

NODES = [{"id": "new", "type": "watch", "config": {"url": "here"}}, {"id": "end", "type": "noop"}]
WATCHING = {"nodes": NODES, "edges": [["new", "end"]]}


@pytest.fixture
def off(owner, make_flow, monkeypatch):
    """An active flow with a trigger that was polled, in a server that polls no more."""
    with watched(Source()):
        made = make_flow(WATCHING, status="active")
        monkeypatch.setattr(registry, "polls", PollKeeper())
        monkeypatch.setattr(registry, "off", ["polls"])
        yield made


def counted():
    return execute("SELECT COUNT(*) FROM polls").fetchone()[0]


def test_a_flow_with_a_trigger_that_polls_cannot_be_activated(owner, off):
    answer = owner.post("/api/flows", {"name": "F", "status": "active", "definition": WATCHING})
    assert answer.status_code == 400
    assert "needs the pack polls; packs that HEADRACE_PACKS leaves out: polls" in answer.json["error"]
    assert answer.json["details"][0]["path"] == "nodes (new).type"


def test_what_is_known_of_a_trigger_stays_until_its_flow_is_deleted(owner, off):
    assert owner.put(f"/api/workflows/{off['id']}", {"status": "draft"}).status_code == 200
    assert counted() == 1
    assert owner.delete(f"/api/workflows/{off['id']}").status_code == 204
    assert counted() == 0
