"""Paths of webhooks with parameters, and methods: which webhook takes a call, and what OPTIONS and HEAD answer."""

import pytest
from test_webhooks import definition

from database.queries.webhooks import MAX_PATTERNS
from models import Run

pytestmark = pytest.mark.usefixtures("shared_server")


@pytest.fixture
def hook(make_flow):
    """`hook(path, name)` makes an active flow that answers its input."""
    return lambda path, name="Orders", who=None, **config: make_flow(
        definition(path=path, respond="last", **config), who, status="active", name=name
    )


def runs_of(flow):
    return Run.select().where(Run.workflow_id == flow["id"]).count()


def test_parameters_of_the_path_are_in_the_input(client, hook):
    hook("shops/:shop/orders/:id")
    got = client.post("/api/webhooks/shops/nord/orders/7-é%20x?id=9", {}).json
    assert got["params"] == {"shop": "nord", "id": "7-é x"} and got["path"] == "shops/nord/orders/7-é x"
    assert got["query"] == {"id": "9"}
    assert client.post("/api/webhooks/shops/nord/orders/7/").json["params"]["id"] == "7"


@pytest.mark.parametrize("sent", ["a%2Fb", "a%2fb", "a%2Fb/"])
def test_a_slash_sent_as_an_escape_belongs_to_its_parameter(client, owner, hook, sent):
    hook("items/:id/sub/:sub")
    last = hook("items/:id")
    got = client.post(f"/api/webhooks/items/a%2Fb%20%C3%A9/sub/{sent}?q=%2F").json
    assert got["params"] == {"id": "a/b é", "sub": "a/b"} and got["path"] == "items/a/b é/sub/a/b"
    assert client.post("/api/webhooks/items/a%252Fb").json["params"] == {"id": "a%2Fb"}
    assert client.post(f"/api/webhooks/items/{sent}").json["params"] == {"id": "a/b"}
    assert runs_of(last) == 2
    assert client.get(f"/api/webhooks/items/{sent}").headers["Allow"] == "POST"
    assert client.options(f"/api/webhooks/items/{sent}").headers["Allow"] == "POST, OPTIONS"
    assert client.post("/api/webhooks/items%2Fa").status_code == 404


def test_an_escaped_slash_is_as_any_other_in_a_path_without_parameters(client, hook):
    hook("items/:id")
    fixed = hook("items/a/b", "Fixed")
    assert "params" not in client.post("/api/webhooks/items/a%2Fb").json
    assert "params" not in client.post("/api/webhooks/items%2Fa/b").json
    assert runs_of(fixed) == 2


def test_a_path_without_parameters_has_none_in_its_input(client, hook):
    hook("orders")
    assert "params" not in client.post("/api/webhooks/orders").json


@pytest.mark.parametrize("path", ["shops", "shops/", "shops//orders", "shops/a", "shops/a/orders/7", "shop/a/orders"])
def test_a_parameter_is_one_part_of_the_path_and_not_empty(client, hook, path):
    hook("shops/:shop/orders")
    assert client.post(f"/api/webhooks/{path}").status_code == 404


def test_fixed_parts_take_precedence_over_parameters(client, hook):
    paths = ("orders/:id", "orders/new", "orders/:id/:part", "orders/:id/items", "orders/7/:part")
    flows = {path: hook(path, path) for path in paths}
    for called, taker in {
        "orders/new": "orders/new",
        "orders/8": "orders/:id",
        "orders/8/items": "orders/:id/items",
        "orders/7/items": "orders/7/:part",
        "orders/8/notes": "orders/:id/:part",
    }.items():
        before = runs_of(flows[taker])
        assert client.post(f"/api/webhooks/{called}").status_code == 200
        assert runs_of(flows[taker]) == before + 1, called


def test_methods_of_one_path_may_belong_to_paths_with_and_without_parameters(client, hook):
    hook("orders/:id", "Read", methods=["GET"])
    hook("orders/new", "Add", methods=["POST"])
    assert client.get("/api/webhooks/orders/new").json["params"] == {"id": "new"}
    answer = client.put("/api/webhooks/orders/new")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, POST")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        (":id", "fixed part"),
        ("orders/:", "must be a name"),
        ("orders/:1", "must be a name"),
        ("orders/:a/:a", "same name"),
        ("orders/x:y", "Must be a path"),
        ("orders/{id}", "Must be a path"),
        ("o/" + "/".join(f":p{number}" for number in range(11)), "at most 10"),
        ("o" * 201, "at most 200"),
    ],
)
def test_a_wrong_path_is_refused(owner, path, text):
    answer = owner.post("/api/flows", {"name": "f", "status": "active", "definition": definition(path=path)})
    assert answer.status_code == 400 and text.lower() in answer.json["error"].lower()


