"""What is stored of mail servers while the pack is off."""

import pytest

from nodes.credentials.types import TYPES


@pytest.fixture
def off(owner, monkeypatch):
    """A credential of a mailbox, in a server that does not know its type any more."""
    data = {"host": "127.0.0.1", "username": "zoe", "token_from": "account"}
    made = owner.post("/api/credentials", {"name": "box", "type": "imap", "data": data})
    for type_ in ("smtp", "imap", "service_url"):
        monkeypatch.delitem(TYPES, type_)
    return made.json


def test_a_stored_credential_is_listed_renamed_and_deleted(owner, off):
    assert [row["type"] for row in owner.get("/api/credentials").json["items"]] == ["imap"]
    assert owner.put(f"/api/credentials/{off['id']}", {"name": "mailbox"}).json["name"] == "mailbox"
    assert owner.delete(f"/api/credentials/{off['id']}").status_code == 204


def test_its_test_fails_and_says_why(owner, off):
    answer = owner.post(f"/api/credentials/{off['id']}/test", {}).json
    assert not answer["ok"] and answer["message"].startswith("there is no type 'imap' here")


def test_a_flow_that_names_it_is_saved_with_a_warning(owner, off, make_flow):
    node = {"id": "a", "type": "http", "config": {"url": "https://a.example", "credential": "box"}}
    assert any("box" in issue["message"] for issue in make_flow({"nodes": [node]})["warnings"])
