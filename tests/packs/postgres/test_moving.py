"""`migrate-to-postgres`: everything arrives, an interrupted move leaves one complete database, one server starts."""

import shutil
import signal

import command_line
import psycopg
import pytest
from apps import make_config, started
from command_line import call, refused
from disks import Full
from filled import VALUES, as_moved, fill, postgres_content, postgres_values, read_values, sqlite_content, tables
from filled import write_values as write_value_files
from servers import until
from world import PATIENCE, end_child, flow, node, start_python

import database
from config import KEY_FILE, Config
from database.queries import leases
from errors import ConfigError, Conflict
from packs.agents import agent_memory
from packs.agents.agent_memory import MemoryName
from packs.postgres import engine as postgres
from packs.postgres import moving
from workflow_server import create_app, prepare

pytestmark = [
    pytest.mark.slow,
    pytest.mark.sqlite_only("the data move from an SQLite file to a PostgreSQL database of these tests"),
]
folder, data_dir = command_line.folder, command_line.data_dir
OBJECTS = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"


def ask(url, sql):
    """Return the rows of a query on PostgreSQL."""
    with psycopg.connect(url, autocommit=True) as connection:
        return connection.execute(sql).fetchall()


def move(served, url, report=lambda *_: None):
    """Move without the command, to choose what happens meanwhile."""
    database.connect(served.database_path)
    try:
        return moving.move(url, served.data_dir / "values", served.lease, report)
    finally:
        database.disconnect()


def start(served, url=None):
    """Prepare the start of a server on the SQLite file, or on PostgreSQL. Return the login of a new owner, or None."""
    key = (served.data_dir / KEY_FILE).read_text().strip()
    values = {} if url is None else {"database_url": url, "secret_key": key}
    try:
        return prepare(Config(data_dir=served.data_dir, **values))
    finally:
        database.disconnect()


@pytest.fixture
def served(config, data_dir):
    """The settings of a stopped server with an owner."""
    database.disconnect()
    return config


@pytest.fixture
def full(served):
    """The settings of a stopped server with rows in every table and large values; `full.names` are the tables."""
    database.connect(served.database_path)
    fill()
    write_value_files(served.data_dir / "values")
    database.disconnect()
    return served


@pytest.fixture
def url(fresh_url):
    """The URL of an empty database."""
    return fresh_url(empty=True)


# All data


def test_every_row_and_value_arrives_as_it_was(full, url):
    database.connect(full.database_path)
    names = tables()
    database.disconnect()
    before = sqlite_content(full.database_path, names)
    result = call("migrate-to-postgres", url)
    assert without_facts(postgres_content(url, names)) == without_facts(as_moved(before, without_nul=True))
    assert all(before.values()) and len(names) > 30
    assert postgres_values(url) == VALUES == read_values(full.data_dir / "values")
    rows = sum(map(len, before.values()))
    assert f"has {rows} rows of {len(names)} tables and 4 large values" in result.stdout
    assert "continue at the next start: 2" in result.stdout
    assert "NUL became U+FFFD, since PostgreSQL has none: 2" in result.stdout
    assert f"HEADRACE_SECRET_KEY_FILE={full.data_dir / KEY_FILE}" in result.stdout
    assert "runs: 5" in result.stderr and "wörd" not in result.stdout + result.stderr and "%C3" not in result.stdout
    assert ask(url, "SELECT COUNT(*) FROM leases") == [(0,)]
    assert without_facts(sqlite_content(full.database_path, names)) == without_facts(before), "the file stays as it was"


def without_facts(found):
    """Return the content without the marks of the move."""
    return found | {"server_facts": []}


def test_a_server_on_the_new_database_has_the_owner_and_the_key(served, url):
    call("migrate-to-postgres", url)
    assert start(served, url) is None
    assert ask(url, "SELECT COUNT(*) FROM users") == [(1,)]


