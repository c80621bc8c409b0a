"""Field checks: validation of JSON written by people, reporting every issue with its path.

A check returns the accepted value, or raises ValueError with the requirement.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from definition.messages import MAX_QUOTED
from errors import Issue

MAX_UNKNOWN = 20  # unknown keys reported for one object

Check = Callable[[Any], Any]


class FieldIssues(list[Issue]):
    """Collected issues."""

    def add(self, path: str, message: str) -> None:
        """Add an issue at `path`, such as `tools[0].hosts`."""
        self.append(Issue(path, message))


class Fields:
    """The keys of the object at `path`."""

    def __init__(self, raw: Mapping[str, Any], path: str, issues: FieldIssues) -> None:
        self.raw, self.path, self.issues = raw, path, issues

    def add_issue(self, key: str, message: str) -> None:
        """Add an issue of a key."""
        self.issues.add(f"{self.path}.{key}".lstrip("."), message)

    def check_keys(self, known: Sequence[str]) -> None:
        """Report keys that are not known."""
        for key in sorted(map(str, self.raw.keys() - set(known)))[:MAX_UNKNOWN]:
            close = difflib.get_close_matches(key[:MAX_QUOTED].lower(), known, 1, 0.7)
            offer = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(known)}"
            self.add_issue(_printable(key[:MAX_QUOTED]), f"unknown key; {offer}")

    def read(self, key: str, check: Check, *default: Any) -> Any:
        """Return the key's checked value; null or a missing key gives the default, or an issue if there is none."""
        value = self.raw.get(key)
        if value is None:
            if not default:
                self.add_issue(key, "is required")
                return None
            return default[0]
        try:
            return check(value)
        except ValueError as error:
            self.add_issue(key, str(error))
            return default[0] if default else None

    def read_flag(self, key: str, default: bool) -> bool:
        """Return the key's boolean value."""
        return bool(self.read(key, _flag, default))

    def read_list(self, key: str, max_count: int, check: Check, default: Any) -> Any:
        """Return the list of texts under the key, each checked, as a tuple without duplicates."""
        value = self.raw.get(key)
        if value is None:
            return default
        if not isinstance(value, list) or not 1 <= len(value) <= max_count:
            self.add_issue(key, f"must be a list of 1 to {max_count} texts")
            return default
        found = []
        for position, item in enumerate(value):
            try:
                found.append(check(item))
            except ValueError as error:
                self.add_issue(f"{key}[{position}]", str(error))
        return tuple(dict.fromkeys(found))

    def read_object(self, key: str, known: Sequence[str]) -> Fields | None:
        """Return the object under the key, checked for unknown keys; None if it is missing."""
        value = self.raw.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            self.add_issue(key, f"must be an object with the keys: {', '.join(known)}")
            return None
        found = Fields(value, f"{self.path}.{key}".lstrip("."), self.issues)
        found.check_keys(known)
        return found


def text(max_length: int, pattern: re.Pattern[str] | None = None, rule: str = "", may_be_empty: bool = False) -> Check:
    """Return a check for text of at most `max_length` characters; `rule` describes the pattern, if any."""

    def check(value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError("must be text")
        if not value.strip() and not (may_be_empty and not value):
            raise ValueError("must not be empty")
        if len(value) > max_length:
            raise ValueError(f"must have at most {max_length:,} characters")
        if "\0" in value or _printable(value) != value:
            raise ValueError("must not contain the character NUL or half a surrogate pair")
        if pattern is not None and not pattern.match(value):
            raise ValueError(rule)
        return value

    return check


def whole(low: int, high: int) -> Check:
    """Return a check for a whole number within bounds."""

    def check(value: Any) -> int:
        if type(value) is not int or not low <= value <= high:
            raise ValueError(f"must be a whole number from {low:,} to {high:,}")
        return value

    return check


def number(low: float, high: float, above: bool = False) -> Check:
    """Return a check for a number within bounds; `above` excludes the lower bound."""

    def check(value: Any) -> float:
        if type(value) not in (int, float) or not low <= value <= high or (above and value == low):
            raise ValueError(f"must be a number {'above' if above else 'from'} {low:,} {'up ' * above}to {high:,}")
        found: float = value
        return found

    return check


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


def _printable(value: str) -> str:
    return value.encode("utf-8", "replace").decode()
