"""Every version opens, migrates and uses the data of each released version: the archives beside this file.

`make_database.py` makes the archive of this version; archives of earlier versions are never made again. That named
"before-0.2.0" is of the last state with the migrations that the baseline replaces (commit e7cfe816).
"""

import re
import sqlite3
import tarfile
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from make_database import KEY, SECRET
from servers import EMAIL, PASSWORD, until
from world import fresh_database

import database
import workflow_server
from config import Config
from constants import VERSION
from database import backups
from database.base import DAY_MS, Base, now_ms
from database.queries import server_state
from models import Workspace
from packs.moving import archives

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
KEPT = sorted(HERE.glob("*.tar.xz"), key=lambda path: [int(part) for part in re.findall(r"\d+", path.name)])
REFUSED = {"0.1.0"}  # released, with a schema that is no longer migrated
LISTS = [
    "/api/flows", "/api/runs", "/api/logs", "/api/agents", "/api/agent/logs", "/api/agent/memory?agent_id=mine",
    "/api/credentials", "/api/schedules", "/api/members", "/api/tokens", "/api/presets", "/api/audit",
    "/api/invitations", "/api/files", "/api/profile/sessions", "/api/workspaces",
]  # fmt: skip
# Leases are not part of a restore, and the others need services.
EMPTY = {"leases", "oauth_grants", "oauth_attempts", "registered_hooks"}


def version_of(path):
    return path.name.removesuffix(".tar.xz")


def rows(path, sql):
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(sql).fetchall()


def schema(path):
    """Return the SQL of each object by its type and name, without differences that have no effect."""
    found = rows(path, "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'")
    return {(kind, name): " ".join(sql.replace('"', "").split()) for kind, name, sql in found}


@pytest.fixture
def newest(tmp_path):
    """The database of the newest archive, unpacked and not migrated."""
    with tarfile.open(KEPT[-1]) as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / backups.DATABASE


@pytest.fixture(params=KEPT, ids=version_of)
def restored(request, tmp_path):
    """The settings of a server with the data of that version."""
    with tarfile.open(request.param) as archive:
        archive.extractall(tmp_path / "copy", filter="data")
    quick = {"run_threads": 4, "durability": "normal", "grace": 1, "web_dir": tmp_path / "no-web"}
    config = Config(data_dir=tmp_path / "data", secret_key=KEY, **quick)
    backups.restore(config, tmp_path / "copy")
    with closing(sqlite3.connect(config.database_path)) as connection, connection:
        # These would be over: they last for days from the making of the archive.
        connection.execute("UPDATE invitations SET expires_at = ?", (now_ms() + DAY_MS,))
        connection.execute("UPDATE waits SET wake_at = ? WHERE reason LIKE 'approval:%'", (now_ms() + DAY_MS,))
    return config


@pytest.fixture
def app(restored, first_app):
    """The app with that data; it is paused."""
    app = workflow_server.create_app(restored)
    app.test_client_class = first_app.test_client_class
    server = app.extensions["headrace"]
    server.start()
    yield app
    server.stop()


@pytest.fixture
def owner(app):
    """The owner, logged in with the password from the archive."""
    client = app.test_client()
    answer = client.post("/api/auth/login", {"email": EMAIL, "password": PASSWORD})
    assert answer.status_code == 200, answer.text
    return client


@pytest.fixture
def resumed(app, owner):
    """The owner, once the server has been resumed."""
    assert server_state.resume()
    app.extensions["headrace"].dispatcher.sweep()
    assert owner.get("/api/ready").json["paused"] is False
    return owner


def flow_named(client, name):
    (found,) = [flow for flow in client.get("/api/flows").json["items"] if flow["name"] == name]
    return found


def runs_of(client, name):
    return client.get(f"/api/runs?workflow_id={flow_named(client, name)['id']}").json["items"]


def ended(client, id_):
    return until(lambda: (run := client.get(f"/api/runs/{id_}").json)["finished_at"] and run, "the run ends")


def migrations_of(database_path):
    """Return the names of the applied migrations, with the baseline in place of the former ones."""
    names = {name for (name,) in rows(database_path, f"SELECT name FROM {database.HISTORY}")}
    return database.replace_former(names, "", None)