def test_a_run_that_waits_is_answered_on_postgresql_by_a_user_who_is_still_logged_in(first_app, served, url, tmp_path):
    large = "x" * 100_000
    nodes = [
        node("start", "manual"),
        node("big", "set", {"values": {"text": "{{ input.text }}"}}),
        node("ask", "approval", {"message": "Go on?"}),
        node("done", "set", {"values": {"size": "{{ steps.big.text | length }}"}}),
    ]
    definition = flow(*nodes, edges=["start big", "big ask", "ask done approved"])
    client = first_app.test_client()
    client.set_cookie("headrace_session", first_app.extensions["first_owner"].get_cookie("headrace_session").value)
    with started(first_app, served):
        made = client.post("/api/flows", {"name": "Asks", "definition": definition}).json
        run = client.post(f"/api/workflows/{made['id']}/run", {"input": {"text": large}}).json
        until(lambda: client.get(f"/api/runs/{run['id']}").json["waiting"], "the run waits")
        steps = client.get(f"/api/runs/{run['id']}/steps").json
    call("migrate-to-postgres", url)
    key = (served.data_dir / KEY_FILE).read_text().strip()
    with started(first_app, make_config(tmp_path / "other", database_url=url, secret_key=key)):
        assert client.get(f"/api/runs/{run['id']}/steps").json == steps
        assert client.post(f"/api/runs/{run['id']}/resume", {"answer": "approved"}).status_code == 200
        ended = until(lambda: find_ended(client, run["id"]), "the run ends")
        assert (ended["status"], ended["output"]) == ("success", {"size": len(large)})


def find_ended(client, id_):
    """Return the run if it has ended."""
    run = client.get(f"/api/runs/{id_}").json
    return run if run["finished_at"] else None


def test_memories_are_found_and_numbered_after_the_last(served, url):
    database.connect(served.database_path)
    agent_memory.put(MemoryName("ws_1", "agent", "", "a"), "Das Café in Köln", "")
    database.disconnect()
    call("migrate-to-postgres", url)
    assert ask(url, "SELECT number FROM agent_memories WHERE words @@ CAST('koln' AS tsquery)") == [(1,)]
    sql = "SELECT nextval(pg_get_serial_sequence('agent_memories', 'number'))"
    assert ask(url, sql) == [(2,)]


def test_the_url_can_be_in_the_setting(served, url, monkeypatch):
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("HEADRACE_PUBLIC_URL", "https://flows.example.org")
    monkeypatch.setenv("HEADRACE_SECRET_KEY_FILE", str(served.data_dir / KEY_FILE))
    call("migrate-to-postgres")
    assert ask(url, "SELECT COUNT(*) FROM users") == [(1,)]


# One server


def test_no_server_starts_on_the_file_after_the_move(served, url):
    call("migrate-to-postgres", url)
    for command in (["user", "add", "a@example.org"], ["resume"], ["rotate-key"], ["migrate-to-postgres", url]):
        said = refused(*command)
        assert f"was moved to postgresql://127.0.0.1:{url.rpartition(':')[2]} at 20" in said
        assert "migrate-to-postgres --undo" in said and "%C3" not in said
    with pytest.raises(ConfigError, match="was moved to"):
        start(served)
    with pytest.raises(ConfigError, match="was moved to"):
        create_app(served)
    assert served.admin_email in call("user", "list").stdout
    call("export", "--flows")


def test_a_process_that_was_starting_during_the_move_ends(served, url):
    server = create_app(served).extensions["headrace"]
    call("migrate-to-postgres", url)
    database.connect(served.database_path)
    try:
        with pytest.raises(ConfigError, match="was moved to"):
            server.start()
    finally:
        server.dispatcher.stop()
        server.recorder.stop()
        server.checkpoints.stop()


def test_a_move_can_be_undone_on_purpose(served, url):
    assert "was not moved" in call("migrate-to-postgres", "--undo").stdout
    call("migrate-to-postgres", url)
    said = call("migrate-to-postgres", "--undo").stdout
    assert said.endswith(f"do not start one on postgresql://127.0.0.1:{url.rpartition(':')[2]}\n")
    assert start(served) is None
    assert "give no URL" in refused("migrate-to-postgres", "--undo", url)
    assert "is not empty: it has another server's data" in refused("migrate-to-postgres", url)


# Refused


