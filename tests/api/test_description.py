"""The OpenAPI document: it is valid and complete, with stable operation ids."""

import json
import re

import jsonschema
import marshmallow
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from test_every_route import OPEN

import definition as definitions
from api import description, openapi
from definition import schema
from errors import DefinitionError
from fields import Shape
from registry import registry

DOCUMENT = json.loads(openapi.make_document())
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
    assert ID.fullmatch(OPERATIONS[route]["operationId"]), "name the route in IRREGULAR of api/description.py"


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
    assert description.make_operation_id(method, path) == id_


@pytest.mark.skipif(bool(registry.off), reason="some are those of packs")
def test_no_route_is_irregular_that_is_not_there():
    assert set(description.IRREGULAR) <= set(OPERATIONS)


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
    assert checked > 80


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
        assert DOCUMENT["components"]["schemas"][name] == json.loads(json.dumps(description.say_defaults(part)))
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
