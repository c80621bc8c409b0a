"""Archives: everything of a server in one file, restored whole or not at all, and equal to its source."""

import shutil
import stat
import zipfile

import command_line
import orjson
import pytest
from command_line import call, refused
from each import for_each
from filled import VALUES, as_moved, fill, postgres_content, read_values, sqlite_content, tables, write_values

import database
from config import KEY_FILE, Config
from constants import VERSION
from database import backups
from database.backups import MANIFEST
from database.queries import server_state
from errors import BadInput, Conflict
from models import User
from packs.moving import archives
from workflow_server import prepare

pytestmark = pytest.mark.sqlite_only("archives of an SQLite server are compared with databases of both kinds")
folder, data_dir = command_line.folder, command_line.data_dir
TABLE = "tables/users.jsonl"


@pytest.fixture
def served(config, data_dir):
    """The settings of a stopped server with rows in every table, large values and files."""
    fill()
    write_values(config.data_dir / "values")
    path = config.data_dir / "files/ws_1/reports/März 1.csv"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"a,b\n")
    return config


@pytest.fixture
def archive(served, folder):
    """The archive of that server, made by its command."""
    call("export", "--all", "--out", "all.zip")
    database.disconnect()
    return folder / "all.zip"


@pytest.fixture
def empty(folder, served, monkeypatch):
    """The settings of a server over a data folder that has the key and nothing else."""
    return use(monkeypatch, new_folder(folder / "new", served))


def new_folder(path, served):
    """Return the settings over a new data folder with the key of this server."""
    path.mkdir()
    shutil.copy(served.data_dir / KEY_FILE, path)
    return Config(data_dir=path)


def use(monkeypatch, config):
    """Have commands use these settings."""
    monkeypatch.setenv("HEADRACE_DATA_DIR", str(config.data_dir))
    return config