def test_a_living_server_is_not_moved(served, url):
    database.connect(served.database_path)
    leases.beat("proc_1", 60_000)
    database.disconnect()
    assert "A server is working on" in refused("migrate-to-postgres", url)
    assert ask(url, OBJECTS) == []


def assert_refused(served, url, *words):
    """Check that the move is refused with these words, without a password, and that the server still starts."""
    said = refused("migrate-to-postgres", url)
    assert all(word in said for word in words), said
    assert "%C3" not in said and "wörd" not in said and "secret" not in said
    assert start(served) is None


def test_a_url_that_cannot_be_used_is_refused(served, url, postgres_server):
    for wrong in ("mysql://a:secret@h/d", "postgresql://a:se%zzcret@h/d", "sqlite:///x", "postgresql://h/d?secret=1"):
        assert_refused(served, wrong, "is not the URL of a PostgreSQL database")
    assert_refused(served, url.replace(f":{postgres_server.port}", ":1"), "Connection refused", "Nothing was changed")
    assert_refused(served, postgres_server.url(password="secret", database="shop"), "password authentication failed")
    assert_refused(served, postgres_server.url(database="nowhere"), 'database "nowhere" does not exist')
    assert "set DATABASE_URL" in refused("migrate-to-postgres")


def test_a_database_that_has_something_is_refused(served, url):
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE notes (n int)")
    assert_refused(served, url, "is not empty: it has other data (public.notes)")
    assert ask(url, OBJECTS) == [("notes",)]


def test_a_user_without_rights_is_refused(served, postgres_server, url):
    name = url.rpartition("/")[2]
    postgres_server.admin(
        "REVOKE CREATE ON SCHEMA public FROM PUBLIC", "ALTER SCHEMA public OWNER TO postgres", database=name
    )
    assert_refused(served, url, "permission denied for schema public", "owner of the database")


def test_another_encoding_is_refused(served, postgres_server):
    postgres_server.admin("CREATE DATABASE latin OWNER app TEMPLATE template0 ENCODING 'LATIN1'", database="postgres")
    try:
        assert_refused(served, postgres_server.url(database="latin"), "stores text as LATIN1", "ENCODING 'UTF8'")
    finally:
        postgres_server.admin("DROP DATABASE latin WITH (FORCE)", database="postgres")


# Interrupted


def test_a_connection_that_is_cut_half_way_leaves_nothing(full, url):
    def cut(name, rows, is_end):
        if name == "runs":
            ask(url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
                     "AND pid <> pg_backend_pid()")  # fmt: skip

    with pytest.raises(Conflict, match="Nothing was changed there"):
        move(full, url, cut)
    assert ask(url, OBJECTS) == [] and start(full) is None
    move(full, url)


@pytest.fixture
def crowded(postgres_server):
    """`crowded.url`: an empty database on a small disk of its own; `crowded.leave(bytes)` fills the disk."""
    disk = Full(postgres_server.folder, "32m")
    shutil.chown(disk.data_dir, postgres_server.identity.get("user"), postgres_server.identity.get("group"))
    made = "CREATE DATABASE crowded OWNER app TEMPLATE template0 TABLESPACE small STRATEGY file_copy"
    try:
        postgres_server.admin(f"CREATE TABLESPACE small LOCATION '{disk.data_dir}'", made, database="postgres")
        disk.url = postgres_server.url(database="crowded")
        yield disk
        postgres_server.admin("DROP DATABASE crowded WITH (FORCE)", "DROP TABLESPACE small", database="postgres")
    finally:
        disk.close()
        disk.data_dir.rmdir()


def test_a_full_disk_of_postgresql_leaves_nothing(full, crowded):
    crowded.leave(2 << 20)
    with pytest.raises(Conflict, match="No space left on device.*Nothing was changed there"):
        move(full, crowded.url)
    assert ask(crowded.url, OBJECTS) == [] and start(full) is None
    crowded.relent(None)
    assert move(full, crowded.url).copied.values.rows == len(VALUES)


