"""Other users of the machine cannot read a server's files, whatever its data folder."""

import os
import stat

import pytest

import workflow_server
from config import Config
from database import backups
from database.queries import sessions
from models import User, Workspace

OTHERS = 0o077


@pytest.fixture(autouse=True)
def usual_umask():
    """The usual umask: files are readable by all."""
    before = os.umask(0o022)
    yield
    os.umask(before)


@pytest.fixture
def data_dir(tmp_path):
    """An existing folder, open to all."""
    folder = tmp_path / "data"
    folder.mkdir(mode=0o755)
    return folder


@pytest.fixture
def config(data_dir):
    return Config(data_dir=data_dir, admin_password="correct horse battery", web_dir=data_dir / "no-web")


@pytest.fixture
def running(config):
    """A server with its threads and its own database."""
    app = workflow_server.create_app(config)
    app.extensions["headrace"].start()
    yield app
    app.extensions["headrace"].stop()


def open_to_others(folder):
    """Return the paths below the folder that others may open."""
    return [path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.stat().st_mode & OTHERS]


def test_all_files_of_a_server_are_private_to_its_user(running, data_dir):
    client = running.test_client()
    _, token = sessions.start(User.get(), Workspace.get().id, days=1)
    client.set_cookie("headrace_session", token)
    nodes = [
        {"id": "hook", "type": "webhook", "config": {"path": "orders", "respond": "last", "rate_limit": 5}},
        {"id": "keep", "type": "file", "config": {"operation": "write", "path": "a/b.txt", "data": "x"}},
    ]
    definition = {"nodes": nodes, "edges": [["hook", "keep"]]}
    made = client.post("/api/flows", json={"name": "Orders", "status": "active", "definition": definition})
    assert made.status_code == 201, made.text
    answer = client.open("/api/webhooks/orders", method="POST", data="x" * 200_000)
    assert answer.status_code == 200, answer.text
    backups.copy_database(data_dir / "copy.sqlite3")
    names = {path.name for path in data_dir.rglob("*")}
    assert {"headrace.sqlite3", "headrace.sqlite3-wal", "values", "files", "rates", "b.txt", "input.json"} <= names
    assert open_to_others(data_dir) == []


def test_a_database_open_to_others_is_closed_with_a_warning(config, caplog):
    workflow_server.prepare(config)
    config.database_path.chmod(0o644)
    caplog.clear()
    workflow_server.prepare(config)
    assert stat.S_IMODE(config.database_path.stat().st_mode) == 0o600
    assert "was accessible to other users" in caplog.text
    caplog.clear()
    workflow_server.prepare(config)
    assert "other users" not in caplog.text
