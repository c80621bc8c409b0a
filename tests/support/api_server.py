"""A server for all tests of a module, and a workspace with a row of each kind, for tests that use every route."""

import sqlite3
from contextlib import ExitStack, closing

import on_postgres
import postgres_rows
import pytest
from apps import ECHO, EMAIL, copy_database, logged_in, make_config, started
from chosen_engine import ON_POSTGRES
from engines import snapshot
from servers import until
from strict_answers import Description

import api
import database
from api.openapi import make_document
from database import execute, shared, write
from database.base import now_ms
from database.queries import users
from models import AgentRun, Workspace
from packs.agents import agent_memory
from packs.agents.agent_memory import MemoryName
from registry import registry


class SharedServer:
    """A server for the tests of a module, one after the other: each finds the rows of a template, and no others.

    Restoring the rows takes a tenth of the time that starting a server takes. If a test leaves more than rows behind,
    the next one gets a new server. Its jobs by time are paused: they would find some rows of some tests by chance.
    """

    def __init__(self, app, make_folder):
        self.app, self.make_folder = app, make_folder
        self.server = self.config = None
        self._running = ExitStack()
        self._templates = {}  # copies of the databases in memory, by path

    def begin(self, template):
        """Restore the rows of the config `template`. Start a server if none can be used."""
        if self.server is not None and self._is_as_started():
            self.restore(self._rows_of(template))
            return
        self.stop()
        self.config = copy_database(template, make_config(self.make_folder()))
        self.server = self._running.enter_context(started(self.app, self.config))
        self.server.scheduler._scheduler.pause()
        self._files = self._list_files()

    def stop(self):
        """Stop the server."""
        self._running.close()
        if self.config is not None:
            on_postgres.release_database(self.config.database_path)
        self.server = self.config = None

    def close(self):
        """Stop the server and forget the templates."""
        self.stop()
        for rows in self._templates.values():
            rows.close()

    def save(self):
        """Return a copy of the rows in memory, for `restore`. The caller closes it."""
        if ON_POSTGRES:
            return PostgresRows(self.config)
        rows = sqlite3.connect(":memory:", isolation_level=None)
        database.db.connection().backup(rows)
        return rows

    def restore(self, rows):
        """Replace all rows once the runs have ended. Leases stay: those of the server are younger than the copy."""
        until(lambda: not self.server.dispatcher.active_count(), "end of the runs")
        self.server.recorder.commit([])  # waits for earlier writes
        if ON_POSTGRES:
            with write():
                postgres_rows.replace_rows(database.db.connection(), rows.by_table, staying=("leases",))
            return
        with shared.lock:
            leases = execute("SELECT name, until, owner, process FROM leases").fetchall()
            rows.execute("DELETE FROM leases")
            rows.executemany("INSERT INTO leases (name, until, owner, process) VALUES (?, ?, ?, ?)", leases)
            rows.backup(database.db.connection())
            with write():
                """Change the counters, so that all caches read again."""

    def each(self, cases, client):
        """Yield each case. Restore the rows and the session of the client after it, if it has changed them."""
        cookie = client.get_cookie("headrace_session")
        with closing(self.save()) as rows:
            for case in cases:
                commits = count_commits()
                yield case
                if count_commits() != commits:
                    self.restore(rows)
                if cookie is not None:
                    client.set_cookie(cookie.key, cookie.value)

    def _list_files(self):
        beside = {f"{self.config.database_path.name}{suffix}" for suffix in ("-shm", "-wal", ".lock")}
        return {path.name for path in self.config.data_dir.iterdir()} | beside

    def _is_as_started(self):
        dispatcher = self.server.dispatcher
        is_idle = dispatcher.is_open() and not dispatcher.is_paused and not dispatcher.active_count()
        return is_idle and not self.server.has_seen_proxy and self._list_files() == self._files

    def _rows_of(self, config):
        path = config.database_path
        if path not in self._templates:
            if ON_POSTGRES:
                self._templates[path] = PostgresRows(config)
                return self._templates[path]
            self._templates[path] = sqlite3.connect(":memory:", isolation_level=None)
            with closing(sqlite3.connect(path)) as source:
                source.backup(self._templates[path])
        return self._templates[path]


