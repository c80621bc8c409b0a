"""Credentials: the values of each type, roles, and that no response contains a value."""

import logging

import pytest
from engines import wait_for_changes
from world import add_flow

from database import execute, write
from models import Credential

pytestmark = pytest.mark.usefixtures("shared_server")

BEARER = {"name": "shop", "type": "http_bearer", "data": {"token": "hunter2hunter2"}}
GOOD = {
    "http_basic": [{"username": "ada", "password": "hunter2"}, {"username": "ada", "password": ""}],
    "http_header": [{"name": "X-Api-Key", "value": "hunter2"}],
    "http_bearer": [{"token": "hunter2"}],
    "hmac": [
        {"secret": "hunter2", "style": "github"},
        {"secret": "hunter2", "style": "github", "header": "X-Gitea-Signature"},
        {"secret": "hunter2", "style": "stripe", "tolerance": 60},
        {"secret": "hunter2", "style": "plain", "header": "X-Sign", "algorithm": "sha1", "encoding": "base64"},
        {"secret": "hunter2", "style": "plain", "header": "X-Sign", "algorithm": "sha512", "prefix": "v0="},
    ],
}
# Type, data, the field that is wrong. The value in question is always hunter2.
BAD = [
    ("http_basic", {"username": "hunter2"}, "data.password"),
    ("http_basic", {"username": "hunter2:", "password": "x"}, "data.username"),
    ("http_basic", {"username": "a\nhunter2", "password": "x"}, "data.username"),
    ("http_basic", {"username": "", "password": "hunter2"}, "data.username"),
    ("http_basic", {"username": ["hunter2"], "password": "x"}, "data.username"),
    ("http_header", {"name": "hunter2 hunter2", "value": "x"}, "data.name"),
    ("http_header", {"name": "X-Key", "value": "hunter2\r\nX: y"}, "data.value"),
    ("http_header", {"name": "X-Key"}, "data.value"),
    ("http_bearer", {"token": ""}, "data.token"),
    ("http_bearer", {"token": {"hunter2": "hunter2"}}, "data.token"),
    ("http_bearer", {"token": "hunter2" * 2000}, "data.token"),
    ("http_bearer", {"token": "hunter2", "other": "hunter2"}, "data.other"),
    ("hmac", {"secret": "hunter2"}, "data.style"),
    ("hmac", {"secret": "hunter2", "style": "hunter2"}, "data.style"),
    ("hmac", {"secret": "", "style": "github"}, "data.secret"),
    ("hmac", {"secret": "hunter2", "style": "plain"}, "data.header"),
    ("hmac", {"secret": "hunter2", "style": "github", "algorithm": "sha1"}, "data.style"),
    ("hmac", {"secret": "hunter2", "style": "stripe", "encoding": "base64"}, "data.style"),
    ("hmac", {"secret": "hunter2", "style": "github", "prefix": "hunter2"}, "data.style"),
    ("hmac", {"secret": "hunter2", "style": "plain", "header": "X", "algorithm": "md5"}, "data.algorithm"),
    ("hmac", {"secret": "hunter2", "style": "stripe", "tolerance": 0}, "data.tolerance"),
    ("hmac", {"secret": "hunter2", "style": "stripe", "tolerance": "hunter2"}, "data.tolerance"),
]


@pytest.fixture
def bearer(owner):
    """Return the JSON of a saved credential."""
    made = owner.post("/api/credentials", BEARER).json
    return {name: value for name, value in made.items() if name != "warnings"}


def opened(server, id_):
    """Return the decrypted values."""
    row = Credential.find(id_)
    return server.vault.unseal(row.id, row.updated_at, row.data)


@pytest.mark.parametrize(("type_", "data"), [(type_, data) for type_, several in GOOD.items() for data in several])
def test_each_type_accepts_its_values_and_returns_none(owner, server, type_, data):
    answer = owner.post("/api/credentials", {"name": "a", "type": type_, "data": data})
    assert answer.status_code == 201, answer.text
    keys = {"id", "workspace_id", "name", "type", "hosts", "connection", "created_at", "updated_at"}
    assert set(answer.json) - {"warnings"} == keys
    assert answer.json["id"].startswith("cred_") and "hunter2" not in answer.text
    assert data.items() <= opened(server, answer.json["id"]).items()
    assert "hunter2" not in Credential.find(answer.json["id"]).data


@pytest.mark.parametrize(("type_", "data", "path"), BAD)
def test_a_wrong_value_is_named_and_not_repeated(owner, bearer, caplog, type_, data, path):
    caplog.set_level("DEBUG")
    answer = owner.post("/api/credentials", {"name": "a", "type": type_, "data": data})
    assert answer.status_code == 400 and "hunter2" not in answer.text
    assert path in [detail["path"] for detail in answer.json["details"]]
    assert "hunter2" not in caplog.text and Credential.select().count() == 1


