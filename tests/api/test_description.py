"""The OpenAPI document: it is valid and complete, with stable operation ids."""

import json
import re

import jsonschema
import marshmallow
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from test_every_route import LEAST_ROLE, OPEN, ask, routes_of

import definition as definitions
from api import openapi
from api.http import json_io
from definition import schema
from errors import DefinitionError
from fields import Shape
from models import AgentMemory
from nodes import REGISTRY
from registry import registry

pytestmark = pytest.mark.usefixtures("shared_server")


DOCUMENT = json.loads(openapi.make_text())
METHODS = ("get", "put", "post", "delete", "patch")
OPERATIONS = {
    f"{method} {path}": operation
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
    if method in METHODS
}
# A verb and what it is about. A new verb is a decision: clients are to guess the name of a function.
VERBS = {
    *("list", "get", "create", "update", "delete"),
    *(
        "run",
        "disconnect",
        "cancel",
        "retry",
        "resume",
        "restore",
        "validate",
        "use",
        "test",
        "preview",
        "import",
        "clear",
        "reset",
        "publish",
    ),
    *("call", "open", "redeem", "connect", "accept", "revoke", "resend", "pause"),
    *("move", "label", "mark", "unmark"),
}
ID = re.compile(rf"({'|'.join(sorted(VERBS))})(_[a-z0-9]+)+|log_in|log_out")
TYPES = re.compile(r"[a-z]+/[a-z0-9.+-]+")


def resolved(part):
    """Return the part of the document that a reference names; other values unchanged."""
    while "$ref" in part:
        found = DOCUMENT
        for key in part["$ref"].removeprefix("#/").split("/"):
            found = found[key]
        part = found
    return part


def walk(part, path=""):
    """Yield every object in this part of the document, with its path."""
    if isinstance(part, dict):
        yield path, part
    items = part.items() if isinstance(part, dict) else enumerate(part) if isinstance(part, list) else ()
    for key, value in items:
        yield from walk(value, f"{path}/{key}")


def answers(operation):
    """Return the responses of an operation as `(status, response)`."""
    return [(status, resolved(answer)) for status, answer in operation["responses"].items()]


def test_the_document_is_valid_openapi():
    assert [error.message for error in OpenAPIV31SpecValidator(DOCUMENT).iter_errors()] == []


def test_operation_ids_are_unique():
    ids = [operation["operationId"] for operation in OPERATIONS.values()]
    assert len(ids) == len(set(ids)) > 90


@pytest.mark.parametrize("route", OPERATIONS)
def test_an_operation_id_is_a_verb_and_a_resource(route):
    assert ID.fullmatch(OPERATIONS[route]["operationId"]), "name the route in IRREGULAR of api/openapi.py"


@pytest.mark.parametrize("route", OPERATIONS)
def test_list_operations_return_lists_and_get_operations_one_object(route):
    operation = OPERATIONS[route]
    answer = resolved(operation["responses"].get("200", {})).get("content", {}).get("application/json", {})
    is_list = "items" in resolved(answer.get("schema", {})).get("properties", {})
    verb = operation["operationId"].partition("_")[0]
    if route.startswith("get") and "/webhooks" not in route:
        assert verb == "list" if is_list else verb in ("get", "open")
    else:
        assert verb not in ("list", "get")


@pytest.mark.parametrize(
    ("method", "path", "id_"),
    [
        ("get", "/api/runs", "list_runs"),
        ("get", "/api/runs/{run}", "get_run"),
        ("post", "/api/flows", "create_flow"),
        ("put", "/api/workflows/{flow}", "update_flow"),
        ("delete", "/api/workflows/{flow}", "delete_flow"),
        ("post", "/api/workflows/{flow}/run", "run_flow"),
        ("get", "/api/workflows/{flow}/versions/{number}", "get_flow_version"),
        ("get", "/api/credential-types", "list_credential_types"),
        ("post", "/api/invitations/redeem", "redeem_invitation"),
        ("post", "/api/auth/login", "log_in"),
    ],
)
def test_an_id_follows_from_the_route(method, path, id_):
    assert openapi.make_operation_id(method, path) == id_


@pytest.mark.skipif(bool(registry.off), reason="some are those of packs")
def test_no_route_is_irregular_that_is_not_there():
    assert set(openapi.IRREGULAR) <= set(OPERATIONS)


