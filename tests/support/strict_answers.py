"""Answers of the API compared with its OpenAPI document and with the contract, with strict types.

JSON Schema takes 1.0 for an integer, and Python takes True for one: clients in other languages do not.
"""

import re
from datetime import datetime

from jsonschema import Draft202012Validator, FormatChecker
from jsonschema.validators import extend

ULID = "[0-7][0-9A-HJKMNP-TV-Z]{25}"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", re.ASCII)
ANYTHING = object()
JSON = "application/json"


def id_of(prefix):
    return re.compile(f"{prefix}_{ULID}")


def or_null(shape):
    return (shape, None)


# The objects of the contract, with its fields alone. None of them may be missing, and each has exactly this type.
FLOW = {
    "id": id_of("wf"),
    "name": str,
    "status": {"draft", "active", "archived"},
    "version": int,
    "workspace_id": id_of("ws"),
    "definition_json": str,
    "created_at": TIME,
    "updated_at": TIME,
}
RUN = {
    "id": id_of("run"),
    "workflow_id": id_of("wf"),
    "workflow_name": str,
    "status": {"running", "success", "failed", "pending"},
    "triggered_by": {"manual", "schedule", "webhook"},
    "duration_ms": or_null(int),
    "started_at": or_null(TIME),
    "finished_at": or_null(TIME),
    "output": ANYTHING,
    "error_text": or_null(str),
}
# What `brief` leaves out, and the fields by which an object is known to be one of the contract.
BULKY = {"definition_json", "output"}
KINDS = {"Flow": FLOW, "Run": RUN}
ALWAYS_BRIEF = {"list_run_children"}
TELLING = {
    "Flow": FLOW.keys() - BULKY,
    "Run": {"id", "workflow_id", "workflow_name", "triggered_by", "status"},
}


def misfits(value, shape, path="", without=frozenset()):
    """Return the paths at which the value does not have this shape. Keys of `without` may be missing."""
    if shape is ANYTHING:
        return []
    if isinstance(shape, tuple):
        return [] if value is None else misfits(value, shape[0], path)
    if isinstance(shape, list):
        found = value if isinstance(value, list) and value else [None]
        return [wrong for at, item in enumerate(found) for wrong in misfits(item, shape[0], f"{path}[{at}]", without)]
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return [f"{path} is {value!r}"]
        missing = [f"{path}.{key} is missing" for key in shape if key not in value and key not in without]
        return missing + [
            wrong
            for key in shape
            if key in value
            for wrong in misfits(value[key], shape[key], f"{path}.{key}", without)
        ]
    if isinstance(shape, set):
        fits = type(value) is str and value in shape
    elif isinstance(shape, re.Pattern):
        fits = type(value) is str and shape.fullmatch(value)
    else:
        fits = value is shape or type(value) is shape  # a bool is no int
    return [] if fits else [f"{path} is {value!r}"]


def find_objects(value):
    """Yield each object in the answer that is a Flow or a Run of the contract, with its kind."""
    if isinstance(value, dict):
        for kind, keys in TELLING.items():
            if keys <= value.keys():
                yield kind, value
        value = list(value.values())
    for item in value if isinstance(value, list) else ():
        yield from find_objects(item)


_is_time = FormatChecker(())


@_is_time.checks("date-time", raises=ValueError)
def _check_time(value):
    if not isinstance(value, str):
        return True
    return TIME.fullmatch(value) is not None and datetime.fromisoformat(value) is not None


Strict = extend(
    Draft202012Validator,
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda checker, value: type(value) is int),
)


def watch(client, description):
    """Check every answer that the client gets. Return the list to which the results of `check` are added."""
    seen, ask = [], client.open

    def ask_and_check(path, *body, method="GET", **options):
        answer = ask(path, *body, method=method, **options)
        seen.append(description.check(method, path, answer))
        return answer

    client.open = ask_and_check
    return seen