@pytest.mark.parametrize(
    "body",
    [
        {**BEARER, "type": "from_the_future"},
        {**BEARER, "name": " "},
        {**BEARER, "name": "x" * 201},
        {**BEARER, "data": "hunter2"},
        {**BEARER, "data": ["hunter2"]},
        {**BEARER, "data": None},
        {**BEARER, "id": "cred_1"},
        {"name": "a", "type": "http_bearer"},
    ],
)
def test_a_wrong_body_is_400_and_not_repeated(owner, body):
    answer = owner.post("/api/credentials", body)
    assert answer.status_code == 400 and "hunter2" not in answer.text and Credential.select().count() == 0


def test_the_list_shows_names_and_types_to_every_member(owner, member, bearer):
    owner.post("/api/credentials", {**BEARER, "name": "second"})
    answer = member("viewer").get("/api/credentials")
    assert [item["name"] for item in answer.json["items"]] == ["second", "shop"]
    assert answer.json["items"][1] == bearer and "hunter2" not in answer.text
    page = owner.get("/api/credentials?limit=1").json
    assert owner.get(f"/api/credentials?cursor={page['next_cursor']}").json["items"] == [bearer]


def test_a_name_is_there_once_a_workspace(owner, other, bearer):
    answer = owner.post("/api/credentials", BEARER)
    assert answer.status_code == 409 and "'shop'" in answer.json["error"]
    assert other.post("/api/credentials", BEARER).status_code == 201
    assert [item["id"] for item in owner.get("/api/credentials").json["items"]] == [bearer["id"]]


def test_a_change_affects_only_the_given_fields(owner, server, bearer):
    path = f"/api/credentials/{bearer['id']}"
    renamed = owner.put(path, {"name": "other"}).json
    assert (renamed["name"], opened(server, bearer["id"])) == ("other", {"token": "hunter2hunter2"})
    assert renamed["updated_at"] >= bearer["updated_at"] and renamed["created_at"] == bearer["created_at"]
    answer = owner.put(path, {"data": {"token": "correct horse"}})
    assert answer.status_code == 200 and "correct horse" not in answer.text and answer.json["name"] == "other"
    assert opened(server, bearer["id"]) == {"token": "correct horse"}


def test_new_values_replace_all_old_ones(owner, server):
    data = {"secret": "a", "style": "plain", "header": "X-Sign", "prefix": "v0="}
    id_ = owner.post("/api/credentials", {"name": "a", "type": "hmac", "data": data}).json["id"]
    owner.put(f"/api/credentials/{id_}", {"data": {"secret": "b", "style": "github"}})
    assert "prefix" not in opened(server, id_) and opened(server, id_)["style"] == "github"
    assert owner.put(f"/api/credentials/{id_}", {"data": {"secret": "c"}}).status_code == 400
    assert opened(server, id_)["secret"] == "b"


@pytest.mark.parametrize("body", [{"type": "hmac"}, {"data": {"password": "hunter2"}}, {"name": ""}, {"name": None}])
def test_a_change_that_cannot_be_is_400(owner, server, bearer, body):
    answer = owner.put(f"/api/credentials/{bearer['id']}", body)
    assert answer.status_code == 400 and "hunter2" not in answer.text
    assert owner.get("/api/credentials").json["items"] == [bearer]
    assert opened(server, bearer["id"]) == BEARER["data"]


def test_a_change_to_a_taken_name_is_409(owner, bearer):
    owner.post("/api/credentials", {**BEARER, "name": "second"})
    assert owner.put(f"/api/credentials/{bearer['id']}", {"name": "second"}).status_code == 409
    assert owner.put(f"/api/credentials/{bearer['id']}", {"name": "shop"}).status_code == 200


def test_a_credential_can_be_deleted(owner, bearer):
    assert owner.delete(f"/api/credentials/{bearer['id']}").status_code == 204
    assert owner.get("/api/credentials").json["items"] == []
    assert owner.delete(f"/api/credentials/{bearer['id']}").status_code == 404


def test_one_that_an_active_flow_uses_is_kept_and_the_flow_is_named(owner, make_flow, bearer):
    config = {"path": "safe", "auth": "header", "credential": "shop"}
    flow = make_flow({"nodes": [{"id": "h", "type": "webhook", "config": config}]}, status="active", name="Orders")
    path = f"/api/credentials/{bearer['id']}"
    for answer in (owner.delete(path), owner.put(path, {"name": "other"})):
        assert answer.status_code == 409 and "'Orders'" in answer.json["error"]
    assert owner.put(path, {"data": {"token": "new"}}).status_code == 200
    owner.put(f"/api/workflows/{flow['id']}", {"status": "archived"})
    assert owner.delete(path).status_code == 204


def test_stored_values_cannot_be_decrypted_without_the_key(owner, bearer, config):
    stored = execute("SELECT * FROM credentials").fetchall()
    assert len(stored) == 1 and "hunter2" not in repr(stored)
    assert "hunter2" not in repr(Credential.find(bearer["id"])) + str(vars(Credential.find(bearer["id"])))
    files = [path for path in config.data_dir.rglob("*") if path.is_file()]
    assert not [path for path in files if b"hunter2" in path.read_bytes()]