def test_two_flows_cannot_have_the_same_path_by_other_names_of_its_parameters(owner, hook):
    hook("orders/:id")
    body = {"name": "Second", "status": "active", "definition": definition(path="orders/:number")}
    answer = owner.post("/api/flows", body)
    assert answer.status_code == 409 and "'Orders'" in answer.json["error"]
    body["definition"] = definition(path="orders/:number", methods=["PUT"])
    assert owner.post("/api/flows", body).status_code == 201


@pytest.mark.parametrize(("first", "second"), [("a/:b", "a/b"), ("a/b", "a/:b"), ("a/:b/c", "a/b/:c")])
def test_no_flow_of_another_workspace_can_take_calls_of_a_path_with_parameters(owner, other, hook, first, second):
    hook(first)
    answer = other.post("/api/flows", {"name": "x", "status": "active", "definition": definition(path=second)})
    assert answer.status_code == 409 and "another workspace" in answer.json["error"]
    assert "Orders" not in answer.json["error"]
    assert hook(second, "Own")


def test_the_number_of_paths_with_parameters_is_limited(owner):
    paths = [f"p{number}/:x" for number in range(MAX_PATTERNS + 1)]
    nodes = [{"id": f"n{at}", "type": "webhook", "config": {"path": path}} for at, path in enumerate(paths)]
    body = {"name": "Many", "status": "active", "definition": {"nodes": nodes, "edges": []}}
    answer = owner.post("/api/flows", body)
    assert answer.status_code == 400 and f"{MAX_PATTERNS} paths" in answer.json["error"]
    body["definition"]["nodes"] = nodes[:-1]
    assert owner.post("/api/flows", body).status_code == 201


def test_an_inactive_flow_keeps_its_path_with_parameters(owner, client, hook):
    flow = hook("orders/:id")
    assert owner.put(f"/api/workflows/{flow['id']}", {"status": "draft"}).status_code == 200
    assert client.post("/api/webhooks/orders/7").status_code == 404
    body = {"name": "Second", "status": "active", "definition": definition(path="orders/:x")}
    assert owner.post("/api/flows", body).status_code == 409
    assert owner.delete(f"/api/workflows/{flow['id']}").status_code == 204
    assert owner.post("/api/flows", body).status_code == 201


def test_a_test_call_matches_as_a_call_does(owner, client, make_flow):
    flow = make_flow({"nodes": [
        {"id": "one", "type": "webhook", "config": {"path": "orders/:id", "methods": ["ANY"], "respond": "last"}},
        {"id": "new", "type": "webhook", "config": {"path": "orders/new", "methods": ["PUT"]}},
    ], "edges": []})  # fmt: skip
    listener = owner.post(f"/api/workflows/{flow['id']}/test-call", {}).json
    assert {address["path"].rpartition("orders/")[2] for address in listener["addresses"]} == {":id", "new"}
    answer = client.get(f"/api/webhooks-test/{flow['id']}/orders/new")
    assert (answer.json["params"], answer.json["method"]) == ({"id": "new"}, "GET")


# Methods


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_any_stands_for_all_methods(client, hook, method):
    hook("orders", methods=["ANY"])
    assert client.open("/api/webhooks/orders", method=method).json["method"] == method


def test_any_conflicts_with_each_method(owner, hook):
    hook("orders", methods=["ANY"])
    body = {"name": "Second", "status": "active", "definition": definition(path="orders", methods=["PATCH"])}
    assert owner.post("/api/flows", body).status_code == 409


def test_head_says_that_there_is_something_to_get_and_starts_no_run(client, hook):
    flow = hook("orders/:id", methods=["GET", "POST"])
    answer = client.head("/api/webhooks/orders/7")
    assert (answer.status_code, answer.data, answer.headers["Allow"]) == (200, b"", "GET, POST")
    assert runs_of(flow) == 0


def test_options_tells_the_methods_and_starts_no_run(client, hook):
    flow = hook("orders/:id", methods=["GET", "POST"])
    answer = client.options("/api/webhooks/orders/7")
    assert (answer.status_code, answer.data, answer.headers["Allow"]) == (204, b"", "GET, POST, OPTIONS")
    assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]
    assert client.options("/api/webhooks/nothing").status_code == 404
    assert runs_of(flow) == 0
