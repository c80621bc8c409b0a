"""One operation of a connector: the requests to its service, made from its file, and its result."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from importlib import import_module
from typing import Any, NamedTuple
from urllib.parse import quote

from errors import ErrorKind, LimitExceeded, NodeError
from net.egress import HttpResponse
from nodes.base import Context
from nodes.credentials.keyring import DecryptedCredential
from nodes.data.jmespath_query import search
from nodes.fields import kind_of, text_of
from nodes.files.files import describe_file
from nodes.http import body as bodies
from nodes.http.body import Download, parse_json, to_text
from nodes.http.client import ErrorText, HTTPClient, HttpRequest
from nodes.http.pagination import PageLocation, PageRequests
from nodes.http.request import split_response, to_node_error
from packs.connectors.refusals import find_switched_off
from packs.oauth.settings import CLIENT_CREDENTIALS

QUERY_METHODS = {"GET", "DELETE", "HEAD"}
MAX_DEPTH = 20


class Placed(NamedTuple):
    """The inputs of a request by their place."""

    query: dict[str, Any]
    headers: dict[str, str]
    body: dict[str, Any]
    files: dict[str, Any]


def place_inputs(
    told: Mapping[str, Any], inputs: Mapping[str, Any], path: str, method: str, is_form: bool = False
) -> Placed:
    """Return the given inputs by their place. `path` is that of the operation, with names in braces.

    In the body of a form (`is_form`), data of any shape is JSON.
    """
    placed = Placed({}, {}, {}, {})
    for name, value in inputs.items():
        how = told[name]
        place = how.get("in") or _default_place(name, how, path, method)
        theirs = how.get("name", name)
        if place == "query":
            put_query(placed.query, theirs, value, how.get("style"), name)
        elif place == "header":
            placed.headers[theirs] = text_of(value)
        elif place == "file":
            placed.files[theirs] = value
        elif place == "body":
            if how.get("style") == "pairs" and isinstance(value, dict):
                value = [{"id": key, "value": item} for key, item in value.items()]
            is_data = how.get("type") in ("object", "items", "any") and isinstance(value, dict | list)
            put(placed.body, theirs, text_of(value) if is_form and is_data and theirs else value, name)
    return placed


def _default_place(name: str, how: Mapping[str, Any], path: str, method: str) -> str:
    if f"{{{name}}}" in path or f"{{+{name}}}" in path:
        return "path"
    if how.get("type") == "file":
        return "file"
    return "query" if method in QUERY_METHODS else "body"


def put_query(query: dict[str, Any], name: str, value: Any, style: str | None, key: str) -> None:
    """Put a value into the query, a list as `style` says: repeat, comma, brackets. Without a name, merge an object."""
    if not name:
        put(query, "", value, key)
    elif not isinstance(value, list) or style in (None, "repeat"):
        query[name] = value
    elif style == "comma":
        query[name] = ",".join(map(text_of, value))
    else:
        query[f"{name}[]"] = value


def put(body: dict[str, Any], name: str, value: Any, key: str) -> None:
    """Put a value into the body under its dotted name; without a name, merge an object into it.

    Raises: NodeError, naming the input `key`, if it is not an object.
    """
    if not name:
        if not isinstance(value, dict):
            raise NodeError(f"{key}: must be an object, but is {kind_of(value)}", permanent=True)
        body.update(value)
        return
    *above, last = name.split(".")
    for step in above:
        body = body.setdefault(step, {})
    if isinstance(value, dict) and isinstance(body.get(last), dict):
        body[last].update(value)
    else:
        body[last] = value


def fill_body(query: str, inputs: Mapping[str, Any]) -> Any:
    """Return the body that a JMESPath query makes of the inputs, without the nulls of inputs that are not given.

    A null within the value of an input stays.
    """
    own = set(_containers(inputs, 0))
    return _without_nulls(search(query, dict(inputs)), own)


def _containers(value: Any, depth: int) -> Iterator[int]:
    """Yield the ids of the lists and objects in the inputs: their nulls were given."""
    parts = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    for part in parts:
        if isinstance(part, dict | list) and depth < MAX_DEPTH:
            yield id(part)
            yield from _containers(part, depth + 1)


def _without_nulls(value: Any, own: set[int]) -> Any:
    if id(value) in own:
        return value
    if isinstance(value, dict):
        kept = {key: _without_nulls(item, own) for key, item in value.items() if item is not None}
        return {key: item for key, item in kept.items() if item != {} or value[key] == {}}
    if isinstance(value, list):
        return [_without_nulls(item, own) for item in value if item is not None]
    return value


def flatten_form(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a form with nested values in brackets: `a[b]=c`, `a[0]=x`. Booleans are written as true and false."""
    return dict(_flatten(body, "", 0))