class Description:
    """An OpenAPI document: its operations, the schemas of their answers, and which of those hold a Flow or a Run."""

    def __init__(self, document):
        self.components = document["components"]
        operations = {
            (method, path): operation
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
            if method != "parameters"
        }
        self.operations = {operation["operationId"]: operation for operation in operations.values()}
        # Literal paths come before those with parameters.
        self._paths = sorted(
            (path.count("{"), method.upper(), re.sub(r"\{[^}]+\}", "[^/]+", path), operation["operationId"])
            for (method, path), operation in operations.items()
        )

    def find(self, method, path):
        """Return the id of the operation at this address."""
        for _, known, pattern, id_ in self._paths:
            if known == method and re.fullmatch(pattern, path):
                return id_
        raise AssertionError(f"The OpenAPI document does not have {method} {path}")

    def schema_of(self, id_, status):
        """Return the schema of the JSON answer of an operation, None if it has no such answer."""
        answers = self.operations[id_]["responses"]
        answer = answers.get(str(status)) or (answers["default"] if status >= 400 else None)
        assert answer is not None, f"The OpenAPI document does not have the status {status} of {id_}"
        content = self._resolve(answer).get("content", {})
        return content[JSON]["schema"] if JSON in content else None

    def check(self, method, address, answer):
        """Check an answer: its schema, and each Flow and Run in it. Return `(operation id, status, kinds)`."""
        path, _, query = address.partition("?")
        id_, status = self.find(method, path), answer.status_code
        kinds = set()
        if answer.data and answer.mimetype == JSON:
            schema = self.schema_of(id_, status)
            assert schema is not None, f"The OpenAPI document has no JSON for {status} of {id_}: {answer.text}"
            errors = Strict({**schema, "components": self.components}, format_checker=_is_time).iter_errors(answer.json)
            problems = [f"{error.json_path}: {error.message[:300]}" for error in errors]
            is_brief = "brief=true" in query or id_ in ALWAYS_BRIEF
            for kind, found in find_objects(answer.json):
                kinds.add(kind)
                problems += misfits(found, KINDS[kind], kind, BULKY if is_brief else frozenset())
            assert not problems, f"{method} {address}: {problems}"
        return id_, status, kinds

    def query_of(self, id_):
        """Return the names of the query parameters of an operation."""
        parameters = [self._resolve(parameter) for parameter in self.operations[id_].get("parameters", ())]
        return {parameter["name"] for parameter in parameters if parameter["in"] == "query"}

    def plain_paths(self):
        """Return the paths without parameters that answer JSON to GET."""
        return [path for number, method, path, id_ in self._paths if (number, method) == (0, "GET")]

    def holders(self):
        """Return `(operation id, status, kind)` of each answer that holds a Flow or a Run."""
        return {
            (id_, int(status), kind)
            for id_, operation in self.operations.items()
            for status in operation["responses"]
            if status.isdigit()
            for kind in self._kinds(self.schema_of(id_, int(status)), frozenset())
        }

    def _kinds(self, schema, seen):
        """Yield the kinds of objects that this schema holds."""
        if isinstance(schema, list):
            for part in schema:
                yield from self._kinds(part, seen)
        if not isinstance(schema, dict):
            return
        if "$ref" in schema:
            if schema["$ref"] not in seen:
                yield from self._kinds(self._resolve(schema), seen | {schema["$ref"]})
            return
        properties = schema.get("properties", {})
        yield from (kind for kind, keys in TELLING.items() if keys <= properties.keys())
        for part in (*properties.values(), *(schema.get(key) for key in ("items", "anyOf", "oneOf", "allOf"))):
            yield from self._kinds(part, seen)
        yield from self._kinds(schema.get("additionalProperties"), seen)

    def _resolve(self, value):
        if "$ref" not in value:
            return value
        _, kind, name = value["$ref"].removeprefix("#").rsplit("/", 2)
        return self.components[kind][name]


# The one shape of errors of the API


def check_shape(answer, status):
    """Check that the body has exactly the error shape, and return its text."""
    assert answer.status_code == status, answer.text
    assert answer.mimetype == "application/json"
    body = answer.json
    assert set(body) <= {"error", "details"} and isinstance(body["error"], str) and body["error"].strip()
    for detail in body.get("details", []):
        assert isinstance(detail["path"], str) and isinstance(detail["message"], str) and detail["message"]
    return body["error"]
