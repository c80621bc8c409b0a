"""The schema of a connector's file. `check` tells all that is wrong in it, with the place."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from marshmallow import RAISE, ValidationError, fields, validate, validates_schema

from errors import NodeError
from fields import Schema
from nodes.data.jmespath_query import compile_query
from nodes.fields import header_name, header_value
from nodes.http.pagination import Pagination
from packs.connectors.inputs import FIELDS, KINDS, RESERVED

CATEGORIES = (
    "chat", "mail", "office", "storage", "database", "project", "code", "crm", "sales", "payment", "marketing",
    "social", "ai", "cms", "form", "support", "calendar", "developer",
)  # fmt: skip
WAYS = (
    "oauth2", "oauth2_refresh_token", "oauth2_client_credentials", "google_service_account", "http_bearer",
    "http_basic", "http_header", "http_headers", "http_query", "http_digest", "oauth1", "aws", "secret", "llm", "mtls",
)  # fmt: skip
PLACES = ("path", "query", "body", "header", "file", "none")
NAME = re.compile(r"[a-z][a-z0-9_]{0,63}\Z")
BRACES = re.compile(r"\{\+?([^{}]{0,100})\}")
MAX_OPERATIONS, MAX_INPUTS, MAX_TEXT, MAX_GRAPHQL = 200, 60, 1_000, 10_000
MAX_SHOWN = 10


def check(data: Any) -> None:
    """Check the content of a connector's file. Raises: ValueError with the places and what is wrong there."""
    try:
        Connector().load(data)
    except ValidationError as error:
        found = list(_list_issues(error.messages, ""))
        more = f" (and {len(found) - MAX_SHOWN} more)" if len(found) > MAX_SHOWN else ""
        raise ValueError("; ".join(found[:MAX_SHOWN]) + more) from None


def _list_issues(messages: Any, place: str) -> Iterator[str]:
    if isinstance(messages, dict):
        for key, inner in messages.items():
            step = "" if key in ("_schema", "value") else f"[{key}]" if isinstance(key, int) else f".{key}"
            yield from _list_issues(inner, (place + step).lstrip("."))
    else:
        for message in messages if isinstance(messages, list) else [messages]:
            text = str(message)
            yield f"{place}: {text[:1].lower()}{text[1:]}".rstrip(".")


class Part(Schema):
    """Base of the parts of a file: unknown keys are refused."""

    class Meta:
        unknown = RAISE


def _text(most: int = MAX_TEXT, *checks: Any, **options: Any) -> Any:
    return fields.String(validate=[validate.Length(1, most), *checks], **options)


def _query(value: str) -> None:
    try:
        compile_query(value)
    except NodeError as error:
        raise ValidationError(error.message) from None


def _jmespath(**options: Any) -> Any:
    return _text(2_000, _query, **options)


def _https(value: str) -> None:
    if not value.startswith(("https://", "http://")) or any(letter.isspace() for letter in value):
        raise ValidationError("Must be a URL that starts with https://.")


def _names(of: Any, most: int, check: Callable[[str], None] | None = None) -> Any:
    """Return a field for an object with names of our kind, or of those that `check` accepts."""

    def is_name(name: str) -> None:
        if not NAME.match(name):
            raise ValidationError("Is not a name: lower-case letters, digits and _, starting with a letter.")

    return fields.Dict(keys=fields.String(validate=check or is_name), values=of, validate=validate.Length(max=most))


def _headers() -> Any:
    return _names(_text(MAX_TEXT, header_value), 30, header_name)


def _constants() -> Any:
    return fields.Dict(keys=fields.String(), values=fields.Raw(), validate=validate.Length(max=30))


class Mark(Part):
    text = _text(3, required=True)
    color = fields.String(required=True, validate=validate.Regexp(r"#[0-9a-f]{6}\Z", error="Must be such as #1a5fb4."))


class Label(Part):
    title = _text(100)
    help = _text()
    example = _text(200)


class AccountTest(Part):
    """A cheap request that shows whether the service accepts an account: a list operation, or a request of its own.

    `who` is the account's name in the answer. `accept` has statuses of errors that prove the account all the same, such
    as 403 of a key with few rights.
    """

    operation = _text(64)
    method = fields.String(validate=validate.OneOf(("GET", "POST")))
    path = fields.String(validate=validate.Length(max=500))
    url = _text(500, _https)
    query = _constants()
    graphql = _text(1_000)
    who = _jmespath()
    accept = fields.List(fields.Integer(validate=validate.Range(400, 499)), validate=validate.Length(1, 5))

    @validates_schema
    def is_one(self, data: Mapping[str, Any], **kwargs: Any) -> None:
        """Require one of the ways to make a request."""
        if len({"operation", "path", "url", "graphql"} & set(data)) != 1:
            raise ValidationError("Give one of: operation, path, url, graphql.", "operation")


