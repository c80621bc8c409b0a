"""The description of the API, as `/api/openapi.json` has it, without a server or a database: `python -m api.openapi`.

The browser app's types are made of it.
"""

from __future__ import annotations

import json
import sys

from flask import Flask

import api


def document() -> str:
    """The OpenAPI document as JSON text, the same for the same code."""
    app = Flask("headrace", static_folder=None)
    api.install(app)
    with app.app_context():
        spec = app.extensions["flask-smorest"]["apis"][""]["ext_obj"].spec
        return json.dumps(spec.to_dict(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(document())
