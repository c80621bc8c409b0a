"""The command line on a PostgreSQL database: what works as with SQLite, and what PostgreSQL does itself."""

import json

import pytest
from command_line import call, refused, roles

import database
from config import Config
from database.queries import leases, server_state
from database.queries.audit import NewAuditEntry
from models import Credential, Workspace
from security.credentials import Credentials
from security.vault import Vault
from workflow_server import prepare

pytestmark = pytest.mark.slow

KEY, NEW_KEY = "the first key, of the tests", "the second key, of the tests"


@pytest.fixture
def config(fresh_url, tmp_path, monkeypatch):
    """The settings of an empty server on PostgreSQL, which are also in the environment."""
    for name, value in {
        "DATABASE_URL": fresh_url(empty=True),
        "HEADRACE_SECRET_KEY": KEY,
        "HEADRACE_PUBLIC_URL": "https://flows.example.org",
        "HEADRACE_DATA_DIR": str(tmp_path / "data"),
        "HEADRACE_ADMIN_PASSWORD": "correct horse battery",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    config = Config.from_env()
    prepare(config)
    yield config
    database.disconnect()


@pytest.fixture
def connected(config):
    """`connected()` opens the database, which commands close."""

    def connect():
        database.connect(config.database)

    return connect


def test_users_are_added_and_listed(config, connected):
    call("user", "add", "a@example.org", "--role", "viewer", "--password-stdin", input="correct horse battery")
    assert "a@example.org\tviewer\t" in call("user", "list").stdout
    connected()
    assert roles() == {"admin@localhost": "owner", "a@example.org": "viewer"}


def test_flows_are_exported_and_imported(config, tmp_path):
    definition = {"nodes": [{"id": "start", "type": "manual"}], "edges": []}
    (tmp_path / "flow.json").write_text(json.dumps({"name": "A", "definition": definition}))
    call("import", "flow.json")
    exported = call("export", "--flows").stdout
    assert '"A"' in exported and '"manual"' in exported


def test_an_empty_database_gets_its_tables(config, fresh_url, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", url := fresh_url(empty=True))
    for _ in range(2):
        assert call("migrate").stdout == "The database is up to date\n"
    database.connect(url)
    assert Workspace.select().count() == 0


def test_a_paused_server_is_resumed(config, connected):
    connected()
    server_state.pause("a test")
    assert "resumes within seconds" in call("resume", "--skip-missed").stdout
    connected()
    assert not server_state.is_paused()


def test_a_key_is_rotated_while_no_server_lives(config, connected, tmp_path, monkeypatch):
    (tmp_path / "new").write_text(NEW_KEY)
    connected()
    workspace = Workspace.get()
    entry = NewAuditEntry("credential.created", workspace.id)
    Credentials(Vault.open(config)).keep(entry, {"value": "s"}, name="c", type="secret", hosts=None)
    leases.beat("proc_1", 60_000)
    assert "A server is working on postgresql://app@127.0.0.1" in refused("rotate-key", "--new-key-file", "new")
    connected()
    leases.end("proc_1")
    assert "HEADRACE_SECRET_KEY is set" in refused("rotate-key")
    assert "1 credential is under the new key" in call("rotate-key", "--new-key-file", "new").stdout
    assert "is not the key that the database postgresql://app@127.0.0.1" in refused_start(config)
    monkeypatch.setenv("HEADRACE_SECRET_KEY", NEW_KEY)
    prepare(Config.from_env())
    connected()
    assert Credentials(Vault.open(Config.from_env())).open(Credential.get()).data["value"] == "s"


def refused_start(config):
    with pytest.raises(Exception) as error:
        prepare(config)
    return str(error.value)


def test_backups_are_made_by_postgresql(config):
    for command, tool in ((("backup", "copy"), "pg_dump"), (("restore", "."), "pg_restore")):
        said = refused(*command)
        assert f"`{tool} " in said and "postgresql://app@127.0.0.1" in said and "Pa%27ss" not in said


def test_the_settings_are_shown_without_the_password(config):
    shown = call("config").stdout
    assert "DATABASE_URL=********" in shown and "# The database: postgresql://app@127.0.0.1" in shown
    assert "Pa%27ss" not in shown


def test_a_database_that_cannot_be_reached_is_one_line_without_the_password(config, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", "postgresql://app:hunter2@127.0.0.1:1/none")
    said = refused("user", "list")
    assert "cannot be reached" in said and "DATABASE_URL" in said and "hunter2" not in said


def test_a_wrong_password_is_one_line_without_it(config, monkeypatch):
    url = config.database_url.replace("Pa%27ss", "hunter2%27")
    monkeypatch.setenv("DATABASE_URL", url)
    said = refused("user", "list")
    assert "cannot be reached" in said and "hunter2" not in said