class Way(Part):
    """A way to authenticate. `base` is the address of the API for it, if that is another one than the connector's.

    `test` is for this way, in place of the connector's.
    """

    type = fields.String(required=True, validate=validate.OneOf(WAYS))
    title = _text(100)
    help = _text()
    link = _text(500, _https)
    provider = _text(50)
    base = _text(500, _https)
    scopes = fields.List(_text(300), validate=validate.Length(max=50))
    hosts = fields.List(_text(253), validate=validate.Length(1, 20))
    host = fields.Nested(Label)
    header = _text(200, header_name)
    names = fields.List(_text(200), validate=validate.Length(1, 10))
    prefix = _text(100)
    place = fields.String(data_key="in", validate=validate.OneOf(("path",)))
    username = fields.Nested(Label)
    password = fields.Nested(Label)
    region = _text(100)
    service = _text(100)
    test = fields.Nested(AccountTest)

    @validates_schema
    def fits(self, data: Mapping[str, Any], **kwargs: Any) -> None:
        """Require the provider of an account, and a place for a secret."""
        if (data.get("type") == "oauth2") != ("provider" in data):
            raise ValidationError("Is required for oauth2, and only there.", "provider")
        if (data.get("type") == "secret") != ("place" in data):
            raise ValidationError("A secret, and only that, has the place path.", "in")


class ServiceErrors(Part):
    """How a service reports errors. `when` tells them among answers with a good status.

    A `message` that is a list has several parts. The codes, by default the messages, tell a refused `credential` and
    `transient` errors.
    """

    when = _jmespath()
    message = _jmespath()
    code = _jmespath()
    credential = fields.List(_text(200))
    transient = fields.List(_text(200))


class Rate(Part):
    calls = fields.Integer(required=True, strict=True, validate=validate.Range(1, 1_000_000))
    per = fields.Integer(required=True, strict=True, validate=validate.Range(1, 86_400))


class OfferedOptions(Part):
    """The list operation that offers values for an input.

    With `take_only`, an input of an address that is not given is the only value of the list.
    """

    operation = _text(64, required=True)
    value = _jmespath(required=True)
    label = _jmespath()
    prefix = _text(100)
    inputs = fields.Dict(keys=fields.String(), values=fields.Raw())
    take_only = fields.Boolean()


class FieldParts(Part):
    """How the result of an operation describes fields, such as the columns of a table: JMESPaths in each of `items`.

    `name` is the key of the value, `also` another one that the service takes, such as an id.
    `types` has the type of an input for each of the service's types, null for a read-only type. Types that it
    does not have are text. `choices` are values, or objects with `value` and `label`.
    """

    items = _jmespath()
    name = _jmespath(required=True)
    also = _jmespath()
    label = _jmespath()
    help = _jmespath()
    type = _jmespath()
    types = fields.Dict(
        keys=fields.String(), values=fields.String(allow_none=True, validate=validate.OneOf(tuple(FIELDS))),
        validate=validate.Length(1, 200),
    )  # fmt: skip
    choices = _jmespath()
    required = _jmespath()


class FieldSource(Part):
    """The operation that describes the fields of an object, and the settings that it needs.

    `where` is a JMESPath that is true for the fields to show. With `optional`, none of them is required. `of` is a word
    for the thing that has the fields, and `empty` says what to do if it has none.
    """

    operation = _text(64, required=True)
    inputs = fields.Dict(keys=fields.String(), values=fields.Raw())
    where = _jmespath()
    optional = fields.Boolean()
    of = _text(30, required=True)
    empty = _text(300)


class Input(Part):
    type = fields.String(validate=validate.OneOf(tuple(KINDS)))
    title = _text(100, required=True)
    help = _text()
    example = fields.Raw()
    default = fields.Raw()
    required = fields.Boolean()
    choices = fields.Dict(keys=fields.String(), values=_text(200), validate=validate.Length(1, 300))
    min = fields.Float()
    max = fields.Float()
    place = fields.String(data_key="in", validate=validate.OneOf(PLACES))
    name = fields.String(validate=validate.Length(max=200))
    style = fields.String(validate=validate.OneOf(("repeat", "comma", "brackets", "pairs")))
    advanced = fields.Boolean()
    keep_empty = fields.Boolean()
    id_in = _text(100)
    escape = _text(100)
    options = fields.Nested(OfferedOptions)
    fields_from = fields.Nested(FieldSource)

    @validates_schema
    def fits(self, data: Mapping[str, Any], **kwargs: Any) -> None:
        """Require the choices of a choice, a default that is one of its values, and an object for fields."""
        if data.get("type") == "choice" and "choices" not in data:
            raise ValidationError("Is required for the type choice.", "choices")
        if data.get("required") and "default" in data:
            raise ValidationError("A required input has no default; leave one out.", "default")
        if "fields_from" in data and data.get("type") not in ("object", "any"):
            raise ValidationError("Only an input of the type object or any has fields.", "fields_from")


