"""Requests made from the API's own description: none may break the server, and every answer is as described.

The description is read from an app without a database, so that there is a test for every operation in it.
"""

from types import SimpleNamespace

import pytest
import schemathesis
from apps import copy_database, make_config
from flask import Flask
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

import api
import database
import workflow_server
from config import Config
from database.base import new_id
from database.queries import credentials, runs, sessions, workflows
from models import Membership, User
from packs.agents import agent_memory
from packs.agents.agent_memory import MemoryName


def no_error_of_the_server(ctx, response, case):
    """Refuse every 5xx but 503: a server without a model says so to a request that asks an agent."""
    return None if response.status_code == 503 else not_a_server_error(ctx, response, case)


CHECKS = [no_error_of_the_server, status_code_conformance, content_type_conformance, response_schema_conformance]
# Coverage tries every bound of every parameter, fuzzing as many examples as BOUNDS says.
PHASES = schemathesis.Config.from_dict({"phases": {"examples": {"enabled": False}, "stateful": {"enabled": False}}})
BOUNDS = settings(
    max_examples=20,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)
PLAIN = {"Accept-Encoding": "identity"}  # what asks here says that it takes gzip, and cannot read it
ECHO = '{"nodes":[{"id":"start","type":"manual"}],"edges":[]}'


def describe():
    """Return the API's description."""
    app = Flask("description")
    app.extensions["headrace"] = SimpleNamespace(cached_answers={}, config=Config())
    api.install(app)
    return schemathesis.openapi.from_wsgi("/api/openapi.json", app, config=PHASES)


schema = describe()


def closing_bodies(wsgi_app):
    """Close the body of each request: Werkzeug's client does not close the file that it makes for a large form."""

    def answer(environ, start_response):
        body = environ["wsgi.input"]
        try:
            return wsgi_app(environ, start_response)
        finally:
            body.close()

    return answer


@pytest.fixture(scope="module")
def live(first_app, tmp_path_factory):
    """The app with a database of this module's own, its threads running."""
    first = first_app.extensions["headrace"]
    config = copy_database(first.config, make_config(tmp_path_factory.mktemp("live"), run_threads=2))
    database.connect(config.database, config.durability)
    server = workflow_server.Server(config)
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(first_app.extensions, "headrace", server)
        patch.setattr(first_app, "wsgi_app", closing_bodies(first_app.wsgi_app))
        yield first_app
    server.stop()


def new_token(role="owner"):
    """An API token of the owner, as headers: a new one for each request, since some requests revoke one."""
    owner = Membership.get()
    _, text = sessions.issue_token(name="fuzz", role=role, user_id=owner.user_id, workspace_id=owner.workspace_id)
    return PLAIN | {"Authorization": f"Bearer {text}"}


def new_session():
    """A session of the owner, as headers."""
    owner = Membership.get()
    _, text = sessions.start(User.get_by_id(owner.user_id), owner.workspace_id, days=1)
    return PLAIN | {"Cookie": f"headrace_session={text}"}


def new_rows():
    """Rows for the ids in a path."""
    workspace, user = Membership.get().workspace_id, Membership.get().user_id
    flow = workflows.draft(workspace_id=workspace, name="Echo", status="draft", definition_json=ECHO)
    run = runs.record(flow, status="running", triggered_by="manual")
    memory = agent_memory.put(MemoryName(workspace, "researcher", "", "key"), "text", "[]")
    token, _ = sessions.issue_token(name="fuzz", role="viewer", user_id=user, workspace_id=workspace)
    credential = credentials.keep(workspace, name=new_id("name"), type="http_bearer", data="encrypted")
    rows = {"flow": flow, "run": run, "memory": memory, "token": token, "credential": credential}
    return {name: row.id for name, row in rows.items()} | {"workspace": workspace}


@schema.parametrize()
@BOUNDS
def test_any_request_is_answered_as_described(live, case):
    case.call_and_validate(app=live, headers=new_token(), checks=CHECKS)


@schema.include(path_regex=r"\{(flow|run|memory|token|credential|workspace)\}").parametrize()
@BOUNDS
def test_any_request_about_a_row_that_exists_is_answered_as_described(live, case):
    rows = new_rows()
    case.path_parameters = {name: rows.get(name, value) for name, value in case.path_parameters.items()}
    case.call_and_validate(app=live, headers=new_token(), checks=CHECKS)


@schema.include(path_regex=r"/(profile|auth/session)").parametrize()
@BOUNDS
def test_any_request_of_people_about_themselves_is_answered_as_described(live, case):
    case.call_and_validate(app=live, headers=new_session(), checks=CHECKS)
