"""Pages of connectors in the documentation, written from their files."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from nodes.credentials.types import TYPES
from packs.connectors import connector_files
from packs.connectors.forms import describe_operation
from packs.connectors.inputs import POLL, RESERVED
from packs.connectors.node import describe_poll
from packs.reference.reference import describe_type, link_rows, make_anchor

PAGE = "connectors"  # which lists them
FOLDER = f"{PAGE}/"
# Ways to connect, unless a connector has a title for its own.
WAYS = {
    "oauth2": "An account", "google_service_account": "A service account", "http_bearer": "An access token",
    "http_header": "An API key", "http_query": "An API key", "http_basic": "A user name and a password",
    "secret": "An API key",
}  # fmt: skip


def list_pages() -> list[str]:
    """Return the names of the pages. Everybody may read pages, so a team's own connectors have none."""
    return [FOLDER + type_ for type_ in sorted(connector_files.types()) if not connector_files.is_own(type_)]


def complete(name: str, text: str) -> str:
    """Return a page: that of a connector, and the list of connectors with links. Other pages stay as they are."""
    if name == PAGE:
        return link_rows(text, {page.removeprefix(FOLDER): f"{page}.md" for page in list_pages()})
    if name.startswith(FOLDER):
        type_ = name.removeprefix(FOLDER)
        return describe_connector(type_, connector_files.read(type_))
    return text


def describe_connector(type_: str, connector: Mapping[str, Any]) -> str:
    """Return the page of a connector."""
    return "".join(_describe_service(type_, connector)).rstrip() + "\n"


def _describe_service(type_: str, connector: Mapping[str, Any]) -> Iterator[str]:
    yield f"# {connector['name']}\n\n"
    yield f"{_sentence(connector['description'])} The node type is `{type_}`."
    if docs := connector.get("docs"):
        yield f" {connector['name']} describes its API [itself]({docs})."
    if rate := connector.get("rate"):
        per = {1: "a second", 60: "a minute", 3600: "an hour", 86400: "a day"}
        unit = per.get(rate["per"], f"in {rate['per']} seconds")
        yield f" It allows {rate['calls']:,} {'call' if rate['calls'] == 1 else 'calls'} {unit}."
    yield (
        f"\n\nThe file `packs/connectors/data/{type_}.json` defines it. "
        "[Connectors](../connectors.md) explains what all of them have in common.\n\n"
    )
    yield from _ways(connector)
    yield from _operations(type_, connector)


def _ways(connector: Mapping[str, Any]) -> Iterator[str]:
    yield "## Connect\n\n"
    ways = connector.get("auth", ())
    if not ways:
        yield "It needs no credential.\n\n"
        return
    if connector.get("auth_optional"):
        yield "Operations work without a credential too, with less.\n\n"
    for way in ways:
        yield f"- {' '.join(_way(way))}\n"
    yield "\n"


def _way(way: Mapping[str, Any]) -> Iterator[str]:
    """Yield the sentences about a way to authenticate."""
    title = way.get("title") or WAYS.get(way["type"]) or _title_of(way["type"])
    type_ = f"`{way['type']}`"
    known = f"[{type_}](../credential-types.md#{way['type']})" if way["type"] in TYPES else type_
    yield f"**{title}** (credential type {known})."
    if way["type"] == "oauth2":
        yield "*New credential* in the node opens the service's page on which you agree."
    if help_ := way.get("help"):
        yield _sentence(help_)
    if link := way.get("link"):
        yield f"[Get it here]({link})."
    if header := way.get("header"):
        yield f"It is sent in the header `{header}`."
    if names := way.get("names"):
        yield f"It is sent as {', '.join(f'`{name}`' for name in names)}."
    if host := way.get("host"):
        example = f", such as `{host['example']}`" if host.get("example") else ""
        yield f"Its only allowed host is that of your account{example}."
    elif hosts := way.get("hosts"):
        yield f"Allowed hosts: {', '.join(f'`{host}`' for host in hosts)}."
    if scopes := way.get("scopes"):
        yield f"Scopes: {', '.join(f'`{scope}`' for scope in scopes)}."


def _title_of(type_: str) -> str:
    found = TYPES.get(type_)
    return str(found.title) if found is not None and found.title else type_.replace("_", " ").capitalize()


def _operations(type_: str, connector: Mapping[str, Any]) -> Iterator[str]:
    yield "## Operations\n\n"
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for operation in connector["operations"]:
        groups.setdefault(operation.get("group", ""), []).append(operation)
    seen = {"connect": 0, "operations": 0, make_anchor(connector["name"], {}): 0}
    anchors = {one["id"]: make_anchor(one["name"], seen) for one in connector["operations"]}
    for group, members in groups.items():
        links = " · ".join(f"[{one['name']}](#{anchors[one['id']]})" for one in members)
        yield f"- {group}: {links}\n" if group else f"- {links}\n"
    yield "\n"
    for operation in connector["operations"]:
        yield from _operation(type_, connector, operation)


def _operation(type_: str, connector: Mapping[str, Any], operation: Mapping[str, Any]) -> Iterator[str]:
    told = describe_operation(connector, operation)
    yield f"### {operation['name']}\n\n`{operation['id']}`. {_sentence(told['description'])}"
    if told["list"]:
        yield " Returns a list; `max_items` limits it."
    if poll := operation.get("poll"):
        yield f" Starts flows as `{type_}{POLL}`. {describe_poll(poll)}".rstrip()
    if operation.get("response") == "file":
        yield " Saves a file; `save_to` names it."
    if docs := told["docs"]:
        yield f" [At {connector['name']}]({docs})."
    yield "\n\n"
    yield from _inputs(told["config_schema"])
    if "example" in operation:
        yield f"```json\n{orjson.dumps(told['example'], option=orjson.OPT_INDENT_2).decode()}\n```\n\n"


def _inputs(schema: Mapping[str, Any]) -> Iterator[str]:
    own = {key: field for key, field in schema["properties"].items() if key not in RESERVED}
    if not own:
        yield "It has no inputs.\n\n"
        return
    yield "| input | meaning | takes |\n|---|---|---|\n"
    for key, field in own.items():
        title, text = field.get("title", ""), field.get("description", "")
        labels = field.get("x-enum-labels") or field.get("items", {}).get("x-enum-labels") or {}
        choices = "; ".join(f"`{value}`: {label}" for value, label in labels.items() if value != label)
        told = _plain(". ".join(part.rstrip(".") for part in (text, choices) if part)).replace("|", "\\|")
        takes = [describe_type(dict(field))]
        if key in schema.get("required", ()):
            takes.append("**required**")
        elif field.get("default") is not None:
            takes.append(f"default `{orjson.dumps(field['default']).decode()}`")
        yield f"| `{key}` | *{title}*{f': {told}' if told else ''} | {', '.join(takes)} |\n"
    yield "\n"


def _sentence(text: str) -> str:
    return _plain(text if text.endswith((".", "!", "?", "…")) else f"{text}.")


def _plain(text: str) -> str:
    """Return a text of a connector as Markdown: outside of `code`, its characters mean themselves."""
    parts = text.replace("\n", " ").split("`")
    parts[::2] = [re.sub(r"([*_<\[])", r"\\\1", part) for part in parts[::2]]
    return "`".join(parts)
