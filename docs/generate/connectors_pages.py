"""docs/connectors.md and docs/connectors/, generated from the files: `python -m docs.generate.connectors_pages`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import groupby
from pathlib import Path
from typing import Any

import orjson

from docs.generate.nodes_page import describe_type
from nodes.connectors import connector_files
from nodes.connectors.connector_forms import describe_operation
from nodes.connectors.poll_node import SUFFIX as POLL
from nodes.connectors.poll_node import describe_poll
from nodes.credentials.types import TYPES

DOCS = Path(__file__).parents[1]
GUIDE = Path(__file__).with_name("connectors_guide.md")
LIST = "<!-- the list of connectors -->\n"
# Settings that all connectors share; the guide describes them.
SHARED = ("operation", "credential", "address", "timeout", "max_items", "save_to")
CATEGORIES = {
    "chat": "Chat and messages", "mail": "Mail", "calendar": "Calendars and appointments",
    "office": "Documents and spreadsheets", "storage": "Files", "database": "Tables and databases",
    "project": "Projects and tasks", "code": "Code", "crm": "Customer relations", "sales": "Shops",
    "payment": "Payments and accounting", "support": "Customer support", "marketing": "Marketing",
    "social": "Social networks and media", "form": "Forms", "cms": "Websites", "ai": "Artificial intelligence",
    "developer": "Other",
}  # fmt: skip
WAYS = {
    "oauth2": "An account", "google_service_account": "A service account", "http_bearer": "An access token",
    "http_header": "An API key", "http_query": "An API key", "http_basic": "A user name and a password",
    "secret": "An API key",
}  # fmt: skip


def pages() -> dict[str, str]:
    """Return the text of each page by its path in docs/: `connectors.md`, `connectors/slack.md`."""
    connectors = {type_: connector_files.read(type_) for type_ in sorted(connector_files.types())}
    found = {f"connectors/{type_}.md": page(type_, connector) for type_, connector in connectors.items()}
    return {"connectors.md": guide(connectors), **found}


def guide(connectors: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the text of docs/connectors.md: the guide with the list of connectors in its place."""
    order = list(CATEGORIES)
    entries = sorted(
        connectors.items(), key=lambda pair: (order.index(pair[1]["category"]), pair[1]["name"].casefold())
    )
    parts = []
    for category, members in groupby(entries, key=lambda pair: str(pair[1]["category"])):
        parts.append(f"### {CATEGORIES[category]}\n\n| service | node type | what it does |\n|---|---|---|\n")
        parts += [
            f"| [{one['name']}](connectors/{type_}.md) | `{type_}` | {_cell(one['description'])} |\n"
            for type_, one in members
        ]
        parts.append("\n")
    return GUIDE.read_text(encoding="utf-8").replace(LIST, "".join(parts).rstrip() + "\n")


def page(type_: str, connector: Mapping[str, Any]) -> str:
    """Return the page of a connector."""
    return "".join(_parts(type_, connector)).rstrip() + "\n"


def _parts(type_: str, connector: Mapping[str, Any]) -> Iterator[str]:
    yield f"# {connector['name']}\n\n"
    yield f"{_sentence(connector['description'])} The node type is `{type_}`."
    if docs := connector.get("docs"):
        yield f" {connector['name']} describes its API [itself]({docs})."
    if rate := connector.get("rate"):
        yield f" It allows {_rate(rate)}."
    yield (
        f"\n\nGenerated from `connectors_data/{type_}.json` by `make docs`; change it there. "
        "[Connectors](../connectors.md) explains what all of them have in common.\n\n"
    )
    yield from _ways(connector)
    yield from _operations(type_, connector)


def _rate(rate: Mapping[str, int]) -> str:
    unit = {1: "a second", 60: "a minute", 3600: "an hour", 86400: "a day"}.get(
        rate["per"], f"in {rate['per']} seconds"
    )
    return f"{rate['calls']:,} {'call' if rate['calls'] == 1 else 'calls'} {unit}"


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
    anchors = _anchors(connector)
    for group, members in groups.items():
        links = " · ".join(f"[{one['name']}](#{anchors[one['id']]})" for one in members)
        yield f"- {group}: {links}\n" if group else f"- {links}\n"
    yield "\n"
    for operation in connector["operations"]:
        yield from _operation(type_, connector, operation)


def _anchors(connector: Mapping[str, Any]) -> dict[str, str]:
    """Return the anchor of each operation's heading, in GitHub's format."""
    seen: dict[str, int] = {"connect": 0, "operations": 0, _anchor(connector["name"]): 0}
    found = {}
    for operation in connector["operations"]:
        anchor = _anchor(operation["name"])
        seen[anchor] = number = seen.get(anchor, -1) + 1
        found[operation["id"]] = f"{anchor}-{number}" if number else anchor
    return found


def _anchor(text: str) -> str:
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")


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
    own = {key: field for key, field in schema["properties"].items() if key not in SHARED}
    if not own:
        yield "It has no inputs.\n\n"
        return
    yield "| input | meaning | takes |\n|---|---|---|\n"
    for key, field in own.items():
        yield f"| `{key}` | {_meaning(field)} | {_takes(key, field, schema.get('required', ()))} |\n"
    yield "\n"


def _meaning(field: Mapping[str, Any]) -> str:
    title, text = field.get("title", ""), field.get("description", "")
    labels = field.get("x-enum-labels") or field.get("items", {}).get("x-enum-labels") or {}
    choices = "; ".join(f"`{value}`: {label}" for value, label in labels.items() if value != label)
    told = _cell(". ".join(part.rstrip(".") for part in (text, choices) if part))
    return f"*{title}*: {told}" if told else f"*{title}*"


def _takes(key: str, field: Mapping[str, Any], required: Any) -> str:
    takes = [describe_type(dict(field))]
    if key in required:
        takes.append("**required**")
    elif field.get("default") is not None:
        takes.append(f"default `{orjson.dumps(field['default']).decode()}`")
    return ", ".join(takes)


def _sentence(text: str) -> str:
    return _plain(text if text.endswith((".", "!", "?", "…")) else f"{text}.")


def _plain(text: str) -> str:
    """Return a text of a connector as Markdown: outside of `code`, its characters mean themselves."""
    parts = text.replace("\n", " ").split("`")
    parts[::2] = [re.sub(r"([*_<\[])", r"\\\1", part) for part in parts[::2]]
    return "`".join(parts)


def _cell(text: str) -> str:
    return _plain(text).replace("|", "\\|")


def write() -> None:
    """Write all pages, and remove those of former connectors."""
    made = pages()
    (DOCS / "connectors").mkdir(exist_ok=True)
    for path in (DOCS / "connectors").glob("*.md"):
        if f"connectors/{path.name}" not in made:
            path.unlink()
    for name, text in made.items():
        (DOCS / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()