def _flatten(value: Any, name: str, depth: int) -> Iterator[tuple[str, Any]]:
    if depth > MAX_DEPTH:
        raise NodeError("the body is nested too deeply for a form", permanent=True)
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _flatten(item, f"{name}[{key}]" if name else str(key), depth + 1)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _flatten(item, f"{name}[{index}]", depth + 1)
    else:
        yield name, value


MAX_PAGES = 1_000
END_OF_ID = re.compile("[/?#&]")
BRACES = re.compile(r"\{(\+?)([a-z][a-z0-9_]{0,63})\}")
MAX_OFFERED, MAX_SHOWN = 100, 20  # values of a list from which the only one is taken
MAX_SAID = 300  # characters of a service's message
EMPTY: tuple[Any, ...] = (None, "", [], {})


class VariablePages(PageRequests):
    """Pages whose parameters in the body are variables of GraphQL."""

    def _with_params(self, given: dict[str, Any]) -> PageLocation:
        body, first_only = self.first.body, self.options.get("first_only", ())
        variables = {name: value for name, value in body["variables"].items() if name not in first_only}
        return PageLocation(self.first.url, {**body, "variables": {**variables, **given}})


def find_handler(type_: str, name: str) -> Callable[[Any], Any]:
    """Return the function that a connector's file names as `handler`, and which gets the `ConnectorExchange`.

    It stands in the module of services/ that is named after the connector, or in others.py.
    """
    folder = "packs.connectors.services"
    found: Any = getattr(import_module(f"{folder}.others"), f"{type_}_{name}", None)
    return found or getattr(import_module(f"{folder}.{type_}"), name)


