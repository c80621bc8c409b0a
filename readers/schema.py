"""JSON Schemas of strangers, and data that is to follow them.

References let a few hundred bytes keep a validator busy for years, or end its process; patterns take megabytes each.
"""

from __future__ import annotations

import json
from itertools import islice
from typing import Any

import jsonschema_rs

MAX_ISSUES, MAX_MESSAGE = 50, 30_000


def read(options: dict[str, Any], data: bytes) -> tuple[dict[str, Any], tuple[bytes, ...]]:
    """`{issues}`, what the `schema` finds wrong with the JSON in `data`, each `{path, message}`, where the path is a
    list; `{problem}` where it is no schema. Without data, only the schema is looked at.
    """
    try:
        validator = jsonschema_rs.validator_for(
            options["schema"], retriever=_refuse, pattern_options=jsonschema_rs.RegexOptions()
        )
        if not data:
            return {"issues": []}, ()
        found = islice(validator.iter_errors(json.loads(data)), MAX_ISSUES)
        issues = [{"path": list(error.instance_path), "message": error.message[:MAX_MESSAGE]} for error in found]
        return {"issues": issues}, ()
    except (ValueError, TypeError) as error:
        return {"problem": str(error)[:MAX_MESSAGE]}, ()


def _refuse(uri: str) -> Any:
    raise ValueError(f"{uri} is elsewhere, and schemas are not fetched")
