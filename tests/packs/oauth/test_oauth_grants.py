"""Grants: refreshed once across threads and processes, against a real authorization server.

Servers that are killed in a refresh: tests/faults/test_killed_refreshes.py.
"""

import threading
import time
from dataclasses import replace

import pytest
from authorization_server import authorization_server
from world import start_python

import database
from database.base import now_ms
from database.queries.audit import NewAuditEntry
from dispatch import make_services
from errors import NodeError, TimedOut
from models import Credential, LogEntry, OAuthGrant
from nodes.base import Context
from nodes.credentials.keyring import Keyring
from nodes.http.client import check_credential
from packs.oauth import grants
from packs.oauth.token_requests import Issued, make_times
from packs.oauth.tokens import Tokens, get_token
from registry import registry
from security.credentials import make_credential

PATIENCE = 30
CHILD = """
import sys, time
from pathlib import Path
import database
from config import Config
from dispatch import make_services
from models import Credential
from nodes.base import Context
from nodes.credentials.keyring import Keyring
from packs.oauth.tokens import get_token
from registry import registry
from security.credentials import Credentials
from security.vault import Vault

folder, url, id_ = sys.argv[1:]
registry.load()
config = Config(data_dir=Path(folder), database_url=url, egress_allow=("127.0.0.1",))
database.connect(config.database, "normal")
credential = Credentials(Vault.open(config, make=False)).open(Credential.find(id_))
ctx = Context("n", {}, {}, "k", time.monotonic() + 30, services=make_services(config), keyring=Keyring())
print("ready", flush=True)
sys.stdin.readline()
print(get_token(credential, ctx).value, flush=True)
"""


@pytest.fixture
def config(config):
    return replace(config, egress_allow=("127.0.0.1",))


@pytest.fixture
def there():
    with authorization_server() as there:
        yield there


@pytest.fixture
def services(config):
    services = make_services(config)
    yield services
    services.close()


@pytest.fixture
def make_ctx(services):
    def make(seconds=PATIENCE, ahead_ms=0):
        return Context(
            "n", {}, {}, "k", time.monotonic() + seconds, services=services, keyring=Keyring(),
            clock=lambda: (now_ms() + ahead_ms) * 1_000_000,
        )  # fmt: skip

    return make


@pytest.fixture
def make_account(server, workspace, there):
    """`make_account()` gives a connected credential; its grant is `life` seconds old and young enough to be used."""

    def make(type_="oauth2", token=None, due=True, **values):
        data = there.credential(**values) if type_ == "oauth2" else there.brought_along(**values)
        entry = NewAuditEntry("credential.created", workspace.id)
        row = server.credentials.keep(entry, data, name=f"account{Credential.select().count()}", type=type_, hosts=None)
        if type_ == "oauth2":
            token = token or there.grant()
            issued = Issued(token.values["access_token"], token.values["refresh_token"])
            now = now_ms()
            times = {"obtained_at": now, "expires_at": now + 3_600_000, "refresh_at": now + 3_540_000}
            if due:
                times |= {"obtained_at": now - 3_600_000, "expires_at": now - 1, "refresh_at": now - 60_000}
            grants.put(row.id, workspace.id, details="{}", **grants.seal_tokens(server.vault, issued), **times)
        return row

    return make


def opened(server, row):
    return server.credentials.open(row)


def works(there, token):
    return there.send("GET", "/api/me", headers={"Authorization": f"Bearer {token}"})[0] == 200


# One refresh


def test_a_valid_token_is_used_as_it_is(server, there, make_account, make_ctx):
    row = make_account(due=False)
    assert works(there, get_token(opened(server, row), make_ctx()).value)
    assert not there.refreshes


@pytest.mark.parametrize("type_", ["oauth2", "oauth2_refresh_token"])
def test_a_token_is_refreshed_before_it_ends_and_both_new_tokens_are_stored(
    server, there, make_account, make_ctx, type_
):
    row = make_account(type_)
    credential = opened(server, row)
    tokens = []
    for _ in range(3):
        tokens.append(get_token(credential, make_ctx()).value)
        OAuthGrant.update(refresh_at=now_ms() - 1).execute()
    assert len(set(tokens)) == 3 == there.refreshes and works(there, tokens[-1])
    assert credential.grants.read().refresh_token == there.tokens[-1].values["refresh_token"]


