"""OpenAPI document without a server or a database, as in `/api/openapi.json`: `python -m api.openapi`.

The browser app's types are generated from it.
"""

from __future__ import annotations

import json
import sys

import api
from api import description


def make_document() -> str:
    """Return the OpenAPI document as JSON text, the same for the same code."""
    return json.dumps(description.make_document(api.BLUEPRINTS), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(make_document())
