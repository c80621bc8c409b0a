"""How many schedules are overdue, and polls fail, as the API and Prometheus see it."""

import pytest
from moments import START, schedule
from world import add_flow, flow

import database
import workflow_server
from models import Poll
from packs.polls import queries as polls


@pytest.fixture
def app(config, first_app, monkeypatch):
    """The app without its threads, so that nothing fires."""
    database.connect(config.database, config.durability)
    monkeypatch.setitem(first_app.extensions, "headrace", workflow_server.Server(config))
    yield first_app
    database.disconnect()


def test_the_api_counts_schedules_of_the_workspace(owner, workspace, other):
    schedule(START - 10**11, workspace=workspace.id, every=60)
    assert owner.get("/api/metrics").json["overdue_schedules"] == 1
    assert other.get("/api/metrics").json["overdue_schedules"] == 0


@pytest.mark.pack("prometheus")
def test_prometheus_counts_all(token_client, workspace):
    assert "headrace_schedules_overdue 0.0" in token_client("viewer").get("/metrics").text
    schedule(START - 10**11, workspace=workspace.id, every=60)
    schedule(START - 10**11, workspace="ws_else", every=60)
    assert "headrace_schedules_overdue 2.0" in token_client("viewer").get("/metrics").text


@pytest.mark.pack("prometheus")
def test_failing_polls_are_counted(owner, token_client, workspace):
    for where, failures in ((workspace.id, 1), ("ws_else", 2), (workspace.id, 0)):
        made = add_flow(flow("a"), where)
        polls.sync(made, [("a", {"type": "x", "every": 60, "source": "here"})], 0)
        Poll.update(failures=failures).where(Poll.workflow_id == made.id).execute()
    assert owner.get("/api/metrics").json["failing_polls"] == 1
    text = token_client("viewer").get("/metrics").text
    assert "headrace_polls_failing 2.0" in text and "headrace_polls_overdue 3.0" in text
