"""The app in this process, over a database of a test's own, and clients of it who are logged in."""

import json
import shutil
from contextlib import contextmanager

import pytest
from flask.testing import FlaskClient

import database
import workflow_server
from config import KEY_FILE, Config
from models import Session

EMAIL, PASSWORD = "owner@example.org", "correct horse battery"
ECHO = {"nodes": [{"id": "start", "type": "manual"}], "edges": []}


class Client(FlaskClient):
    """A client whose bodies are JSON: `post(path, {"a": 1})`. `user` is who is logged in, None for nobody."""

    user = None
    workspace = None

    def open(self, path, body=None, **options):
        if body is not None:
            # By the standard library, which writes what the server's own JSON refuses: large integers, lone surrogates.
            options |= {"data": json.dumps(body), "content_type": "application/json"}
        return super().open(path, buffered=True, **options)

    def get(self, path, **options):
        return self.open(path, method="GET", **options)

    def post(self, path, body=None, **options):
        return self.open(path, body, method="POST", **options)

    def put(self, path, body=None, **options):
        return self.open(path, body, method="PUT", **options)

    def patch(self, path, body=None, **options):
        return self.open(path, body, method="PATCH", **options)

    def delete(self, path, body=None, **options):
        return self.open(path, body, method="DELETE", **options)


def make_config(data_dir, **settings):
    """The settings of a small, quick server in this folder."""
    quick = {"run_threads": 4, "durability": "normal", "grace": 1, "admin_email": EMAIL, "admin_password": PASSWORD}
    # Whether the browser app is built at the moment is nothing to a test that does not speak of it.
    return Config(data_dir=data_dir, **{"web_dir": data_dir / "no-web", **quick, **settings})


def copy_database(first, config):
    """Copy a database that no server works on any more, and its key, to where the config says; returns the config."""
    config.data_dir.mkdir(exist_ok=True)
    shutil.copy(first.database_path, config.database_path)
    shutil.copy(first.data_dir / KEY_FILE, config.data_dir)
    return config


@contextmanager
def started(app, config):
    """The parts of a process over the database of the config, their threads running, as what `app` answers from."""
    database.connect(config.database_path, config.durability)
    server = workflow_server.Server(config)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(app.extensions, "headrace", server)
        server.start()
        yield server
        server.stop()


def logged_in(app, user, workspace):
    """A client with a session of this user in this workspace."""
    client = app.test_client()
    client.user, client.workspace = user, workspace
    _, token = Session.start(user, workspace.id, days=1)
    client.set_cookie("headrace_session", token)
    return client
