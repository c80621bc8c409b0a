"""Webhooks of active flows: find the flow, authenticate the caller, start the run, respond as the node says.

These are the most frequent requests, so there is one query and no schema between the request and the run.

A wrong signature or secret is a 401. An unusable credential is a 503: the caller did nothing wrong, and senders retry
after a 503.
"""

from __future__ import annotations

import base64
import codecs
import hashlib
import ipaddress
import logging
import math
import pkgutil
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache, partial
from io import BytesIO
from typing import Any, NamedTuple, TypeAlias, cast
from urllib.parse import parse_qsl, unquote

import orjson
from flask import Request, Response, after_this_request
from werkzeug.datastructures import Headers
from werkzeug.exceptions import MethodNotAllowed
from werkzeug.formparser import FormDataParser
from werkzeug.routing import PathConverter

import fields
from api.files import stream
from api.http.auth import allow_anyone
from api.http.json_io import Resource, get_request, get_server, parse_json, read_raw
from api.http.request_origin import get_client
from api.run_answer import (
    RunAnswer,
    make_accepted,
    make_json_answer,
    make_node_answer,
    make_output_answer,
    make_unfinished,
    merge_headers,
)
from api.webhooks.auth import KeySets, get_header_name, get_secret_text, is_authentic, read_claims
from api.webhooks.event_stream import Streams
from api.webhooks.rate_limit import Guess, Guesses, RateLimits
from constants import ANY_METHOD, WEBHOOK_METHODS
from database.base import now_ms
from database.queries import logs, webhooks
from database.queries.webhooks import MAX_CALLED, PARAM, WebhookTarget, read_params
from definition import Plan, PlannedNode
from dispatch import Dispatcher, Start, Ticket
from dispatch.debounce import collect
from dispatch.payloads import Kept
from errors import BadInput, DefinitionError, Forbidden, NodeError, NotFound, TooMany, Unavailable, VaultError
from fields import Out
from nodes.core.logic import disposition
from nodes.core.triggers import CREDENTIAL_TYPES, EventTrigger
from schemas import ANY_JSON, Error
from security.login_throttle import get_network
from security.vault import Vault

# Body and headers of a webhook request as a run's input: `{method, path, query, headers, body}`, without secrets.
#
# Uploaded files have a key of their own, so no object from outside can pass as a file of the workspace.

# Never recorded, whichever authentication the webhook has.
SECRET_HEADERS = ("authorization", "cookie", "proxy-authorization")
MAX_FIELDS = 10_000
# The charsets in common use: Python has other codecs that are slow or not charsets at all.
CHARSETS = {
    *("utf-8", "ascii", "utf-16", "utf-16-le", "utf-16-be", "koi8-r", "koi8-u", "shift_jis", "euc_jp", "iso2022_jp"),
    *("gb2312", "gbk", "gb18030", "big5", "euc_kr"),
    *(f"iso8859-{number}" for number in (*range(1, 12), *range(13, 17))),
    *(f"cp{number}" for number in range(1250, 1259)),
}
TEXTS = ("application/xml", "application/yaml", "application/x-yaml", "application/javascript", "application/graphql")


def build_input(request: Request, path: str, raw: bytes, secret_header: str | None) -> dict[str, Any]:
    """Return the run's input. Repeated query parameters become a list; header names are in lower case.

    `secret_header` carries the webhook's own secret and is left out.

    Raises: BadInput if the body does not match its content type.
    """
    headers = [
        (key.removeprefix("HTTP_").replace("_", "-"), value)
        for key, value in request.environ.items()
        if key.startswith("HTTP_") or key in ("CONTENT_TYPE", "CONTENT_LENGTH")
    ]
    return {
        "method": request.method,
        "path": path,
        "query": parse_query(request.query_string.decode()) if request.query_string else {},
        "headers": filter_headers(headers, secret_header),
        "body": parse_body(request, raw),
    }