def test_a_server_that_keeps_its_refresh_token_is_asked_with_it_again(server, there, make_account, make_ctx):
    there.rotates, there.life = False, 1
    credential = opened(server, make_account())
    first = get_token(credential, make_ctx()).value
    second = get_token(credential, make_ctx(ahead_ms=5_000)).value
    assert first != second and there.refreshes == 2


def test_threads_refresh_once(server, there, make_account, make_ctx):
    credential = opened(server, make_account())
    found = []

    def use():
        found.append(get_token(credential, make_ctx()).value)
        database.disconnect_thread()

    with there.held("arrived") as gate:
        threads = [threading.Thread(target=use) for _ in range(8)]
        for thread in threads:
            thread.start()
        assert gate.reached.wait(PATIENCE)
        gate.go.set()
        for thread in threads:
            thread.join(PATIENCE)
    assert len(found) == 8 and len(set(found)) == 1 and there.refreshes == 1


def test_who_waits_for_a_refresh_has_a_deadline(server, there, make_account, make_ctx):
    row = make_account()
    grants.take_lease(OAuthGrant.find(row.id))
    with pytest.raises(TimedOut, match="another process is refreshing it"):
        get_token(opened(server, row), make_ctx(seconds=0.3))
    assert not there.refreshes


def test_a_token_that_still_works_is_used_while_another_process_refreshes(server, there, make_account, make_ctx):
    row = make_account(due=False)
    OAuthGrant.update(refresh_at=now_ms() - 1).execute()
    grants.take_lease(OAuthGrant.find(row.id))
    assert works(there, get_token(opened(server, row), make_ctx()).value) and not there.refreshes


def test_a_lease_that_has_ended_is_free(server, there, make_account, make_ctx):
    row = make_account()
    grants.take_lease(OAuthGrant.find(row.id))
    OAuthGrant.update(lease_until=-(10**12)).execute()
    assert works(there, get_token(opened(server, row), make_ctx()).value) and there.refreshes == 1


@pytest.mark.parametrize("ahead_ms", [-86_400_000, 86_400_000])
def test_a_clock_that_jumps_costs_one_refresh_at_most(server, there, make_account, make_ctx, ahead_ms):
    credential = opened(server, make_account(due=False))
    token = get_token(credential, make_ctx(ahead_ms=ahead_ms)).value
    assert works(there, token) and there.refreshes == 1
    assert get_token(credential, make_ctx(ahead_ms=ahead_ms)).value == token and there.refreshes == 1


# Refusals


@pytest.mark.parametrize(
    ("failure", "text"),
    [((503, {}), "answered 503"), ((429, {"Retry-After": "7"}), "answered 429"), ((502, {}), "502")],
)
def test_a_server_that_is_busy_marks_nothing_and_the_next_attempt_succeeds(
    server, there, make_account, make_ctx, failure, text
):
    row = make_account()
    there.fail(*failure)
    with pytest.raises(NodeError, match=text) as caught:
        get_token(opened(server, row), make_ctx())
    assert not caught.value.permanent and caught.value.retry_after == (7 if failure[1] else 0)
    assert OAuthGrant.find(row.id).status == "connected" and OAuthGrant.find(row.id).lease_id is None
    assert works(there, get_token(opened(server, row), make_ctx()).value)


def test_a_busy_server_does_not_stop_a_token_that_still_works(server, there, make_account, make_ctx):
    row = make_account(due=False)
    OAuthGrant.update(refresh_at=now_ms() - 1).execute()
    there.fail(503)
    assert works(there, get_token(opened(server, row), make_ctx()).value) and there.refreshes == 1