# Who uses it


def names_it(how):
    """Return a flow whose only node names the credential `shop` in this way."""
    config = {"url": "https://shop.example", **({"credential": "shop"} if how == "setting" else {})}
    if how == "expression":
        config["headers"] = {"X-Key": "{{ secrets.shop }}"}
    return {"nodes": [{"id": "a", "type": "http", "config": config}], "edges": []}


@pytest.mark.pack("agents")
def test_a_credential_lists_its_flows_and_agents(owner, make_flow, bearer):
    draft = make_flow(names_it("expression"), name="By expression")
    active = make_flow(names_it("setting"), name="Setting", status="active")
    make_flow(names_it("no"), name="Other")
    tool = {"type": "http", "credential": "shop", "hosts": ["shop.example"]}
    agent = {"id": "helper", "name": "Helper", "instructions": "Help.", "tools": [tool]}
    assert owner.post("/api/agents", agent).status_code == 201
    expected = [
        {"type": "flow", "id": active["id"], "name": "Setting", "status": "active"},
        {"type": "flow", "id": draft["id"], "name": "By expression", "status": "draft"},
        {"type": "agent", "id": "helper", "name": "Helper", "status": None},
    ]
    path = f"/api/credentials/{bearer['id']}"
    assert owner.get(path).json == {**bearer, "used_by": expected, "used_by_count": 3}
    assert owner.get("/api/credentials?used_by=true").json["items"] == [owner.get(path).json]
    assert owner.get("/api/credentials").json["items"] == [bearer]


def test_usage_follows_every_change(owner, make_flow, bearer):
    flow = make_flow(names_it("setting"))
    flow_path, path = f"/api/workflows/{flow['id']}", f"/api/credentials/{bearer['id']}"

    def users():
        return [(user["name"], user["status"]) for user in owner.get(path).json["used_by"]]

    assert users() == [("Echo", "draft")]
    owner.put(flow_path, {"name": "Renamed", "status": "archived"})
    assert users() == [("Renamed", "archived")]
    owner.put(path, {"name": "store"})
    assert users() == []
    owner.put(path, {"name": "shop"})
    owner.put(flow_path, {"definition": names_it("no")})
    assert users() == []
    owner.post(f"{flow_path}/restore", {"version": 1})
    assert users() == [("Renamed", "archived")]
    owner.delete(flow_path)
    assert users() == []


def test_one_that_is_named_by_its_id_is_used_too(owner, make_flow, bearer):
    node = {"id": "a", "type": "http", "config": {"url": "https://shop.example", "credential": bearer["id"]}}
    make_flow({"nodes": [node, {**node, "id": "b"}], "edges": []})
    assert owner.get(f"/api/credentials/{bearer['id']}").json["used_by_count"] == 1


def test_many_users_are_counted_and_the_first_are_named(owner, workspace, bearer):
    for number in range(25):
        add_flow(names_it("setting"), workspace.id, name=f"Flow {number:02}")
    found = owner.get(f"/api/credentials/{bearer['id']}").json
    assert (found["used_by_count"], len(found["used_by"])) == (25, 20)
    assert [user["name"] for user in found["used_by"][:2]] == ["Flow 00", "Flow 01"]


@pytest.mark.pack("agents")
def test_usage_of_many_credentials_is_queried_once(owner, workspace, caplog):
    for number in range(10):
        owner.post("/api/credentials", {**BEARER, "name": f"shop {number}"})
    for _ in range(30):
        add_flow(names_it("setting"), workspace.id)

    def asked(query):
        caplog.clear()
        with caplog.at_level(logging.DEBUG, "peewee"):
            assert owner.get(f"/api/credentials?{query}").status_code == 200
        return len([record for record in caplog.records if record.name == "peewee"])

    wait_for_changes()  # or the session is looked up again
    asked("")  # which looks up the session too
    plain = asked("")
    assert asked("used_by=true") == plain + 3, "the flows, their definitions, the agents"
    assert asked("used_by=true") == plain + 2, "a definition that was looked at is not read again"


def test_usage_in_other_workspaces_is_not_visible(owner, other, member, make_flow, bearer):
    make_flow(names_it("setting"))
    theirs = other.post("/api/credentials", BEARER).json
    make_flow(names_it("setting"), who=other, name="Theirs")
    assert [user["name"] for user in other.get(f"/api/credentials/{theirs['id']}").json["used_by"]] == ["Theirs"]
    assert other.get(f"/api/credentials/{bearer['id']}").status_code == 403
    assert member("viewer").get(f"/api/credentials/{bearer['id']}").json["used_by"][0]["name"] == "Echo"


def test_usage_is_found_without_the_key(owner, make_flow, bearer):
    make_flow(names_it("setting"))
    with write():
        execute("UPDATE credentials SET data = 'nobody can open this'")
    assert owner.get(f"/api/credentials/{bearer['id']}").json["used_by_count"] == 1
