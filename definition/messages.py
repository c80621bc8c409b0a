"""What is wrong with a value, as people would say it: marshmallow's messages are written for programmers."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping
from typing import Any

MOST_OFFERED = 3  # node types in a message
LONGEST = 100  # characters of what somebody wrote, in a message

_PLAIN = {
    "Missing data for required field.": "is required",
    "Field may not be null.": "must not be null",
    "Unknown field.": "is not known here",
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


def plain(message: Any) -> str:
    """A message of marshmallow's own in plain words, without a full stop; any other as it is."""
    text = str(message)
    if text in _PLAIN:
        return _PLAIN[text]
    for pattern, words in _PATTERNS:
        if found := pattern.fullmatch(text):
            return found.expand(words)
    return text.rstrip(".")


def paths_of(messages: Any, path: str = "") -> list[tuple[str, str]]:
    """marshmallow's nested `{key: [text]}` as `[(path, text)]`."""
    if isinstance(messages, dict):
        found = []
        for key, value in messages.items():
            step = f"[{key}]" if isinstance(key, int) else ("" if key == "_schema" else f".{key}")
            found += paths_of(value, (path + step).lstrip("."))
        return found
    texts = messages if isinstance(messages, list) else [messages]
    return [(path, said[:1].lower() + said[1:]) for said in map(plain, texts)]


def flat(messages: Any) -> str:
    """The same in one line."""
    return "; ".join(f"{path}: {text}" if path else text for path, text in paths_of(messages))


def joined(path: str, messages: Any) -> str:
    """The same in one line for what lies at `path`."""
    return "; ".join(
        f"{path}{inner if inner.startswith('[') else '.' + inner if inner else ''}: {text}"
        for inner, text in paths_of(messages)
    )


def meant(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'webhook'?` where one of the known words is close to this one, else nothing."""
    close = difflib.get_close_matches(word[:LONGEST].lower(), list(known), 1, 0.7)
    return f"; did you mean {close[0]!r}?" if close else ""


def elsewhere(word: str, also: Mapping[str, Iterable[str]]) -> str:
    """`; try 'notify', which does what is called slack elsewhere` by what people call node types elsewhere, else
    nothing. `also` has those words for each type; of several, those come first in which the word stands alone.
    """
    wanted = word[:LONGEST].lower().replace("_", " ").replace("-", " ").strip()
    found = [type_ for type_, words in also.items() if any(wanted == said.lower() for said in words)]
    found += [type_ for type_, words in also.items() if any(wanted in said.lower().split() for said in words)]
    names = " or ".join(repr(type_) for type_ in list(dict.fromkeys(found))[:MOST_OFFERED])
    return f"; for that there is {names}" if wanted and names else ""
