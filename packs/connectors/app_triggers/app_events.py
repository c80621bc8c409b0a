"""Events of services for app triggers: their signatures, the challenges of a new address, and what an event is.

Everything that differs between services is in the file of the trigger.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, cast

import orjson
from flask import Request, Response
from werkzeug.datastructures import Headers

from api.http.json_io import get_request, get_server, read_raw
from api.run_answer import make_json_answer
from api.webhooks import begin_guess, build_input, load_secret, make_limit_key, note_refusal, refuse_caller, to_response
from api.webhooks.auth import TIMESTAMP
from database.base import now_ms
from database.queries.webhooks import WebhookTarget
from definition import PlannedNode
from dispatch import Ticket
from errors import Forbidden, Unavailable, VaultError
from packs.connectors.app_triggers import hook_queries
from packs.connectors.app_triggers.app_trigger import SECRET_TYPES, AppTrigger
from packs.connectors.app_triggers.registration import make_secret
from security.vault import Vault

log = logging.getLogger("headrace.webhooks")
MAX_PAIRS = 20  # parts of a signature header
MAX_KEY = 100  # characters of the name of a delivery; a longer one is hashed
MAX_CHALLENGE = 1_000  # characters


def take_event(
    hook: WebhookTarget, node: PlannedNode, path: str, submit: Callable[[Any, str | None], Ticket]
) -> Response:
    """Check a service's call as its app trigger says, and answer it. `submit(input, idempotency key)` starts the run.

    An event that was not chosen is answered without a run: with an error, the service would send it again.
    """
    request, config, preset = get_request(), node.config.static, cast(AppTrigger, node.node).preset
    challenge = preset.get("challenge", {})
    if request.method == "GET":
        # Counted apart, so that guesses at it do not keep out events.
        guess = begin_guess(f"verify token {make_limit_key(hook)}", config["verify_token"])
        answer = answer_query(challenge, config["verify_token"], request)
        if answer is None:
            note_refusal(hook, path, "the verify token is missing or wrong")
            guess.mark_wrong()
            raise Forbidden("The verify token is not that of this trigger")
        guess.mark_right()
        return Response(answer, mimetype="text/plain")
    raw, header = read_raw(request), preset["verify"].get("header")
    verify, now, secrets = preset["verify"], now_ms() / 1000, load_signing_secrets(hook, node)
    guess = begin_guess(make_limit_key(hook), *secrets)
    if not any([is_signed(verify, secret, request.headers, raw, now) for secret in secrets]):
        note_refusal(hook, path, "the signature is missing, wrong or too old")
        guess.mark_wrong()
        return refuse_caller()
    guess.mark_right()
    value = build_input(request, path, raw, None if header is None else header.lower())
    body = value["body"] = read_fields(preset, value["body"])
    if (answered := answer_body(challenge, body)) is not None:
        return to_response(make_json_answer(answered))
    event = value["event"] = find_event(preset, request.headers, body)
    if event in preset.get("ignored", ()) or ("events" in config and event not in config["events"]):
        return to_response(make_json_answer({"ok": True}))
    delivery = find_delivery(preset, request.headers, body)
    ticket = submit(value, None if delivery is None else f"hook:{hook.node_id}:{delivery}")
    ticket.durable()
    return to_response(make_json_answer({"run_id": ticket.run.id}))


def load_signing_secrets(hook: WebhookTarget, node: PlannedNode) -> list[str | None]:
    """Return the secrets with which the service may sign; None if it signs nothing.

    Raises: Unavailable if the credential cannot be used, or the service has not been told a secret yet.
    """
    if not cast(AppTrigger, node.node).signs:
        return [None]
    vault: Vault = get_server().vault
    if "credential" in node.config.static:
        values = load_secret(vault, hook, SECRET_TYPES)
        return [str(values["value" if hook.secret_type == "secret" else "secret"])]
    rows = hook_queries.of_node(hook.flow.id, hook.node_id)
    if not rows:
        raise Unavailable("The webhook is not registered in the service yet: activate the flow", retry_after=60)
    try:
        return [
            make_secret(vault, row.id) if row.secret is None else str(vault.unseal(row.id, row.version, row.secret))
            for row in rows
        ]
    except VaultError as error:
        log.error("node %s of flow %s cannot read its signing secret: %s", hook.node_id, hook.flow.id, error)
        raise Unavailable("This webhook cannot authenticate its callers at the moment") from error


def is_signed(verify: Mapping[str, Any], secret: str | None, headers: Headers, raw: bytes, now: float) -> bool:
    """Return True if the service sent this request. `now` is in seconds since 1970; `secret` None proves nothing.

    A service that signs nothing is known by the address alone.
    """
    if verify["kind"] == "path":
        return True
    return bool(secret) and CHECKS[verify["kind"]](verify, str(secret), headers, raw, now)


def _check_token(verify: Mapping[str, Any], secret: str, headers: Headers, raw: bytes, now: float) -> bool:
    return _equals(headers.get(verify["header"], ""), secret)


def _check_hmac(verify: Mapping[str, Any], secret: str, headers: Headers, raw: bytes, now: float) -> bool:
    timestamp = headers.get(verify["timestamp"], "") if "timestamp" in verify else ""
    if "timestamp" in verify and not _is_recent(timestamp, verify["tolerance"], now):
        return False
    digest = hmac.digest(secret.encode(), _make_signed(verify, timestamp, raw), "sha256")
    encoded = digest.hex() if verify["encoding"] == "hex" else base64.b64encode(digest).decode()
    return _equals(headers.get(verify["header"], ""), verify["prefix"] + encoded)


def _check_pairs(verify: Mapping[str, Any], secret: str, headers: Headers, raw: bytes, now: float) -> bool:
    """Check `t=<seconds>,v1=<hex>`, with several v1 during a key rotation. Other schemes are ignored."""
    parts = headers.get(verify["header"], "").split(",", MAX_PAIRS)
    pairs = [part.strip().partition("=")[::2] for part in parts]
    times = [value for name, value in pairs if name == "t"]
    if len(times) != 1 or not _is_recent(times[0], verify["tolerance"], now):
        return False
    expected = hmac.digest(secret.encode(), _make_signed(verify, times[0], raw), "sha256").hex()
    return any([_equals(value, expected) for name, value in pairs if name == "v1"])


CHECKS = {"token": _check_token, "hmac": _check_hmac, "pairs": _check_pairs}


def _is_recent(timestamp: str, tolerance: int, now: float) -> bool:
    return TIMESTAMP.match(timestamp) is not None and abs(now - int(timestamp)) <= tolerance


def _make_signed(verify: Mapping[str, Any], timestamp: str, raw: bytes) -> bytes:
    """Return the bytes that the service signs."""
    before, _, after = verify["signed"].replace("{timestamp}", timestamp).partition("{body}")
    return before.encode() + raw + after.encode()


def _equals(given: str, expected: str) -> bool:
    return hmac.compare_digest(given.encode("latin-1", "replace"), expected.encode())


def answer_query(challenge: Mapping[str, Any], token: str, request: Request) -> str | None:
    """Return the answer to a service that checks a new address by GET; None if it does not know the verify token."""
    asked, given = request.args, request.args.get(challenge["token"], "")
    answer = asked.get(challenge["answer"], "")
    is_right = hmac.compare_digest(given.encode(), token.encode()) and asked.get(challenge["mode"]) == "subscribe"
    return answer[:MAX_CHALLENGE] if is_right else None


def answer_body(challenge: Mapping[str, Any], body: Any) -> dict[str, str] | None:
    """Return the answer to a service that checks a new address by a signed POST; None for all other calls."""
    if challenge.get("kind") != "body" or not isinstance(body, dict) or body.get("type") != challenge["type"]:
        return None
    return {challenge["field"]: str(body.get(challenge["field"], ""))[:MAX_CHALLENGE]}


def find_event(preset: Mapping[str, Any], headers: Headers, body: Any) -> str:
    """Return the name of the event; empty if the call has none."""
    said = preset["event"]
    if "fixed" in said:
        return str(said["fixed"])
    if "header" in said:
        return headers.get(said["header"], "")
    if "keys" in said:
        inner = find_value(body, said["at"]) if "at" in said else body
        return next((name for name in preset["events"] if isinstance(inner, dict) and name in inner), "")
    found = (find_value(body, path) for path in said["body"])
    return next((value for value in found if isinstance(value, str)), "")


def find_delivery(preset: Mapping[str, Any], headers: Headers, body: Any) -> str | None:
    """Return what identifies the event when it is sent again; None if nothing does."""
    found: list[Any] = []
    if "dedupe_header" in preset:
        found = [headers.get(preset["dedupe_header"]) or None]
    for paths in preset.get("dedupe", ()):
        found = [find_value(body, path) for path in paths]
        if None not in found:
            break
    if not found or None in found:
        return None
    text = " ".join(map(str, found))
    return text if len(text) <= MAX_KEY else hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def find_value(body: Any, path: str) -> Any:
    """Return the text or number at a path such as `entry.0.id`, or the object; None if there is none."""
    for part in path.split("."):
        if isinstance(body, dict):
            body = body.get(part)
        elif isinstance(body, Sequence) and not isinstance(body, str) and part.isdecimal() and int(part) < len(body):
            body = body[int(part)]
        else:
            return None
    return None if body in ("", []) else body


def read_fields(preset: Mapping[str, Any], body: Any) -> Any:
    """Return the body with the fields as data that the service sends as JSON in a form."""
    for name in preset.get("json_fields", ()):
        if isinstance(body, dict) and isinstance(body.get(name), str):
            with suppress(orjson.JSONDecodeError):
                body = {**body, name: orjson.loads(body[name])}
    return body
