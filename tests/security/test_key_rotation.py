"""`rotate-key`: all credentials under a new key at once, with no server running; and what a start makes of its traces.

That it may be killed at any moment is held in faults/test_killed_rotations.py.
"""

import logging
import re
import shutil
import signal
import stat
import subprocess
import sys

import pytest
from click.testing import CliRunner
from world import ROOT, start_python

import cli
import database
import workflow_server
from config import KEY_FILE, Config, table
from database import backups
from database.tables.steps import STEP_COLUMNS
from errors import ConfigError, VaultError
from models import AuditEntry, Credential, Fact, Lease, Run, Step, Wait, Workflow
from security import key_rotation
from security.credentials import Credentials
from security.vault import Vault

SECRET, OLD, NEW = "hunter2hunter2", "the old key of the test", "the new key of the test"
COUNT = 5


@pytest.fixture(autouse=True)
def data_dir(tmp_path, monkeypatch):
    """The folder that the settings name, and nothing else that they say."""
    for row in table():
        monkeypatch.delenv(row.env, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEADRACE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("HEADRACE_ADMIN_PASSWORD", "correct horse")
    yield tmp_path / "data"
    database.disconnect()


def start():
    """What a start does before it serves; its settings."""
    config = Config.from_env()
    workflow_server.prepare(config)
    database.connect(config.database_path, "normal")
    return config


def kept(config):
    """Credentials that a server of these settings reads."""
    return Credentials(Vault.open(config, make=False))


@pytest.fixture
def filled(data_dir):
    """A data folder with credentials in it, under a key file."""
    return fill()


@pytest.fixture
def env_filled(monkeypatch):
    """The same under HEADRACE_SECRET_KEY."""
    monkeypatch.setenv("HEADRACE_SECRET_KEY", OLD)
    return fill()


def fill():
    config = start()
    found = kept(config)
    for number in range(COUNT):
        entry = AuditEntry.begin("credential.created", f"ws_{number % 2}")
        found.keep(entry, {"value": f"{SECRET}{number}"}, name=f"c{number}", type="secret", hosts=None)
    return config


def readable(config):
    """Which of the credentials a server of these settings can read."""
    found = kept(config)
    rows = list(Credential.select().order_by(Credential.name))
    values = []
    for row in rows:
        try:
            values.append(found.open(row).data["value"])
        except VaultError:
            values.append(None)
    return values


ALL = [f"{SECRET}{number}" for number in range(COUNT)]


def rotate(*options, input=None):
    """The command, which works: what it prints."""
    result = CliRunner().invoke(cli.main, ["rotate-key", *options], input=input, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    database.connect(Config.from_env().database_path, "normal")
    return result.stdout


def refused(*options, input=None):
    """The command, which is refused: the one line that it says."""
    result = CliRunner().invoke(cli.main, ["rotate-key", *options], input=input, catch_exceptions=False)
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    assert re.fullmatch(r"Error: .+\n", result.stderr), result.stderr
    database.connect(Config.from_env().database_path, "normal")
    return result.stderr


def old_key(folder):
    (found,) = folder.glob(f"{KEY_FILE}.old-*")
    return found


# The key file


def test_all_credentials_are_under_a_new_key_file_and_the_old_one_is_kept(filled, data_dir):
    before = (data_dir / KEY_FILE).read_bytes()
    stamps = [row.updated_at for row in Credential.select()]
    said = rotate()
    old = old_key(data_dir)
    assert f"{COUNT} credentials are under the new key" in said and str(old) in said and "backups" in said
    assert (data_dir / KEY_FILE).read_bytes() != before == old.read_bytes()
    assert {stat.S_IMODE(path.stat().st_mode) for path in (old, data_dir / KEY_FILE)} == {0o600}
    assert sorted(path.name for path in data_dir.glob("*secret*")) == [KEY_FILE, old.name]
    assert readable(start()) == ALL
    assert [row.updated_at for row in Credential.select()] == stamps
    with pytest.raises(VaultError):
        Vault(before.strip(), "old").decrypt(Credential.get().data.encode())


def test_a_key_can_be_changed_again_and_again(filled, data_dir):
    for number in range(3):
        rotate()
        assert readable(start()) == ALL and len(list(data_dir.glob(f"{KEY_FILE}.old-*"))) == number + 1


def test_no_value_and_no_key_is_printed(filled, data_dir):
    keys = [(data_dir / KEY_FILE).read_text().strip()]
    said = rotate()
    keys.append((data_dir / KEY_FILE).read_text().strip())
    assert not any(word in said for word in (*keys, SECRET))


def test_what_the_old_key_opens_is_overwritten_in_the_database(filled, data_dir):
    tokens = [row.data.encode() for row in Credential.select()]
    database.disconnect()
    rotate()
    database.disconnect()
    content = b"".join(path.read_bytes() for path in data_dir.glob("headrace.sqlite3*"))
    assert not [token for token in tokens if token[:60] in content]


def test_a_backup_of_before_is_read_with_the_key_that_the_refusal_names(filled, data_dir):
    backups.copy_database(data_dir / "copy")
    rotate()
    database.disconnect()
    for path in data_dir.glob("headrace.sqlite3*"):
        path.unlink()
    (data_dir / "copy").rename(data_dir / "headrace.sqlite3")
    with pytest.raises(ConfigError) as error:
        start()
    database.disconnect()
    old = old_key(data_dir)
    assert f"put that key back, which is {old}" in str(error.value)
    old.rename(data_dir / KEY_FILE)
    assert readable(start()) == ALL


def test_a_database_without_credentials_gets_a_new_key_too(data_dir):
    before = Vault.open(start()).fingerprint()
    assert "0 credentials are" in rotate()
    assert Fact.find("key").value == Vault.open(start()).fingerprint() != before


# The variable


def test_the_key_of_the_variable_is_changed_for_the_one_in_a_file(env_filled, data_dir, monkeypatch, tmp_path):
    (tmp_path / "new").write_text(NEW + "\n")
    assert "Set HEADRACE_SECRET_KEY to the new key now" in rotate("--new-key-file", "new")
    with pytest.raises(ConfigError, match="HEADRACE_SECRET_KEY is not the key"):
        start()
    database.disconnect()
    monkeypatch.setenv("HEADRACE_SECRET_KEY", NEW)
    assert readable(start()) == ALL and not list(data_dir.glob("*secret*"))
    monkeypatch.delenv("HEADRACE_SECRET_KEY")
    monkeypatch.setenv("HEADRACE_SECRET_KEY_FILE", str(tmp_path / "new"))
    assert readable(start()) == ALL


def test_the_new_key_may_come_from_stdin(env_filled, monkeypatch):
    rotate("--new-key-file", "-", input=NEW + "\r\n")
    monkeypatch.setenv("HEADRACE_SECRET_KEY", NEW)
    assert readable(start()) == ALL


def test_a_server_can_go_over_from_the_key_file_to_the_variable(filled, data_dir, monkeypatch):
    before = (data_dir / KEY_FILE).read_bytes()
    rotate("--new-key-file", "-", input=NEW)
    assert (data_dir / KEY_FILE).read_bytes() == before and len(list(data_dir.glob("*secret*"))) == 1
    monkeypatch.setenv("HEADRACE_SECRET_KEY", NEW)
    assert readable(start()) == ALL


def test_with_the_variable_set_no_key_is_made_up(env_filled, data_dir):
    assert "--new-key-file" in refused()
    assert readable(start()) == ALL and not list(data_dir.glob("*secret*"))


@pytest.mark.parametrize(
    "key", ["", "too short", " with space before it", "with space behind it ", "two lines\nof a new key", b"\xff" * 20]
)
def test_a_key_that_a_variable_might_not_carry_whole_is_refused(env_filled, key):
    assert "--new-key-file: " in refused("--new-key-file", "-", input=key)
    assert readable(start()) == ALL


def test_the_same_key_is_no_new_one(env_filled):
    assert "present key" in refused("--new-key-file", "-", input=OLD)


def test_with_a_wrong_key_nothing_is_changed(env_filled, monkeypatch):
    monkeypatch.setenv("HEADRACE_SECRET_KEY", "not the key at all")
    assert "is not the key" in refused("--new-key-file", "-", input=NEW)
    monkeypatch.setenv("HEADRACE_SECRET_KEY", OLD)
    assert readable(start()) == ALL


# What cannot be read


def test_credentials_that_cannot_be_read_are_named_and_nothing_is_done(filled, data_dir):
    key = (data_dir / KEY_FILE).read_bytes()
    Credential.get(name="c1").change(data=Vault(b"another key altogether", "test").seal({"value": "x"}))
    Credential.get(name="c2").change(data="gibberish")
    line = refused()
    assert "'c1' of ws_1, 'c2' of ws_0" in line and "--skip-unreadable" in line
    assert (data_dir / KEY_FILE).read_bytes() == key
    assert readable(start()) == [ALL[0], None, None, ALL[3], ALL[4]]


def test_they_are_left_as_they_are_if_that_is_wanted(filled):
    Credential.get(name="c1").change(data="gibberish")
    said = rotate("--skip-unreadable")
    assert "4 credentials are" in said and "'c1' of ws_1" in said
    assert readable(start()) == [ALL[0], None, *ALL[2:]]
    assert Credential.get(name="c1").data == "gibberish"


# Others who work on the database


BEATING = """
import sys
from pathlib import Path
import database
from config import Config
from models import Lease
database.connect(Config(data_dir=Path(sys.argv[1])).database_path, "normal")
Lease.beat("proc_other", int(sys.argv[2]))
print("beat", flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize("lease", [60_000, 0])
def test_while_a_server_lives_nothing_is_done_however_long_it_is_silent(filled, data_dir, lease):
    process = start_python(BEATING, data_dir, lease)
    try:
        assert process.stdout.readline() == "beat\n"
        process.send_signal(signal.SIGSTOP)
        assert f"process {process.pid}); stop it first" in refused()
        assert readable(start()) == ALL and not list(data_dir.glob(f"{KEY_FILE}.old-*"))
    finally:
        process.kill()
        process.communicate(timeout=60)
    # It was killed, and its lease is left.
    assert Lease.find("proc_other") is not None
    rotate()
    assert readable(start()) == ALL


def test_one_that_cannot_be_seen_counts_as_living_until_its_lease_is_over(filled):
    def elsewhere(for_ms):
        Lease.beat("proc_other", for_ms)
        with database.write():
            database.execute("UPDATE leases SET process = NULL WHERE name = 'proc_other'")

    elsewhere(60_000)
    assert "(proc_other)" in refused() and "after 15 seconds" in refused()
    elsewhere(0)
    rotate()


def test_rights_and_earlier_starts_of_the_machine_stop_nobody(filled):
    Lease.lead("leader", "proc_gone", 60_000, lambda: 10**13)
    Lease.beat("proc_before", 60_000)
    with database.write():
        database.execute("UPDATE leases SET owner = 'another boot' WHERE name = 'proc_before'")
    rotate()


def test_a_server_that_was_just_starting_does_not_go_on_with_the_old_key(filled):
    server = workflow_server.Server(filled)
    rotate()
    try:
        with pytest.raises(ConfigError, match="changed while the server started"):
            server.start()
    finally:
        server.dispatcher.stop()
        server.recorder.stop()


@pytest.mark.slow
def test_a_server_that_is_up_keeps_its_key(filled):
    server = workflow_server.Server(filled)
    server.start()
    try:
        # In a process of its own, since a process has one database open, and here that is the server's.
        command = [sys.executable, str(ROOT / "workflow_server.py"), "rotate-key"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 2 and "stop it first" in done.stderr
        assert server.credentials.find("ws_0", "c0").data == {"value": ALL[0]}
    finally:
        server.stop()
    rotate()


# Runs that wait


def test_it_says_how_many_runs_have_links_that_are_void_now(filled):
    definition = '{"nodes":[{"id":"ask","type":"approval"}]}'
    flow = Workflow.draft(workspace_id="ws_1", name="F", status="draft", definition_json=definition)
    for number, (node_type, answered, finished) in enumerate(
        [
            ("approval", None, None),
            ("callback", None, None),
            ("wait", None, None),
            ("approval", 1, None),
            ("approval", None, 1),
        ]
    ):
        run = Run.record(flow, status="pending", triggered_by="manual")
        with database.write():
            database.execute("UPDATE runs SET finished_at = ? WHERE id = ?", (finished, run.id))
            row = {
                **dict.fromkeys(STEP_COLUMNS), "run_id": run.id, "seq": 0, "node_id": "ask", "node_type": node_type,
                "node_name": "ask", "status": "waiting", "attempt": 1, "started_at": number, "final": False,
            }  # fmt: skip
            for item in Step.insertions([list(row.values())]):
                database.execute(*item)
            Wait.create(run_id=run.id, node_id="ask", seq=0, created_at=1, answered_at=answered)
    assert "2 runs wait for an answer: the links that were sent are invalid" in rotate()


def test_it_says_nothing_of_runs_where_none_waits(filled):
    assert "wait" not in rotate()


# What a rotation leaves that was cut off


def test_a_new_key_that_the_database_is_under_is_taken_up_by_the_next_start(filled, data_dir, caplog):
    caplog.set_level(logging.INFO, "headrace.vault")
    shutil.copy(data_dir / KEY_FILE, data_dir / "before")
    rotate()
    # As after a crash just before the files change places.
    (data_dir / KEY_FILE).rename(data_dir / f"{KEY_FILE}.new")
    old = old_key(data_dir)
    old.unlink()
    (data_dir / "before").rename(data_dir / KEY_FILE)
    assert readable(start()) == ALL
    assert old.exists() and not (data_dir / f"{KEY_FILE}.new").exists() and "now uses its new key" in caplog.text


@pytest.mark.parametrize("content", ["", "cut of", "a whole key that nothing is under"])
def test_a_new_key_that_the_database_is_not_under_is_left_alone(filled, data_dir, content):
    (data_dir / f"{KEY_FILE}.new").write_text(content)
    before = (data_dir / KEY_FILE).read_bytes()
    assert readable(start()) == ALL
    assert (data_dir / KEY_FILE).read_bytes() == before and (data_dir / f"{KEY_FILE}.new").read_text() == content
    rotate()
    assert readable(start()) == ALL and not (data_dir / f"{KEY_FILE}.new").exists()


def test_a_rotation_that_finds_another_one_cut_off_finishes_it_first(filled, data_dir):
    rotate()
    (data_dir / KEY_FILE).rename(data_dir / f"{KEY_FILE}.new")
    old = old_key(data_dir)
    shutil.copy(old, data_dir / KEY_FILE)
    rotate()
    assert readable(start()) == ALL and len(list(data_dir.glob(f"{KEY_FILE}.old-*"))) == 2


def test_a_disk_that_refuses_the_new_key_leaves_all_as_it_was(filled, data_dir, monkeypatch):
    def full(path):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(key_rotation, "write_new_key", full)
    assert "No space left" in refused()
    assert readable(start()) == ALL