def names_in(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def source_content(served):
    """Return the content of the server's database, and the names of its tables."""
    database.connect(served.database_path)
    names = tables()
    return sqlite_content(served.database_path, names), names


def without_pause(found):
    """Return the content without the mark of a restored server."""
    return found | {"server_facts": [row for row in found["server_facts"] if row[0] != "paused"]}


def test_a_restored_archive_has_every_row_value_and_file(served, archive, empty):
    expected, names = source_content(served)
    database.disconnect()
    said = call("import", "all.zip").stdout
    assert f"by Headrace {VERSION}" in said and "start paused" in said and "large values" in said
    assert "Put the key" not in said
    assert without_pause(sqlite_content(empty.database_path, names)) == as_moved(expected, without_nul=False)
    assert all(expected.values()) and len(names) > 30
    assert read_values(empty.data_dir / "values") == VALUES
    assert (empty.data_dir / "files/ws_1/reports/März 1.csv").read_bytes() == b"a,b\n"
    database.connect(empty.database_path)
    assert database.fetch_value("SELECT COUNT(*) FROM agent_memories_fts WHERE agent_memories_fts MATCH 'plain'") == 1
    assert server_state.is_paused()
    assert not list(empty.data_dir.glob(".*"))


def test_a_server_starts_on_a_restored_archive(served, archive, empty):
    call("import", "all.zip")
    assert prepare(empty) is None, "no new owner"
    database.connect(empty.database_path)
    assert User.select().count() > 1


def test_equal_values_of_a_run_share_a_file_again(served, archive, empty):
    call("import", "all.zip")
    same = [(empty.data_dir / "values/run_x0" / name).stat().st_ino for name in ("input.json", "step_3.json")]
    assert same[0] == same[1]


def test_only_its_owner_can_read_an_archive_and_its_restored_files(served, archive, empty):
    assert stat.S_IMODE(archive.stat().st_mode) == 0o600
    call("import", "all.zip")
    modes = {stat.S_IMODE(path.stat().st_mode) for path in empty.data_dir.rglob("*") if path.name != KEY_FILE}
    assert modes == {0o600, 0o700}


def test_an_archive_contains_no_key(served, archive):
    key = (served.data_dir / KEY_FILE).read_bytes().strip()
    with zipfile.ZipFile(archive) as file:
        assert not any(key in file.read(name) for name in file.namelist())


def test_an_archive_to_stdout_is_the_same(served, archive, folder):
    (folder / "piped.zip").write_bytes(call("export", "--all").stdout_bytes)
    with zipfile.ZipFile(archive) as one, zipfile.ZipFile(folder / "piped.zip") as other:
        manifests = [orjson.loads(file.read(MANIFEST)) | {"made_at": ""} for file in (one, other)]
    assert manifests[0] == manifests[1] and manifests[0]["format"] == 1


def test_a_missing_key_is_reported(archive, empty):
    (empty.data_dir / KEY_FILE).unlink()
    assert f"Put the key of that server into {empty.data_dir / KEY_FILE}" in call("import", "all.zip").stdout


def add_workspace(name):
    """Return a report that adds a workspace, by another connection, once the first tables are in the archive."""

    def report(table, rows, is_end):
        if table == "agents":
            with database.write():
                database.execute("INSERT INTO workspaces (id, name, created_at) VALUES (?, 'x', 0)", (name,))

    return report


def test_an_archive_is_of_one_moment(served, folder):
    count = database.fetch_value("SELECT COUNT(*) FROM workspaces")
    made = archives.write_file(folder / "a.zip", served, add_workspace("ws_later"))
    assert made.tables["workspaces"][1].rows == count
    assert database.fetch_value("SELECT COUNT(*) FROM workspaces") == count + 1


# Refused


def change(archive, name, edit):
    """Return a copy of the archive with this member as `edit(content)`; without it if `edit` returns None."""
    with zipfile.ZipFile(archive) as file:
        members = {one: file.read(one) for one in file.namelist()}
    members[name] = edit(members[name])
    with zipfile.ZipFile(archive.with_name("changed.zip"), "w") as file:
        for one, text in members.items():
            if text is not None:
                file.writestr(one, text)
    return "changed.zip"


def change_manifest(archive, **values):
    return change(archive, MANIFEST, lambda text: orjson.dumps(orjson.loads(text) | values))


def assert_nothing_was_restored(empty):
    assert names_in(empty.data_dir) == [KEY_FILE] and not (empty.data_dir / backups.RESTORING).exists()


EDITS = {
    "missing": lambda text: None,
    "empty": lambda text: b"",
    "changed": lambda text: text.replace(b"l", b"m", 1).replace(b",", b";", 1),
    "longer": lambda text: text + b"[1]\n",
    "repeated": lambda text: text * 2,
}


@for_each("name", [TABLE, "tables/runs.jsonl", "values.jsonl", "files/ws_1/reports/März 1.csv"])
@for_each("edit", list(EDITS))
def test_a_damaged_archive_is_refused(archive, empty, name, edit):
    assert "is damaged" in refused("import", change(archive, name, EDITS[edit]))
    assert_nothing_was_restored(empty)


def test_a_bit_that_changed_on_the_disk_is_found(archive, empty):
    content = bytearray(archive.read_bytes())
    with zipfile.ZipFile(archive) as file:
        content[file.getinfo(TABLE).header_offset + 120] ^= 1
    archive.write_bytes(content)
    with pytest.raises(BadInput, match="is damaged"):
        archives.restore(empty, archive, lambda *_: None)
    assert_nothing_was_restored(empty)


@for_each("content", [b"PK\x03\x04", b"PK\x03\x04" + b"x" * 500])
def test_an_incomplete_archive_is_refused(folder, empty, content):
    (folder / "half.zip").write_bytes(content)
    assert "not a complete archive" in refused("import", "half.zip")


def test_another_zip_file_is_refused(folder, empty):
    with zipfile.ZipFile(folder / "other.zip", "w") as file:
        file.writestr("a.txt", "a")
    assert "is not an archive of `export --all`" in refused("import", "other.zip")


@for_each("name", ["files/../x", "values/run_1/x.json", "headrace.sqlite3", "/etc/passwd", "files/ws_1/./x"])
def test_an_archive_with_strange_paths_is_refused(archive, empty, name):
    changed = change_manifest(archive, files={name: [1, "x"]})
    assert "files that are not part of an archive" in refused("import", changed)
    assert_nothing_was_restored(empty)


def test_an_archive_of_another_version_is_refused(archive, empty):
    changed = change_manifest(archive, format=2, version="9.9.0")
    assert "made by Headrace 9.9.0, which is newer" in refused("import", changed)
    with zipfile.ZipFile(archive) as file:
        tables = orjson.loads(file.read(MANIFEST))["tables"]
    tables["users"]["columns"][1] = "mail"
    changed = change_manifest(archive, version="0.0.9", tables=tables)
    assert "made by Headrace 0.0.9 and has other columns" in refused("import", changed)
    assert_nothing_was_restored(empty)


def test_a_server_with_data_is_not_overwritten(archive, served):
    assert "exists already" in refused("import", "all.zip")


def test_options_for_flows_are_refused_with_an_archive(archive, empty):
    assert "--name is for flows" in refused("import", "all.zip", "--name", "A")
    assert "--workspace is for flows" in refused("import", "all.zip", "--workspace", "ws_1")


def test_a_failed_export_leaves_the_earlier_archive(archive, served, folder, monkeypatch):
    before = archive.read_bytes()

    def full(*args):
        raise OSError(28, "No space left on device", "all.zip")

    monkeypatch.setattr(archives, "_write_file", full)
    database.connect(served.database_path)
    with pytest.raises(OSError, match="No space left"):
        archives.write_file(archive, served, lambda *_: None)
    assert archive.read_bytes() == before and names_in(folder).count("all.zip") == 1
    assert not list(folder.glob(".all*"))


# PostgreSQL


def on_postgres(served, url, files_dir):
    """Return the settings of a server on PostgreSQL with the key of this one."""
    key = (served.data_dir / KEY_FILE).read_text().strip()
    return Config(data_dir=files_dir.parent / "unused", database_url=url, secret_key=key, files_dir=files_dir)


@pytest.mark.slow
def test_an_archive_goes_to_postgresql_and_back(served, archive, folder, fresh_url):
    """SQLite to an archive, to PostgreSQL, to an archive, to SQLite: every table stays the same."""
    expected, names = source_content(served)
    database.disconnect()
    config = on_postgres(served, fresh_url(empty=True), folder / "shared")
    archives.restore(config, archive, lambda *_: None)
    moved = as_moved(expected, without_nul=True)
    assert without_pause(postgres_content(config.database_url, names)) == moved
    assert (folder / "shared/ws_1/reports/März 1.csv").read_bytes() == b"a,b\n"
    with pytest.raises(Conflict, match="is not empty"):
        archives.restore(config, archive, lambda *_: None)

    database.connect(config.database_url)
    archives.write_file(folder / "back.zip", config, add_workspace("ws_later"))
    assert database.fetch_value("SELECT 1 FROM workspaces WHERE id = 'ws_later'") == 1
    database.disconnect()
    last = new_folder(folder / "last", served)
    archives.restore(last, folder / "back.zip", lambda *_: None)
    assert without_pause(sqlite_content(last.database_path, names)) == moved
    assert read_values(last.data_dir / "values") == VALUES
    assert (last.data_dir / "files/ws_1/reports/März 1.csv").read_bytes() == b"a,b\n"


@pytest.mark.slow
def test_a_damaged_archive_leaves_postgresql_empty(served, archive, folder, fresh_url):
    changed = folder / change(archive, "values.jsonl", EDITS["missing"])
    config = on_postgres(served, fresh_url(empty=True), folder / "shared")
    with pytest.raises(BadInput, match="is damaged"):
        archives.restore(config, changed, lambda *_: None)
    assert postgres_objects(config.database_url) == [] and names_in(folder / "shared") == []


def postgres_objects(url):
    """Return the names of all relations of the database."""
    import psycopg

    sql = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
    with psycopg.connect(url) as connection:
        return connection.execute(sql).fetchall()