def test_each_released_version_has_an_archive():
    released = re.findall(r"^## (\S+) \(\d", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    missing = set(released) - REFUSED - {version_of(path) for path in KEPT}
    assert not missing, "make it before its release: python tests/migrations/make_database.py"


def test_a_migration_belongs_to_a_version_that_is_not_released_yet(newest):
    assert migrations_of(newest) <= database.migrations()
    if migrations_of(newest) != database.migrations():
        assert version_of(KEPT[-1]) != VERSION, "a released version gets no migration: raise VERSION in constants.py"


def test_the_newest_archive_has_rows_in_every_table(newest):
    there = {name for (name,) in rows(newest, "SELECT name FROM sqlite_master WHERE type = 'table'")}
    tables = {model._meta.table_name for model in Base.__subclasses__()} - EMPTY
    # The archive of a released version is not changed, so it lacks the tables of later migrations.
    assert tables <= there or migrations_of(newest) < database.migrations(), "run make_database.py"
    assert {name for name in tables & there if not rows(newest, f"SELECT 1 FROM {name} LIMIT 1")} == set()
    assert list((newest.parent / "values").rglob("*.json")) and (newest.parent / "files").is_dir()


def test_a_database_that_this_version_has_opened_says_so_to_older_ones(restored):
    workflow_server.prepare(restored)
    assert rows(restored.database_path, "SELECT value FROM server_facts WHERE name = 'version'") == [(VERSION,)]


def test_a_migrated_database_is_intact_and_has_the_schema_of_a_new_one(restored, tmp_path):
    workflow_server.prepare(restored)
    (tmp_path / "new").mkdir()
    with fresh_database(tmp_path / "new") as new:
        assert schema(restored.database_path) == schema(new)
    assert rows(restored.database_path, "PRAGMA integrity_check") == [("ok",)]
    assert rows(restored.database_path, "PRAGMA foreign_key_check") == []
    names = {name for (name,) in rows(restored.database_path, f"SELECT name FROM {database.HISTORY}")}
    assert names == database.migrations()


@pytest.fixture
def exported(restored, tmp_path):
    """The file that `export --all` of that version writes, and the rows of its tables."""
    database.connect(restored.database_path)
    archives.write_file(tmp_path / "all.zip", restored, lambda *_: None)
    database.disconnect()
    with archives.open_archive(tmp_path / "all.zip") as archive:
        # The restore adds why the server is paused.
        tables = {name: table for name, table in archive.tables().items() if name != "server_facts"}
        return tmp_path / "all.zip", {table: list(archive.read(table)) for table in tables.values()}


def test_an_archive_of_an_earlier_schema_is_restored_and_migrated(restored, exported, tmp_path):
    path, content = exported
    config = replace(restored, data_dir=tmp_path / "imported")
    archives.restore(config, path, lambda *_: None)
    names = {name for (name,) in rows(config.database_path, f"SELECT name FROM {database.HISTORY}")}
    assert names == database.migrations()
    for table, wanted in content.items():
        select = f"SELECT {', '.join(table.columns)} FROM {table.name} ORDER BY {', '.join(table.key)}"
        assert rows(config.database_path, select) == wanted, table.name


@pytest.mark.slow
def test_an_archive_of_an_earlier_schema_is_restored_to_postgresql(restored, exported, tmp_path, fresh_url):
    path, content = exported
    url = fresh_url(empty=True)
    config = replace(restored, data_dir=tmp_path / "imported", database_url=url, files_dir=tmp_path / "files")
    archives.restore(config, path, lambda *_: None)
    with psycopg.connect(url) as connection:
        names = {name for (name,) in connection.execute(f"SELECT name FROM {database.HISTORY}")}
        assert names == database.migrations()
        for table, wanted in content.items():
            select = f"SELECT {', '.join(table.columns)} FROM {table.name} ORDER BY {', '.join(table.key)}"
            assert connection.execute(select).fetchall() == wanted, table.name


@pytest.mark.pack("agents", "importing")
def test_every_list_of_an_archive_can_be_read(owner):
    answers = {path: owner.get(path) for path in LISTS}
    found = [
        f"{path}: {answer.status_code} {answer.text}"
        for path, answer in answers.items()
        if answer.status_code != 200 or not answer.json["items"]
    ]
    assert not found, "\n".join(found)


def test_runs_of_an_archive_are_read_with_their_steps_and_large_values(owner):
    (large,) = runs_of(owner, "Large values")
    assert owner.get(f"/api/runs/{large['id']}/output").json == {"text": "x" * 200_000}
    (_, failed) = runs_of(owner, "Fails")
    steps = owner.get(f"/api/runs/{failed['id']}/steps").json["items"]
    assert [(step["node_id"], step["status"]) for step in steps] == [("halt", "failed")]
    flow = flow_named(owner, "Doubles")
    assert flow["version"] == 2 and len(owner.get(f"/api/workflows/{flow['id']}/versions").json["items"]) == 2


def test_a_flow_of_an_archive_runs_with_its_credential(app, resumed):
    flow = flow_named(resumed, "Doubles")
    run = resumed.post(f"/api/workflows/{flow['id']}/run?wait=20", {"input": {"n": 5}}).json
    assert (run["status"], run["output"]) == ("success", {"length": len(SECRET), "n": 5}), run
    server = app.extensions["headrace"]
    assert server.credentials.find(Workspace.select().order_by(Workspace.id).get().id, "kept").data["value"] == SECRET


def test_a_webhook_of_an_archive_is_answered(resumed):
    answer = resumed.post("/api/webhooks/kept", {"order": 8})
    assert answer.status_code == 200 and answer.json["body"] == {"order": 8}, answer.text


def test_runs_waiting_in_an_archive_continue(resumed):
    (nap,) = runs_of(resumed, "Naps")
    assert ended(resumed, nap["id"])["status"] == "success"
    waiting = [run for run in runs_of(resumed, "Asks") if run["finished_at"] is None]
    assert len(waiting) == 2, "one by itself, one for another flow"
    for run in waiting:
        answer = resumed.post(f"/api/runs/{run['id']}/resume", {"answer": "approved"})
        assert answer.status_code == 200, answer.text
        assert ended(resumed, run["id"])["status"] == "success"
    (calling,) = runs_of(resumed, "Calls")
    assert ended(resumed, calling["id"])["status"] == "success"


def test_a_paused_copy_of_an_archive_starts_nothing(app, owner):
    (nap,) = runs_of(owner, "Naps")
    dispatcher = app.extensions["headrace"].dispatcher
    dispatcher.sweep()
    dispatcher.wake()
    assert owner.get(f"/api/runs/{nap['id']}").json["waiting"]
