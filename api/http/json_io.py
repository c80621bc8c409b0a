"""JSON input and output: bodies and responses by orjson, validation errors in our shape, limits on both."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, lru_cache, wraps
from typing import Any, TypeVar

import orjson
from flask import Flask, Request, Response, current_app, g, jsonify, request
from flask.json.provider import JSONProvider
from flask_smorest import Blueprint
from marshmallow import Schema, ValidationError
from webargs.flaskparser import FlaskParser
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import ClientDisconnected, HTTPException, RequestEntityTooLarge
from werkzeug.wsgi import get_content_length

from config import Config
from database import DatabaseRefused, LockTimeout, lock_wait
from definition.messages import suggest, to_plain
from dispatch import Dispatcher
from errors import BadInput, HeadraceError, Issue, NotJson, TooLarge, Unavailable
from nodes.limits import MAX_CONTAINERS, has_too_many_parts
from registry import explain_off

# The server of this process (see workflow_server.py), for views.


def get_server() -> Any:
    """Return the server of this process."""
    return current_app.extensions["headrace"]


def get_config() -> Config:
    """Return the server's config."""
    config: Config = get_server().config
    return config


def get_dispatcher() -> Dispatcher:
    """Return the server's dispatcher."""
    dispatcher: Dispatcher = get_server().dispatcher
    return dispatcher


# Query parameters: a route accepts those of its argument schemas, and `workspace_id`.
#
# Unknown parameters are refused: otherwise a misspelt filter would return everything. An empty parameter counts as
# not given, since forms send all of their fields.

ALWAYS_ALLOWED = ("workspace_id",)  # see auth.py
MAX_SHOWN = 64  # characters of a name in an error
MAX_CACHED = 256  # valid query strings, each at most the 4 KB of a request line
MAX_LISTED = 5  # unknown names in an error
# Metadata of a field whose empty value has a meaning, such as the session without a name.
EMPTY_COUNTS = "allowEmptyValue"

View = TypeVar("View", bound=Callable[..., Any])


def mark(view: Any, schema: Schema) -> None:
    """Add the fields of the schema to the query parameters that the view accepts."""
    names = (field.data_key or name for name, field in schema.fields.items())
    view.query_names = (*get_names(view), *names)


def get_names(view: Callable[..., Any]) -> tuple[str, ...]:
    """Return the names of the query parameters that the view accepts."""
    names: tuple[str, ...] = getattr(view, "query_names", ALWAYS_ALLOWED)
    return names


def ignore(view: View) -> View:
    """Mark a view as one without parameters that accepts any: probes add numbers that no cache knows."""
    view.ignores_query = True
    return view


def check() -> None:
    """Check that the view of this request accepts all of its query parameters.

    Raises: BadInput with an issue for each unknown one, which names the nearest known name, else all known names.
    """
    raw = request.query_string
    if raw:
        view = current_app.view_functions[str(request.endpoint)]
        if not getattr(view, "ignores_query", False):
            _check(view, raw)


@lru_cache(MAX_CACHED)
def _check(view: Callable[..., Any], raw: bytes) -> None:
    known = get_names(view)
    unknown = [name for name in request.args if name not in known][:MAX_LISTED]
    if unknown:
        others = f"; this address accepts {', '.join(sorted(known))}"
        issues = [
            Issue(name[:MAX_SHOWN], f"unknown query parameter {name[:MAX_SHOWN]!r}{suggest(name, known) or others}")
            for name in unknown
        ]
        raise BadInput("; ".join(issue.message for issue in issues), issues)


def drop_empty(sent: MultiDict[str, str], schema: Schema) -> MultiDict[str, str]:
    """Return the parameters without the empty ones, except those whose empty value has a meaning."""
    counts = {field.data_key or name for name, field in schema.fields.items() if field.metadata.get(EMPTY_COUNTS)}
    return MultiDict((name, value) for name, value in sent.items(multi=True) if value or name in counts)


MAX_DEPTH = 100
CONTAINERS = (dict, list)  # faster than `dict | list`, which is evaluated at each use


class Orjson(JSONProvider):
    """Flask's JSON provider by orjson. JSON text from the database passes through unchanged."""

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        return orjson.dumps(obj).decode()

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        return orjson.loads(s)

    def response(self, *args: Any, **kwargs: Any) -> Response:
        return Response(orjson.dumps(self._prepare_response_obj(args, kwargs)), mimetype="application/json")