def parse_query(text: str) -> dict[str, Any]:
    """Return the parameters of a query string, as werkzeug does: bytes that are not UTF-8 stay percent-encoded."""
    return _group(parse_qsl(text, keep_blank_values=True, errors="werkzeug.url_quote"))


def filter_headers(pairs: Sequence[tuple[str, str]], secret_header: str | None) -> dict[str, str]:
    """Return the headers of a run's input from pairs of name and value with unique names."""
    found = {}
    for name, value in pairs:
        name = name.lower()
        if name not in SECRET_HEADERS and name != secret_header and value:
            found[name] = value
            if not value.isascii():
                # WSGI decodes it as Latin-1, but most senders of non-ASCII text use UTF-8.
                with suppress(UnicodeError):
                    found[name] = value.encode("latin-1").decode()
    return found


def parse_body(request: Request, raw: bytes) -> Any:
    """Return the body as data: JSON or a form by its content type, else text, else base64; None if it is empty."""
    if not raw:
        return None
    kind = request.mimetype
    if kind == "application/json" or kind.endswith("+json"):
        return parse_json(raw, "the body")
    if kind == "application/x-www-form-urlencoded":
        try:
            return _group(parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=MAX_FIELDS))
        except ValueError:
            raise BadInput(f"the body has more than {MAX_FIELDS} form fields; send fewer") from None
    if kind == "multipart/form-data":
        parser = FormDataParser(stream_factory=lambda *_, **__: BytesIO(), silent=False, max_form_parts=MAX_FIELDS)
        try:
            _, form, files = parser.parse(BytesIO(raw), "multipart/form-data", len(raw), request.mimetype_params)
        except ValueError as error:
            raise BadInput(f"the body is not a valid multipart form: {error}") from None
        sent: list[tuple[str, Any]] = list(form.items(multi=True))
        for name, file in files.items(multi=True):
            sent.append((name, {"filename": file.filename, **_encode_bytes(file.mimetype, file.stream.read())}))
        return _group(sent)
    charset = request.mimetype_params.get("charset")
    if charset or not kind or kind.startswith("text/") or kind.endswith("+xml") or kind in TEXTS:
        # The charset may be unknown, or the bytes not valid in it.
        with suppress(LookupError, UnicodeError, ValueError):
            name = codecs.lookup(charset or "utf-8").name
            if name in CHARSETS:
                return raw.decode(name)
    return _encode_bytes(kind, raw)


def _encode_bytes(kind: str, raw: bytes) -> dict[str, Any]:
    return {"content_type": kind or None, "size": len(raw), "base64": base64.b64encode(raw).decode()}


