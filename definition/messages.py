"""Messages of validation in plain language: marshmallow's own are written for programmers."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any

MAX_QUOTED = 100  # characters of user input in a message
MAX_SUGGESTIONS = 3  # node types in a message

_PLAIN = {
    "Missing data for required field.": "is required",
    "Field may not be null.": "must not be null",
    "Unknown field.": "unknown field",
    "Not a valid mapping type.": "must be an object",
    "Invalid input type.": "must be an object",
    "Not a valid list.": "must be a list",
    "Not a valid string.": "must be text",
    "Not a valid number.": "must be a number",
    "Not a valid integer.": "must be a whole number",
    "Not a valid boolean.": "must be true or false",
    "Shorter than minimum length 1.": "must not be empty",
}
_PATTERNS = [
    (re.compile(pattern), words)
    for pattern, words in (
        (r"Length must be between 1 and (\d+)\.", r"must not be empty, and have a length of at most \1"),
        (r"Length must be between (\d+) and (\d+)\.", r"must have a length from \1 to \2"),
        (r"Longer than maximum length (\d+)\.", r"must have a length of at most \1"),
        (r"Shorter than minimum length (\d+)\.", r"must have a length of at least \1"),
        (r"Must be greater than or equal to (\S+) and less than or equal to (\S+)\.", r"must be from \1 to \2"),
        (r"Must be greater than or equal to (\S+)\.", r"must be at least \1"),
        (r"Must be less than or equal to (\S+)\.", r"must be at most \1"),
    )
]


def to_plain(message: Any) -> str:
    """Return marshmallow's message in plain language, without a full stop; any other message as it is."""
    text = str(message)
    if text in _PLAIN:
        return _PLAIN[text]
    for pattern, words in _PATTERNS:
        if found := pattern.fullmatch(text):
            return found.expand(words)
    return text.rstrip(".")


def flatten(messages: Any, path: str = "") -> list[tuple[str, str]]:
    """Convert marshmallow's nested `{key: [text]}` to `[(path, text)]`, with paths below `path`."""
    if isinstance(messages, dict):
        found = []
        for key, value in messages.items():
            step = f"[{key}]" if isinstance(key, int) else ("" if key == "_schema" else f".{key}")
            found += flatten(value, (path + step).lstrip("."))
        return found
    texts = messages if isinstance(messages, list) else [messages]
    return [(path, said[:1].lower() + said[1:]) for said in map(to_plain, texts)]


def join_messages(messages: Any, path: str = "") -> str:
    """Return the messages in one line, each after its path."""
    return "; ".join(f"{place}: {text}" if place else text for place, text in flatten(messages, path))


def suggest(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean 'webhook'?` if a known word is similar, else an empty string."""
    close = difflib.get_close_matches(word[:MAX_QUOTED].lower(), list(known), 1, 0.7)
    return f"; did you mean {close[0]!r}?" if close else ""


def suggest_by_alias(word: str, also: Mapping[str, Iterable[str]]) -> str:
    """Return `; use 'notify' instead` if `word` is another tool's name for a node type, else an empty string.

    `also` has the other names of each type. Types with exactly this name come first.
    """
    wanted = word[:MAX_QUOTED].lower().replace("_", " ").replace("-", " ").strip()
    found = [type_ for type_, words in also.items() if any(wanted == said.lower() for said in words)]
    found += [type_ for type_, words in also.items() if any(wanted in said.lower().split() for said in words)]
    names = " or ".join(repr(type_) for type_ in list(dict.fromkeys(found))[:MAX_SUGGESTIONS])
    return f"; use {names} instead" if wanted and names else ""