class ConnectorPagination(Pagination):
    """Pagination: that of the http node, and a page size for every type.

    `min_size` is the least number of items that the service gives on a page, and `first_only` has variables of GraphQL
    that it takes without a cursor only.
    """

    first_only = fields.List(_text(64), validate=validate.Length(max=5))
    min_size = fields.Integer(strict=True, validate=validate.Range(1, 1_000))

    @validates_schema
    def fits_its_type(self, data: Mapping[str, Any], **kwargs: Any) -> None:
        counted = data if data.get("type") in ("page", "offset") else {k: v for k, v in data.items() if k not in SIZES}
        inner = Pagination().validate({k: v for k, v in counted.items() if k not in OF_CONNECTORS})
        if inner:
            raise ValidationError(inner)
        for key in ("size_param", "min_size"):
            if key in data and "size" not in data:
                raise ValidationError(f"Is required with {key}.", "size")


SIZES = {"size", "size_param", "place"}
OF_CONNECTORS = {"max_pages", "min_size", "first_only"}  # not of the http node, or of no type


class PollBy(Part):
    """How a list operation is used as a trigger.

    `order` is that of the list with `inputs`, which a poll gives unless they are set. `since` is an input that asks for
    newer entries only, and the value of an entry for it; with `days`, a time that the service refuses when it is older.
    `note` is for people.
    """

    class Since(Part):
        input = _text(64, required=True)
        value = _jmespath(required=True)
        days = fields.Integer(strict=True, validate=validate.Range(1, 365))

    key = _jmespath(required=True)
    since = fields.Nested(Since)
    order = fields.String(validate=validate.OneOf(("newest_first", "oldest_first", "unordered")))
    inputs = fields.Dict(keys=fields.String(), values=fields.Raw())
    note = _text(300)
    title = _text(100)


class ExampleRequest(Part):
    """A request of an example, as it leaves."""

    method = _text(10, required=True)
    url = _text(1_000, required=True)
    query = fields.Dict()
    headers = fields.Dict()
    body = fields.Raw()


class Exchanged(Part):
    request = fields.Nested(ExampleRequest, required=True)
    response = fields.Raw(allow_none=True)
    response_headers = fields.Dict(keys=fields.String(), values=fields.String())
    status = fields.Integer(validate=validate.Range(200, 299))


class Example(Exchanged):
    config = fields.Dict(required=True)
    request = fields.Nested(ExampleRequest)
    requests = fields.List(fields.Nested(Exchanged), validate=validate.Length(1, 20))
    files = fields.Dict(keys=fields.String(), values=fields.String())
    output = fields.Raw(required=True, allow_none=True)

    @validates_schema
    def has_requests(self, data: Mapping[str, Any], **kwargs: Any) -> None:
        """Require one request, or several."""
        if ("request" in data) == ("requests" in data):
            raise ValidationError("Give one request, or the list requests.", "request")


class Operation(Part):
    id = fields.String(required=True, validate=validate.Regexp(NAME, error="Must be a name such as post_message."))
    name = _text(100, required=True)
    group = _text(50)
    description = _text(500, required=True)
    docs = _text(500, _https)
    also = fields.List(_text(100), validate=validate.Length(max=20))
    scopes = fields.List(_text(300), validate=validate.Length(max=20))
    method = fields.String(validate=validate.OneOf(("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD")))
    path = fields.String(validate=validate.Length(max=500))
    url = _text(500, _https)
    inputs = _names(fields.Nested(Input), MAX_INPUTS)
    query = _constants()
    headers = _headers()
    body = _jmespath()
    body_type = fields.String(validate=validate.OneOf(("json", "form", "multipart", "file", "text", "none")))
    brackets = fields.Boolean()
    graphql = _text(MAX_GRAPHQL)
    result = _jmespath()
    response = fields.String(validate=validate.OneOf(("json", "text", "file", "none")))
    id_header = _text(200, header_name)
    list = fields.Boolean()
    pagination = fields.Nested(ConnectorPagination, allow_none=True)
    retry_safe = fields.Boolean()
    handler = fields.String(validate=validate.Regexp(NAME, error="Must be the name of a function."))
    poll = fields.Nested(PollBy)
    fields_ = fields.Nested(FieldParts, data_key="fields")
    example = fields.Nested(Example)

    @validates_schema
    def fits(self, data: Mapping[str, Any], **kwargs: Any) -> None:
        """Check that the parts fit each other."""
        if "path" not in data and not {"url", "graphql", "handler"} & set(data):
            raise ValidationError("Is required: what follows the base address, such as /orders.", "path")
        if "pagination" in data and not data.get("list"):
            raise ValidationError("Only a list has pages; set list to true.", "pagination")
        if "poll" in data and not data.get("list"):
            raise ValidationError("Only a list can be polled; set list to true.", "poll")
        inputs = data.get("inputs", {})
        for name, told in inputs.items():
            if name in RESERVED:
                raise ValidationError({"inputs": {name: ["Is a name that every node has; choose another."]}})
            if told.get("place") == "path" and name not in _braces(data):
                raise ValidationError({"inputs": {name: ["Is not in the path."]}})
        if data.get("body_type") == "file" and sum(told.get("type") == "file" for told in inputs.values()) != 1:
            raise ValidationError("Needs exactly one input of the type file.", "body_type")