def test_a_revoked_grant_is_marked_told_once_and_not_asked_again(server, there, make_account, make_ctx):
    row = make_account()
    there.revoke_all()
    for _ in range(3):
        with pytest.raises(NodeError, match="connect the account again") as caught:
            get_token(opened(server, row), make_ctx())
        assert caught.value.kind == "credential" and caught.value.permanent
    grant = OAuthGrant.find(row.id)
    assert (grant.status, grant.tokens, there.refreshes) == ("revoked", None, 1) and "invalid_grant" in grant.reason
    assert len(list(LogEntry.each("level = 'error'", ()))) == 1


def test_a_wrong_client_secret_is_told_and_forgotten_once_it_is_right(server, there, make_account, make_ctx):
    row = make_account(client_secret="wrong")
    for _ in range(2):
        with pytest.raises(NodeError, match="invalid_client"):
            get_token(opened(server, row), make_ctx())
    assert OAuthGrant.find(row.id).status == "error"
    assert len(list(LogEntry.each("message LIKE '%cannot be refreshed%'", ()))) == 1
    server.credentials.change(NewAuditEntry("credential.updated"), row, {"data": there.credential()})
    assert works(there, get_token(opened(server, row), make_ctx()).value)
    assert (OAuthGrant.find(row.id).status, OAuthGrant.find(row.id).reason) == ("connected", None)


def test_access_that_nothing_renews_ends_with_a_mark(server, there, make_account, make_ctx):
    token = there.grant()
    token.values["refresh_token"] = ""
    row = make_account(token=token)
    with pytest.raises(NodeError, match="its access has ended"):
        get_token(opened(server, row), make_ctx())
    assert OAuthGrant.find(row.id).status == "revoked" and len(list(LogEntry.each("level = 'error'", ()))) == 1


def test_no_reason_has_a_secret(server, there, make_account, make_ctx):
    row = make_account()
    token = there.tokens[0].values["refresh_token"]
    there.fail(
        400, {"Content-Type": "application/json"}, f'{{"error": "invalid_grant", "error_description": "{token}"}}'
    )
    with pytest.raises(NodeError) as caught:
        get_token(opened(server, row), make_ctx())
    grant = OAuthGrant.find(row.id)
    (entry,) = LogEntry.each("level = 'error'", ())
    assert "***" in grant.reason and token not in grant.reason + entry.message + caught.value.message


# A refresh that is overtaken or cut


def test_a_refresh_that_was_overtaken_by_a_new_consent_changes_nothing(
    server, there, make_account, make_ctx, workspace
):
    row = make_account()
    found = []

    def use():
        found.append(get_token(opened(server, row), make_ctx()).value)
        database.disconnect_thread()

    fresh = there.grant()
    with there.held("rotated") as gate:
        thread = threading.Thread(target=use)
        thread.start()
        assert gate.reached.wait(PATIENCE)
        issued = Issued(fresh.values["access_token"], fresh.values["refresh_token"])
        times = {"obtained_at": now_ms(), "expires_at": now_ms() + 3_600_000, "refresh_at": now_ms() + 3_500_000}
        grants.put(row.id, workspace.id, details="{}", **grants.seal_tokens(server.vault, issued), **times)
        gate.go.set()
        thread.join(PATIENCE)
    assert found == [fresh.values["access_token"]]
    assert opened(server, row).grants.read().refresh_token == fresh.values["refresh_token"]


@pytest.mark.parametrize("is_strict", [False, True])
def test_tokens_that_could_not_be_stored_are_not_lost(server, there, make_account, make_ctx, monkeypatch, is_strict):
    """On a full disk: the service has given up the old refresh token, and only this process has the new one."""
    there.is_strict = is_strict
    row = make_account()
    write = grants.store_refresh

    def fail(*args, **values):
        raise database.DatabaseFailed("database or disk is full")

    monkeypatch.setattr(grants, "store_refresh", fail)
    monkeypatch.setattr(grants, "give_up_lease", fail)
    with pytest.raises(NodeError, match="could not be stored: database or disk is full") as caught:
        get_token(opened(server, row), make_ctx())
    assert caught.value.kind == "storage" and not caught.value.permanent
    monkeypatch.undo()
    assert write == grants.store_refresh
    assert works(there, get_token(opened(server, row), make_ctx()).value) and there.refreshes == 1
    assert opened(server, row).grants.read().refresh_token == there.tokens[-1].values["refresh_token"]


