"""How a node reaches a language model: which one, by whose key, and past the egress rule or under it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from agent.model_choice import TEST, Access, Choice, Models, cost_of, list_url, resolve
from errors import NodeError
from json_schema import issues_of
from nodes.base import Context
from nodes.credentials.keyring import Credential, checks
from nodes.http.response import ERROR_BYTES, as_json, is_permanent, shown

ANY_MODEL = "any"
# Of Anthropic's interface; the one that its library speaks.
VERSION = "2026-10-21"
FREE = (TEST, "ollama")
MOST_ISSUE = 500  # characters
GRACE = 2.0  # seconds: whose time was over, the run's or the model's, is to be told right


def choose(ctx: Context, models: Models, name: str | None = None, credential: str | None = None) -> Choice:
    """The model of this name, or else that of the credential of this name, or else the server's own.

    Its key is struck out of all that the run records. Raises NodeError, among them NoModel where nothing is configured.
    """
    found = ctx.credential(credential, "llm") if credential else None
    choice = resolve(models, name, found.data if found else None, found.name if found else "")
    if found is not None and choice.provider != TEST:
        found.check_host(choice.host)
    if ctx.keyring is not None:
        ctx.keyring.hide(choice.key)
    return choice


def model_access(ctx: Context, choice: Choice) -> Access:
    """What `open_model` needs: the server's own address may be anywhere, any other has to be permitted."""
    services = ctx.need_services()
    return Access(services.tls("llm"), None if choice.trusted else services.egress.addresses, ctx.clean)


def price_of(choice: Choice) -> Callable[[Any], float | None]:
    """What tells the price of an answer of this model, in US dollars; None where it is not known."""
    return (lambda response: 0.0) if choice.provider in FREE else cost_of


def misfits(schema: Mapping[str, Any], data: Any, clean: Callable[[str], str] = str) -> list[str]:
    """What is wrong with an answer, in words for the model; `clean` takes secrets out of them."""
    try:
        json_of(data)
        found = issues_of(schema, data, clean)
        return [f"{issue['path'] or 'the answer'}: {issue['message']}"[:MOST_ISSUE] for issue in found]
    except NodeError as error:
        return [error.message[:MOST_ISSUE]]


def json_of(value: Any) -> bytes:
    """The value as JSON text that can be on record; NodeError where it is none."""
    try:
        written = json.dumps(value, ensure_ascii=False, allow_nan=False, default=str).encode("utf-8", "replace")
        # What that reads differently, such as a number of more than 64 bits, is to be the same from here on.
        return orjson.dumps(orjson.loads(written))
    except (TypeError, ValueError, RecursionError) as error:
        raise NodeError(f"it is no JSON: {error}", permanent=True) from None


def cleaned(ctx: Context, value: Any) -> Any:
    """The value as JSON without any secret: what a model is told, what it says, and what is on record."""
    written = json_of(value)
    return orjson.loads(written if ctx.keyring is None else ctx.keyring.clean(written))


@checks("llm")
def check(found: Credential, ctx: Context, asked: Mapping[str, Any]) -> str:
    """Ask which models there are, which costs nothing."""
    given = found.data.get("model")
    choice = resolve(Models(), given or ANY_MODEL, found.data, found.name)
    found.check_host(choice.host)
    names = models_at(choice, ctx)
    known = f"{choice.host} has {len(names)} model{'' if len(names) == 1 else 's'}"
    if given is None:
        return known
    return f"{known}; {choice.model} is {'' if choice.model in names else 'not '}among them"


def models_at(choice: Choice, ctx: Context) -> set[str]:
    """The names of the models that a provider lists; NodeError where it gives no list."""
    headers = [("Accept", "application/json")]
    if choice.key:
        headers.append(("Authorization", f"Bearer {choice.key}"))
    if choice.provider == "anthropic":
        headers.append(("anthropic-version", VERSION))
    answer = ctx.need_services().http().fetch(
        "GET",
        list_url(choice),
        seconds=ctx.seconds_left(15),
        headers=headers,
        follow_redirects=False,
        error_bytes=ERROR_BYTES,
    )  # fmt: skip
    if not 200 <= answer.status < 300:
        said = shown(answer, ctx.clean)
        raise NodeError(
            f"{choice.host} answered {answer.status}" + (f": {said}" if said else ""), is_permanent(answer.status)
        )
    body = as_json(answer)
    listed = body.get("data") if isinstance(body, dict) else None
    if not isinstance(listed, list):
        raise NodeError(f"{choice.host} lists no models: its answer has no list of data", permanent=True)
    return {str(entry.get("id")) for entry in listed if isinstance(entry, dict)}