def test_an_error_names_the_place_of_a_row_and_not_its_content(full, url):
    database.connect(full.database_path)
    with database.write():
        database.execute("UPDATE runs SET claims = 'a secret' WHERE id = 'run_x3'")
    database.disconnect()
    with pytest.raises(Conflict) as refusal:
        move(full, url)
    assert "(COPY runs, line 4, column claims). Nothing was changed there" in str(refusal.value)
    database.connect(full.database_path)
    with database.write():
        database.execute("UPDATE runs SET claims = 1, output_bytes = 1.5, error_text = 'a secret' WHERE id = 'run_x3'")
    database.disconnect()
    with pytest.raises(Conflict) as refusal:
        move(full, url)
    assert "line 4, column output_bytes" in str(refusal.value) and "a secret" not in str(refusal.value)


def test_a_copy_that_differs_is_not_committed(full, url, monkeypatch):
    write = moving_target().write

    def lose_a_row(self, table, rows):
        write(self, table, list(rows)[1:] if table.name == "users" else rows)

    monkeypatch.setattr(moving_target(), "write", lose_a_row)
    with pytest.raises(Conflict, match="The copy of users is wrong: 6 were written and 5 are there"):
        move(full, url)
    assert ask(url, OBJECTS) == [] and start(full) is None


def moving_target():
    from packs.postgres.transactions import NewPostgres

    return NewPostgres


def test_a_killed_command_leaves_both_as_they_were(full, url):
    """It is killed while it copies, and after its last row."""
    source = """
import sys
from pathlib import Path
import database
from packs.postgres import moving

def stop(name, rows, is_end):
    if name == sys.argv[3]:
        print("reached", flush=True)
        sys.stdin.read()

data = Path(sys.argv[1])
database.connect(data / "headrace.sqlite3")
moving.move(sys.argv[2], data / "values", 15, stop)
"""
    for place in ("runs", "values"):
        process = start_python(source, full.data_dir, url, place)
        try:
            assert process.stdout.readline() == "reached\n"
            process.send_signal(signal.SIGKILL)
            process.wait(PATIENCE)
        finally:
            end_child(process)
        assert start(full) is None
    wait_until_empty(url)
    move(full, url)


def wait_until_empty(url):
    """Wait for the server to notice that the client is gone."""
    with psycopg.connect(url) as connection:
        connection.execute("SET lock_timeout = '30s'")
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (postgres.MIGRATIONS,))
        assert connection.execute(OBJECTS).fetchall() == []


def test_a_command_that_ends_between_the_two_commits_is_completed_by_repeating_it(full, url, monkeypatch):
    monkeypatch.setattr(moving, "_mark_moved", lambda place: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        move(full, url)
    monkeypatch.undo()
    with pytest.raises(ConfigError, match="was interrupted.*repeat `migrate-to-postgres` with the same URL"):
        start(full)
    database.disconnect()
    other = url.replace("127.0.0.1", "localhost")
    with pytest.raises(ConfigError, match="was interrupted"):
        move(full, other)
    assert move(full, url).copied is None
    with pytest.raises(ConfigError, match="was moved to"):
        start(full)


def test_a_commit_that_did_not_happen_is_repeated(full, url, monkeypatch):
    """The connection is lost at the commit, which did not happen."""
    target = moving_target()

    def cut(self):
        ask(url, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
                 "AND pid <> pg_backend_pid()")  # fmt: skip
        commit(self)

    commit = target.commit
    monkeypatch.setattr(target, "commit", cut)
    with pytest.raises(Exception, match="may or may not have the data. Repeat the command"):
        move(full, url)
    with pytest.raises(ConfigError, match="was interrupted"):
        start(full)
    monkeypatch.undo()
    assert ask(url, OBJECTS) == []
    assert move(full, url).copied.rows
    assert ask(url, "SELECT COUNT(*) FROM users") == [(6,)]


def test_a_commit_that_is_refused_is_forgotten(full, url, monkeypatch):
    monkeypatch.setattr(moving_target(), "commit", lambda self: self._connection.execute("SELECT 1 / 0"))
    with pytest.raises(Conflict, match="division by zero"):
        move(full, url)
    assert start(full) is None and ask(url, OBJECTS) == []
