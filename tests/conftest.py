"""A server over a real SQLite file, and people to ask it things.

The database is made once a session and copied for every test: hashing a password takes as long as ten requests do.
"""

import gc
import os
import re
import signal
import threading
from dataclasses import replace
from pathlib import Path

import on_postgres
import pytest
import written
from apps import ECHO, EMAIL, Client, copy_database, logged_in, make_config, started
from argon2 import PasswordHasher
from chosen_engine import ON_POSTGRES
from servers import until
from shortcuts import BehindShortcut

import database
import workflow_server
from config import Config
from database import write
from database.base import now_ms
from database.queries import sessions, users, workspaces
from models import Membership, Session, User, Workspace
from nodes.base import REGISTRY, Node
from registry import registry
from security import accounts

# Before the tests look at node types: all packs, or those of HEADRACE_PACKS.
registry.load(Config.from_env({"HEADRACE_PACKS": os.environ.get("HEADRACE_PACKS", "all")}).packs)

ALL_SLOW = re.compile(r"^pytestmark = \[?pytest\.mark\.slow\b(?!.*mark\.postgres\b)", re.MULTILINE)
# properties has the profiles of hypothesis.
pytest_plugins = ["compiling", "file_order", "network", "postgres", "properties"]


if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    # So it is where the tests are started in the background, and so it would be for every process that they start: a
    # handler is not inherited, but an ignored signal is. Here it stays without effect.
    signal.signal(signal.SIGINT, lambda number, frame: None)


def pytest_configure(config):
    """Start the PostgreSQL server of the tests, if they are to use one, in the process that starts the others."""
    if ON_POSTGRES and not hasattr(config, "workerinput"):
        on_postgres.start()
        config.add_cleanup(on_postgres.stop)
    config.add_cleanup(on_postgres.close_connections)


@pytest.hookimpl(trylast=True)
def pytest_unconfigure():
    """Do not look a second time for garbage at the end of the process: pytest has just looked for errors in it."""
    gc.freeze()


def pytest_pycollect_makemodule(module_path, parent):
    """Load the plugin of schemathesis for its tests alone: it is large, and costs time in each test."""
    plugins = parent.config.pluginmanager
    if module_path.name == "test_schemathesis.py" and not plugins.hasplugin("schemathesis"):
        plugins.import_plugin("schemathesis.pytest.plugin")


def pytest_ignore_collect(collection_path, config):
    """Do not import a file whose tests are all slow if only the others run: some import what takes seconds."""
    if config.option.markexpr.startswith("not slow") and collection_path.suffix == ".py":
        return ALL_SLOW.search(collection_path.read_text(encoding="utf-8")) is not None or None
    return None


def pytest_collection_modifyitems(items):
    """Skip nightly tests unless all examples are tried, and on PostgreSQL the tests of SQLite alone."""
    from properties import tries_all  # a plugin: pytest imports it first

    for item in () if tries_all() else items:
        if item.get_closest_marker("nightly"):
            item.add_marker(pytest.mark.skip(reason="takes long; EXAMPLES=full runs it"))
    for item in items:
        for marker in item.iter_markers("pack"):
            for name in marker.args:
                if name not in registry.packs:
                    item.add_marker(pytest.mark.skip(reason=f"HEADRACE_PACKS leaves out the pack {name}"))
        for marker in item.iter_markers("sqlite_only"):
            (reason,) = marker.args
            if ON_POSTGRES:
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Do not look for garbage among what the collection of the tests makes, now or later: it stays until the end.

    Later, look for it as seldom as the server does (gunicorn.conf.py).
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(50_000, 20, 50)
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """A report without half surrogate pairs, which some tests log: tests in several processes send it as UTF-8."""
    report = yield
    report.sections = [(name, text.encode("utf-8", "replace").decode()) for name, text in report.sections]
    return report


@pytest.fixture(scope="module", autouse=True)
def engine_of_the_tests():
    """After tests of PostgreSQL, the next file has SQLite again, as without the tests before."""
    yield
    if database.is_postgres() and not ON_POSTGRES:
        database.disconnect()
        database.connect(Path(os.devnull))


