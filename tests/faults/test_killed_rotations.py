"""A key rotation that is killed at any moment: a server starts afterwards and reads every credential.

The rotation runs in a child that ends itself with SIGKILL at its nth step: the opening, linking, renaming or deleting
of a file, or an SQL statement. So every n is tried, until one is beyond its end.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from world import ROOT, said, start_python

pytestmark = [
    pytest.mark.slow,
    pytest.mark.sqlite_only("the steps at which it is killed are those of SQLite and its file"),
]

HARNESS = """
import json, os, shutil, signal, sys
from pathlib import Path

import database, workflow_server
from config import Config
from security import key_rotation
from security.credentials import Credentials
from database.queries.audit import NewAuditEntry
from models import Credential, ServerFact
from security.vault import Vault

folder, new_key = Path(sys.argv[1]), sys.argv[2].encode() or None
OLD = "the old key of the test" if new_key else ""
VALUES = {f"c{number}": {"value": "x" * number} for number in range(1, 30)}
STEPS = {"open", "os.link", "os.rename", "os.remove", "os.chmod", "sqlite3.connect"}


def config_of(data_dir, key=OLD):
    return Config(data_dir=data_dir, secret_key=key, admin_password="correct horse", durability="normal")


def in_child(work):
    child = os.fork()
    if not child:
        try:
            work()
            os._exit(0)
        except BaseException:
            import traceback
            traceback.print_exc()
            os._exit(1)
    return os.waitpid(child, 0)[1]


def fill():
    config = config_of(folder / "first")
    workflow_server.prepare(config)
    database.connect(config.database_path, "normal")
    kept = Credentials(Vault.open(config))
    for name, value in VALUES.items():
        entry = NewAuditEntry("credential.created", "ws_1")
        kept.keep(entry, value, name=name, type="secret", hosts=None)


def rotate(data_dir, last):
    config, left = config_of(data_dir), last

    def step(*what):
        nonlocal left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(lambda event, args: step() if event in STEPS else None)
    database.connect(config.database_path, "normal")
    database.db.connection().set_trace_callback(step)
    key_rotation.rotate_key(config, new_key)
    database.disconnect()


def fits(path, fingerprint):
    text = path.read_bytes().strip()
    return len(text) >= 16 and Vault(text, "").fingerprint() == fingerprint


def look(data_dir):
    # Before any start: exactly one of the key files decrypts anything.
    database.connect(data_dir / "headrace.sqlite3", "normal")
    under = ServerFact.find("key").value
    keys = {path.read_bytes().strip() for path in data_dir.glob("*secret.key*")} | {OLD.encode(), new_key or b""}
    vaults = [Vault(key, "") for key in keys if len(key) >= 16]
    for row in Credential.select():
        opening = [vault for vault in vaults if opens(vault, row)]
        assert [vault.fingerprint() for vault in opening] == [under], row.name
    database.disconnect()
    # After a start.
    is_new = new_key is not None and Vault(new_key, "").fingerprint() == under
    config = config_of(data_dir, new_key.decode() if is_new else OLD)
    workflow_server.prepare(config)
    database.connect(config.database_path, "normal")
    kept = Credentials(Vault.open(config, make=False))
    assert {row.name: kept.open(row).data for row in Credential.select()} == VALUES
    database.disconnect()
    # The key can still be changed.
    if new_key is None:
        database.connect(config.database_path, "normal")
        key_rotation.rotate_key(config)
        database.disconnect()
        workflow_server.prepare(config)


def opens(vault, row):
    try:
        vault.decrypt(row.data.encode())
    except Exception:
        return False
    return True


assert in_child(fill) == 0
killed, last = 0, 0
while True:
    copy = folder / f"copy_{last}"
    shutil.copytree(folder / "first", copy)
    ended = in_child(lambda: rotate(copy, last))
    assert in_child(lambda: look(copy)) == 0, f"after step {last}"
    shutil.rmtree(copy)
    if ended == 0:
        break
    assert ended == signal.SIGKILL, ended
    killed, last = killed + 1, last + 1
print(killed)
"""


@pytest.mark.parametrize(
    "new_key",
    [pytest.param("", id="file", marks=pytest.mark.nightly), pytest.param("the new key of the test", id="variable")],
)
def test_a_rotation_killed_at_any_step_leaves_one_key_that_decrypts_everything(tmp_path, new_key):
    (killed,) = said(start_python(HARNESS, tmp_path, new_key))
    # Each credential is a statement, and there are files and transactions.
    assert int(killed) > 40


def command(server, *args):
    """Run a command on the data of this server."""
    return subprocess.run(
        [sys.executable, "workflow_server.py", *args],
        cwd=ROOT,
        env=server.environment,
        text=True,
        capture_output=True,
        timeout=180,
    )


def test_a_rotation_is_refused_while_a_server_runs_and_works_after_its_stop(serve):
    server = serve()
    basic = {"name": "till", "type": "http_basic", "data": {"username": "till", "password": "open sesame"}}
    made = server.call("POST", "/api/credentials", basic)
    hook = {"path": "till", "auth": "basic", "credential": "till"}
    server.add_flow({"nodes": [{"id": "h", "type": "webhook", "config": hook}], "edges": []})

    def fire():
        return server.request("POST", "/api/webhooks/till", {}, {"Authorization": "Basic dGlsbDpvcGVuIHNlc2FtZQ=="})[0]

    assert fire() == 202
    refused = command(server, "rotate-key")
    assert refused.returncode == 2 and "stop it first" in refused.stderr
    server.terminate()
    assert server.ended() == 0
    before = (Path(server.data_dir) / "secret.key").read_bytes()
    done = command(server, "rotate-key")
    assert done.returncode == 0 and "1 credential is under the new key" in done.stdout, done.stderr
    assert (Path(server.data_dir) / "secret.key").read_bytes() != before
    server.start()
    assert fire() == 202
    tried = server.call("POST", f"/api/credentials/{made['id']}/test", {})
    assert "cannot be read" not in json.dumps(tried)
    # A killed server leaves its leases, which do not block a process that can see its death.
    server.kill()
    assert command(server, "rotate-key").returncode == 0
    server.start()
    assert fire() == 202
