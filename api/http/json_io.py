"""How a request's body becomes data and data an answer: JSON by orjson, validation errors as ours, bounds on both."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import orjson
from flask import Flask, Request, Response, current_app, g, jsonify, request
from flask.json.provider import JSONProvider
from flask_smorest import Blueprint
from marshmallow import Schema, ValidationError
from webargs.flaskparser import FlaskParser
from werkzeug.exceptions import ClientDisconnected, HTTPException, RequestEntityTooLarge
from werkzeug.wsgi import get_content_length

from api.http import query_parameters
from definition.messages import plain
from errors import BadInput, HeadraceError, Issue, NotJson, TooLarge, Unavailable
from models import DatabaseRefused, HeldUp, patience
from nodes.limits import MAX_CONTAINERS, is_too_fine

DEEPEST = 100
CONTAINERS = (dict, list)  # `dict | list` is made anew for each look at a value


class Orjson(JSONProvider):
    """Flask's JSON by orjson, which also puts JSON text of the database through as it is."""

    def dumps(self, obj: Any, **kwargs: Any) -> str:
        return orjson.dumps(obj).decode()

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        return orjson.loads(s)

    def response(self, *args: Any, **kwargs: Any) -> Response:
        return Response(orjson.dumps(self._prepare_response_obj(args, kwargs)), mimetype="application/json")


class Parser(FlaskParser):
    """webargs under our rules: JSON by content type only, 400 for whatever is wrong, with the field's name."""

    DEFAULT_VALIDATION_STATUS = 400

    def parse(self, argmap: Any, req: Any = None, *, location: str | None = None, **options: Any) -> Any:
        """The arguments of the request. Those of a query string that was right before are remembered: the app asks for
        the same lists again and again.
        """
        if location != "query":
            return super().parse(argmap, req, location=location, **options)
        return dict(self._query(argmap, this_request().query_string))

    @lru_cache(query_parameters.REMEMBERED)  # noqa: B019 - there is one parser
    def _query(self, schema: Schema, raw: bytes) -> Any:
        return super().parse(schema, location="query")

    def load_json(self, req: Any, schema: Schema) -> Any:
        return read_body()

    def load_querystring(self, req: Any, schema: Schema) -> Any:
        return self._makeproxy(query_parameters.given(req.args, schema) if req.query_string else req.args, schema)

    def handle_error(
        self, error: ValidationError, req: Any, schema: Schema, *, error_status_code: int | None, error_headers: Any
    ) -> Any:
        messages = error.messages if isinstance(error.messages, dict) else {"json": error.messages}
        raise invalid([issue for part in messages.values() for issue in flatten(part)])


class Resource(Blueprint):
    """A blueprint of one resource under /api. With `any_query`, its views see to the query parameters themselves."""

    ARGUMENTS_PARSER = Parser()

    def __init__(self, name: str, description: str, any_query: bool = False) -> None:
        super().__init__(name, name, url_prefix="/api", description=description)
        if not any_query:
            self.before_request(query_parameters.check)

    def arguments(self, schema: Any, *, location: str = "json", **options: Any) -> Any:
        """As flask-smorest's, with one instance of the schema for all requests: making one costs more than using it."""
        schema = schema() if isinstance(schema, type) else schema
        decorate = super().arguments(schema, location=location, **options)

        def decorated(view: Any) -> Any:
            view = decorate(view)
            if location == "query":
                query_parameters.mark(view, schema)
            return view

        return decorated


def this_request() -> Request:
    """The request itself. Flask's `request` looks for it anew whenever it is asked for anything."""
    found: Request = request._get_current_object()
    return found


def read_body() -> Any:
    """The JSON object of the request; {} for no body. BadInput, NotJson."""
    if "body" not in g:
        g.body = _parsed_body()
    return g.body


def _parsed_body() -> Any:
    raw = read_raw(this_request())
    if not raw:
        return {}
    if not request.is_json:
        raise NotJson("The body must be JSON with the header Content-Type: application/json")
    value = parse(raw, "the body")
    if not isinstance(value, dict):
        raise BadInput("The body must be a JSON object")
    return value


def read_raw(asked: Request) -> bytes:
    """The body as it was received. ClientDisconnected for half of one, RequestEntityTooLarge beyond the bound."""
    most, size = asked.max_content_length, get_content_length(asked.environ)
    if size is None or (most is not None and size > most) or "wsgi.input_terminated" not in asked.environ:
        return _read_bounded(asked, size is None)
    try:
        # The server sees to the size: werkzeug's own bounds take more time.
        raw: bytes = asked.environ["wsgi.input"].read(size)
    except (OSError, ValueError):
        raise ClientDisconnected from None
    if len(raw) < size:
        # Who was cut off sends it again: a run of the first part would be one too many, and of half a text.
        raise ClientDisconnected
    return raw


