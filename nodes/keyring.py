"""The credentials that a run may use, and the rule that none of their values gets into the record of it.

A secret lives inside the one node that asked for it: what a node hands on, logs or fails with is cleaned of every value
that the run has seen, before anybody else sees it. So a run that is resumed from its record knows no less.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

import orjson

from errors import ExpressionError, NodeError, VaultError
from nodes.credential_types import TYPES

if TYPE_CHECKING:
    from nodes.base import Context

HIDDEN = "***"
# Shorter values are too likely to be parts of words; they are struck out only where they stand alone.
SHORTEST = 4
LONG_LINE = 16
MAX_DEPTH = 250


@dataclass(frozen=True, slots=True)
class Credential:
    """A credential, opened. `hosts` are those that it may be sent to: names, or `*.example.com` for all below one."""

    name: str
    type: str
    data: Mapping[str, Any] = field(repr=False)
    hosts: tuple[str, ...] = ()

    def may_go_to(self, host: str) -> bool:
        """Whether this host may be told the values."""
        host = host.lower().rstrip(".")
        return any(host == known or (known.startswith("*.") and host.endswith(known[1:])) for known in self.hosts)

    def check_host(self, host: str) -> None:
        """NodeError unless this host may be told the values."""
        if not self.may_go_to(host):
            bound = ", ".join(self.hosts) or "no host; name those that may have it in its hosts"
            raise NodeError(
                f"the credential {self.name!r} may not be sent to {host}: it is bound to {bound}", permanent=True
            )


Find = Callable[[str], Credential | None]


class Keyring(Mapping[str, Any]):
    """The credentials of one run: `find` opens one by its name or id. As a mapping, it is `secrets` in expressions.

    It remembers what it gave away, and can strike that out of anything. It lists no names.
    """

    def __init__(self, find: Find = lambda name: None) -> None:
        self._find = find
        self._forms: set[str] = set()
        self._short: set[str] = set()
        self._shown: dict[str, Credential] = {}
        self._pattern: re.Pattern[str] | None = None
        self._raw: re.Pattern[bytes] | None = None

    # Asking for one

    def use(self, name: str, *types: str) -> Credential:
        """The credential of this name and of one of these types; NodeError where there is none."""
        found = self._open(name)
        if found is None:
            raise NodeError(f"there is no credential {name!r} in this workspace", permanent=True)
        if types and found.type not in types:
            raise NodeError(f"the credential {name!r} is of type {found.type}; it must be {or_list(types)}", True)
        return found

    def _open(self, name: str) -> Credential | None:
        try:
            found = self._find(name)
        except VaultError as error:
            raise NodeError(f"the credential {name!r} cannot be read: {error}", permanent=True) from None
        if found is not None:
            self.hide(*TYPES[found.type].secrets(found.data))
        return found

    def __getitem__(self, name: str) -> Any:
        try:
            found = self._open(name)
        except NodeError as error:
            raise ExpressionError(error.message) from None
        if found is None:
            raise ExpressionError(f"there is no credential {name[:100]!r} in this workspace")
        self._shown[found.name] = found
        return TYPES[found.type].shown(found.data)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

    @property
    def has_shown(self) -> bool:
        """Whether an expression has got any secret."""
        return bool(self._shown)

    def check_host(self, host: str, sent: Iterable[str]) -> None:
        """NodeError where one of these texts has a value that an expression got and that this host may not be told."""
        unbound = [found for found in self._shown.values() if not found.may_go_to(host)]
        if not unbound:
            return
        text = "\n".join(sent)
        for found in unbound:
            if any(form in text for value in TYPES[found.type].secrets(found.data) for form in forms(value)):
                found.check_host(host)

    # Striking out

    def hide(self, *values: str) -> None:
        """Strike these out from now on, and what they become in an URL, in JSON or in base64."""
        new = {form for value in values if value for form in forms(value)} - self._forms - self._short
        if new:
            self._short |= {form for form in new if len(form) < SHORTEST}
            self._forms |= {form for form in new if len(form) >= SHORTEST}
            longest_first = sorted(self._forms, key=len, reverse=True)
            self._pattern = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None
            written = sorted({_in_json(form) for form in self._forms | self._short}, key=len, reverse=True)
            self._raw = re.compile(b"|".join(map(re.escape, written)))

    def clean(self, encoded: bytes) -> bytes:
        """The JSON text without any of the values; the same object where there is none in it."""
        if self._raw is None or self._raw.search(encoded) is None:
            return encoded
        cleaned = orjson.dumps(self._without(orjson.loads(encoded), 0))
        return encoded if cleaned == encoded else cleaned

    def clean_value(self, value: Any) -> Any:
        """The JSON value without any of them."""
        return value if self._raw is None else self._without(value, 0)

    def clean_text(self, text: str) -> str:
        """The text without any of them."""
        if text in self._short:
            return HIDDEN
        return text if self._pattern is None else self._pattern.sub(HIDDEN, text)

    def _without(self, value: Any, depth: int) -> Any:
        if isinstance(value, str):
            return self.clean_text(value)
        if isinstance(value, dict | list) and depth >= MAX_DEPTH:
            return HIDDEN
        if isinstance(value, dict):
            return {self.clean_text(str(key)): self._without(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self._without(item, depth + 1) for item in value]
        if isinstance(value, int | float) and not isinstance(value, bool):
            return HIDDEN if str(value) in self._forms or str(value) in self._short else value
        return value


def or_list(words: Iterable[str]) -> str:
    """`a`, `a or b`, `a, b or c`."""
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last


def forms(value: str) -> set[str]:
    """The value as it may turn up: as it is, in an URL, inside JSON, in base64; and the long lines of a key."""
    raw = value.encode("utf-8", "surrogatepass")
    found = {value, quote(raw, safe=""), quote_plus(raw), quote(raw), orjson_text(value)}
    if len(value) >= SHORTEST:
        found |= {base64.b64encode(raw).decode(), base64.urlsafe_b64encode(raw).decode().rstrip("=")}
    found |= {line for line in value.splitlines() if len(line) >= LONG_LINE}
    return found


def orjson_text(value: str) -> str:
    """The text as it stands between the quotes of JSON."""
    return _in_json(value).decode()


def _in_json(value: str) -> bytes:
    return orjson.dumps(value.encode("utf-8", "replace").decode())[1:-1]


# How credentials of a type are tried out: given one and what it may use, words about what answered, or NodeError.
Check = Callable[[Credential, "Context", Mapping[str, Any]], str]
CHECKS: dict[str, Check] = {}


def checks(*types: str) -> Callable[[Check], Check]:
    """Mark the function that tries out credentials of these types. It gets what the caller asked for as well."""

    def note(check: Check) -> Check:
        CHECKS.update(dict.fromkeys(types, check))
        return check

    return note
