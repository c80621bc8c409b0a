"""A workspace with a row of each kind, for tests that use every route."""

import pytest
from apps import ECHO, EMAIL, copy_database, logged_in, make_config, started

from models import AgentRun, User, Workspace


@pytest.fixture(scope="session")
def furnished(first_app, tmp_path_factory):
    """The config and ids of a workspace of the owner with a row of each kind, made once and copied for each test."""
    first = first_app.extensions["headrace"].config
    config = copy_database(first, make_config(tmp_path_factory.mktemp("furnished")))
    with started(first_app, config):
        ids = furnish(logged_in(first_app, User.by_email(EMAIL), Workspace.get()))
    assert not config.database_path.with_name(f"{config.database_path.name}-wal").exists()
    return config, ids


def furnish(owner):
    """Make a row for each path parameter; return their ids by its name."""
    flow = owner.post("/api/flows", {"name": "Echo", "definition": ECHO}).json
    run = owner.post(f"/api/workflows/{flow['id']}/run", {"input": 1}).json
    memory = owner.post("/api/agent/memory", {"agent_id": "a", "key": "k", "content": "c"}).json
    token = owner.post("/api/tokens", {"name": "t"}).json
    bearer = {"name": "c", "type": "http_bearer", "data": {"token": "t"}}
    rows = {"flow": flow, "run": run, "memory": memory, "token": token}
    values = {"workspace_id": run["workspace_id"], "agent_id": "a", "run_id": run["id"], "node_id": "n"}
    AgentRun.add(id="arun_1", item_index=-1, task="t", status="success", **values)
    rows["agent_run"] = {"id": "arun_1"}
    rows["credential"] = owner.post("/api/credentials", bearer).json
    rows["workspace"] = {"id": run["workspace_id"]}
    rows["invitation"] = owner.post("/api/invitations", {"email": "new@example.org", "role": "viewer"}).json
    return {f"<{name}>": row["id"] for name, row in rows.items()}


@pytest.fixture
def config(config, request):
    """Settings with a separate database for each test: a copy of the furnished one if the test uses `ids`."""
    if "furnished" not in request.fixturenames:
        return config
    return copy_database(request.getfixturevalue("furnished")[0], config)


@pytest.fixture
def ids(furnished):
    """The ids of rows of the first workspace's owner, by path parameter."""
    return dict(furnished[1])
