"""Backups: their content, refused ones, and restores, which are complete or leave nothing."""

import re
import shutil
import sqlite3
import stat
import threading
from contextlib import closing

import command_line
import orjson
import pytest
from click.testing import CliRunner

import cli
import database
from config import KEY_FILE, Config
from constants import VERSION
from database import backups
from database.backups import MANIFEST, RESTORING
from database.base import now_ms
from database.queries import leases, schedules, server_state, workflows
from errors import BadInput, ConfigError, Conflict, NotFound
from models import Credential, Lease, Schedule, Workflow, Workspace
from workflow_server import prepare, serve

pytestmark = pytest.mark.sqlite_only("backups are copies of the database file; PostgreSQL has its own")

folder = command_line.folder


@pytest.fixture
def served(config, monkeypatch):
    """The settings of a server that has a flow, a large value and files of a workspace."""
    monkeypatch.setenv("HEADRACE_DATA_DIR", str(config.data_dir))
    database.connect(config.database_path)
    workflows.draft(
        workspace_id=Workspace.get().id, name="Größe", status="active", triggers=[], definition_json='{"nodes": []}'
    )
    write(config.data_dir / "values/run_1/output.json", b"[1]")
    write(config.data_dir / "files/ws_1/reports/März 1.csv", b"a,b\n")
    return config


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


