"""Reading JSON that people wrote: each value is checked, and everything that is wrong is noted where it stands.

A check gives the value as it is to be, or raises ValueError with what it must be.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from errors import Issue

MAX_UNKNOWN = 20  # keys of one object that are named as unknown
SHOWN = 100  # characters of what somebody wrote, in a message

Check = Callable[[Any], Any]


class Issues(list[Issue]):
    """What is wrong, collected; `add` says where."""

    def add(self, path: str, message: str) -> None:
        """Note one issue at `path`, such as `tools[0].hosts`."""
        self.append(Issue(path, message))


class Fields:
    """The keys of one object, which stands at `path`."""

    def __init__(self, raw: Mapping[str, Any], path: str, issues: Issues) -> None:
        self.raw, self.path, self.issues = raw, path, issues

    def bad(self, key: str, message: str) -> None:
        """Note what is wrong with a key."""
        self.issues.add(f"{self.path}.{key}".lstrip("."), message)

    def only(self, known: Sequence[str]) -> None:
        """Note the keys that are none of these."""
        for key in sorted(map(str, self.raw.keys() - set(known)))[:MAX_UNKNOWN]:
            close = difflib.get_close_matches(key[:SHOWN].lower(), known, 1, 0.7)
            offer = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known)}"
            self.bad(_printable(key[:SHOWN]), f"is no key here; {offer}")

    def read(self, key: str, check: Check, *default: Any) -> Any:
        """The key's value; null counts as none, and so as the default, unless the key is required."""
        value = self.raw.get(key)
        if value is None:
            if not default:
                self.bad(key, "is required")
                return None
            return default[0]
        try:
            return check(value)
        except ValueError as error:
            self.bad(key, str(error))
            return default[0] if default else None

    def flag(self, key: str, default: bool) -> bool:
        """The key's value, true or false."""
        return bool(self.read(key, _flag, default))

    def texts(self, key: str, most: int, check: Check, default: Any) -> Any:
        """The list of texts under the key, each good by the check, as a tuple without what stands there twice."""
        value = self.raw.get(key)
        if value is None:
            return default
        if not isinstance(value, list) or not 1 <= len(value) <= most:
            self.bad(key, f"must be a list of 1 to {most} texts")
            return default
        found = []
        for position, item in enumerate(value):
            try:
                found.append(check(item))
            except ValueError as error:
                self.bad(f"{key}[{position}]", str(error))
        return tuple(dict.fromkeys(found))

    def inner(self, key: str, known: Sequence[str]) -> Fields | None:
        """The object under the key, with these keys; None where it is not there."""
        value = self.raw.get(key)
        if value is None:
            return None
        if not isinstance(value, dict):
            self.bad(key, f"must be an object with {', '.join(known)}")
            return None
        found = Fields(value, f"{self.path}.{key}".lstrip("."), self.issues)
        found.only(known)
        return found


def text(longest: int, pattern: re.Pattern[str] | None = None, told: str = "", may_be_empty: bool = False) -> Check:
    """Text of so many characters at most, of a pattern where one is given: `told` says what that is."""

    def check(value: Any) -> str:
        if not isinstance(value, str):
            raise ValueError("must be text")
        if not value.strip() and not (may_be_empty and not value):
            raise ValueError("must not be empty")
        if len(value) > longest:
            raise ValueError(f"must have at most {longest:,} characters")
        if "\0" in value or _printable(value) != value:
            raise ValueError("must not contain the character NUL or half a surrogate pair")
        if pattern is not None and not pattern.match(value):
            raise ValueError(told)
        return value

    return check


def whole(low: int, high: int) -> Check:
    """A whole number within these bounds."""

    def check(value: Any) -> int:
        if type(value) is not int or not low <= value <= high:
            raise ValueError(f"must be a whole number from {low:,} to {high:,}")
        return value

    return check


def number(low: float, high: float, above: bool = False) -> Check:
    """A number within these bounds, with `above` more than the lower one."""

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