def _group(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return names with their value, or with the list of values of a repeated name."""
    found: dict[str, list[Any]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


# Cross-origin calls of webhooks by scripts of web pages (CORS, in the Fetch standard). Off without named origins.
#
# This protects users of browsers, not the webhook: programs can send any origin. So calls are not refused here;
# without the headers, a browser keeps the answer from the script.

ANY_ORIGIN = "*"
MAX_AGE = "600"  # seconds for which a browser remembers the answer to a preflight request
MAX_ASKED = 4_000  # characters of the list of headers that a page wants to send
HEADER_NAMES = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z, \t-]*\Z")
# What a flow sets itself does not count: the settings of the webhook decide.
OURS = ("Access-Control-Allow-Origin", "Access-Control-Allow-Credentials", "Access-Control-Expose-Headers")


def make_preflight(request: Request, config: Mapping[str, Any], methods: Iterable[str]) -> Response:
    """Return the answer to OPTIONS: the methods of the path, and what a page of the request's origin may send."""
    listed = ", ".join((*methods, "OPTIONS"))
    response = Response(status=204, headers={"Allow": listed})
    if "allow_origins" not in config:
        return response
    response.vary.update(("Origin", "Access-Control-Request-Method", "Access-Control-Request-Headers"))
    if not _allow_origin(request, config, response):
        return response
    own = config["methods"]
    response.headers["Access-Control-Allow-Methods"] = listed if ANY_METHOD in own else ", ".join(own)
    asked = request.headers.get("Access-Control-Request-Headers", "")
    if asked and len(asked) <= MAX_ASKED and HEADER_NAMES.match(asked):
        response.headers["Access-Control-Allow-Headers"] = asked
    response.headers["Access-Control-Max-Age"] = MAX_AGE
    return response


def add_headers(request: Request, config: Mapping[str, Any]) -> None:
    """Add the headers to the answer of this request, also if it is an error."""

    @after_this_request
    def add(response: Response) -> Response:
        for name in OURS:
            response.headers.pop(name, None)
        response.vary.add("Origin")
        if _allow_origin(request, config, response) and config.get("expose_headers"):
            response.headers["Access-Control-Expose-Headers"] = ", ".join(config["expose_headers"])
        return response


def _allow_origin(request: Request, config: Mapping[str, Any], response: Response) -> bool:
    """Allow the page's origin to read the response. Return False if it may not."""
    origin, allowed = request.headers.get("Origin", ""), config["allow_origins"]
    if ANY_ORIGIN in allowed:
        response.headers["Access-Control-Allow-Origin"] = ANY_ORIGIN
    elif origin in allowed:
        response.headers["Access-Control-Allow-Origin"] = origin
        if config["allow_credentials"]:
            response.headers["Access-Control-Allow-Credentials"] = "true"
    else:
        return False
    return True


# Networks from which a webhook may be called.

MAX_CACHED = 1_000  # lists of networks


def is_in_networks(address: str, networks: tuple[str, ...]) -> bool:
    """Return True if the address is in one of the networks. An address that cannot be read is in none.

    An IPv4 address may come in its IPv6 form, ::ffff:192.0.2.1, from a server that listens on both.
    """
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    found = getattr(parsed, "ipv4_mapped", None) or parsed
    return any(found in network for network in _parse(networks))


@lru_cache(MAX_CACHED)
def _parse(networks: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(ipaddress.ip_network(text, strict=False) for text in networks)


# Idempotency keys of webhook calls: the header that has one, the caller who has it, and the hash of its request.
#
# Callers choose keys, and often easy ones. So a key counts for its caller only, and for one request.

MAX_KEY_LENGTH = 200
USUAL_HEADER = "Idempotency-Key"
# Claims that differ in each token of a person, and claims that are the same for all people.
OF_A_TOKEN = {"exp", "iat", "nbf", "jti", "auth_time"}
OF_ALL = {"iss", "aud"}


class CallKey(NamedTuple):
    """The idempotency key of a call and the hash of its request; both None if it has no key."""

    key: str | None = None
    request_hash: str | None = None


def read_key(request: Request, node_id: str, config: Mapping[str, Any], value: Mapping[str, Any]) -> CallKey:
    """Return the idempotency key of a call of this node. `value` is the run's input.

    Without authentication, only the header that the node names has a key: everybody can send everybody's key.

    Raises: BadInput if it is empty or too long.
    """
    names = [config["dedupe_header"]] if "dedupe_header" in config else []
    if config["auth"] != "none":
        names.append(USUAL_HEADER)
    name = next((name for name in names if name in request.headers), None)
    if name is None:
        return CallKey()
    given = request.headers[name]
    if not 0 < len(given) <= MAX_KEY_LENGTH:
        raise BadInput(f"{name}: must have 1 to {MAX_KEY_LENGTH} characters")
    caller = "" if "jwt" not in value else f"{_identify(value['jwt'], request.headers['Authorization'])}:"
    return CallKey(f"hook:{node_id}:{caller}{given}", _hash([value["method"], value["path"], value["body"]]))


def _identify(claims: Mapping[str, Any], token: str) -> str:
    """Return a hash of the person whom the claims of a token name, or of the token if they name nobody."""
    if claims.get("sub"):
        return _hash([claims.get("iss"), claims["sub"]])
    stable = {name: value for name, value in claims.items() if name not in OF_A_TOKEN}
    return _hash(stable if stable.keys() - OF_ALL else token)


def _hash(data: Any) -> str:
    return hashlib.sha256(orjson.dumps(data, option=orjson.OPT_SORT_KEYS)).hexdigest()


log = logging.getLogger("headrace.webhooks")
blueprint = Resource("webhooks", "Addresses of flows, called by other systems", any_query=True)

MAX_METHOD = 20  # characters
CHALLENGES = {
    "basic": ("WWW-Authenticate", 'Basic realm="webhook", charset="UTF-8"'),
    "jwt": ("WWW-Authenticate", 'Bearer error="invalid_token"'),
}
# Sec-Fetch-Dest of resources that a page of this server could embed: its content policy trusts this origin.
EMBEDS = {"script", "style", "worker", "sharedworker", "serviceworker", "audioworklet", "object", "embed"}


TEXT = {"schema": {"type": "string"}}
# A respond node may name any other content type too.
ANSWER_TYPES: dict[str, Any] = {"application/json": {"schema": ANY_JSON}, "text/plain": TEXT, "text/html": TEXT}
SATURATED = "The server cannot take this call at the moment; try again soon"
ERROR_TYPES: dict[str, Any] = {"application/json": {"schema": Error}, "text/plain": TEXT, "text/html": TEXT}


class FiredOut(Out):
    """A run that a webhook started."""

    run_id = fields.String()


class Slashes(PathConverter):
    """Converter for the rest of a path, including leading and trailing slashes."""

    regex = ".*?"
    part_isolating = False


@blueprint.route("/webhooks/<slashes:path>", methods=list(WEBHOOK_METHODS))
@allow_anyone
@blueprint.doc(
    security=[],
    responses={
        "200": {"description": "The run's output, or the response of its respond node", "content": ANSWER_TYPES},
        "202": {"description": "The run is accepted", "content": {"application/json": {"schema": FiredOut}}},
        "default": {"description": "An error; a respond node may send another response", "content": ERROR_TYPES},
    },
)
def fire(path: str) -> Response:
    """Call the webhook of an active flow, with a method and authentication as configured in its webhook node.

    The body may have any content type. With an idempotency key in the header that the node names, or in
    `Idempotency-Key` if the node has authentication, a repeated call within 24 hours gets the same response and starts
    no second run. 422 if the key comes with another body.
    """
    request, path = get_request(), path.strip("/")
    check_not_embedded(request)
    hook = find_hook(path, request.method)
    if hook is None:
        methods = webhooks.methods_of(path, split_path(path))
        if request.method == "HEAD" and "GET" in methods:  # it asks whether there is something to GET: no run starts
            return Response(status=200, headers={"Allow": ", ".join(methods)})
        if methods:
            raise MethodNotAllowed(methods)
        raise NotFound("There is no webhook at this address")
    server = get_server()
    dispatcher: Dispatcher = server.dispatcher
    plan = _load_plan(dispatcher, hook)
    planned = plan.by_id[hook.node_id]
    if planned.type != "webhook":
        return find_taker(planned)(hook, planned, path, partial(_start_event, hook, plan, planned))
    config = planned.config.static

    def submit(value: Any, is_awaited: bool) -> Ticket:
        key, request_hash = read_key(request, hook.node_id, config, value)
        start = Start(hook.flow, value, "webhook", hook.node_id, key, is_awaited=is_awaited, request_hash=request_hash)
        if planned.debounce is not None:
            dispatcher.check_open()
            return collect(dispatcher.resources, start, plan, planned.debounce)
        # This thread may execute quick runs: it waits for the end anyway, or a commit of the whole run costs no more
        # than a commit of its row.
        return dispatcher.submit(start, here=True)

    return take_call(hook, config, path, submit)


Taker: TypeAlias = Callable[[WebhookTarget, PlannedNode, str, Callable[[Any, str | None], Ticket]], Response]


def find_taker(planned: PlannedNode) -> Taker:
    """Return what checks and answers the calls of an event trigger, as its type says."""
    found: Taker = pkgutil.resolve_name(cast(EventTrigger, planned.node).taker)
    return found


def _start_event(hook: WebhookTarget, plan: Plan, node: PlannedNode, value: Any, key: str | None) -> Ticket:
    """Start the run of an event trigger, or collect its event with others."""
    dispatcher: Dispatcher = get_server().dispatcher
    start = Start(hook.flow, value, "webhook", hook.node_id, key, is_awaited=False)
    if node.debounce is not None:
        dispatcher.check_open()
        return collect(dispatcher.resources, start, plan, node.debounce)
    return dispatcher.submit(start, here=True)


def find_hook(path: str, method: str) -> WebhookTarget | None:
    """Return the webhook for calls of this path: the one with exactly this path, else one whose parameters match."""
    return WebhookTarget.at(path, method) or WebhookTarget.of_pattern(split_path(path), method)


def split_path(path: str) -> list[str]:
    """Return the parts of the request's path, which ends with `path`. A slash sent as `%2F` does not separate parts."""
    sent = get_request().environ.get("RAW_URI", "").partition("?")[0].rstrip("/")
    if "%2f" in sent.lower() and len(path) <= MAX_CALLED:
        parts = [unquote(part) for part in sent.split("/")]
        for start in range(len(parts)):
            if "/".join(parts[start:]) == path:
                return parts[start:]
    return path.split("/")


# For each view of webhooks, a function of its path parameters and a method: the methods of the address, and the config
# of the webhook that takes this method, if any.
Options: TypeAlias = Callable[[dict[str, Any], str], tuple[Sequence[str], Mapping[str, Any]]]


def _find_options(address: dict[str, Any], method: str) -> tuple[Sequence[str], Mapping[str, Any]]:
    path = address["path"].strip("/")
    hook = find_hook(path, method)
    return webhooks.methods_of(path, split_path(path)), {} if hook is None else load_config(
        get_server().dispatcher, hook
    )


OPTIONS: dict[str, Options] = {"webhooks.fire": _find_options}


@blueprint.before_request
def answer_options() -> Response | None:
    """Answer OPTIONS, which starts no run: with the methods, and to browsers whether another site's page may call."""
    request = get_request()
    if request.method != "OPTIONS" or request.endpoint not in OPTIONS:
        return None
    asked = request.headers.get("Access-Control-Request-Method", "")[:MAX_METHOD]
    methods, config = OPTIONS[request.endpoint](request.view_args or {}, asked)
    if not methods:
        raise NotFound("There is no webhook at this address")
    return make_preflight(request, config, methods)


def check_not_embedded(request: Request) -> None:
    """Raise Forbidden if a page of this server embeds the answer."""
    if request.environ.get("HTTP_SEC_FETCH_DEST") in EMBEDS and request.headers.get("Sec-Fetch-Site") == "same-origin":
        raise Forbidden("A webhook's response cannot be embedded in a page of this server")


def take_call(
    hook: WebhookTarget, config: Mapping[str, Any], path: str, submit: Callable[[Any, bool], Ticket]
) -> Response:
    """Check a call as the config of its node says, and answer it. `submit(input, is_awaited)` starts the run."""
    request, server = get_request(), get_server()
    dispatcher: Dispatcher = server.dispatcher
    if "allow_origins" in config:
        add_headers(request, config)
    if "allow_ips" in config and not is_in_networks(get_client().address, tuple(config["allow_ips"])):
        note_refusal(hook, path, "this address may not call it")
        raise Forbidden("Your address may not call this webhook")
    if (most := config.get("max_body_bytes")) is not None:
        request.max_content_length = min(most, dispatcher.config.max_body_bytes)
    raw = read_raw(request)
    proof = NO_PROOF
    if config["auth"] != "none":
        secret = load_secret(server.vault, hook, CREDENTIAL_TYPES[config["auth"]])
        guess = begin_guess(make_limit_key(hook), get_secret_text(secret))
        proof = _authenticate(hook, config["auth"], secret, request, raw)
        if not proof.is_valid:
            note_refusal(hook, path, "the secret is missing or wrong")
            guess.mark_wrong()
            return refuse_caller(CHALLENGES.get(config["auth"]))
        guess.mark_right()
    if (limit := config.get("rate_limit")) is not None:
        _count_call(hook, limit)
    value = build_input(request, path, raw, proof.header)
    if proof.claims is not None:
        value["jwt"] = proof.claims
    if PARAM in config["path"]:
        value["params"] = read_params(config["path"], split_path(path))
    try:
        if config["respond"] == "stream":
            streams: Streams = get_server().streams
            client = get_client()
            stream = streams.begin(hook, None if client.is_shared else get_network(client.address), get_request())
            try:
                return stream.make_response(submit(value, True))
            except BaseException:
                stream.close()
                raise
        ticket = submit(value, config["respond"] != "immediately")
        return RESPONDERS[config["respond"]](dispatcher, ticket)
    except Unavailable as error:
        log.warning(
            "flow %s: a call was rejected: %s", hook.flow.id, error.message, extra={"workflow_id": hook.flow.id}
        )
        raise Unavailable(SATURATED, retry_after=error.retry_after) from error


class Proof(NamedTuple):
    """The proof of a caller. `header` carried the secret, in lower case; `claims` are those of a token."""

    is_valid: bool
    header: str | None = None
    claims: Any = None


NO_PROOF = Proof(True)


def _authenticate(hook: WebhookTarget, auth: str, secret: Mapping[str, Any], request: Request, raw: bytes) -> Proof:
    """Check the secret, signature or token of a call. Raises: Unavailable if the keys for it cannot be fetched."""
    now = now_ms() / 1000
    if auth != "jwt":
        type_ = str(hook.secret_type)
        return Proof(is_authentic(type_, secret, request.headers, raw, now), get_header_name(type_, secret))
    key_sets: KeySets = get_server().key_sets
    try:
        claims = read_claims(secret, request.headers.get("Authorization", ""), now, key_sets)
    except Unavailable:
        log.error(
            "node %s of flow %s cannot fetch the keys of its callers: %s",
            hook.node_id, hook.flow.id, key_sets.last_error, extra={"workflow_id": hook.flow.id},
        )  # fmt: skip
        raise
    return Proof(claims is not None, claims=claims)


def begin_guess(target: str, *secrets: str | None) -> Guess:
    """Begin an attempt of this client at one of the secrets. Raises: TooMany after many wrong ones; Unavailable."""
    guesses: Guesses = get_server().guesses
    return guesses.begin(target, get_client(), [secret for secret in secrets if secret is not None])


def refuse_caller(challenge: tuple[str, str] | None = None) -> Response:
    """Return the response to a caller who failed to authenticate."""
    answer = make_json_answer({"error": "You may not call this webhook"}, 401, *([challenge] if challenge else []))
    return to_response(answer)


def note_refusal(hook: WebhookTarget, path: str, reason: str) -> None:
    """Log a caller who was refused in the flow's log, at most once a minute for each address."""
    server, address = get_server(), get_client().address
    if not server.refusals.note(make_limit_key(hook), get_network(address)):
        return
    log.info("webhook %s: a caller at %s was refused", path, address)
    message = f"A caller at {address} was refused: {reason}. Logged at most once a minute"
    data = orjson.dumps({"workflow_id": hook.flow.id, "path": path, "address": address}).decode()
    server.recorder.submit([logs.entry(hook.flow.workspace_id, None, hook.node_id, "warning", message, data)])


def make_limit_key(hook: WebhookTarget) -> str:
    """Return the webhook's key for rate limits, guesses and the refusal log."""
    return f"{hook.flow.id} {hook.node_id}"


def _count_call(hook: WebhookTarget, limit: int) -> None:
    """Count a call against the webhook's rate limit, in calls a minute.

    Raises: TooMany if the limit is exceeded; Unavailable if the calls cannot be counted.
    """
    rates: RateLimits = get_server().rates
    try:
        wait = rates.take(make_limit_key(hook), limit)
    except OSError as error:
        raise Unavailable("The rate limit of this webhook cannot be checked at the moment", retry_after=5) from error
    if wait:
        raise TooMany(f"This webhook accepts {limit} calls a minute; try again later", retry_after=math.ceil(wait))


def load_config(dispatcher: Dispatcher, hook: WebhookTarget) -> Mapping[str, Any]:
    """Return the config of the webhook's node, without settings that have expressions: it has none."""
    return _load_plan(dispatcher, hook).by_id[hook.node_id].config.static


def _load_plan(dispatcher: Dispatcher, hook: WebhookTarget) -> Plan:
    flow = hook.flow
    try:
        return dispatcher.resources.plan_of(flow)
    except DefinitionError as error:
        log.error(
            "flow %s is active, but its definition is no longer valid: %s",
            flow.id,
            error.message,
            extra={"workflow_id": flow.id},
        )
        raise Unavailable("The flow of this webhook cannot run at the moment") from None


def load_secret(vault: Vault, hook: WebhookTarget, types: Collection[str]) -> Mapping[str, Any]:
    """Return the values of the webhook's credential, which must be of one of these types.

    Raises: Unavailable if the credential cannot be used: authentication fails closed.
    """
    reason = "it is missing"
    if hook.credential_id is not None and hook.secret_type is not None:
        reason = f"it is of type {hook.secret_type}"
        if hook.secret_type in types:
            try:
                return vault.unseal(hook.credential_id, int(hook.secret_stamp or 0), str(hook.secret))
            except VaultError as error:
                reason = str(error)
    ids = {"node_id": hook.node_id, "workflow_id": hook.flow.id}
    log.error("node %s of flow %s cannot use its credential: %s", hook.node_id, hook.flow.id, reason, extra=ids)
    raise Unavailable("This webhook cannot authenticate its callers at the moment")


# Answers


def _answer_immediately(dispatcher: Dispatcher, ticket: Ticket) -> Response:
    ticket.durable()
    return to_response(make_accepted(ticket.run))


def _answer_with_output(dispatcher: Dispatcher, ticket: Ticket) -> Response:
    finished = dispatcher.waiting.wait_with_limit(ticket, dispatcher.config.webhook_wait)
    if finished.status != "success":
        return to_response(make_unfinished(finished))
    text = dispatcher.resources.payloads.load(finished.id, "output", Kept(finished.output, finished.output_bytes))
    return to_response(make_output_answer(text))


def _answer_from_node(dispatcher: Dispatcher, ticket: Ticket) -> Response:
    run, custom = dispatcher.waiting.response(ticket, dispatcher.config.webhook_wait)
    if custom is not None and "file" in custom:
        file = custom["file"]
        try:
            response = stream(
                dispatcher.resources.files_of(run.workspace_id), file["path"], file["content_type"], custom["status"]
            )
        except NodeError as error:
            log.error(
                "run %s: the file of its response cannot be sent: %s", run.id, error.message, extra={"run_id": run.id}
            )
            return to_response(
                make_json_answer({"error": "The file of the response cannot be read", "run_id": run.id}, 500)
            )
        response.headers["Content-Disposition"] = disposition("inline", file["name"])
        response.headers = Headers(merge_headers(list(response.headers), custom["headers"]))
        return response
    return to_response(make_node_answer(run, custom))


RESPONDERS: dict[str, Callable[[Dispatcher, Ticket], Response]] = {
    "immediately": _answer_immediately,
    "last": _answer_with_output,
    "node": _answer_from_node,
}


def to_response(answer: RunAnswer) -> Response:
    return Response(answer.body, answer.status, answer.headers)