@pytest.mark.parametrize("route", OPERATIONS)
def test_every_operation_describes_its_errors(route):
    found = dict(answers(OPERATIONS[route]))
    error = found["default"]["content"]["application/json"]["schema"]
    assert error == {"$ref": "#/components/schemas/Error"}
    for status, answer in found.items():
        if status[0] in "45":
            assert answer["content"]["application/json"]["schema"] == error


@pytest.mark.parametrize("route", OPERATIONS)
def test_every_body_has_a_type_and_a_schema(route):
    operation = OPERATIONS[route]
    bodies = [operation["requestBody"]] if "requestBody" in operation else []
    for status, answer in answers(operation):
        assert "content" in answer or status == "204", f"{status} has no content"
        bodies += [answer] if "content" in answer else []
    for body in bodies:
        for type_, content in body["content"].items():
            assert TYPES.fullmatch(type_) and content["schema"]


def test_only_public_operations_are_described_as_public():
    described = {f"{route.split()[0].upper()} {route.split()[1]}" for route in OPERATIONS}
    open_ = {re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", route) for route in OPEN} & described
    said = {route for route, operation in OPERATIONS.items() if {} in (operation.get("security", [1]) or [{}])}
    said -= {f"{method} /api/runs/{{run}}/resume" for method in METHODS}  # open to who has a signed link
    assert {f"{route.split()[0].upper()} {route.split()[1]}" for route in said} == open_
    assert set(DOCUMENT["components"]["securitySchemes"]) == {"session", "token"}
    assert DOCUMENT["security"] == [{"session": []}, {"token": []}]


@pytest.mark.pack("agents")
def test_an_object_of_unknown_keys_is_not_described_as_an_empty_one():
    empty = [
        path
        for path, part in walk(DOCUMENT)
        if "object" in (part.get("type") if isinstance(part.get("type"), list) else [part.get("type")])
        and not part.get("properties")
        and part.get("additionalProperties", False) is False
    ]
    assert empty == []


def check_value(schema, value):
    """Fail if the schema, a part of the document, does not accept the value."""
    validator = jsonschema.Draft202012Validator({**schema, "components": DOCUMENT["components"]})
    assert [error.message for error in validator.iter_errors(value)] == [], (schema, value)


def schemas():
    """Yield every object that may be a schema, with its path: not a table of properties or of answers by name."""
    return ((path, part) for path, part in walk(DOCUMENT) if not path.endswith(("/properties", "/responses")))


def test_every_default_and_example_is_a_value_of_its_schema():
    """Defaults that a description names count too: a body has no other ones."""
    checked = 0
    for path, part in schemas():
        values = [part[key] for key in ("default", "example") if key in part]
        if path.startswith("/components/"):
            values += map(json.loads, re.findall(r"Default: `(.*)`$", str(part.get("description", ""))))
        for value in [*values, *part.get("examples", ())]:
            check_value(part, value)
            checked += 1
    assert checked > 70


def shapes(base=Shape):
    """Yield every schema class of requests and responses."""
    for shape in base.__subclasses__():
        yield shape
        yield from shapes(shape)


def test_a_default_that_a_client_sends_means_the_default():
    checked, wrong = 0, []
    for shape in set(shapes()):
        for name, field in shape().load_fields.items():
            default = field.load_default
            if default not in (marshmallow.missing, None) and not callable(default):
                checked += 1
                sent = json.loads(json.dumps(field._serialize(default, None, None)))  # as apispec does
                if field.deserialize(sent) != (list(default) if isinstance(default, tuple) else default):
                    wrong.append(f"{shape.__name__}.{name}: {sent!r}")
    assert not wrong and checked > 50


def test_only_query_parameters_have_a_default():
    """Types of openapi-typescript require a property with a default, and Python clients send it."""
    places = [path for path, part in schemas() if "default" in part]
    assert len(places) > 30 and all("/parameters/" in path for path in places)


def test_a_default_of_a_body_is_in_its_description():
    properties = DOCUMENT["components"]["schemas"]["WorkflowNode"]["properties"]
    assert properties["on_error"]["description"].endswith('. Default: `"fail"`')
    assert DOCUMENT["components"]["schemas"]["TokenIn"]["properties"]["role"]["description"] == 'Default: `"operator"`'


def test_a_list_that_is_given_whole_has_no_default_limit():
    for path, most in (("/api/runs/{run}/steps", 200), ("/api/logs/{run}", 1_000)):
        (limit,) = [item for item in DOCUMENT["paths"][path]["get"]["parameters"] if item.get("name") == "limit"]
        assert limit["schema"].get("default") is None and limit["schema"]["maximum"] == most


# The definition of a flow


def test_the_parts_of_a_definition_are_components():
    for name, part in schema.COMPONENTS.items():
        assert DOCUMENT["components"]["schemas"][name] == json.loads(json.dumps(openapi.say_defaults(part)))
    (body,) = OPERATIONS["post /api/flows"]["requestBody"]["content"].values()
    assert "WorkflowDefinition" in json.dumps(resolved(body["schema"])["properties"]["definition"])
    (answer,) = OPERATIONS["get /api/runs/{run}/definition"]["responses"]["200"]["content"].values()
    assert answer["schema"]["$ref"].endswith("/WorkflowDefinition")


def fits(definition):
    """Return True if the definition matches the document's schema."""
    whole = {"$ref": "#/components/schemas/WorkflowDefinition", "components": DOCUMENT["components"]}
    return jsonschema.Draft202012Validator(whole).is_valid(definition)


def is_taken(definition):
    """Return True if the definition is valid for an active flow."""
    try:
        definitions.plan(definition)
    except DefinitionError:
        return False
    return True


def flow(settings=None, edges=(["start", "a"],), **node):
    more = {} if settings is None else {"settings": settings}
    return {
        "nodes": [{"id": "start", "type": "manual"}, {"id": "a", "type": "noop", **node}],
        "edges": [*edges],
        **more,
    }


RIGHT = [
    flow(),
    flow(name="", config={}, position={"x": 1, "y": -2.5}, notes="Why", disabled=True),
    flow(retry={}, timeout=None, on_error="branch", on_interrupt="fail"),
    flow(retry={"attempts": 20, "delay": 0, "backoff": 10}, timeout=86_400),
    flow(foreach="{{ input }}"),
    flow(foreach=[1, 2]),
    flow(edges=[{"from": "start", "to": "a", "branch": None, "id": 7}]),
    flow(settings={"timezone": "Europe/Berlin", "timeout": 0.001, "max_concurrent_runs": 10_000, "overlap": "skip"}),
    flow(settings={"error_workflow_id": None, "vars": {"a": 1}}),
    {"nodes": [{"id": "start", "type": "manual"}]},
]
WRONG = [
    flow(id="a-b"),
    flow(id="x" * 65),
    flow(id="1"),
    flow(type=""),
    flow(name="x" * 201),
    flow(config=[]),
    flow(retry={"attempts": 0}),
    flow(retry={"attempts": 21}),
    flow(retry={"attempts": 1.5}),
    flow(retry={"delay": 3_601}),
    flow(retry={"backoff": 0.9}),
    flow(retry={"tries": 3}),
    flow(timeout=0),
    flow(timeout=86_401),
    flow(on_error="stop"),
    flow(on_interrupt="branch"),
    flow(disabled="yes"),
    flow(foreach=7),
    flow(color="red"),
    flow(edges=[["start"]]),
    flow(edges=[["start", "a", "b", "c"]]),
    flow(edges=[{"from": "start"}]),
    flow(edges=[{"from": "start", "to": "a", "when": "x"}]),
    flow(edges=["start->a"]),
    flow(settings={"timeout": 2_592_001}),
    flow(settings={"max_concurrent_runs": -1}),
    flow(settings={"overlap": "drop"}),
    flow(settings={"colour": "red"}),
    {"nodes": [{"id": "start", "type": "manual"}], "version": 2},
]


@pytest.mark.parametrize("definition", RIGHT, ids=json.dumps)
def test_a_definition_that_the_server_takes_fits_the_document(definition):
    assert is_taken(definition) and fits(definition)


@pytest.mark.parametrize("definition", WRONG, ids=json.dumps)
def test_a_definition_of_a_wrong_form_fits_neither(definition):
    assert not is_taken(definition) and not fits(definition)


# Query parameters of every route: an unknown one is refused, an empty one counts as not given


# Their callers, or whoever counts clicks on links, choose the parameters.
FREE = {
    *(f"{method} /api/webhooks/<slashes:path>" for method in ("GET", "POST", "PUT", "PATCH", "DELETE")),
    *(f"{method} /api/webhooks-test/<flow>/<slashes:path>" for method in ("GET", "POST", "PUT", "PATCH", "DELETE")),
    *(f"{method} /api/runs/<run>/resume" for method in ("GET", "POST")),
}
STRICT = [route for route in LEAST_ROLE if "/api/" in route and route not in FREE]
READS = [route for route in STRICT if route.startswith("GET")]


@pytest.fixture
def parameters(first_app):
    """`parameters(route)` returns the names of the query parameters that the route accepts."""
    rules = routes_of(first_app)
    return lambda route: json_io.get_names(first_app.view_functions[rules[route].endpoint])


def is_about(answer, name):
    return answer.status_code == 400 and f"unknown query parameter {name!r}" in answer.json["error"]


def test_a_misspelt_parameter_is_refused_with_the_nearest_known_name(owner, ids, parameters, count_rows):
    before, wrong = count_rows(), []
    cases = [(route, name) for route in STRICT for name in parameters(route)]
    for route, name in cases:
        answer = ask(owner, route, ids, query_string={f"{name}x": "1"})
        is_right = is_about(answer, f"{name}x") and f"did you mean {name!r}?" in answer.json["error"]
        if not is_right or [detail["path"] for detail in answer.json["details"]] != [f"{name}x"]:
            wrong.append(f"{route} with {name}x: {answer.status_code} {answer.text[:200]}")
    assert not wrong, "\n".join(wrong)
    assert count_rows() == before


def test_an_empty_parameter_counts_as_not_given(owner, ids, parameters):
    wrong = []
    for route in READS:
        usual = ask(owner, route, ids)
        empty = ask(owner, route, ids, query_string=dict.fromkeys(parameters(route), ""))
        if usual.status_code not in (200, 404) or empty.status_code != usual.status_code:
            wrong.append(f"{route}: {usual.status_code}, with empty parameters {empty.status_code} {empty.text[:200]}")
    assert not wrong, "\n".join(wrong)


def test_every_route_takes_the_workspace_as_a_parameter(shared_server, owner, ids):
    wrong = []
    for route in shared_server.each(STRICT, owner):
        answer = ask(owner, route, ids, query_string={"workspace_id": owner.workspace.id})
        if answer.status_code in (401, 403) or "unknown query parameter" in answer.text:
            wrong.append(f"{route}: {answer.status_code} {answer.text[:200]}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "path",
    ["/api/logs?run_id=&limit=", "/api/agent/logs?agent_id=", "/api/nodes?search=&category=", "/api/runs?limit="],
)
def test_the_contracts_queries_may_be_left_empty(owner, run, path):
    answer = owner.get(path)
    assert answer.status_code == 200 and answer.json == owner.get(path.split("?")[0]).json


def test_an_unknown_name_without_a_similar_one_lists_all_names(owner):
    answer = owner.get("/api/runs?flow=wf_1")
    assert is_about(answer, "flow") and all(name in answer.json["error"] for name in ("workflow_id", "workspace_id"))


def test_several_unknown_parameters_are_listed_up_to_a_limit(owner):
    answer = owner.get("/api/runs?" + "&".join(f"x{number}=1" for number in range(500)))
    assert len(answer.json["details"]) == json_io.MAX_LISTED and len(answer.data) < 5_000


def test_an_unknown_parameter_beside_known_ones_is_refused(owner):
    assert is_about(owner.get("/api/runs?limit=5&stauts=failed"), "stauts")


def test_a_parameter_that_is_given_empty_and_again_counts_by_its_value(owner, run):
    assert len(owner.get("/api/runs?limit=&limit=1").json["items"]) == 1


@pytest.mark.pack("agents")
def test_a_required_parameter_that_is_empty_is_missing(owner):
    answer = owner.delete("/api/agent/memory?agent_id=")
    assert answer.status_code == 400 and "agent_id: is required" in answer.json["error"]


@pytest.mark.pack("agents")
def test_an_empty_session_selects_only_entries_without_a_session(owner):
    for session in ("", "ada"):
        memory = {"agent_id": "money", "key": "k", "content": "c", "session": session}
        assert owner.post("/api/agent/memory", memory).status_code == 201
    assert owner.delete("/api/agent/memory?agent_id=money&session=").json == {"deleted": 1}
    assert [row.session for row in AgentMemory.select()] == ["ada"]


def test_without_a_login_the_parameters_are_not_revealed(client):
    assert client.get("/api/runs?flow=wf_1").status_code == 401


def test_the_description_of_the_api_takes_no_parameter(client):
    assert is_about(client.get("/api/openapi.json?pretty=1"), "pretty")


def test_a_signed_link_ignores_parameters_of_mail_programs(owner, run):
    answer = owner.get(f"/api/runs/{run['id']}/resume?utm_source=mail")
    assert "query parameter" not in answer.text


def test_cached_query_strings_give_the_same_result_each_time(owner, make_run):
    runs = [make_run(input=number) for number in range(3)]
    for _ in range(3):
        page = owner.get("/api/runs?limit=2").json
        assert [run["id"] for run in page["items"]] == [run["id"] for run in runs[:0:-1]]
        rest = owner.get(f"/api/runs?limit=2&cursor={page['next_cursor']}").json
        assert [run["id"] for run in rest["items"]] == [runs[0]["id"]]
        for wrong in ("limit=0", "limit=2&flow=wf_1"):
            assert owner.get(f"/api/runs?{wrong}").status_code == 400
        assert owner.get("/api/logs?limit=2").json["items"] == []


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["/api/health", "/api/ready"])
def test_a_probe_may_add_any_parameters(client, method, path):
    for query in ("_=1", "limit=x&workspace_id=ws_x&a[]=1", "%FF=%00", "="):
        answer = client.open(f"{path}?{query}", method=method)
        assert answer.status_code == 200 and (method == "HEAD" or answer.json["ok"] is True)


