"""Templates that come with the server, read from `templates_data/` at first use.

Each is a file named after its id; the tests check them all. The results of these functions are cached and shared: copy
them before changing them.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from nodes.base import REGISTRY
from registry import registry

FOLDER = Path(__file__).parents[1] / "templates_data"


def list_templates() -> list[dict[str, Any]]:
    """Return the templates whose nodes this server has, by category and name.

    Each has `id`, `name`, `description`, `category`, `tags`, `credentials` (`{"name", "type", "for"}` each), `needs`,
    `sample_input`, `definition`, and `expected_output`, in which `…` stands for values that differ each time. `trial`
    defines a test against local servers (tests/support/stage.py). If its services are down, a template continues or
    stops with a message: none may end in the bare error of its HTTP node.
    """
    return list(_read_templates())


def find_template(id_: str) -> dict[str, Any] | None:
    """Return the template with this id, or None."""
    return next((template for template in _read_templates() if template["id"] == id_), None)


@cache
def _read_templates() -> tuple[dict[str, Any], ...]:
    found = [{"needs": [], **_read_json(path)} for path in FOLDER.glob("*.json")]
    if registry.off:
        found = [one for one in found if all(REGISTRY.get(node["type"]) for node in one["definition"]["nodes"])]
    return tuple(sorted(found, key=lambda template: (template["category"], template["name"])))


def _read_json(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
