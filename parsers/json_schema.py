"""JSON Schemas of which nobody knows what they cost, and data that is to follow them.

References let a few hundred bytes keep a validator busy for years, or end its process; patterns take megabytes each.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Iterable
from itertools import islice
from typing import Any

import jsonschema_rs

from .formats import compile_schema

MAX_ISSUES, MAX_MESSAGE = 50, 30_000


def read(options: dict[str, Any], data: bytes) -> tuple[dict[str, Any], tuple[bytes, ...]]:
    """`{issues}`, what the `schema` finds wrong with the JSON in `data`, each `{path, message}`, where the path is a
    list; with `whole` false, the first only. `{problem, path}` where it is no schema. Without data, only the schema is
    looked at. After so many `seconds` of processor time, this process ends.
    """
    # By the system, which also ends what is not Python.
    signal.setitimer(signal.ITIMER_PROF, options["seconds"])
    try:
        validator = compile_schema(options["schema"], jsonschema_rs.RegexOptions())
        errors = _errors(validator, json.loads(data), options["whole"]) if data else ()
        issues = [_told("message", error) for error in islice(errors, MAX_ISSUES)]
        return {"issues": issues}, ()
    except jsonschema_rs.ValidationError as error:
        return _told("problem", error), ()
    except (ValueError, TypeError) as error:
        return {"problem": str(error)[:MAX_MESSAGE], "path": []}, ()
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)


def _errors(validator: Any, data: Any, whole: bool) -> Iterable[Any]:
    if validator.is_valid(data):
        return ()
    if whole:
        return validator.iter_errors(data)
    try:
        validator.validate(data)
    except jsonschema_rs.ValidationError as error:
        return (error,)
    return ()


def _told(name: str, error: Any) -> dict[str, Any]:
    return {"path": list(error.instance_path), name: error.message[:MAX_MESSAGE]}
