"""Model access of nodes: the choice of a language model, its key, and the egress rule."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from errors import NodeError
from net.egress import RequestOptions
from nodes.base import Context
from nodes.credentials.keyring import DecryptedCredential
from nodes.credentials.types import checks
from nodes.http.response import ERROR_BYTES, is_permanent, parse_json, quote_body
from packs.agents.runtime.model_choice import (
    ANTHROPIC_VERSION,
    TEST,
    Choice,
    ModelAccess,
    Models,
    cost_of,
    list_url,
    resolve,
)
from parsers.json_schema import issues_of

ANY_MODEL = "any"
FREE_PROVIDERS = (TEST, "ollama")
MAX_ISSUE = 500  # characters
GRACE = 2.0  # seconds, to tell correctly whether the run or the model timed out


def choose(ctx: Context, models: Models, name: str | None = None, credential: str | None = None) -> Choice:
    """Return the model of this name, or by default the credential's or the server's.

    Its key is redacted in the run. Raises: NodeError; NoModel if no model is configured.
    """
    found = ctx.credential(credential, "llm") if credential else None
    choice = resolve(models, name, found.data if found else None, found.name if found else "")
    if found is not None and choice.provider != TEST:
        found.check_host(choice.host)
    ctx.hide(choice.key)
    return choice


def model_access(ctx: Context, choice: Choice) -> ModelAccess:
    """Return the network access for `open_model`: only the server's own address is exempt from the egress rule."""
    services = ctx.need_services()
    return ModelAccess(services.tls("llm"), None if choice.trusted else services.egress.addresses, ctx.clean)


def price_of(choice: Choice) -> Callable[[Any], float | None]:
    """Return a function for the price of an answer in US dollars; None if it is unknown."""
    return (lambda response: 0.0) if choice.provider in FREE_PROVIDERS else cost_of


def find_issues(ctx: Context, schema: Mapping[str, Any], data: Any) -> list[str]:
    """Return the issues of an answer as redacted text for the model."""
    try:
        to_json(data)
        found = issues_of(schema, data, ctx.clean, ctx.workspace_id)
        return [f"{issue['path'] or 'the answer'}: {issue['message']}"[:MAX_ISSUE] for issue in found]
    except NodeError as error:
        return [error.message[:MAX_ISSUE]]


def to_json(value: Any) -> bytes:
    """Return the value as JSON for the record. Raises: NodeError if it is not JSON."""
    try:
        written = json.dumps(value, ensure_ascii=False, allow_nan=False, default=str).encode("utf-8", "replace")
        # Values that orjson reads differently, such as numbers beyond 64 bits, must be the same from here on.
        return orjson.dumps(orjson.loads(written))
    except (TypeError, ValueError, RecursionError) as error:
        raise NodeError(f"the value is not JSON: {error}", permanent=True) from None


def redact(ctx: Context, value: Any) -> Any:
    """Return the value as JSON without secrets, for the model and the record."""
    written = to_json(value)
    return orjson.loads(written if ctx.keyring is None else ctx.keyring.clean(written))


@checks("llm")
def check(found: DecryptedCredential, ctx: Context, asked: Mapping[str, Any]) -> str:
    """Request the list of models, which is free."""
    given = found.data.get("model")
    choice = resolve(Models(), given or ANY_MODEL, found.data, found.name)
    found.check_host(choice.host)
    names = list_models(choice, ctx)
    known = f"{choice.host} has {len(names)} model{'' if len(names) == 1 else 's'}"
    if given is None:
        return known
    return f"{known}; {choice.model} is {'' if choice.model in names else 'not '}among them"


def list_models(choice: Choice, ctx: Context) -> set[str]:
    """Return the names of a provider's models. Raises: NodeError if it does not list them."""
    headers = [("Accept", "application/json")]
    if choice.key:
        headers.append(("Authorization", f"Bearer {choice.key}"))
    if choice.provider == "anthropic":
        headers.append(("anthropic-version", ANTHROPIC_VERSION))
    http, seconds, options = ctx.need_services().http(), ctx.seconds_left(15), RequestOptions(error_bytes=ERROR_BYTES)
    answer = http.fetch(
        "GET", list_url(choice), seconds=seconds, headers=headers, follow_redirects=False, options=options
    )
    if not 200 <= answer.status < 300:
        said = quote_body(answer, ctx.clean)
        raise NodeError(
            f"{choice.host} answered {answer.status}" + (f": {said}" if said else ""), is_permanent(answer.status)
        )
    body = parse_json(answer)
    listed = body.get("data") if isinstance(body, dict) else None
    if not isinstance(listed, list):
        raise NodeError(f"{choice.host} does not list models: the response has no data", permanent=True)
    return {str(entry.get("id")) for entry in listed if isinstance(entry, dict)}