# Node types, templates and agents to build with


@pytest.mark.pack("polls")
def test_nodes_are_found_by_words_and_category(owner):
    def types(query):
        return {node["type"] for node in owner.get(f"/api/nodes?{query}").json["items"]}

    fired = {"manual", "webhook", "form", "schedule", "error", "called", "email_trigger", "poll"}
    fired |= {type_ for type_, node in REGISTRY.items() if node.trigger and type(node).__module__.startswith("packs.")}
    found = types("category=trigger")
    assert found >= fired and not found & {"set", "output", "http"}
    assert "http" in types("search=HTTP") and "http" not in types("search=http&category=logic")
    assert types("search=") == types("") and types("search=no+such+node") == set() == types("category=nothing")


def test_a_node_type_has_the_json_schema_of_its_config(owner):
    nodes = {node["type"]: node for node in owner.get("/api/nodes").json["items"]}
    assert nodes["set"]["config_schema"]["required"] == ["values"]
    assert nodes["if"]["branches"] == ["true", "false"] and nodes["manual"]["trigger"] is True


def test_every_template_makes_a_draft_that_can_be_read_and_changed(owner):
    for template in owner.get("/api/templates").json["items"]:
        made = owner.post(f"/api/templates/{template['id']}/use")
        assert made.status_code == 201, template["id"]
        assert (made.json["status"], made.json["version"], made.json["name"]) == ("draft", 1, template["name"])
        definition = json.loads(made.json["definition_json"])
        settings = definition.pop("settings")
        assert settings.pop("template") == template["id"]
        assert settings.pop("description") == template["description"]
        assert {**definition, "settings": settings} == {"settings": {}, **template["definition"]}
    assert owner.get("/api/flows?limit=200").json["items"]