class Parser(FlaskParser):
    """webargs with our rules: JSON only by content type, and a 400 with the field's name for every error."""

    DEFAULT_VALIDATION_STATUS = 400

    def use_args(self, argmap: Any, *args: Any, location: str, **options: Any) -> Any:  # type: ignore[override]
        """Return a decorator that gives a view its arguments. webargs' own compares each class of a schema with each
        class of a mapping in the process, whose results stay in memory: half a megabyte.
        """

        def decorate(view: Callable[..., Any]) -> Callable[..., Any]:
            @wraps(view)
            def parse_and_call(*args: Any, **kwargs: Any) -> Any:
                return view(*args, self.parse(argmap, location=location, **options), **kwargs)

            return parse_and_call

        return decorate

    def parse(self, argmap: Any, req: Any = None, *, location: str | None = None, **options: Any) -> Any:
        """Return the request's arguments. Valid query strings are cached, since the app repeats its requests."""
        if location != "query":
            return super().parse(argmap, req, location=location, **options)
        return dict(self._query(argmap, get_request().query_string))

    @lru_cache(MAX_CACHED)  # noqa: B019 - there is one parser
    def _query(self, schema: Schema, raw: bytes) -> Any:
        return super().parse(schema, location="query")

    def load_json(self, req: Any, schema: Schema) -> Any:
        return read_body()

    def load_querystring(self, req: Any, schema: Schema) -> Any:
        return self._makeproxy(drop_empty(req.args, schema) if req.query_string else req.args, schema)

    def handle_error(
        self, error: ValidationError, req: Any, schema: Schema, *, error_status_code: int | None, error_headers: Any
    ) -> Any:
        messages = error.messages if isinstance(error.messages, dict) else {"json": error.messages}
        raise to_bad_input([issue for part in messages.values() for issue in flatten(part)])


class Resource(Blueprint):
    """Blueprint of one resource under /api. With `any_query`, its views check query parameters themselves."""

    ARGUMENTS_PARSER = Parser()

    def __init__(self, name: str, description: str, any_query: bool = False) -> None:
        super().__init__(name, name, url_prefix="/api", description=description)
        if not any_query:
            self.before_request(check)

    def response(self, status_code: Any, schema: Any = None, **options: Any) -> Any:
        """Do as flask-smorest does, with the one instance of a schema's class."""
        return super().response(status_code, _share(schema), **options)

    def arguments(self, schema: Any, *, location: str = "json", **options: Any) -> Any:
        """Do as flask-smorest does, with the one instance of a schema's class: to make one costs more than its use."""
        schema = _share(schema)
        decorate = super().arguments(schema, location=location, **options)

        def decorated(view: Any) -> Any:
            view = decorate(view)
            if location == "query":
                mark(view, schema)
            return view

        return decorated


def _share(schema: Any) -> Any:
    """Return the instance of a class of schemas, the same for all views; anything else unchanged."""
    return _make_schema(schema) if isinstance(schema, type) else schema


@cache
def _make_schema(cls: type[Schema]) -> Schema:
    return cls()


def get_request() -> Request:
    """Return the request behind Flask's proxy `request`, which is looked up again at each access."""
    found: Request = request._get_current_object()
    return found


def read_body() -> Any:
    """Return the JSON object of the request body; {} if it is empty.

    Raises: BadInput if it is not a JSON object; NotJson for another content type.
    """
    if "body" in g:
        return g.body
    raw = read_raw(get_request())
    if raw and not request.is_json:
        raise NotJson("The body must be JSON with the header Content-Type: application/json")
    g.body = parse_json(raw, "the body") if raw else {}
    if not isinstance(g.body, dict):
        raise BadInput("The body must be a JSON object")
    return g.body


def read_raw(request_: Request) -> bytes:
    """Return the body as received.

    Raises: ClientDisconnected if it is incomplete; RequestEntityTooLarge if it exceeds the limit.
    """
    max_size, size = request_.max_content_length, get_content_length(request_.environ)
    if size is None or (max_size is not None and size > max_size) or "wsgi.input_terminated" not in request_.environ:
        whole = request_.get_data(cache=False)
        most = request_.max_content_length
        # werkzeug truncates a body without a Content-Length at the limit, without an error.
        if size is None and most is not None and len(whole) >= most and request_.environ["wsgi.input"].read(1):
            raise RequestEntityTooLarge
        return whole
    try:
        # The server enforces the size; werkzeug's own checks are slower.
        raw: bytes = request_.environ["wsgi.input"].read(size)
    except (OSError, ValueError):
        raise ClientDisconnected from None
    if len(raw) < size:
        # The client will send it again: a run of the first part would be a second run, with half the text.
        raise ClientDisconnected
    return raw


