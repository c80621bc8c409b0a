"""docs/credential-types.md, generated from the types of credential: `python -m docs.generate.credentials_page`."""

from __future__ import annotations

import sys
from typing import Any

from docs.generate.nodes_page import row
from nodes.credentials.types import TYPES, CredentialType, catalogue

HEAD = """\
# Types of credential

Generated from the types by `make docs`; change them there. Storing, testing and using credentials is described in
[credentials.md](credentials.md).

"""


def page() -> str:
    """Return the text of docs/credential-types.md."""
    entries = catalogue()
    links = " · ".join(f"[{entry['type']}](#{entry['type']})" for entry in entries)
    return f"{HEAD}{links}\n\n{''.join(map(_section, entries))}".rstrip() + "\n"


def _section(entry: dict[str, Any]) -> str:
    kind, schema = TYPES[entry["type"]], entry["schema"]
    rows = "".join(
        row(name, field, name in schema.get("required", ()), "*secret*" if field.get("x-secret") else None)
        for name, field in schema["properties"].items()
    )
    about = f"**{entry['name']}.** {entry['description']}\n\n{_hosts(kind)} {_shown(kind, schema)}"
    return f"## `{entry['type']}`\n\n{about}\n\n| value | meaning | takes |\n|---|---|---|\n{rows}\n"


def _hosts(kind: CredentialType) -> str:
    has_own = type(kind).hosts.__func__ is not CredentialType.hosts.__func__  # type: ignore[attr-defined]
    names_one = "host" in kind.fields or kind.url_field or has_own
    return "Bound to the host in its values." if names_one else "Bound to the hosts that you name; by default to none."


def _shown(kind: CredentialType, schema: dict[str, Any]) -> str:
    if kind.main:
        return f"`secrets.<name>` is its `{kind.main}`."
    first = next(name for name, field in schema["properties"].items() if field.get("x-secret"))
    return f"`secrets.<name>` is an object of all values: `secrets.<name>.{first}`."


if __name__ == "__main__":
    sys.stdout.write(page())
