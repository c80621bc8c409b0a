"""Separate process for JSON Schema validation of unknown cost.

References let a few hundred bytes keep a validator busy for years, or crash its process; patterns take megabytes each.
"""

from __future__ import annotations

import json
import signal
from collections.abc import Iterable
from itertools import islice
from typing import Any

import jsonschema_rs

from .json_schema import compile_schema

MAX_ISSUES, MAX_MESSAGE = 50, 30_000


def read(options: dict[str, Any], data: bytes) -> tuple[dict[str, Any], tuple[bytes, ...]]:
    """Return `{issues}` of the JSON in `data` under the `schema`, each `{path, message}` with the path as a list; only
    the first unless `whole`. `{problem, path}` if the schema is invalid. Without data, only the schema is checked. The
    process ends after `seconds` of processor time.
    """
    # By the operating system, which can also stop native code.
    signal.setitimer(signal.ITIMER_PROF, options["seconds"])
    try:
        validator = compile_schema(options["schema"], jsonschema_rs.RegexOptions())
        errors = _errors(validator, json.loads(data), options["whole"]) if data else ()
        issues = [_to_dict("message", error) for error in islice(errors, MAX_ISSUES)]
        return {"issues": issues}, ()
    except jsonschema_rs.ValidationError as error:
        return _to_dict("problem", error), ()
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


def _to_dict(name: str, error: Any) -> dict[str, Any]:
    return {"path": list(error.instance_path), name: error.message[:MAX_MESSAGE]}