def parse_json(raw: bytes | str, subject: str) -> Any:
    """Return JSON text as data. `subject` begins the error texts.

    Raises: BadInput if it is malformed or nested too deeply; TooLarge if it has too many lists and objects.
    """
    check_containers(raw if isinstance(raw, bytes) else raw.encode("utf-8", "replace"), subject)
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BadInput(f"{subject} is not JSON: {error.msg} (line {error.lineno}, column {error.colno})") from None
    check_depth(value, subject)
    return value


def check_containers(raw: bytes, subject: str) -> None:
    """Check the number of lists and objects: a small text with many of them would fill the memory.

    Raises: TooLarge if there are more than MAX_CONTAINERS.
    """
    if has_too_many_parts(raw):
        raise TooLarge(f"{subject} has more than {MAX_CONTAINERS:,} lists and objects; send it in several parts")


def dump(schema: Schema, value: Any) -> Response:
    """Return a response by this schema, for a view that differs from its declared one."""
    response: Response = jsonify(schema.dump(value))
    return response


def load(schema: Schema, value: Any) -> Any:
    """Return the value loaded by the schema. Raises: BadInput with the place and message of each problem."""
    try:
        return schema.load(value)
    except ValidationError as error:
        raise to_bad_input(flatten(error.messages)) from None


def to_bad_input(issues: list[Issue]) -> BadInput:
    """Return the error for these issues; its text has the first five."""
    return BadInput("; ".join(str(issue) for issue in issues[:5]), issues)


def check_depth(value: Any, subject: str) -> None:
    """Check the nesting depth: a response could not hold a deeper value. Raises: BadInput if it exceeds MAX_DEPTH."""
    level = [value]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                below += item.values()
            elif isinstance(item, list):
                below += item
        level = [item for item in below if isinstance(item, CONTAINERS)]
        if not level:
            return
    raise BadInput(f"{subject} is nested more than {MAX_DEPTH} levels deep")


def flatten(messages: Any, path: str = "") -> list[Issue]:
    """Return marshmallow's messages as issues with paths."""
    if isinstance(messages, dict):
        found = []
        for key, value in messages.items():
            step = f"[{key}]" if isinstance(key, int) else "" if key == "_schema" else f".{key}"
            found += flatten(value, (path + step).lstrip("."))
        return found
    texts = messages if isinstance(messages, list) else [messages]
    return [Issue(path, to_plain(text)) for text in texts]


def answer_error(error: Exception) -> Response:
    """Return the response `{"error": …}` to any exception: with the status of ours or of Flask's, else 500."""
    if isinstance(error, HeadraceError):
        body: dict[str, Any] = {"error": error.message}
        if error.details:
            body["details"] = [issue.as_dict() for issue in error.details[:100]]
        response = _respond_json(body, error.status)
        if error.retry_after is not None:
            response.headers["Retry-After"] = str(error.retry_after)
        return response
    if isinstance(error, HTTPException):
        response = _respond_json({"error": describe_error(error)}, error.code or 500)
        for name, value in error.get_headers():
            if name == "Allow":
                response.headers[name] = value
        return response
    return _respond_json({"error": "Internal error; the server's log has the details"}, 500)


def to_unavailable(error: DatabaseRefused) -> Unavailable:
    """Return the error for a database that refused a write."""
    if isinstance(error, LockTimeout):
        return Unavailable(f"{str(error).capitalize()}; try again soon", retry_after=5)
    return Unavailable("The database cannot take this write at the moment; try again soon", retry_after=5)


def describe_error(error: HTTPException) -> str:
    """Return the error text of an HTTP exception."""
    texts = {
        404: f"There is nothing at {request.path[:200]}{explain_off()}",
        405: f"{request.method} is not allowed here",
        413: "The body is too large",
    }
    return texts.get(error.code or 500, error.description or error.name)


def _respond_json(body: Any, status: int) -> Response:
    response: Response = jsonify(body)
    response.status_code = status
    return response


def install(app: Flask) -> None:
    """Answer every exception in our shape, or by the view's own `answer_error`. Limit how long a request may wait for
    the database's write lock.
    """
    app.json = Orjson(app)
    app.before_request(lambda: lock_wait.limit(get_config().write_wait))
    app.teardown_request(lambda error: lock_wait.limit(None))

    def handle(error: Exception) -> Response:
        if not isinstance(error, HeadraceError | HTTPException):
            app.logger.exception("%s %s failed", request.method, request.path)
        if isinstance(error, DatabaseRefused):
            # A full disk, for example: the request is valid and will work later.
            error = to_unavailable(error)
        view = current_app.view_functions.get(request.endpoint or "")
        response: Response = getattr(view, "answer_error", answer_error)(error)
        return response

    app.register_error_handler(Exception, handle)
    app.register_error_handler(HTTPException, handle)
