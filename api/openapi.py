"""The description of the API, as `/api/openapi.json` has it, without a server or a database: `python -m api.openapi`.

The browser app's types are made of it.
"""

from __future__ import annotations

import json
import sys

import api
from api import description


def document() -> str:
    """The OpenAPI document as JSON text, the same for the same code."""
    return json.dumps(description.document(api.BLUEPRINTS), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(document())