def test_a_template_can_be_given_another_name(owner):
    template = owner.get("/api/templates").json["items"][0]
    assert owner.post(f"/api/templates/{template['id']}/use", {"name": "Mine"}).json["name"] == "Mine"


@pytest.mark.parametrize("name", ["", None, 1, "x" * 201, "a\0"])
def test_a_wrong_name_is_400_and_leaves_nothing(owner, count_rows, name):
    template = owner.get("/api/templates").json["items"][0]
    before = count_rows()
    assert owner.post(f"/api/templates/{template['id']}/use", {"name": name}).status_code == 400
    assert count_rows() == before


@pytest.mark.parametrize("name", ["nothing", "../agents/researcher", "%2e%2e%2fagents%2fresearcher", "agents"])
def test_a_template_that_is_not_there_is_404(owner, name):
    assert owner.post(f"/api/templates/{name}/use").status_code == 404


@pytest.mark.pack("agents")
def test_every_agent_of_the_list_can_be_read_alone(owner):
    items = owner.get("/api/agents").json["items"]
    assert items and [owner.get(f"/api/agents/{item['id']}").json for item in items] == items


def test_the_api_describes_itself(client):
    answer = client.get("/api/openapi.json")
    assert answer.json["openapi"].startswith("3.") and "/api/flows" in answer.json["paths"]
    assert client.get("/api/docs/").status_code == 200


def test_the_page_about_the_api_leads_to_no_host_that_a_request_names(client):
    named = {"Host": "elsewhere.example"}
    answer = client.get("/api/docs", headers=named)
    assert (answer.status_code, answer.headers["Location"]) == (308, "/api/docs/")
    assert "elsewhere.example" not in client.get("/api/docs/", headers=named).text


def test_the_description_that_is_printed_without_a_server_is_the_servers(client):
    assert json.loads(openapi.make_text()) == client.get("/api/openapi.json").json
    assert openapi.make_text() == openapi.make_text()
