"""Templates and agent definitions that come with the server, read from `templates_data/` and checked at first use.

Each is a file named after its id. Only the shape of a template is checked here; a test plans every definition. The
results of these functions are cached and shared: copy them before changing them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from agent.definition import check

FOLDER = Path(__file__).parent / "templates_data"

Check = Callable[[Any], str | None]


class TemplateError(ValueError):
    """A file in `templates_data/` is invalid; the message names the file and the field."""


def list_templates() -> list[dict[str, Any]]:
    """Return all templates by category and name.

    Each has `id`, `name`, `description`, `category`, `tags`, `credentials` (`{"name", "type", "for"}` each), `needs`,
    `sample_input`, `definition`, and `expected_output`, in which `…` stands for values that differ each time. `trial`
    defines a test against local servers (tests/support/stage.py). If its services are down, a template continues or
    stops with a message: none may end in the bare error of its HTTP node.
    """
    return list(_templates(FOLDER))


def find_template(id_: str) -> dict[str, Any] | None:
    """Return the template with this id, or None."""
    return next((template for template in _templates(FOLDER) if template["id"] == id_), None)


def list_agents() -> list[dict[str, Any]]:
    """Return all built-in agent definitions by name, with defaults filled in (see agent/definition.py)."""
    return list(_agents(FOLDER))


def find_agent(id_: str) -> dict[str, Any] | None:
    """Return the built-in agent definition with this id, or None."""
    return next((agent for agent in _agents(FOLDER) if agent["id"] == id_), None)


@cache
def _templates(folder: Path) -> tuple[dict[str, Any], ...]:
    read = [{"needs": [], **_read_template(path, TEMPLATE)} for path in folder.glob("*.json")]
    return tuple(sorted(read, key=lambda template: (template["category"], template["name"])))


@cache
def _agents(folder: Path) -> tuple[dict[str, Any], ...]:
    read = [_read_agent(path) for path in (folder / "agents").glob("*.json")]
    return tuple(sorted(read, key=lambda agent: str(agent["name"])))


def _read_agent(path: Path) -> dict[str, Any]:
    """Return the agent of a file, validated like an agent of the API."""
    content = _read_json(path)
    made, issues = check(content)
    if made is None:
        raise TemplateError(f"{path}: {'; '.join(map(str, issues))}")
    _check_id(content, path)
    return made.snapshot()


def _read_template(path: Path, checks: Mapping[str, Check]) -> dict[str, Any]:
    """Return the object of a file, with every field checked; a name with `?` is an optional field."""
    content = _read_json(path)
    fields = {name.removesuffix("?"): is_good for name, is_good in checks.items()}
    for name in content.keys() - fields:
        raise TemplateError(f"{path}: {name}: is not a field; the fields are {', '.join(fields)}")
    for name in checks:
        if name not in content and not name.endswith("?"):
            raise TemplateError(f"{path}: {name}: is missing")
    for name, value in content.items():
        if wrong := fields[name](value):
            raise TemplateError(f"{path}: {name}: {wrong}")
    _check_id(content, path)
    return content


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise TemplateError(f"{path}: is not JSON: {error}") from None
    if not isinstance(content, dict):
        raise TemplateError(f"{path}: must hold an object")
    return content


def _check_id(content: Mapping[str, Any], path: Path) -> None:
    if content["id"] != path.stem:
        raise TemplateError(f"{path}: id: must be the file's name, {path.stem!r}")


# Checks of fields: each returns an error, or None


def _check_text(value: Any) -> str | None:
    return None if isinstance(value, str) and value.strip() else "must be text and not empty"


def _check_texts(value: Any) -> str | None:
    fits = isinstance(value, list) and not any(map(_check_text, value)) and len(set(value)) == len(value)
    return None if fits else "must be a list of different texts"


def _check_credentials(value: Any) -> str | None:
    """Check the required credentials: name, type and purpose."""
    fits = isinstance(value, list) and all(
        isinstance(item, dict) and item.keys() == {"name", "type", "for"} and not any(map(_check_text, item.values()))
        for item in value
    )
    return None if fits else "must be a list of objects with name, type and for, each a text"


def _check_object(value: Any) -> str | None:
    return None if isinstance(value, dict) else "must be an object"


def _anything(value: Any) -> str | None:
    return None


TEMPLATE: dict[str, Check] = {
    "id": _check_text,
    "name": _check_text,
    "description": _check_text,
    "category": _check_text,
    "tags": _check_texts,
    "credentials": _check_credentials,
    "needs?": _check_texts,
    "sample_input": _anything,
    "expected_output?": _anything,
    "trial?": _check_object,
    "definition": _check_object,
}