@pytest.fixture(scope="session", autouse=True)
def weak_hashes():
    """Hash passwords with the least work, as a hash takes as long as ten requests. Give the hasher of servers."""
    with pytest.MonkeyPatch.context() as patch:
        hasher = accounts._get_hasher()
        patch.setattr(accounts, "_get_hasher", lambda: PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
        yield hasher


@pytest.fixture(scope="session")
def first_app(tmp_path_factory):
    """An app over a database as the first start leaves it: one owner, one workspace. Its threads do not run."""
    config = make_config(tmp_path_factory.mktemp("first"))
    if ON_POSTGRES:
        config = replace(config, database_url=on_postgres.new_database(config.database_path))
    app = workflow_server.create_app(config)
    app.test_client_class = Client
    database.connect(config.database, config.durability)
    app.extensions["first_owner"] = logged_in(app, users.by_email(EMAIL), Workspace.get())
    database.disconnect()
    return app


@pytest.fixture
def config(tmp_path, first_app):
    """Settings over a fresh copy of the first database, with its key."""
    config = copy_database(first_app.extensions["headrace"].config, make_config(tmp_path / "data"))
    yield config
    on_postgres.release_database(config.database_path)


@pytest.fixture
def app(config, first_app):
    """The app over a database of its own, with its threads running.

    The Flask app itself is the same for all tests: putting the API together takes longer than most tests do.
    """
    with started(first_app, config):
        yield first_app


@pytest.fixture(scope="module")
def shared_app(first_app, tmp_path_factory):
    """The app over one database for a whole file: for tests that only read, or whose requests are all refused."""
    first = first_app.extensions["headrace"].config
    config = copy_database(first, make_config(tmp_path_factory.mktemp("shared") / "data"))
    with started(first_app, config):
        yield first_app
    on_postgres.release_database(config.database_path)


@pytest.fixture
def behind(app, monkeypatch):
    """The app behind its shortcut; `behind.taken` counts what that answered."""
    if database.is_postgres():
        # The server leaves calls to the view while it has not looked for changes by others for two seconds.
        monkeypatch.setattr("packs.postgres.engine.STALE_SECONDS", 60)
        until(database.settings_commits, "the changes by others are known")
    behind = BehindShortcut(app)
    monkeypatch.setattr(app, "wsgi_app", behind)
    return behind


@pytest.fixture(params=["view", "shortcut"])
def way(request):
    """How calls of webhooks are answered: by the view alone, or by the server's shortcut first (BehindShortcut)."""
    return None if request.param == "view" else request.getfixturevalue("behind")


@pytest.fixture
def unhurried(monkeypatch):
    """Runs are quick however long they take: the machine may have much else to do, or Python's collector."""
    monkeypatch.setattr("dispatch.quick_runs.QUICK_SECONDS", 60)


@pytest.fixture
def server(app):
    """The parts of the process: dispatcher, recorder, scheduler."""
    return app.extensions["headrace"]


@pytest.fixture
def client(app):
    """Somebody who is not logged in."""
    return app.test_client()


@pytest.fixture
def owner(app):
    """The first owner, who is the admin too, with the session of the first database, if this is a copy of it."""
    user, workspace = users.by_email(EMAIL), Workspace.get()
    first = app.extensions.get("first_owner")
    if first is None or Session.select().count() == 0:
        return logged_in(app, user, workspace)
    client = app.test_client()
    client.user, client.workspace = user, workspace
    client.set_cookie("headrace_session", first.get_cookie("headrace_session").value)
    return client


@pytest.fixture
def workspace(owner):
    """The first workspace."""
    return owner.workspace


@pytest.fixture
def add_member(owner):
    """`add_member(role, workspace)` gives a new user with this role there. Everybody's password is PASSWORD."""

    def add(role, workspace=None, email=None, is_admin=False):
        number = User.select().count()
        name = f"{role}{number}"
        values = {"password_hash": owner.user.password_hash, "is_admin": is_admin}
        user = User.add(email=email or f"{name}@example.org", name=name, **values)
        where = workspace or owner.workspace
        with write():
            Membership.create(workspace_id=where.id, user_id=user.id, role=role, created_at=now_ms())
        return user

    return add


@pytest.fixture
def member(app, owner, add_member):
    """`member(role)` gives a client with a session of a new user with this role. `is_admin` makes them an admin."""

    def make(role, workspace=None, is_admin=False):
        where = workspace or owner.workspace
        return logged_in(app, add_member(role, where, is_admin=is_admin), where)

    return make


@pytest.fixture
def other(app, owner, add_member):
    """The owner of a second workspace, logged in: a stranger to the first."""
    user = add_member("viewer", email="stranger@example.org")
    workspaces.leave(Membership.get(user_id=user.id))
    return logged_in(app, user, workspaces.found("Other", user))


@pytest.fixture
def token_client(app, owner):
    """`token_client(role)` gives a client with an API token of the owner; `client.token` is its row."""

    def make(role, user=None, workspace=None, expires_at=None):
        client = app.test_client()
        client.user, client.workspace = user or owner.user, workspace or owner.workspace
        values = {"user_id": client.user.id, "workspace_id": client.workspace.id, "expires_at": expires_at}
        client.token, text = sessions.issue_token(name="test", role=role, **values)
        client.environ_base["HTTP_AUTHORIZATION"] = f"Bearer {text}"
        return client

    return make


@pytest.fixture
def make_flow(owner):
    """`make_flow(definition)` gives the JSON of a new flow, by default one that answers its input."""

    def make(definition=None, who=None, **values):
        body = {"name": "Echo", "definition": ECHO if definition is None else definition, **values}
        answer = (who or owner).post("/api/flows", body)
        assert answer.status_code == 201, answer.text
        return answer.json

    return make


@pytest.fixture
def flow(make_flow):
    """A draft that answers its input."""
    return make_flow()


@pytest.fixture
def make_run(owner, make_flow):
    """`make_run(definition, input)` gives the JSON of a run that has finished."""

    def make(definition=None, input=None, who=None):
        flow = make_flow(definition, who)
        answer = (who or owner).post(f"/api/workflows/{flow['id']}/run", {"input": input})
        assert answer.status_code == 200, answer.text
        return answer.json

    return make


@pytest.fixture
def run(make_run):
    """A finished run of the echo, with its input 1."""
    return make_run(input=1)


@pytest.fixture
def gate(app):
    """A node type `gate`: a run stops there until the test sets this event. It is set at the end in any case."""
    opened = threading.Event()

    class Gate(Node):
        """Waits for the test."""

        type = "gate"
        category = "logic"

        def run(self, config, input, ctx):
            opened.wait(20)
            return input

    yield opened
    opened.set()
    del REGISTRY["gate"]


@pytest.fixture
def count_rows(app):
    """`count_rows()` gives how many rows each table has, to see that nothing was half written."""
    return written.count_rows
