"""The app in this process, with a database for each test, and logged-in clients."""

import json
import shutil
from contextlib import contextmanager
from dataclasses import replace

import pytest
from chosen_engine import ON_POSTGRES, database_of
from flask.testing import FlaskClient
from on_postgres import new_database

import database
import workflow_server
from config import KEY_FILE, Config
from database.queries import sessions

EMAIL, PASSWORD = "owner@example.org", "correct horse battery"
ECHO = {"nodes": [{"id": "start", "type": "manual"}], "edges": []}


class Client(FlaskClient):
    """A client with JSON bodies: `post(path, {"a": 1})`. `user` is the logged-in user or None."""

    user = None
    workspace = None

    def open(self, path, body=None, **options):
        if body is not None:
            # The standard library writes values that the server's JSON refuses: large integers, lone surrogates.
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
    """Return the settings of a small, fast server in this folder."""
    quick = {"run_threads": 4, "durability": "normal", "grace": 1, "admin_email": EMAIL, "admin_password": PASSWORD}
    settings = {**database_of(data_dir), **settings}
    # Tests of the API must not depend on a build of the browser app.
    return Config(data_dir=data_dir, **{"web_dir": data_dir / "no-web", **quick, **settings})


def copy_database(first, config):
    """Copy the database of a stopped server, and its key, for the server of `config`. Return the config of the copy."""
    config.data_dir.mkdir(exist_ok=True)
    shutil.copy(first.data_dir / KEY_FILE, config.data_dir)
    if ON_POSTGRES:
        return replace(config, database_url=new_database(config.database_path, first.database_url))
    shutil.copy(first.database_path, config.database_path)
    return config


@contextmanager
def started(app, config):
    """Start the server's components on the database of `config`; `app` uses them for its responses."""
    database.connect(config.database, config.durability)
    server = workflow_server.Server(config)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(app.extensions, "headrace", server)
        server.start()
        yield server
        server.stop()


def logged_in(app, user, workspace):
    """Return a client with a session of this user in this workspace."""
    client = app.test_client()
    client.user, client.workspace = user, workspace
    _, token = sessions.start(user, workspace.id, days=1)
    client.set_cookie("headrace_session", token)
    return client
