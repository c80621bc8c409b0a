"""JSON Schemas: whether something is one, and what one finds wrong with data.

The Rust engine is used because Python's `re` can take hours over a pattern such as `^(a+)+$`, which any caller of a
webhook could provoke. In exchange, patterns have no look-around and no back-references. Nothing is ever fetched.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import orjson

MAX_ISSUES, MAX_ISSUE_TEXT = 50, 300
MAX_LOOKED_AT = 30_000  # of a message, for secrets: more than the longest has, so that none is half in what is shown


@functools.lru_cache(maxsize=256)
def _validator(schema: bytes) -> Any:
    """A validator that fetches nothing, and whose regular expressions take time linear in the text."""
    import jsonschema_rs

    def refuse(uri: str) -> Any:
        raise ValueError(f"{uri} is elsewhere, and schemas are not fetched")

    return jsonschema_rs.validator_for(
        orjson.loads(schema), retriever=refuse, pattern_options=jsonschema_rs.RegexOptions()
    )


def validator_of(schema: Mapping[str, Any]) -> Any:
    """The validator of a JSON Schema (draft 2020-12 unless it names another); ValueError where it is none."""
    import jsonschema_rs

    try:
        return _validator(orjson.dumps(schema, option=orjson.OPT_SORT_KEYS))
    except jsonschema_rs.ValidationError as error:
        where = path_of(error.instance_path)
        raise ValueError(f"is not a JSON Schema: {where + ': ' if where else ''}{_short(error.message)}") from None
    except (ValueError, TypeError) as error:
        raise ValueError(f"is not a JSON Schema: {error}") from None


def path_of(parts: Iterable[str | int]) -> str:
    """`["orders", 0, "id"]` as `orders[0].id`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts).lstrip(".")


def _short(message: str) -> str:
    return message if len(message) <= MAX_ISSUE_TEXT else message[: MAX_ISSUE_TEXT - 1] + "…"


def issues_of(schema: Mapping[str, Any], data: Any, clean: Callable[[str], str] = str) -> list[dict[str, str]]:
    """What the schema finds wrong with the data, as `{"path", "message"}`; ValueError for data that is no JSON.

    `clean` takes secrets out of a message.
    """
    errors = itertools.islice(validator_of(schema).iter_errors(data), MAX_ISSUES)
    return [
        {"path": path_of(error.instance_path), "message": _short(clean(error.message[:MAX_LOOKED_AT]))}
        for error in errors
    ]
