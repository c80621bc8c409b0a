"""The official templates and agent definitions, read from `templates_data/` and checked at their first use.

One file holds one of them and is named after its id. Of a template only the shape is checked here; whether its
definition can run is for `engine.plan`, and a test asks it about every one. What these functions give is cached and
shared: copy it before changing it.
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
    """A file in `templates_data/` that is not what it should be; the message names the file and the field."""


def all_templates() -> list[dict[str, Any]]:
    """Every template, by category and name.

    Each has `id`, `name`, `description`, `category`, `tags`, `credentials` (`{"name", "type", "for"}` each), `needs`,
    `sample_input`, `definition`, and `expected_output`, in which `…` stands for values that differ each time. `trial`
    defines a test against local servers (tests/support/stage.py). If its services are down, a template continues or
    stops with a message: none may end in the bare error of its HTTP node.
    """
    return list(_templates(FOLDER))


def find_template(id_: str) -> dict[str, Any] | None:
    """The template with this id, or None."""
    return next((template for template in _templates(FOLDER) if template["id"] == id_), None)


def agent_definitions() -> list[dict[str, Any]]:
    """Every agent definition that is built in, by name, with every default written out (see agent/definition.py)."""
    return list(_agents(FOLDER))


def find_agent(id_: str) -> dict[str, Any] | None:
    """The built-in agent definition with this id, or None."""
    return next((agent for agent in _agents(FOLDER) if agent["id"] == id_), None)


@cache
def _templates(folder: Path) -> tuple[dict[str, Any], ...]:
    read = [{"needs": [], **_read(path, TEMPLATE)} for path in folder.glob("*.json")]
    return tuple(sorted(read, key=lambda template: (template["category"], template["name"])))


@cache
def _agents(folder: Path) -> tuple[dict[str, Any], ...]:
    read = [_agent(path) for path in (folder / "agents").glob("*.json")]
    return tuple(sorted(read, key=lambda agent: str(agent["name"])))


def _agent(path: Path) -> dict[str, Any]:
    """The file's agent, once it has passed all checks that those of people have to."""
    content = _content(path)
    made, issues = check(content)
    if made is None:
        raise TemplateError(f"{path}: {'; '.join(map(str, issues))}")
    _check_id(content, path)
    return made.snapshot()


def _read(path: Path, checks: Mapping[str, Check]) -> dict[str, Any]:
    """The file's object, once every field has passed its check; a name with `?` is a field that may be absent."""
    content = _content(path)
    fields = {name.removesuffix("?"): is_good for name, is_good in checks.items()}
    for name in content.keys() - fields:
        raise TemplateError(f"{path}: {name}: is no field here; there are {', '.join(fields)}")
    for name in checks:
        if name not in content and not name.endswith("?"):
            raise TemplateError(f"{path}: {name}: is missing")
    for name, value in content.items():
        if wrong := fields[name](value):
            raise TemplateError(f"{path}: {name}: {wrong}")
    _check_id(content, path)
    return content


def _content(path: Path) -> dict[str, Any]:
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


def _anything(value: Any) -> str | None:
    return None


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
