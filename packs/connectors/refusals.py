"""Plain messages for the refusals of services: each says what to do."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from errors import NodeError

# The only form of a link in a message: nothing of a service's answer is in it but the two names, which are checked.
PAGE = "https://console.cloud.google.com/apis/library/{service}{project}"
SERVICE = re.compile(r"[a-z][a-z0-9-]{1,60}\.googleapis\.com")
PROJECT = re.compile(r"[a-z0-9-]{4,40}")
# The address that the message of an older API names.
ADDRESS = re.compile(r"/apis/(?:api|library)/([a-z0-9.-]{4,80})(?:/overview)?\?project=([a-z0-9-]{4,40})\b")
MAX_READ = 2_000  # characters of a message
TITLES = {
    "oauth2": "account", "google_service_account": "service account", "http_bearer": "access token",
    "http_basic": "user name and password",
}  # fmt: skip


def find_switched_off(connector: Mapping[str, Any], data: Any) -> str:
    """Return what to do if a Google API answers that it is switched off in the project of the client; else empty."""
    error = data.get("error") if isinstance(data, dict) else None
    if not isinstance(error, dict) or not any(_is_google(way) for way in connector.get("auth", ())):
        return ""
    service, project = _read_details(error)
    if not SERVICE.fullmatch(service):
        return ""
    page = PAGE.format(service=service, project=f"?project={project}" if PROJECT.fullmatch(project) else "")
    name = _name_api(connector, service)
    return f"{name} is switched off in your Google Cloud project. Switch it on at {page} and try again in a minute."


def _read_details(error: Mapping[str, Any]) -> tuple[str, str]:
    """Return the service that is switched off and its project, as the answer names them; empty if it does not."""
    for detail in _list_objects(error.get("details")):
        told = detail.get("metadata")
        if detail.get("reason") == "SERVICE_DISABLED" and isinstance(told, dict):
            return str(told.get("service", "")), str(told.get("consumer", "")).removeprefix("projects/")
    if any(each.get("reason") == "accessNotConfigured" for each in _list_objects(error.get("errors"))):
        found = ADDRESS.search(str(error.get("message", ""))[:MAX_READ])
        return (found[1], found[2]) if found else ("", "")
    return "", ""


def _list_objects(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _is_google(way: Mapping[str, Any]) -> bool:
    return way.get("provider") == "google" or way["type"] == "google_service_account"


def _name_api(connector: Mapping[str, Any], service: str) -> str:
    pages = connector.get("apis", {}).items()
    return next((f"The {name}" for name, page in pages if page.endswith(f"/{service}")), f"The API {service}")


def name_secret(way: Mapping[str, Any]) -> str:
    """Return how a sentence names what a way to authenticate asks for, such as "personal access token" or "API key"."""
    title = str(way.get("title") or TITLES.get(way["type"]) or "key")
    return title if title[1:2].isupper() else title[:1].lower() + title[1:]


def explain(error: NodeError, exchange: Any) -> NodeError:
    """Return the error of a `ConnectorExchange` in words for somebody who connects an account, without its URL."""
    name, said = exchange.connector["name"], exchange.refusal
    if not said:
        return error
    if error.kind == "credential":
        what = name_secret(exchange.way) if exchange.way else "account"
        text = f"{name} refused the {what}. Check that it is complete and still valid ({said})"
    else:
        text = exchange.advice or f"{name} answered {said}"
    return NodeError(text, error.permanent, error.retry_after, error.kind)