def _read_bounded(asked: Request, sizeless: bool) -> bytes:
    raw = asked.get_data(cache=False)
    most = asked.max_content_length
    # werkzeug ends a body without a Content-Length at the bound, as if that were all of it.
    if sizeless and most is not None and len(raw) >= most and asked.environ["wsgi.input"].read(1):
        raise RequestEntityTooLarge
    return raw


def parse(raw: bytes | str, what: str) -> Any:
    """JSON text as data.

    Raises: BadInput says where it is broken, or that it is nested too deeply; TooLarge if it has too many parts.
    """
    check_weight(raw if isinstance(raw, bytes) else raw.encode("utf-8", "replace"), what)
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BadInput(f"{what} is not JSON: {error.msg} (line {error.lineno}, column {error.colno})") from None
    check_depth(value, what)
    return value


def check_weight(raw: bytes, what: str) -> None:
    """TooLarge for JSON text that is small, and yet would fill the memory."""
    if is_too_fine(raw):
        raise TooLarge(f"{what} has more than {MAX_CONTAINERS:,} lists and objects; send it in several parts")


def dumped(schema: Schema, value: Any) -> Response:
    """The answer that this schema makes of the value, for a view that answers otherwise than its own says."""
    response: Response = jsonify(schema.dump(value))
    return response


def loaded(schema: Schema, value: Any) -> Any:
    """What the schema makes of the value; BadInput says what is wrong with it, and where."""
    try:
        return schema.load(value)
    except ValidationError as error:
        raise invalid(flatten(error.messages)) from None


def invalid(issues: list[Issue]) -> BadInput:
    """The error for these issues."""
    return BadInput("; ".join(str(issue) for issue in issues[:5]), issues)


def check_depth(value: Any, what: str) -> None:
    """BadInput for JSON nested deeper than DEEPEST: it would not fit into an answer, nor be of use to anybody."""
    level = [value]
    for _ in range(DEEPEST):
        below: list[Any] = []
        for item in level:
            if isinstance(item, dict):
                below += item.values()
            elif isinstance(item, list):
                below += item
        level = [item for item in below if isinstance(item, CONTAINERS)]
        if not level:
            return
    raise BadInput(f"{what} is nested more than {DEEPEST} levels deep")


def flatten(messages: Any, path: str = "") -> list[Issue]:
    """marshmallow's messages as issues with a path."""
    if isinstance(messages, dict):
        found = []
        for key, value in messages.items():
            step = f"[{key}]" if isinstance(key, int) else "" if key == "_schema" else f".{key}"
            found += flatten(value, (path + step).lstrip("."))
        return found
    texts = messages if isinstance(messages, list) else [messages]
    return [Issue(path, plain(text)) for text in texts]


def answer_error(error: Exception) -> Response:
    """Any exception as `{"error": …}`; one of ours with its status, one of Flask's with Flask's, else 500."""
    if isinstance(error, HeadraceError):
        body: dict[str, Any] = {"error": error.message}
        if error.details:
            body["details"] = [issue.as_dict() for issue in error.details[:100]]
        response = _json(body, error.status)
        if error.retry_after is not None:
            response.headers["Retry-After"] = str(error.retry_after)
        return response
    if isinstance(error, HTTPException):
        response = _json({"error": text_of(error)}, error.code or 500)
        for name, value in error.get_headers():
            if name == "Allow":
                response.headers[name] = value
        return response
    return _json({"error": "Internal error; the server's log has the details"}, 500)


def refused_by_the_database(error: DatabaseRefused) -> Unavailable:
    """What to tell of it."""
    if isinstance(error, HeldUp):
        return Unavailable(f"{str(error).capitalize()}; try again soon", retry_after=5)
    return Unavailable("The database cannot take this at the moment; try again soon", retry_after=5)


def text_of(error: HTTPException) -> str:
    """What is wrong, for people."""
    texts = {
        404: f"There is nothing at {request.path[:200]}",
        405: f"{request.method} is not allowed here",
        413: "The body is too large",
    }
    return texts.get(error.code or 500, error.description or error.name)


def _json(body: Any, status: int) -> Response:
    response: Response = jsonify(body)
    response.status_code = status
    return response


def _answered(error: Exception) -> Response:
    view = current_app.view_functions.get(request.endpoint or "")
    answered: Response = getattr(view, "answer_error", answer_error)(error)
    return answered


def _wait_no_longer() -> None:
    patience.limit(current_app.extensions["headrace"].config.write_wait)


def install(app: Flask) -> None:
    """Answer every exception in our shape, or in that of the view's own `answer_error`; and hold nobody up for good."""
    app.json = Orjson(app)
    app.before_request(_wait_no_longer)
    app.teardown_request(lambda error: patience.limit(None))

    def handle(error: Exception) -> Response:
        if not isinstance(error, HeadraceError | HTTPException):
            app.logger.exception("%s %s failed", request.method, request.path)
        if isinstance(error, DatabaseRefused):
            # A full disk, say: what was asked for is right, and will work again.
            error = refused_by_the_database(error)
        return _answered(error)

    app.register_error_handler(Exception, handle)
    app.register_error_handler(HTTPException, handle)
