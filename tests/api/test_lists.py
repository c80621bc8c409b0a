"""The common rules of all lists: newest first, `limit`, and a cursor through all pages."""

import base64

import pytest
from test_every_route import has_pack

pytestmark = pytest.mark.usefixtures("shared_server")


def fill(owner, flow, path):
    """Add three items to the list at this path."""
    for number in range(3):
        if path == "/api/flows":
            owner.post("/api/flows", {"name": f"Flow {number}"})
        elif path == "/api/runs":
            owner.post("/api/runs", {"workflow_id": flow["id"]})
        elif path == "/api/logs":
            owner.post("/api/logs", {"message": str(number)})
        elif path == "/api/agent/memory":
            owner.post("/api/agent/memory", {"agent_id": "a", "key": str(number), "content": "c"})
        elif path == "/api/presets":
            document = {"openapi": "3.1.0", "info": {"title": f"T{number}"}, "paths": {"/a": {"get": {}}}}
            owner.post("/api/import/openapi", {"document": document})
        else:
            definition = {"nodes": [{"id": f"n{number}", "type": "noop"}]}
            owner.put(f"/api/workflows/{flow['id']}", {"definition": definition})


LISTS = ["/api/flows", "/api/runs", "/api/logs", "/api/agent/memory", "/api/presets", "/api/workflows/{flow}/versions"]

LISTS = [path for path in LISTS if has_pack(f"GET {path}")]


@pytest.fixture(params=LISTS)
def path(request, owner, flow):
    fill(owner, flow, request.param)
    return request.param.format(flow=flow["id"])


def pages(client, path, limit):
    """Return all pages, at most twenty."""
    cursor = ""
    for _ in range(20):
        answer = client.get(f"{path}?limit={limit}{cursor}").json
        yield answer["items"]
        if answer["next_cursor"] is None:
            return
        cursor = f"&cursor={answer['next_cursor']}"
    raise AssertionError("the pages never end")


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 200])
def test_the_pages_together_are_the_list(owner, path, limit):
    whole = owner.get(path).json["items"]
    walked = list(pages(owner, path, limit))
    assert [item for page in walked for item in page] == whole
    assert all(len(page) == limit for page in walked[:-1]) and walked[-1]


def test_the_newest_comes_first(owner, path):
    key = "version" if path.endswith("versions") else "id"
    found = [item[key] for item in owner.get(path).json["items"]]
    assert len(found) >= 3 and found == sorted(found, reverse=True)


def test_the_last_page_has_no_cursor(owner, path):
    assert owner.get(f"{path}?limit=200").json["next_cursor"] is None


def test_additions_do_not_disturb_pagination(owner):
    names = [owner.post("/api/flows", {"name": str(number)}).json["name"] for number in range(4)]
    first = owner.get("/api/flows?limit=2").json
    owner.post("/api/flows", {"name": "late"})
    second = owner.get(f"/api/flows?limit=2&cursor={first['next_cursor']}").json
    assert [flow["name"] for flow in first["items"] + second["items"]] == names[::-1]


def test_deletions_do_not_disturb_pagination(owner):
    for number in range(4):
        owner.post("/api/flows", {"name": str(number)})
    first = owner.get("/api/flows?limit=2").json
    owner.delete(f"/api/workflows/{first['items'][-1]['id']}")
    second = owner.get(f"/api/flows?limit=2&cursor={first['next_cursor']}").json
    assert [flow["name"] for flow in second["items"]] == ["1", "0"]


def test_a_cursor_shows_nothing_of_another_workspace(owner, other):
    for number in range(3):
        owner.post("/api/flows", {"name": str(number)})
        other.post("/api/flows", {"name": f"theirs {number}"})
    cursor = owner.get("/api/flows?limit=1").json["next_cursor"]
    names = [flow["name"] for flow in other.get(f"/api/flows?cursor={cursor}").json["items"]]
    assert all(name.startswith("theirs") for name in names)


@pytest.mark.parametrize("text", ["nothing", "run", "wf_", "wf_x", "wf_' OR 1=1", "wf_\0", "1" * 10])
def test_a_cursor_that_this_list_never_gave_is_400(owner, flow, text):
    cursor = base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
    answer = owner.get(f"/api/flows?cursor={cursor}")
    assert answer.status_code == 400 and answer.json["error"].startswith("cursor: ")


@pytest.mark.parametrize("limit", ["0x10", "1e1", "true", "5,", "5;"])
def test_a_limit_is_a_plain_number(owner, limit):
    answer = owner.get(f"/api/flows?limit={limit}")
    assert answer.status_code == 400 and answer.json["error"].startswith("limit: ")


SHORT_LISTS = ["nodes", "templates", "credential-types", "workspaces", "members", "tokens"]


@pytest.mark.parametrize("path", [f"/api/{name}" for name in SHORT_LISTS])
def test_the_pages_of_a_list_that_is_given_whole_are_the_list(owner, path):
    for number in range(3):
        owner.post("/api/tokens", {"name": str(number)})
    whole = owner.get(path).json
    assert whole["next_cursor"] is None
    walked = list(pages(owner, path, 1 if len(whole["items"]) < 10 else 20))
    assert [item for page in walked for item in page] == whole["items"] and all(walked)


@pytest.mark.parametrize("query", ["limit=0", "limit=201", "limit=x", "cursor=x", "cursor=cnVu"])
def test_a_list_that_is_given_whole_refuses_a_bad_page(owner, query):
    answer = owner.get(f"/api/members?{query}")
    assert answer.status_code == 400 and query.partition("=")[0] in answer.json["error"]