class ConnectorExchange:
    """One execution of an operation. `config` is that of the node.

    Functions named by `handler` in a file get it: they call `send` and `items`, and return the output. `inputs` are the
    given ones, by id.
    """

    def __init__(
        self,
        type_: str,
        connector: Mapping[str, Any],
        operation: Mapping[str, Any],
        config: Mapping[str, Any],
        ctx: Context,
    ) -> None:
        self.type, self.connector, self.operation, self.config, self.ctx = type_, connector, operation, config, ctx
        self.told: dict[str, Any] = {**connector.get("inputs", {}), **operation.get("inputs", {})}
        self.inputs = {name: self._read_input(name) for name in self.told if self._is_given(name)}
        self.way, self.credential = self._choose_credential()
        # Of the last answer that was an error: its status, it in words, and what to do if that is known.
        self.status, self.refusal, self.advice = 0, "", ""
        self.client = HTTPClient(ctx, self._sent_credential(), allow=self._allow, explain=self._explain)
        self.stack = ExitStack()

    def _is_given(self, name: str) -> bool:
        value = self.config.get(name)
        return value is not None and (value not in ("", [], {}) or bool(self.told[name].get("keep_empty")))

    def _read_input(self, name: str) -> Any:
        """Return the value of an input: of a link to the thing, its id; of a text, one with its marks escaped."""
        value, mark = self.config[name], self.told[name].get("id_in")
        if isinstance(value, str) and (marks := self.told[name].get("escape")):
            value = "".join(f"\\{letter}" if letter in marks else letter for letter in value)
        if mark and isinstance(value, str) and value.startswith(("https://", "http://")) and mark in value:
            return END_OF_ID.split(value.partition(mark)[2], maxsplit=1)[0]
        return value

    # Credential

    def _choose_credential(self) -> tuple[Mapping[str, Any], DecryptedCredential | None]:
        """Return the way to authenticate, and the credential, if there is one. Raises: NodeError."""
        ways = self.connector.get("auth", ())
        name = self.config.get("credential")
        if not name:
            return {}, None
        found = self.ctx.credential(name, *(way["type"] for way in ways))
        return next(way for way in ways if way["type"] == found.type), found

    def _sent_credential(self) -> DecryptedCredential | None:
        """Return the credential as the HTTP client sends it; None if the URL contains it."""
        found = self.credential
        if found is None or self.way.get("in") == "path":
            return None
        if found.type == "llm":
            return replace(found, type="http_bearer", data={"token": found.data.get("api_key", "")})
        if found.type == CLIENT_CREDENTIALS and "header" in self.way:
            return replace(found, data={**found.data, "token_header": self.way["header"]})
        prefix = self.way.get("prefix", "")
        if found.type == "http_header" and prefix and not found.data["value"].startswith(prefix):
            return replace(found, data={**found.data, "value": prefix + found.data["value"]})
        return found

    def _allow(self, host: str) -> None:
        """Raise NodeError if the credential is in the URL, and this host may not have it."""
        if self.credential is not None and self.way.get("in") == "path":
            self.credential.check_host(host)

    # Addresses

    def url(self, path: str, inputs: Mapping[str, Any] | None = None) -> str:
        """Return the URL of a path of the service, with the inputs and the credential in its braces filled in."""
        base = self.config.get("address") or self.way.get("base") or self.connector["base"]
        if path.startswith(("https://", "http://")):
            base, path = path, ""
        values = self.inputs if inputs is None else inputs
        return BRACES.sub(partial(self._fill, values), base.rstrip("/") + path)

    def _fill(self, values: Mapping[str, Any], found: re.Match[str]) -> str:
        keep_slashes, name = found[1], found[2]
        if name == "host" and "host" not in self.told:
            # The service's host is the only one that the credential is bound to.
            hosts = () if self.credential is None else self.credential.hosts
            if len(hosts) != 1 or hosts[0].startswith("*."):
                raise NodeError(
                    "the credential must have exactly one allowed host, that of your account, or set address", True,
                    kind="credential",
                )  # fmt: skip
            return hosts[0]
        if name == "credential" and self.credential is not None:
            return quote(self._secret(), safe=":/")
        value = text_of(values[name]) if name in values else self._find_only_value(name)
        if set(value.split("/")) & {".", ".."} if keep_slashes else value in (".", ".."):
            raise NodeError(f"{name}: must not be . or ..", permanent=True)
        if found.string[: found.start()].endswith("'"):
            value = value.replace("'", "''")  # a text between quotes, as OData writes it
        return quote(value.strip("/") if keep_slashes else value, safe="/" if keep_slashes else "")

    def _find_only_value(self, name: str) -> str:
        """Return the value of an input that is not given, if its list has only one, and may be taken from there."""
        options = self.told.get(name, {}).get("options", {})
        if not options.get("take_only"):
            raise NodeError(f"{name}: is required here: it is a part of the address", permanent=True)
        if name not in self.inputs:
            operation = next(each for each in self.connector["operations"] if each["id"] == options["operation"])
            found = ConnectorExchange(
                self.type, self.connector, operation, {**self.config, "max_items": MAX_OFFERED}, self.ctx
            )
            offered = {text_of(search(options["value"], item)): item for item in found.result()}
            if len(offered) != 1:
                shown = [text_of(search(options.get("label", options["value"]), item)) for item in offered.values()][
                    :MAX_SHOWN
                ]
                said = f"choose one of: {', '.join(shown)}" if shown else "there is none in this account"
                raise NodeError(f"{self.told[name]['title']}: {said}", permanent=True)
            self.inputs[name] = next(iter(offered))
        return str(self.inputs[name])

    def _secret(self) -> str:
        """Return the secret itself, for an address or a header that the file gives it."""
        data = {} if self.credential is None else self.credential.data
        return str(data.get("value") or data.get("token") or data.get("api_key") or "").strip()

    # Requests

    def result(self) -> Any:
        """Return the output of the operation. Raises: NodeError."""
        with self.stack:
            operation, kind = self.operation, self.operation.get("response", "json")
            if handler := operation.get("handler"):
                return find_handler(self.type, handler)(self)
            if operation.get("list"):
                most = self.config["max_items"]
                pagination = operation["pagination"] if "pagination" in operation else self.connector.get("pagination")
                if pagination is None:
                    return self._cut(self._pick(operation.get("result"), self.read(self._ask(self._place()))), most)
                path = pagination.get("items") or operation.get("result")
                start = "data." if "graphql" in operation else ""
                items = self._collect(pagination, f"{start}{path or '@'}", self._place())
                return self._cut(self._pick(operation.get("result"), items) if "items" in pagination else items, most)
            download = self._make_download() if kind == "file" else None
            answer = self._ask(self._place(), download)
            if download is not None:
                return download.made
            if kind == "none":
                id_ = answer.headers.get(operation.get("id_header", ""))
                return {"ok": True, **({} if id_ is None else {"id": id_})}
            if kind == "text":
                return to_text(answer)
            return self._pick(operation.get("result"), self.read(answer))

    def _make_download(self, name: str = "") -> Download:
        prefix = "" if self.ctx.index is None else f"{self.ctx.index}-"
        return Download(self.ctx.need_files(), self.config.get("save_to") or "", prefix, name)

    def _collect(self, pagination: Mapping[str, Any], path: str, first: PageLocation, method: str = "") -> list[Any]:
        """Return the items of all pages, at most `max_items`; `path` is their JMESPath in a page."""
        most = self.config["max_items"]
        options = {"max_pages": MAX_PAGES, **pagination, "max_items": most, "items": f"({path}) || `[]`"}
        place = self._sized(first, options)
        ask = partial(self._ask_page, method=method or self.method)
        kind = VariablePages if "graphql" in self.operation else PageRequests
        found = kind(options, place, ask, self.client.egress_client.max_bytes, self.client.credential).all()
        return list(found["body"])

    def _sized(self, place: PageLocation, options: dict[str, Any]) -> PageLocation:
        """Ask for no more items on a page than are wanted. Return the first place, with the size of its pages."""
        least = options.pop("min_size", 1)
        if "size" not in options:
            return place
        options["size"] = max(least, min(options["size"], options["max_items"]))
        if options["type"] in ("page", "offset") or "size_param" not in options:
            return place
        # Only pages that are counted have a size of their own in the settings of pagination.
        given = {options.pop("size_param"): options.pop("size")}
        if options.get("place") == "body":
            if "graphql" in self.operation:
                return PageLocation(place.url, {**place.body, "variables": {**place.body["variables"], **given}})
            return PageLocation(place.url, {**(place.body or {}), **given})
        return PageLocation(bodies.append_query(place.url, given), place.body)

    def _cut(self, items: Any, most: int) -> list[Any]:
        if not isinstance(items, list):
            items = [] if items is None else [items]
        return items[:most]

    def _place(self) -> PageLocation:
        """Return the URL of the operation and its body, made from the inputs."""
        operation = self.operation
        path = operation.get("url") or operation.get("path", "")
        # With brackets, a form has nested data as it is.
        is_form = operation.get("body_type") in ("form", "multipart") and not operation.get("brackets")
        placed = place_inputs(self.told, self.inputs, path, self.method, is_form)
        query = {**self.connector.get("query", {}), **operation.get("query", {}), **placed.query}
        url = bodies.append_query(self.url(path), query)
        self.headers = self._all_headers({**operation.get("headers", {}), **placed.headers})
        self.files = placed.files
        return PageLocation(url, self._body(placed.body))

    def _all_headers(self, given: Mapping[str, str]) -> dict[str, str]:
        """Return the headers of a request: the connector's and these, with the secret where they name it."""
        found = {**self.connector.get("headers", {}), **given}
        return {name: value.replace("{credential}", self._secret()) for name, value in found.items()}

    @property
    def method(self) -> str:
        """Return the method of the operation."""
        return str(self.operation.get("method", "POST" if "graphql" in self.operation else "GET"))

    def _body(self, placed: Mapping[str, Any]) -> Any:
        operation = self.operation
        body: Any = dict(placed)
        if "body" in operation:
            body = fill_body(operation["body"], self.inputs)
        if "graphql" in operation:
            return {"query": operation["graphql"], "variables": body}
        if operation.get("body_type") == "file":
            return next(iter(self.files.values()), None)
        if self.method in QUERY_METHODS and not body:
            return None
        if operation.get("body_type") == "none":
            return None
        return body

    def _ask_page(self, place: PageLocation, number: int, method: str) -> HttpResponse:
        self.ctx.pause(0)
        return self._ask(place, part=f":{number}" if number > 1 else "", method=method)

    def _ask(self, place: PageLocation, save: Download | None = None, part: str = "", method: str = "") -> HttpResponse:
        kind = self.operation.get("body_type", "json")
        body = place.body
        if kind in ("form", "multipart"):
            body = flatten_form(body or {}) if self.operation.get("brackets") else body
        uploads = self.files if kind == "multipart" else {}
        encoded = bodies.NO_BODY if kind == "none" else self.encode(body, kind, uploads)
        method = method or self.method
        call = HttpRequest(method, place.url, self.config["timeout"], self.headers, encoded, save=save, part=part)
        answer = self.client.answer(call)
        if save is None:
            self.check(answer)
        return answer

    def send(
        self, method: str, path: str, *, query: Mapping[str, Any] | None = None, body: Any = None,
        headers: Mapping[str, str] | None = None, part: str = "",
    ) -> HttpResponse:  # fmt: skip
        """Send a request of a handler and return the response, which is no error.

        `path` is that of the service, with `{name}` for inputs, or a URL. The body is data for JSON, or a
        `RequestBody`, for example from `encode`. `part` distinguishes the requests of one execution, so that a service
        that honours idempotency keys does not take the second for the first.
        """
        url = bodies.append_query(self._address(path), query or {})
        sent = body if isinstance(body, bodies.RequestBody) else self.encode(body, "json")
        call = HttpRequest(method, url, self.config["timeout"], self._all_headers(headers or {}), sent, part=part)
        answer = self.client.answer(call)
        self.check(answer)
        return answer

    def _address(self, path: str) -> str:
        """Return the URL of a path; a URL, which a service may have given, as it is."""
        return path if path.startswith(("https://", "http://")) else self.url(path)

    def encode(self, body: Any, kind: str, files: Mapping[str, Any] | None = None) -> bodies.RequestBody:
        """Return a body for `send`: json, form, text, multipart (with `files`), or file (`body` is its path)."""
        return bodies.encode(body, kind, files or {}, self.ctx.files, self.stack)

    def items(
        self, method: str, path: str, *, query: Mapping[str, Any] | None = None, body: Any = None, result: str = "@",
    ) -> list[Any]:  # fmt: skip
        """Return the items of a list for a handler: all pages, at most `max_items`. `result` is their JMESPath."""
        pagination = self.operation.get("pagination") or self.connector["pagination"]
        self.headers = self._all_headers({})
        return self._collect(
            pagination, result, PageLocation(bodies.append_query(self.url(path), query or {}), body), method
        )

    def read_file(self, name: str, most: int) -> tuple[str, bytes]:
        """Return the type and the content of the file in this input. Raises: NodeError if it is larger than `most`."""
        named = bodies.FileName(self.inputs[name], name)
        with self.ctx.need_files().reading(named.path) as file:
            content = file.read(most + 1)
        if len(content) > most:
            raise LimitExceeded(f"{name}: {named.path!r} has more than {most:,} bytes")
        return named.content_type, content

    def save(self, content: bytes, name: str, number: int = 0) -> dict[str, Any]:
        """Save what a service sent within JSON as the file number `number`. Return the file as other nodes take it."""
        wanted = self.config.get("save_to") or ""
        if wanted and number and not wanted.endswith("/"):
            stem, dot, end = wanted.rpartition(".")
            wanted = f"{stem}-{number + 1}.{end}" if dot and "/" not in end else f"{wanted}-{number + 1}"
        elif number:
            name = f"{number + 1}-{name}"
        place = self._make_download(name)
        place.save_to = wanted
        path = place.path_of(name)
        return describe_file(path, self.ctx.need_files().write(path, content))

    def download(
        self, method: str, path: str, *, query: Mapping[str, Any] | None = None, name: str = "", part: str = "",
    ) -> Any:  # fmt: skip
        """Save the answer to a request of a handler, as `name`. Return the file as other nodes take it."""
        save = self._make_download(name)
        url = bodies.append_query(self._address(path), query or {})
        call = HttpRequest(method, url, self.config["timeout"], self._all_headers({}), save=save, part=part)
        self.client.answer(call)
        return save.made

    # Answers

    def read(self, answer: HttpResponse) -> Any:
        """Return the data of an answer. Raises: NodeError if it is not JSON, or an error of GraphQL."""
        data = parse_json(answer)
        if "graphql" in self.operation:
            return split_response(data, answer.who)[0]
        return data

    def check(self, answer: HttpResponse) -> None:
        """Check an answer with a good status. Raises: NodeError if it reports an error in its body."""
        if "graphql" in self.operation:
            _, errors = split_response(parse_json(answer), answer.who)
            if errors:
                raise to_node_error(errors, answer.who)
        rules = self.connector.get("error", {})
        if "when" not in rules or "json" not in answer.headers.get("content-type", ""):
            return
        data = parse_json(answer)
        if search(rules["when"], data):
            error = self._read_error(data) or ErrorText(self._shorten(data))
            self.refusal = error.text
            kind: ErrorKind = error.kind or "refused"
            raise NodeError(f"{answer.who} refused: {error.text}", kind != "remote", kind=kind)

    def _explain(self, answer: HttpResponse) -> ErrorText | None:
        """Return the error in an answer with a bad status, found by the connector's rules; None if there is none."""
        self.status, self.refusal = answer.status, f"{answer.status} {answer.reason}".rstrip()
        try:
            data = parse_json(answer)
            error = self._read_error(data)
        except NodeError:  # it is not JSON, or of another form
            return None
        self.advice = find_switched_off(self.connector, data)
        if self.advice:
            return ErrorText(self.advice)
        if error is not None:
            self.refusal += f": {error.text}"
        return error

    def _read_error(self, data: Any) -> ErrorText | None:
        rules = self.connector.get("error", {})
        said = search(rules["message"], data) if "message" in rules else None
        code = text_of(search(rules["code"], data)) if "code" in rules else said
        kind: ErrorKind | None = None
        if code in rules.get("credential", ()):
            kind = "credential"
        elif code in rules.get("transient", ()):
            kind = "remote"
        parts = [self._shorten(part) for part in (said if isinstance(said, list) else [said]) if part not in EMPTY]
        return ErrorText("; ".join(parts)[:MAX_SAID] or self._shorten(data), kind) if parts or kind else None

    def _shorten(self, data: Any) -> str:
        return " ".join(self.ctx.clean(text_of(data)).split())[:MAX_SAID]

    def _pick(self, path: str | None, data: Any) -> Any:
        return data if path is None else search(path, data)