class PostgresRows:
    """A copy of the rows of a PostgreSQL database."""

    def __init__(self, config):
        self.by_table = snapshot(config.database_path)

    def close(self):
        """Do nothing: no connection is open."""


def count_commits():
    """Return a number that every commit changes; on PostgreSQL those to other databases change it too."""
    return (
        database.fetch_value("SELECT pg_snapshot_xmax(pg_current_snapshot())::text")
        if ON_POSTGRES
        else database.commits()
    )


@pytest.fixture(scope="module")
def shared_server(first_app, furnished, tmp_path_factory):
    """Let the tests of a module share a server; each has fresh rows all the same.

    A module asks for it with `pytestmark = pytest.mark.usefixtures("shared_server")`. Its tests must not change the
    server itself, other than with `monkeypatch`, and must not wait for anything that the scheduler starts.
    """
    shared = SharedServer(first_app, lambda: tmp_path_factory.mktemp("shared"))
    yield shared
    shared.close()


@pytest.fixture(scope="session")
def first_config(first_app):
    """The config of the first database. The app has another one while a server uses a copy."""
    return first_app.extensions["headrace"].config


@pytest.fixture(scope="session")
def furnished(first_app, first_config, tmp_path_factory):
    """The config and ids of a workspace of the owner with a row of each kind, made once and copied for each test."""
    config = copy_database(first_config, make_config(tmp_path_factory.mktemp("furnished")))
    with started(first_app, config):
        ids = furnish(logged_in(first_app, users.by_email(EMAIL), Workspace.get()))
    assert not config.database_path.with_name(f"{config.database_path.name}-wal").exists()
    return config, ids


def furnish(owner):
    """Make a row for each path parameter; return their ids by its name."""
    flow = owner.post("/api/flows", {"name": "Echo", "definition": ECHO}).json
    run = owner.post(f"/api/workflows/{flow['id']}/run", {"input": 1}).json
    token = owner.post("/api/tokens", {"name": "t"}).json
    bearer = {"name": "c", "type": "http_bearer", "data": {"token": "t"}}
    rows = {"flow": flow, "run": run, "token": token}
    values = {"workspace_id": run["workspace_id"], "agent_id": "a", "run_id": run["id"], "node_id": "n"}
    AgentRun.add(id="arun_1", item_index=-1, task="t", status="success", **values)
    rows["agent_run"] = {"id": "arun_1"}
    memory = agent_memory.put(MemoryName(run["workspace_id"], "a", "", "k"), "c", "[]", None, 1_000, now_ms())
    rows["memory"] = {"id": memory.id}
    rows["credential"] = owner.post("/api/credentials", bearer).json
    rows["workspace"] = {"id": run["workspace_id"]}
    rows["invitation"] = owner.post("/api/invitations", {"email": "new@example.org", "role": "viewer"}).json
    if "tables" in registry.packs:
        columns = [{"name": "total", "type": "number"}]
        rows["table"] = owner.post("/api/tables", {"name": "orders", "columns": columns}).json
    return {f"<{name}>": row["id"] for name, row in rows.items()}


@pytest.fixture
def template(first_config, furnished, request):
    """The config of the database that the test finds a copy of: the furnished one if the test uses `ids`."""
    return furnished[0] if "ids" in request.fixturenames else first_config


@pytest.fixture
def config(request, template):
    """Settings with the test's own database."""
    if "shared_server" not in request.fixturenames:
        config = copy_database(template, make_config(request.getfixturevalue("tmp_path") / "data"))
        yield config
        on_postgres.release_database(config.database_path)
        return
    shared = request.getfixturevalue("shared_server")
    shared.begin(template)
    yield shared.config


@pytest.fixture
def app(request, first_app, config):
    """The app over a database of its own, with its threads running; see `shared_server`."""
    if "shared_server" in request.fixturenames:
        yield first_app
    else:
        with started(first_app, config):
            yield first_app


@pytest.fixture
def client(app):
    """Somebody who is not logged in, as in tests/conftest.py; in tests/packs this name means something else."""
    return app.test_client()


@pytest.fixture
def ids(furnished):
    """The ids of rows of the first workspace's owner, by path parameter."""
    return dict(furnished[1])


@pytest.fixture(scope="session")
def description():
    """The OpenAPI document, which answers are compared with."""
    return Description(make_document(api.list_blueprints()))