def test_an_answer_that_was_lost_is_asked_for_again(server, there, make_account, make_ctx):
    row = make_account()
    with there.held("rotated") as gate:
        with pytest.raises(NodeError) as caught:
            get_token(opened(server, row), make_ctx(seconds=0.5))
        assert gate.reached.is_set() and not caught.value.permanent
    assert works(there, get_token(opened(server, row), make_ctx()).value) and there.refreshes == 2


@pytest.fixture
def start(config):
    """`start(row)` starts a process that gets a token when `go` is written to it."""
    children = []

    def begin(row):
        child = start_python(CHILD, config.data_dir, config.database_url, row.id)
        children.append(child)
        assert child.stdout.readline() == "ready\n", child.stderr.read()
        return child

    yield begin
    for child in children:
        child.kill()
        child.communicate(timeout=10)


def go(child):
    child.stdin.write("go\n")
    child.stdin.flush()


def test_two_processes_refresh_once(there, make_account, start):
    row = make_account()
    children = [start(row), start(row)]
    with there.held("arrived") as gate:
        for child in children:
            go(child)
        assert gate.reached.wait(PATIENCE)
        gate.go.set()
        first, second = (child.stdout.readline().strip() for child in children)
    assert first == second and works(there, first) and there.refreshes == 1


# Tokens that are exchanged for new ones while they are valid, as Facebook's are

DAY_MS = 86_400_000


@pytest.fixture
def make_lasting(server, workspace, there):
    """`make_lasting(age_ms)` gives a connected account whose access token was exchanged so long ago, for 60 days."""

    def make(age_ms, renew_after=86_400.0, **values):
        data = {"provider": "facebook", **there.credential(auth="body"), **values}
        entry = NewAuditEntry("credential.created", workspace.id)
        row = server.credentials.keep(entry, data, name="page", type="oauth2", hosts=None)
        issued = Issued(there.grant().values["access_token"], life=60 * 86_400.0, renew_after=renew_after)
        times = make_times(issued, now_ms() - age_ms, False)
        grants.put(row.id, workspace.id, details="{}", **grants.seal_tokens(server.vault, issued), **times)
        return row

    return make


def test_a_lasting_token_is_exchanged_after_a_day_and_so_again(server, there, make_lasting, make_ctx):
    there.life = 60 * 86_400
    credential = opened(server, make_lasting(DAY_MS - 60_000))
    first = get_token(credential, make_ctx()).value
    assert works(there, first) and not there.asked
    second = get_token(credential, make_ctx(ahead_ms=120_000)).value
    assert second != first and works(there, second)
    assert get_token(credential, make_ctx(ahead_ms=130_000)).value == second
    (asked,) = there.asked
    assert asked["form"]["grant_type"] == "fb_exchange_token" and asked["form"]["fb_exchange_token"] == first
    grant = credential.grants.read()
    assert grant.refresh_token == "" and grant.expires_at - grant.refresh_at == 59 * DAY_MS
    third = get_token(credential, make_ctx(ahead_ms=2 * DAY_MS)).value
    assert third not in (first, second) and len(there.asked) == 2


def test_a_lasting_token_that_was_never_exchanged_again_is_at_its_next_use(server, there, make_lasting, make_ctx):
    """As accounts have it that were connected before this was done."""
    credential = opened(server, make_lasting(30 * DAY_MS, renew_after=None))
    assert credential.grants.read().refresh_at is None
    assert works(there, get_token(credential, make_ctx()).value) and len(there.asked) == 1
    assert credential.grants.read().refresh_at is not None


def test_threads_exchange_a_lasting_token_once(server, there, make_lasting, make_ctx):
    credential = opened(server, make_lasting(2 * DAY_MS))
    found = []

    def use():
        found.append(get_token(credential, make_ctx()).value)
        database.disconnect_thread()

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(found) == 8 and len(there.asked) == 1 and all(works(there, token) for token in found)


