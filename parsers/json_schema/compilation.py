"""Compilation of JSON Schemas. Some formats are checked differently from the library, for speed or common input."""

from __future__ import annotations

from collections.abc import Callable
from datetime import time
from typing import Any

MAX_TIME = 40  # characters


def _is_time(text: str) -> bool:
    """Return True if the text is a time of day, also without seconds or an offset, as forms send it."""
    try:
        time.fromisoformat(text if len(text) <= MAX_TIME and ":" in text else "")
    except ValueError:
        return False
    return True


def _accept(text: str) -> bool:
    """Return True for a format whose check would take too long for a long text."""
    return True


FORMATS: dict[str, Callable[[str], bool]] = {"time": _is_time, "regex": _accept, "idn-hostname": _accept}


def compile_schema(schema: Any, patterns: Any) -> Any:
    """Return a validator for the schema, with these options for patterns. Raises: ValueError if it is invalid."""
    import jsonschema_rs

    return jsonschema_rs.validator_for(
        schema, retriever=_refuse, pattern_options=patterns, validate_formats=True, formats=FORMATS
    )


def _refuse(uri: str) -> Any:
    raise ValueError(f"{uri} is outside of the schema, and schemas are not fetched")
