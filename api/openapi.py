"""OpenAPI document without a server or a database, as in `/api/openapi.json` with all packs: `python -m api.openapi`.

The browser app's types are generated from it.
"""

from __future__ import annotations

import json
import sys

import api
from api import description
from registry import registry


def make_document() -> str:
    """Return the OpenAPI document as JSON text, the same for the same code."""
    registry.load()
    return json.dumps(description.make_document(api.list_blueprints()), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(make_document())