def call(*args):
    """Return the output of a successful command."""
    result = CliRunner().invoke(cli.main, args, obj=serve, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def refused(*args):
    """Return the one-line error of a refused command."""
    result = CliRunner().invoke(cli.main, args, obj=serve, catch_exceptions=False)
    assert result.exit_code == 2 and result.stdout == ""
    assert re.fullmatch(r"Error: .+\n", result.stderr), result.stderr
    return result.stderr


@pytest.fixture
def backup(served, folder):
    """The folder of a backup of that server, made by its command."""
    call("backup", "copy")
    database.disconnect()
    return folder / "copy"


@pytest.fixture
def empty(folder, served, monkeypatch):
    """The settings of a server over a data folder that has the key and nothing else."""
    config = Config(data_dir=folder / "new")
    config.data_dir.mkdir()
    shutil.copy(served.data_dir / KEY_FILE, config.data_dir)
    monkeypatch.setenv("HEADRACE_DATA_DIR", str(config.data_dir))
    return config


def names_in(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def rewrite(backup, **changes):
    """Change the manifest of a backup."""
    manifest = orjson.loads((backup / MANIFEST).read_bytes())
    (backup / MANIFEST).write_bytes(orjson.dumps(manifest | changes))


# Making one


def test_a_backup_has_the_database_the_values_and_the_files_and_not_the_key(backup):
    assert names_in(backup) == [
        "files/ws_1/reports/März 1.csv", "headrace.sqlite3", "manifest.json", "values/run_1/output.json",
    ]  # fmt: skip
    assert (backup / "values/run_1/output.json").read_bytes() == b"[1]"
    database.connect(backup / "headrace.sqlite3")
    assert [row.name for row in Workflow.select()] == ["Größe"]


def test_the_manifest_has_the_version_time_and_files_of_a_backup(backup):
    manifest = backups.read_manifest(backup)
    assert manifest.version == VERSION and manifest.migrations == sorted(database.migrations())
    assert set(manifest.files) | {MANIFEST} == set(names_in(backup))
    assert manifest.files["values/run_1/output.json"][0] == 3
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", manifest.made_at)


def test_the_backup_command_prints_the_place_of_the_key(served):
    assert f"It does not contain the key that decrypts the credentials: keep a copy of {served.data_dir}" in call(
        "backup", "copy"
    )


def test_only_its_owner_can_read_a_backup(backup):
    modes = {stat.S_IMODE(path.stat().st_mode) for path in [backup, *backup.rglob("*")]}
    assert modes == {0o600, 0o700}


@pytest.mark.parametrize("name", ["copy", ".copy.partial"])
def test_a_backup_overwrites_nothing(served, folder, name):
    (folder / name).write_text("mine")
    assert "exists already" in refused("backup", "copy")
    assert (folder / name).read_text() == "mine"


def test_a_failed_backup_leaves_no_files(served, folder, monkeypatch):
    def full(source, target):
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr(backups, "_copy", full)
    assert "No space left" in refused("backup", "copy")
    assert not list(folder.glob("*copy*"))


def test_a_value_deleted_after_the_copy_of_the_database_is_in_the_backup(served, folder, monkeypatch):
    copy = backups.copy_database

    def then_delete(target):
        copy(target)
        shutil.rmtree(served.data_dir / "values/run_1")
        write(served.data_dir / "values/run_2/input.json", b"[2]")

    monkeypatch.setattr(backups, "copy_database", then_delete)
    backups.make(served, folder / "copy")
    assert (folder / "copy/values/run_1/output.json").read_bytes() == b"[1]"
    assert (folder / "copy/values/run_2/input.json").read_bytes() == b"[2]"


def test_a_value_changed_after_its_copy_is_copied_again(served, folder, monkeypatch):
    copy = backups.copy_database

    def then_change(target):
        copy(target)
        write(served.data_dir / "values/run_1/output.json", b"[1, 2]")

    monkeypatch.setattr(backups, "copy_database", then_change)
    manifest = backups.make(served, folder / "copy")
    assert (folder / "copy/values/run_1/output.json").read_bytes() == b"[1, 2]"
    assert manifest.files["values/run_1/output.json"][0] == 6


def test_a_link_among_the_files_is_not_followed(served, folder):
    (served.data_dir / "files/ws_1/secret").symlink_to(served.data_dir / KEY_FILE)
    assert "files/ws_1/secret" not in backups.make(served, folder / "copy").files


def test_a_database_among_the_files_is_copied_consistently_during_a_write(served, folder):
    path = served.data_dir / "files/ws_1/own.sqlite3"
    with closing(sqlite3.connect(path)) as writer:
        writer.execute("PRAGMA journal_mode = wal")
        writer.execute("CREATE TABLE t (n)")
        writer.execute("INSERT INTO t VALUES (1)")
        writer.commit()
        writer.execute("INSERT INTO t VALUES (2)")  # not committed
        manifest = backups.make(served, folder / "copy")
    assert [name for name in manifest.files if "own" in name] == ["files/ws_1/own.sqlite3"]
    with closing(sqlite3.connect(folder / "copy/files/ws_1/own.sqlite3")) as copy:
        assert copy.execute("SELECT n FROM t").fetchall() == [(1,)]


def test_a_file_with_only_the_header_of_a_database_is_copied_unchanged(served, folder):
    content = backups.MAGIC + b"and then something else"
    write(served.data_dir / "files/ws_1/odd", content)
    backups.make(served, folder / "copy")
    assert (folder / "copy/files/ws_1/odd").read_bytes() == content


# Putting it back


def test_a_restored_server_equals_the_backup(backup, empty, served):
    said = call("restore", "copy")
    assert f"by Headrace {VERSION}: 3 files" in said and "start paused" in said and "key" not in said
    assert names_in(empty.data_dir) == [
        "files/ws_1/reports/März 1.csv", "headrace.sqlite3", "secret.key", "values/run_1/output.json",
    ]  # fmt: skip
    assert (empty.data_dir / "files/ws_1/reports/März 1.csv").read_bytes() == b"a,b\n"
    assert prepare(empty) is None
    database.connect(empty.database_path)
    assert [row.name for row in Workflow.select()] == ["Größe"]
    assert server_state.is_paused() and not Lease.select().count()


def test_a_restored_database_is_decrypted_with_the_key_beside_it(served, folder, empty):
    with database.write():
        Credential.create(
            id="cred_1", workspace_id="ws_1", name="c", type="secret", data="x", hosts="[]", created_at=1, updated_at=1
        )
    monkey_key = empty.data_dir / KEY_FILE
    key = monkey_key.read_bytes()
    monkey_key.unlink()
    database.connect(served.database_path)
    backups.make(served, folder / "copy")
    assert f"Put the key of that server into {monkey_key} before the start" in call("restore", "copy")
    with pytest.raises(ConfigError, match="is missing"):
        prepare(empty)
    monkey_key.write_bytes(key)
    monkey_key.chmod(0o600)
    assert prepare(empty) is None


def test_restore_creates_the_folder_and_the_database_may_be_elsewhere(backup, folder):
    config = Config(data_dir=folder / "a/b", database_url=f"sqlite:///{folder}/elsewhere/own.sqlite3")
    backups.restore(config, backup)
    assert names_in(folder / "a") == ["b/files/ws_1/reports/März 1.csv", "b/values/run_1/output.json"]
    assert names_in(folder / "elsewhere") == ["own.sqlite3"]


@pytest.mark.parametrize("name", ["values/run_2/input.json", "files/ws_1/a", "notes.txt", ".restoring/x"])
def test_a_nonempty_folder_is_refused(backup, empty, name):
    write(empty.data_dir / name, b"mine")
    before = names_in(empty.data_dir)
    assert "is not empty" in refused("restore", "copy")
    assert names_in(empty.data_dir) == before


def test_a_folder_with_a_database_is_refused_whether_a_server_works_on_it_or_not(backup, served, monkeypatch):
    database.connect(served.database_path)
    leases.beat("proc_1", 60_000)
    database.disconnect()
    assert "A server is using" in refused("restore", "copy")
    database.connect(served.database_path)
    leases.end("proc_1")
    database.disconnect()
    assert "The database" in refused("restore", "copy")


@pytest.mark.parametrize("name", ["headrace.sqlite3", "values/run_1/output.json", "files/ws_1/reports/März 1.csv"])
@pytest.mark.parametrize("damage", ["changed", "cut", "gone", "linked"])
def test_a_damaged_backup_is_refused_and_leaves_the_folder_empty(backup, empty, name, damage):
    path = backup / name
    content = path.read_bytes()
    if damage == "changed":
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    elif damage == "cut":
        path.write_bytes(content[:-1])
    else:
        path.unlink()
        if damage == "linked":
            write(backup.parent / "other", content)
            path.symlink_to(backup.parent / "other")
    assert "The backup is damaged" in refused("restore", "copy")
    assert names_in(empty.data_dir) == [KEY_FILE] and not (empty.data_dir / RESTORING).exists()


def test_a_backup_without_its_manifest_is_refused(backup, empty):
    (backup / MANIFEST).unlink()
    assert "is not a complete backup" in refused("restore", "copy")
    assert names_in(empty.data_dir) == [KEY_FILE]


@pytest.mark.parametrize(
    "manifest", [b"", b"[]", b"{", b'{"format": 1}', b'{"format": "1", "version": "x"}', b'{"format": 1, "version": 1}']
)
def test_an_invalid_manifest_is_refused(backup, empty, manifest):
    (backup / MANIFEST).write_bytes(manifest)
    assert "is not the manifest of a backup" in refused("restore", "copy")


@pytest.mark.parametrize(
    "name", ["../x", "values/../../x", "/tmp/x", "secret.key", "values", "other/x", "values/./x", "files/a\0b"]
)
def test_a_manifest_with_unknown_files_is_refused(backup, empty, name):
    files = orjson.loads((backup / MANIFEST).read_bytes())["files"]
    rewrite(backup, files=files | {name: [1, "x"]})
    assert "lists files that are not part of a backup" in refused("restore", "copy")
    assert names_in(empty.data_dir) == [KEY_FILE]


def test_a_backup_from_the_future_is_refused(backup, empty):
    rewrite(backup, version="9.9.0", migrations=["0037_baseline", "0999_of_tomorrow"])
    said = refused("restore", "copy")
    assert f"made by Headrace 9.9.0 and this is {VERSION}" in said and "0999_of_tomorrow" in said
    rewrite(backup, format=2)
    assert f"made by Headrace 9.9.0, which is newer than {VERSION}" in refused("restore", "copy")
    assert names_in(empty.data_dir) == [KEY_FILE]


def test_a_backup_of_a_schema_that_is_no_longer_migrated_is_refused(backup, empty):
    rewrite(backup, version="0.1.0", migrations=["0001_initial", "0037_debounces"])
    assert "copy was made by Headrace 0.1.0, with a schema that this version" in refused("restore", "copy")
    assert names_in(empty.data_dir) == [KEY_FILE]


def test_a_backup_with_a_newer_database_is_refused_despite_its_manifest(served, folder, empty):
    with database.write():
        database.execute("INSERT INTO schema_migration (name, applied) VALUES ('0999_of_tomorrow', '2030-01-01')")
    backups.make(served, folder / "copy")
    assert "0999_of_tomorrow" in refused("restore", "copy")
    assert names_in(empty.data_dir) == [KEY_FILE]


def test_a_disk_without_room_for_the_backup_is_refused_before_anything_is_copied(backup, empty, monkeypatch):
    usage = shutil.disk_usage(empty.data_dir)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage._replace(free=10))
    assert "10 bytes of free space, and the backup needs" in refused("restore", "copy")


def test_a_server_does_not_start_after_an_interrupted_restore(empty):
    (empty.data_dir / RESTORING).mkdir()
    with pytest.raises(ConfigError, match="was interrupted.*empty the folder"):
        prepare(empty)
    assert not empty.database_path.exists()


def test_one_of_two_concurrent_restores_succeeds(backup, empty):
    results, together = [], threading.Barrier(2)

    def restore():
        together.wait(20)
        try:
            results.append(backups.restore(empty, backup))
        except Conflict as error:
            results.append(error)

    # Each process has one database; here the two threads share it, so only one may come as far as to open it.
    threads = [threading.Thread(target=restore, daemon=True) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(type(result).__name__ for result in results) == ["BackupManifest", "Conflict"]


# Going on


def test_resume_reports_if_the_server_was_not_paused(served):
    assert call("resume") == "The server was not paused\n"
    server_state.pause("for a test")
    assert call("resume") == "The server resumes within seconds\n"
    assert not server_state.is_paused()


def test_resume_names_a_setting_that_pauses_the_server(served, monkeypatch):
    server_state.pause("for a test")
    monkeypatch.setenv("HEADRACE_PAUSED", "true")
    assert "HEADRACE_PAUSED is true" in refused("resume")
    assert server_state.is_paused()


def test_resume_can_skip_missed_times_of_schedules(served):
    now = now_ms()
    flow = Workflow.get()
    with database.write():
        schedules.sync(flow, [("tick", {"every": 60, "timezone": "UTC", "catch_up": "all"})], now - 3_600_000)
    server_state.pause("for a test")
    assert call("resume", "--skip-missed").startswith("1 schedule will skip missed times\n")
    assert Schedule.get().next_at > now


def test_a_missing_backup_is_refused(folder, empty):
    for error, source in ((NotFound, folder / "none"), (NotFound, folder)):
        with pytest.raises(error, match="is not a complete backup"):
            backups.restore(empty, source)
    write(folder / "odd" / MANIFEST, b"x")
    with pytest.raises(BadInput):
        backups.restore(empty, folder / "odd")
