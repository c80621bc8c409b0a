"""The official templates and agent definitions, read from `templates_data/` and checked at their first use.

One file holds one of them and is named after its id. Only their shape is checked here; whether a template's definition
can run is for `engine.plan`, and a test asks it about every one. What these functions give is cached and shared: copy
it before changing it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "templates_data"
AGENT_TOOLS = ("http", "code", "store", "memory", "run_flow", "sql")
AGENT_LIMITS = ("steps", "tokens", "seconds")

Check = Callable[[Any], str | None]


class TemplateError(ValueError):
    """A file in `templates_data/` that is not what it should be; the message names the file and the field."""


def all_templates() -> list[dict[str, Any]]:
    """Every template, by category and name.

    Each has `id`, `name`, `description`, `category`, `tags`, `credentials` (`{"name", "type", "for"}` each), `needs`,
    `sample_input`, `definition`, and `expected_output`, in which `…` stands for what is another each time. `trial` says
    how a test tries it out against local servers (tests/stage.py).
    """
    return list(_templates(FOLDER))


def find_template(id_: str) -> dict[str, Any] | None:
    """The template with this id, or None."""
    return next((template for template in _templates(FOLDER) if template["id"] == id_), None)


def agent_definitions() -> list[dict[str, Any]]:
    """Every agent definition, by name.

    Each has `id`, `name`, `description`, `instructions`, `model` (None: the server's), `tools`, `memory`,
    `output_schema` (None: text) and `limits` (`steps`, `tokens`, `seconds`).
    """
    return list(_agents(FOLDER))


def find_agent(id_: str) -> dict[str, Any] | None:
    """The agent definition with this id, or None."""
    return next((agent for agent in _agents(FOLDER) if agent["id"] == id_), None)


@cache
def _templates(folder: Path) -> tuple[dict[str, Any], ...]:
    read = [{"needs": [], **_read(path, TEMPLATE)} for path in folder.glob("*.json")]
    return tuple(sorted(read, key=lambda template: (template["category"], template["name"])))


@cache
def _agents(folder: Path) -> tuple[dict[str, Any], ...]:
    read = [_read(path, AGENT) for path in (folder / "agents").glob("*.json")]
    return tuple(sorted(read, key=lambda agent: str(agent["name"])))


def _read(path: Path, checks: Mapping[str, Check]) -> dict[str, Any]:
    """The file's object, once every field has passed its check; a name with `?` is a field that may be absent."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise TemplateError(f"{path}: is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise TemplateError(f"{path}: must hold an object")
    fields = {name.removesuffix("?"): check for name, check in checks.items()}
    for name in content.keys() - fields:
        raise TemplateError(f"{path}: {name}: is no field here; there are {', '.join(fields)}")
    for name in checks:
        if name not in content and not name.endswith("?"):
            raise TemplateError(f"{path}: {name}: is missing")
    for name, value in content.items():
        if wrong := fields[name](value):
            raise TemplateError(f"{path}: {name}: {wrong}")
    if content["id"] != path.stem:
        raise TemplateError(f"{path}: id: must be the file's name, {path.stem!r}")
    return content


# What a field may hold: each check gives what is wrong, or None


def _text(value: Any) -> str | None:
    return None if isinstance(value, str) and value.strip() else "must be text, and not empty"


def _texts(value: Any) -> str | None:
    fits = isinstance(value, list) and not any(map(_text, value)) and len(set(value)) == len(value)
    return None if fits else "must be a list of texts, none of them twice"


def _credentials(value: Any) -> str | None:
    """What the flow needs: a name, its type, and what for."""
    fits = isinstance(value, list) and all(
        isinstance(item, dict) and item.keys() == {"name", "type", "for"} and not any(map(_text, item.values()))
        for item in value
    )
    return None if fits else "must be a list of objects with name, type and for, each a text"


def _object(value: Any) -> str | None:
    return None if isinstance(value, dict) else "must be an object"


def _flag(value: Any) -> str | None:
    return None if isinstance(value, bool) else "must be true or false"


def _anything(value: Any) -> str | None:
    return None


def _or_null(check: Check) -> Check:
    return lambda value: None if value is None else check(value)


def _tools(value: Any) -> str | None:
    fits = not _texts(value) and set(value) <= set(AGENT_TOOLS)
    return None if fits else f"must be a list of some of {', '.join(AGENT_TOOLS)}"


def _limits(value: Any) -> str | None:
    fits = isinstance(value, dict) and set(value) == set(AGENT_LIMITS) and all(map(_is_count, value.values()))
    return None if fits else f"must hold {', '.join(AGENT_LIMITS)}, each a whole number above 0"


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


TEMPLATE: dict[str, Check] = {
    "id": _text,
    "name": _text,
    "description": _text,
    "category": _text,
    "tags": _texts,
    "credentials": _credentials,
    "needs?": _texts,
    "sample_input": _anything,
    "expected_output?": _anything,
    "trial?": _object,
    "definition": _object,
}

AGENT: dict[str, Check] = {
    "id": _text,
    "name": _text,
    "description": _text,
    "instructions": _text,
    "model": _or_null(_text),
    "tools": _tools,
    "memory": _flag,
    "output_schema": _or_null(_object),
    "limits": _limits,
}