def test_a_lasting_token_that_has_ended_is_marked_and_not_exchanged(server, there, make_lasting, make_ctx):
    row = make_lasting(61 * DAY_MS)
    shown = registry.accounts.describe(server.credentials, [row])[row.id]
    assert shown["status"] == "revoked" and shown["reason"].startswith("its access has ended")
    with pytest.raises(NodeError, match="its access has ended.*connect the account again"):
        get_token(opened(server, row), make_ctx())
    assert OAuthGrant.find(row.id).status == "revoked" and not there.asked
    assert len(list(LogEntry.each("level = 'error'", ()))) == 1


def test_a_lasting_token_shows_its_end_because_only_its_use_renews_it(server, make_lasting):
    row = make_lasting(DAY_MS)
    shown = registry.accounts.describe(server.credentials, [row])[row.id]
    assert shown["status"] == "connected" and shown["expires_at"] == OAuthGrant.find(row.id).expires_at


def test_a_lasting_token_that_the_person_withdrew_is_marked(server, there, make_lasting, make_ctx):
    row = make_lasting(2 * DAY_MS)
    there.revoke_all()
    with pytest.raises(NodeError, match="connect the account again"):
        get_token(opened(server, row), make_ctx())
    assert OAuthGrant.find(row.id).status == "revoked"


@pytest.mark.parametrize(
    ("status", "body", "marked"),
    [
        (503, "busy", "connected"),
        (400, '{"error": {"message": "try later", "code": 2, "is_transient": true}}', "connected"),
        (400, '{"error": {"message": "Error validating client secret.", "code": 1}}', "error"),
    ],
)
def test_a_lasting_token_is_used_on_if_its_exchange_fails(server, there, make_lasting, make_ctx, status, body, marked):
    row = make_lasting(2 * DAY_MS)
    there.fail(status, {"Content-Type": "application/json"}, body)
    assert works(there, get_token(opened(server, row), make_ctx()).value) and len(there.asked) == 1
    assert OAuthGrant.find(row.id).status == marked
    assert works(there, get_token(opened(server, row), make_ctx()).value) and len(there.asked) == 2
    assert OAuthGrant.find(row.id).status == "connected"


# Without a row


def test_a_refresh_token_without_a_row_is_rotated_in_memory(there, make_ctx):
    credential = make_credential("mine", "oauth2_refresh_token", there.brought_along(), None)
    there.is_strict, there.life = True, 1
    tokens = Tokens()
    first = get_token(credential, make_ctx(), tokens).value
    second = get_token(credential, make_ctx(ahead_ms=5_000), tokens).value
    assert first != second and there.refreshes == 2


def test_an_account_without_a_server_is_refused_with_what_to_do(there, make_ctx):
    credential = make_credential("mine", "oauth2", there.credential(), None)
    with pytest.raises(NodeError, match="a person connects in the app"):
        get_token(credential, make_ctx())


# Service accounts, and tests of credentials


def test_a_service_account_signs_for_its_tokens(there, make_ctx):
    credential = make_credential("robot", "google_service_account", there.robot(subject="zoe@example.com"), None)
    tokens = Tokens()
    token = get_token(credential, make_ctx(), tokens)
    assert works(there, token.value) and get_token(credential, make_ctx(), tokens).value == token.value
    (asked,) = there.asked
    assert set(asked["form"]) == {"grant_type", "assertion"} and not asked["authorization"]
    assert credential.hosts == ("*.googleapis.com",)


def test_a_service_account_with_a_wrong_key_says_so(there, make_ctx):
    there.robot()
    data = {"client_email": "robot@example.com", "private_key": "no key", "scope": "read"}
    credential = make_credential("robot", "google_service_account", data, None)
    with pytest.raises(NodeError, match="is not one in PEM format") as caught:
        get_token(credential, make_ctx(), Tokens())
    assert caught.value.kind == "credential"


def test_the_test_of_an_account_renews_its_token(server, there, make_account, make_ctx):
    row = make_account(due=False)
    assert "issued a token valid for" in check_credential(opened(server, row), make_ctx(), {})
    assert there.refreshes == 1
    there.revoke_all()
    OAuthGrant.update(refreshed_at=1).execute()
    with pytest.raises(NodeError, match="invalid_grant"):
        check_credential(opened(server, row), make_ctx(), {})