def _check_source(data: Mapping[str, Any], source: Mapping[str, Any] | None, known: Mapping[str, Any]) -> str:
    """Return what is wrong with a source of fields, whose operation exists; empty if nothing is."""
    if source is None:
        return ""
    operation = next(each for each in data["operations"] if each["id"] == source["operation"])
    own, shared = operation.get("inputs", {}), data.get("inputs", {})
    given = source.get("inputs", {})
    if "fields_" not in operation:
        return f"the operation {source['operation']!r} has no fields, which say how to read its result."
    for theirs, ours in given.items():
        if theirs not in {**own, **shared}:
            return f"the operation {source['operation']!r} has no input {theirs!r}."
        if not isinstance(ours, dict) and ours not in known:
            return f"unknown input {ours!r}."
    missing = [name for name, told in own.items() if told.get("required") and name not in {**given, **shared}]
    return f"the operation {source['operation']!r} needs its input {missing[0]!r}." if missing else ""


def _braces(operation: Mapping[str, Any]) -> set[str]:
    return set(BRACES.findall(operation.get("path", "") + operation.get("url", "")))


class Connector(Part):
    name = _text(100, required=True)
    description = _text(500, required=True)
    category = fields.String(required=True, validate=validate.OneOf(CATEGORIES))
    icon = fields.Nested(Mark, required=True)
    also = fields.List(_text(100), validate=validate.Length(max=30))
    docs = _text(500, _https)
    base = _text(500, _https, required=True)
    auth = fields.List(fields.Nested(Way), validate=validate.Length(max=10))
    auth_optional = fields.Boolean()
    test = fields.Nested(AccountTest)
    apis = fields.Dict(keys=_text(100), values=_text(300, _https), validate=validate.Length(1, 5))
    inputs = _names(fields.Nested(Input), 20)
    headers = _headers()
    query = _constants()
    error = fields.Nested(ServiceErrors)
    rate = fields.Nested(Rate)
    pagination = fields.Nested(ConnectorPagination)
    operations = fields.List(fields.Nested(Operation), required=True, validate=validate.Length(1, MAX_OPERATIONS))

    @validates_schema(skip_on_field_errors=True)
    def fits(self, data: Mapping[str, Any], **kwargs: Any) -> None:
        """Check the names in braces, and those of operations, across the file."""
        shared = data.get("inputs", {})
        free = {"host", "credential"} - set(shared)
        issues: dict[int, Any] = {}
        ids = [operation["id"] for operation in data["operations"]]
        for at, operation in enumerate(data["operations"]):
            known = {**shared, **operation.get("inputs", {})}
            problem = self._problem(data, operation, known, free, ids)
            if problem or ids.index(operation["id"]) != at:
                issues[at] = {"id": [problem or f"There is another operation {operation['id']!r}."]}
        if issues:
            raise ValidationError({"operations": issues})
        for told in (data, *data.get("auth", ())):
            if told.get("test", {}).get("operation", ids[0]) not in ids:
                raise ValidationError("There is no such operation.", "test.operation")

    def _problem(
        self, data: Mapping[str, Any], operation: Mapping[str, Any], known: Mapping[str, Any], free: set[str],
        ids: list[str],
    ) -> str:  # fmt: skip
        """Return what is wrong with the operation within the file; empty if nothing is."""
        bases = data["base"] + "".join(way.get("base", "") for way in data.get("auth", ()))
        for name in BRACES.findall(bases) + sorted(_braces(operation)):
            if name not in known and name not in free:
                return f"{{{name}}} in the address is not an input."
        for name, told in known.items():
            for key in ("options", "fields_from"):
                if key in told and told[key]["operation"] not in ids:
                    return f"inputs.{name}.{key}: there is no operation {told[key]['operation']!r}."
            if problem := _check_source(data, told.get("fields_from"), known):
                return f"inputs.{name}.fields_from: {problem}"
        poll = operation.get("poll", {})
        since = poll.get("since")
        if since and since["input"] not in known:
            return f"poll.since: there is no input {since['input']!r}."
        for name in poll.get("inputs", {}):
            if name not in known:
                return f"poll.inputs: there is no input {name!r}."
        return ""
