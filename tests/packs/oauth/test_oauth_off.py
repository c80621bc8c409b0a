"""What is stored of accounts while the pack is off."""

import pytest
from oauth_accounts import connected_account

from models import OAuthGrant
from nodes.credentials.types import TYPES
from registry import AccountKeeper, registry

UNKNOWN = "there is no type 'oauth2' here; packs that HEADRACE_PACKS leaves out: oauth"


@pytest.fixture
def off(owner, monkeypatch):
    """The id of a connected account, in a server that does not know its type any more."""
    id_ = connected_account(owner)
    for type_ in ("oauth2", "oauth2_refresh_token", "oauth2_client_credentials", "google_service_account"):
        monkeypatch.delitem(TYPES, type_)
    monkeypatch.setattr(registry, "accounts", AccountKeeper())
    monkeypatch.setattr(registry, "off", ["oauth"])
    return id_


def test_an_account_is_listed_and_renamed_and_keeps_its_tokens(owner, off):
    (row,) = owner.get("/api/credentials").json["items"]
    assert (row["type"], row["connection"]) == ("oauth2", None)
    assert owner.put(f"/api/credentials/{off}", {"name": "other"}).json["name"] == "other"
    assert OAuthGrant.find(off) is not None


def test_its_tokens_are_deleted_with_it(owner, off):
    assert owner.delete(f"/api/credentials/{off}").status_code == 204
    assert OAuthGrant.find(off) is None


def test_its_test_fails_and_names_the_pack(owner, off):
    answer = owner.post(f"/api/credentials/{off}/test", {}).json
    assert not answer["ok"] and answer["message"] == UNKNOWN


def test_a_flow_that_names_it_is_saved_with_a_warning_and_fails(owner, off, make_flow):
    nodes = [{"id": "start", "type": "manual"}]
    nodes.append({"id": "a", "type": "http", "config": {"url": "https://a.example", "credential": "account"}})
    made = make_flow({"nodes": nodes, "edges": [["start", "a"]]})
    (warning,) = made["warnings"]
    assert warning["message"].endswith("has the unknown type oauth2; packs that HEADRACE_PACKS leaves out: oauth")
    run = owner.post(f"/api/workflows/{made['id']}/run", {"input": None}).json
    assert run["status"] == "failed" and UNKNOWN in str(run), run


def test_no_credential_of_its_types_is_made(owner, off):
    answer = owner.post("/api/credentials", {"name": "new", "type": "oauth2", "data": {}})
    assert answer.status_code == 400 and "HEADRACE_PACKS leaves out: oauth" in answer.json["error"]
