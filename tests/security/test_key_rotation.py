"""`rotate-key`: re-encryption of all credentials while no server runs, and the start after an interrupted rotation.

faults/test_killed_rotations.py kills it at any moment.
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
from database.queries import credentials, leases, runs, steps, workflows
from database.queries.audit import NewAuditEntry
from database.queries.steps import STEP_COLUMNS
from errors import ConfigError, Conflict, VaultError
from models import Credential, Lease, OAuthGrant, ServerFact, Wait
from packs.oauth import grants
from security import key_rotation
from security.credentials import Credentials
from security.vault import GRANTS, Vault

SECRET, OLD, NEW = "hunter2hunter2", "the old key of the test", "the new key of the test"
COUNT = 5


@pytest.fixture(autouse=True)
def data_dir(tmp_path, monkeypatch):
    """The data folder of the settings, without any other setting."""
    for row in table():
        monkeypatch.delenv(row.env, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HEADRACE_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("HEADRACE_ADMIN_PASSWORD", "correct horse")
    yield tmp_path / "data"
    database.disconnect()


def start():
    """Do the work of a start before serving. Return the settings."""
    config = Config.from_env()
    workflow_server.prepare(config)
    database.connect(config.database_path, "normal")
    return config


def kept(config):
    """Return the credentials of a server with these settings."""
    return Credentials(Vault.open(config, make=False))


@pytest.fixture(scope="module")
def copies(tmp_path_factory):
    """A folder for data folders with credentials, each made once and copied for every test."""
    return tmp_path_factory.mktemp("filled")


@pytest.fixture
def filled(data_dir, copies):
    """A data folder with credentials, encrypted with a key file."""
    return fill(data_dir, copies / "file")


@pytest.fixture
def env_filled(data_dir, copies, monkeypatch):
    """The same with HEADRACE_SECRET_KEY."""
    monkeypatch.setenv("HEADRACE_SECRET_KEY", OLD)
    return fill(data_dir, copies / "variable")


def fill(data_dir, copy):
    """Copy the data folder with credentials; make it if it is the first. Return its settings."""
    if copy.exists():
        shutil.copytree(copy, data_dir)
    else:
        keep_credentials(start())
        database.disconnect()
        shutil.copytree(data_dir, copy)
    config = Config.from_env()
    database.connect(config.database_path, "normal")
    return config


def keep_credentials(config):
    found = kept(config)
    for number in range(COUNT):
        entry = NewAuditEntry("credential.created", f"ws_{number % 2}")
        found.keep(entry, {"value": f"{SECRET}{number}"}, name=f"c{number}", type="secret", hosts=None)


def readable(config):
    """Return the values of the credentials for a server with these settings; None for unreadable ones."""
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
    """Return the output of the command, which must succeed."""
    result = CliRunner().invoke(cli.main, ["rotate-key", *options], input=input, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    database.connect(Config.from_env().database_path, "normal")
    return result.stdout


def refused(*options, input=None):
    """Return the one-line error of the command, which must fail."""
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


def test_values_encrypted_with_the_old_key_are_overwritten_in_the_database(filled, data_dir):
    tokens = [row.data.encode() for row in Credential.select()]
    database.disconnect()
    rotate()
    database.disconnect()
    content = b"".join(path.read_bytes() for path in data_dir.glob("headrace.sqlite3*"))
    assert not [token for token in tokens if token[:60] in content]


def test_an_earlier_backup_works_with_the_key_that_the_error_names(filled, data_dir):
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
    assert ServerFact.find("key").value == Vault.open(start()).fingerprint() != before


# The variable


def test_the_key_in_the_variable_is_replaced_by_one_from_a_file(env_filled, data_dir, monkeypatch, tmp_path):
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


def test_a_server_can_change_from_the_key_file_to_the_variable(filled, data_dir, monkeypatch):
    before = (data_dir / KEY_FILE).read_bytes()
    rotate("--new-key-file", "-", input=NEW)
    assert (data_dir / KEY_FILE).read_bytes() == before and len(list(data_dir.glob("*secret*"))) == 1
    monkeypatch.setenv("HEADRACE_SECRET_KEY", NEW)
    assert readable(start()) == ALL


def test_no_key_is_generated_if_the_variable_is_set(env_filled, data_dir):
    assert "--new-key-file" in refused()
    assert readable(start()) == ALL and not list(data_dir.glob("*secret*"))


@pytest.mark.parametrize(
    "key", ["", "too short", " with space before it", "with space behind it ", "two lines\nof a new key", b"\xff" * 20]
)
def test_a_key_that_a_variable_cannot_hold_unchanged_is_rejected(env_filled, key):
    assert "--new-key-file: " in refused("--new-key-file", "-", input=key)
    assert readable(start()) == ALL


def test_the_present_key_is_rejected_as_the_new_one(env_filled):
    assert "present key" in refused("--new-key-file", "-", input=OLD)


def test_a_wrong_key_changes_nothing(env_filled, monkeypatch):
    monkeypatch.setenv("HEADRACE_SECRET_KEY", "not the key at all")
    assert "is not the key" in refused("--new-key-file", "-", input=NEW)
    monkeypatch.setenv("HEADRACE_SECRET_KEY", OLD)
    assert readable(start()) == ALL


# Unreadable credentials


def test_unreadable_credentials_are_listed_and_nothing_is_done(filled, data_dir):
    key = (data_dir / KEY_FILE).read_bytes()
    credentials.change(Credential.get(name="c1"), data=Vault(b"another key altogether", "test").seal({"value": "x"}))
    credentials.change(Credential.get(name="c2"), data="gibberish")
    line = refused()
    assert "'c1' of ws_1, 'c2' of ws_0" in line and "--skip-unreadable" in line
    assert (data_dir / KEY_FILE).read_bytes() == key
    assert readable(start()) == [ALL[0], None, None, ALL[3], ALL[4]]


def test_unreadable_credentials_are_kept_on_request(filled):
    credentials.change(Credential.get(name="c1"), data="gibberish")
    said = rotate("--skip-unreadable")
    assert "4 credentials are" in said and "'c1' of ws_1" in said
    assert readable(start()) == [ALL[0], None, *ALL[2:]]
    assert Credential.get(name="c1").data == "gibberish"


# Other processes on the database


BEATING = """
import sys
from pathlib import Path
import database
from config import Config
from database.queries import leases
database.connect(Config(data_dir=Path(sys.argv[1])).database_path, "normal")
leases.beat("proc_other", int(sys.argv[2]))
print("beat", flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize("lease", [60_000, 0])
def test_nothing_is_done_while_a_server_is_alive_even_without_heartbeats(filled, data_dir, lease):
    process = start_python(BEATING, data_dir, lease)
    try:
        assert process.stdout.readline() == "beat\n"
        process.send_signal(signal.SIGSTOP)
        assert f"process {process.pid}); stop it first" in refused()
        assert readable(start()) == ALL and not list(data_dir.glob(f"{KEY_FILE}.old-*"))
    finally:
        process.kill()
        process.communicate(timeout=60)
    # The server was killed, and its lease remains.
    assert Lease.find("proc_other") is not None
    rotate()
    assert readable(start()) == ALL


def test_a_server_on_another_machine_counts_as_alive_until_its_lease_expires(filled):
    def elsewhere(for_ms):
        leases.beat("proc_other", for_ms)
        with database.write():
            database.execute("UPDATE leases SET process = NULL WHERE name = 'proc_other'")

    elsewhere(60_000)
    assert "(proc_other)" in refused() and "after 15 seconds" in refused()
    elsewhere(0)
    rotate()


def test_leases_of_earlier_boots_do_not_block_a_rotation(filled):
    leases.lead("leader", "proc_gone", 60_000, lambda: 10**13)
    leases.beat("proc_before", 60_000)
    with database.write():
        database.execute("UPDATE leases SET owner = 'another boot' WHERE name = 'proc_before'")
    rotate()


def test_a_starting_server_does_not_continue_with_the_old_key(filled):
    server = workflow_server.Server(filled)
    rotate()
    try:
        with pytest.raises(ConfigError, match="changed while the server started"):
            server.start()
    finally:
        server.dispatcher.stop()
        server.recorder.stop()
        server.checkpoints.stop()


@pytest.mark.slow
def test_a_running_server_keeps_its_key(filled):
    server = workflow_server.Server(filled)
    server.start()
    try:
        # In a separate process, because a process has one open database, and this one has the server's.
        command = [sys.executable, str(ROOT / "workflow_server.py"), "rotate-key"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 2 and "stop it first" in done.stderr
        assert server.credentials.find("ws_0", "c0").data == {"value": ALL[0]}
    finally:
        server.stop()
    rotate()


# Waiting runs


def test_it_reports_the_number_of_runs_with_invalid_links(filled):
    definition = '{"nodes":[{"id":"ask","type":"approval"}]}'
    flow = workflows.draft(workspace_id="ws_1", name="F", status="draft", definition_json=definition)
    for number, (node_type, answered, finished) in enumerate(
        [
            ("approval", None, None),
            ("callback", None, None),
            ("wait", None, None),
            ("approval", 1, None),
            ("approval", None, 1),
        ]
    ):
        run = runs.record(flow, status="pending", triggered_by="manual")
        with database.write():
            database.execute("UPDATE runs SET finished_at = ? WHERE id = ?", (finished, run.id))
            row = {
                **dict.fromkeys(STEP_COLUMNS), "run_id": run.id, "seq": 0, "node_id": "ask", "node_type": node_type,
                "node_name": "ask", "status": "waiting", "attempt": 1, "started_at": number, "final": False,
            }  # fmt: skip
            for item in steps.insertions([list(row.values())]):
                database.execute(*item)
            Wait.create(run_id=run.id, node_id="ask", seq=0, created_at=1, answered_at=answered)
    assert "2 runs wait for an answer: the links that were sent are invalid" in rotate()


def test_it_reports_no_runs_if_none_waits(filled):
    assert "wait" not in rotate()


# Interrupted rotations


def test_the_next_start_uses_a_new_key_that_matches_the_database(filled, data_dir, caplog):
    caplog.set_level(logging.INFO, "headrace.vault")
    shutil.copy(data_dir / KEY_FILE, data_dir / "before")
    rotate()
    # The state after a crash just before the key file is replaced.
    (data_dir / KEY_FILE).rename(data_dir / f"{KEY_FILE}.new")
    old = old_key(data_dir)
    old.unlink()
    (data_dir / "before").rename(data_dir / KEY_FILE)
    assert readable(start()) == ALL
    assert old.exists() and not (data_dir / f"{KEY_FILE}.new").exists() and "now uses its new key" in caplog.text


@pytest.mark.parametrize("content", ["", "cut of", "a whole key that nothing is under"])
def test_a_new_key_that_does_not_match_the_database_is_ignored(filled, data_dir, content):
    (data_dir / f"{KEY_FILE}.new").write_text(content)
    before = (data_dir / KEY_FILE).read_bytes()
    assert readable(start()) == ALL
    assert (data_dir / KEY_FILE).read_bytes() == before and (data_dir / f"{KEY_FILE}.new").read_text() == content
    rotate()
    assert readable(start()) == ALL and not (data_dir / f"{KEY_FILE}.new").exists()


def test_a_rotation_first_completes_an_interrupted_one(filled, data_dir):
    rotate()
    (data_dir / KEY_FILE).rename(data_dir / f"{KEY_FILE}.new")
    old = old_key(data_dir)
    shutil.copy(old, data_dir / KEY_FILE)
    rotate()
    assert readable(start()) == ALL and len(list(data_dir.glob(f"{KEY_FILE}.old-*"))) == 2


def test_a_failed_write_of_the_new_key_changes_nothing(filled, data_dir, monkeypatch):
    def full(path):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(key_rotation, "write_new_key", full)
    assert "No space left" in refused()
    assert readable(start()) == ALL


def test_the_tokens_of_accounts_are_under_the_new_key_too(filled):
    """They are encrypted for a purpose of their own. Attempts to connect an account are dropped."""
    tokens = {"access_token": f"{SECRET}-access", "refresh_token": f"{SECRET}-refresh"}
    vault = kept(filled).vault
    grants.put("cred_1", "ws_0", details="{}", tokens=vault.seal(tokens, GRANTS))
    grants.put("cred_2", "ws_0", details="{}", tokens=None)
    grants.start_attempt("state", 60_000, credential_id="c", workspace_id="w", session_id="s", user_id="u", sealed="x")
    key_rotation.rotate_key(filled)
    new = kept(filled).vault
    assert new.fingerprint() != vault.fingerprint()
    assert new.unseal("x", 1, OAuthGrant.find("cred_1").tokens, GRANTS) == tokens
    assert OAuthGrant.find("cred_2").tokens is None and grants.attempt_by_state("state") is None


def test_an_account_that_cannot_be_read_is_named_and_stops_the_rotation(filled):
    grants.put("cred_1", "ws_0", details="{}", tokens=Vault(b"another key of the test", "x").seal({}, GRANTS))
    with pytest.raises(Conflict, match="the account of 'cred_1' of ws_0"):
        key_rotation.rotate_key(filled)
    assert key_rotation.rotate_key(filled, skip_unreadable=True).unreadable == ["the account of 'cred_1' of ws_0"]
