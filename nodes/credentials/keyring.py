"""The credentials that a run may use, and the rule that none of their values gets into the record of it.

A secret lives inside the one node that asked for it: what a node hands on, logs or fails with is cleaned of every value
that the run has seen, before anybody else sees it. So a run that is resumed from its record knows no less.
"""

from __future__ import annotations

import base64
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from html import escape
from os.path import commonprefix
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

import orjson

from errors import ExpressionError, NodeError, VaultError
from nodes.credentials.types import TYPES

if TYPE_CHECKING:
    from nodes.base import Context

HIDDEN = "***"
# Shorter values are too likely to be parts of words; they are struck out only where they stand alone.
SHORTEST = 4
# From this length on, a value is also known inside longer base64, and in capitals or none.
WIDE = 8
# So much of a value's beginning or end tells it in a message, which may have been cut in the middle of it.
FRAGMENT = 12
LONG_LINE = 16
MAX_DEPTH = 250
ESCAPED = re.compile("%[0-9A-F]{2}")
# What stands in an URL as it is, and how much of it a value must have for an URL to be searched for it.
UNESCAPED, LONGEST_IN_URLS = re.compile("[A-Za-z0-9_.~-]+"), 2_000
FOR_URLS = str.maketrans("+/", "-_")


@dataclass(frozen=True, slots=True)
class Credential:
    """A credential, opened. `hosts` are those that it may be sent to: names, or `*.example.com` for all below one."""

    name: str
    type: str
    data: Mapping[str, Any] = field(repr=False)
    hosts: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """What messages call it. One that is not saved yet has no name."""
        return f"the credential {self.name!r}" if self.name else "this credential"

    def may_go_to(self, host: str) -> bool:
        """Whether this host may be told the values."""
        host = host.lower().rstrip(".")
        return any(host == known or (known.startswith("*.") and host.endswith(known[1:])) for known in self.hosts)

    def check_host(self, host: str) -> None:
        """NodeError unless this host may be told the values."""
        if not self.may_go_to(host):
            bound = ", ".join(self.hosts) or "no host; name those that may have it in its hosts"
            raise NodeError(f"{self.label} may not be sent to {host}: it is bound to {bound}", permanent=True)


Find = Callable[[str], Credential | None]


class Keyring(Mapping[str, Any]):
    """The credentials of one run: `find` opens one by its name or id. As a mapping, it is `secrets` in expressions.

    It remembers what it gave away, and can strike that out of anything. It lists no names.
    """

    def __init__(self, find: Find = lambda name: None) -> None:
        self._find = find
        self._values: set[str] = set()
        self._forms: dict[str, bytes] = {}  # each as JSON has it, the longest first
        self._short: set[str] = set()
        self._in_urls: list[tuple[str, re.Pattern[str]]] = []
        self._needles = Needles(())  # one of these is in JSON text that has anything to strike out
        self._shown: dict[str, Credential] = {}

    # Asking for one

    def use(self, name: str, *types: str) -> Credential:
        """The credential of this name and of one of these types; NodeError where there is none."""
        found = self._open(name)
        if found is None:
            raise NodeError(f"there is no credential {name!r} in this workspace", permanent=True)
        if types and found.type not in types:
            raise NodeError(f"{found.label} is of type {found.type}; it must be {or_list(types)}", True)
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
            if any(is_in(value, text) for value in TYPES[found.type].secrets(found.data)):
                found.check_host(host)

    # Striking out

    def hide(self, *values: str) -> None:
        """Strike these out from now on, and what they become in an URL, in JSON or in base64."""
        new = {value for value in values if value} - self._values
        if not new:
            return
        self._values |= new
        needles = list(self._needles.all)
        for found in map(forms, new):
            short = {form for form in found if len(form) < SHORTEST}
            self._short |= short
            self._forms |= {form: _in_json(form) for form in found - short}
            needles += _least([*map(_in_json, found - short), *(needle for form in short for needle in _alone(form))])
        self._in_urls += [found for value in new for found in in_urls(value)]
        needles += [part.encode() for part, _ in self._in_urls]
        self._forms = dict(sorted(self._forms.items(), key=lambda form: len(form[0]), reverse=True))
        self._needles = Needles(needles)

    def clean(self, encoded: bytes) -> bytes:
        """The JSON text without any of the values; the same object where there is none in it."""
        if not self._values or not self._needles.are_in(encoded):
            return encoded
        found = [form for form, written in self._forms.items() if written in encoded]
        cleaned = orjson.dumps(self._without(orjson.loads(encoded), found, 0))
        return encoded if cleaned == encoded else cleaned

    def clean_data(self, data: Any) -> Any:
        """The data without any of them, as JSON; what is none is taken as the text that it would be in the log."""
        return data if not self._needles.all else orjson.loads(self.clean(orjson.dumps(data, default=str)))

    def clean_text(self, text: str) -> str:
        """A message without any of them, nor a longer piece of one: messages are cut where they get too long."""
        text = self._struck(text, self._forms)
        for form in self._forms:
            if len(form) > FRAGMENT and form[:FRAGMENT] in text:
                text = _headless(text, form)
            if len(form) > FRAGMENT and form[-FRAGMENT:] in text:
                text = _headless(text[::-1], form[::-1])[::-1]
        return text

    def _struck(self, text: str, found: Iterable[str]) -> str:
        if text in self._short:
            return HIDDEN
        for form in found:
            text = text.replace(form, HIDDEN)
        for part, pattern in self._in_urls:
            if part in text:
                text = pattern.sub(HIDDEN, text)
        return text

    def _without(self, value: Any, found: list[str], depth: int) -> Any:
        """The value without these forms and the short ones."""
        if isinstance(value, str):
            return self._struck(value, found)
        if isinstance(value, dict | list) and depth >= MAX_DEPTH:
            return HIDDEN
        if isinstance(value, dict):
            return {self._struck(key, found): self._without(item, found, depth + 1) for key, item in value.items()}
        if isinstance(value, list):
            return [self._without(item, found, depth + 1) for item in value]
        if isinstance(value, int | float) and not isinstance(value, bool):
            text = str(value).removesuffix(".0")
            return value if self._struck(text, found) == text else HIDDEN
        return value


def _headless(text: str, form: str) -> str:
    """The text without beginnings of the form, as far as they go."""
    head, at = form[:FRAGMENT], 0
    kept: list[str] = []
    while (found := text.find(head, at)) >= 0:
        kept += text[at:found], HIDDEN
        at = found + len(commonprefix((form, text[found : found + len(form)])))
    return "".join((*kept, text[at:])) if kept else text


class Needles:
    """Texts that are looked for all at once: large ones would otherwise be read once for each of a hundred needles.

    Of any seven bytes, four in a row stand at a multiple of four. So only the four-byte words of the text have to be
    looked at, and for the few that are part of a needle's beginning, whether that needle is there.
    """

    FEW, SMALL, HEAD = 16, 4096, 7

    def __init__(self, needles: Iterable[bytes]) -> None:
        self.all = sorted(set(needles), key=len)
        self.short = [needle for needle in self.all if len(needle) < self.HEAD]
        self.words: dict[int, set[bytes]] = {}
        for needle in self.all[len(self.short) :]:
            for at in range(self.HEAD - 3):
                self.words.setdefault(int.from_bytes(needle[at : at + 4], sys.byteorder), set()).add(needle)

    def are_in(self, text: bytes) -> bool:
        """Whether any of them is in the text."""
        if len(self.all) <= self.FEW or len(text) < self.SMALL:
            return any(needle in text for needle in self.all)
        if any(needle in text for needle in self.short):
            return True
        words = memoryview(text)[: len(text) & ~3].cast("I")
        found = {needle for word in self.words.keys() & words for needle in self.words[word]}
        return any(needle in text for needle in found)


def _least(needles: Iterable[bytes]) -> list[bytes]:
    """Those that have no other one in them: where none of these is, none of the others can be."""
    kept: list[bytes] = []
    for needle in sorted(set(needles), key=len):
        if not any(other in needle for other in kept):
            kept.append(needle)
    return kept


def _alone(form: str) -> list[bytes]:
    """A short form as JSON has it where nothing else stands beside it: as text, and as a number if it may be one."""
    written = _in_json(form)
    return [b'"%b"' % written, *([written] if any(map(str.isdecimal, form)) else [])]


def or_list(words: Iterable[str]) -> str:
    """`a`, `a or b`, `a, b or c`."""
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last


def is_in(value: str, text: str) -> bool:
    """Whether the value is in the text in one of its forms."""
    return any(form in text for form in forms(value)) or any(
        part in text and pattern.search(text) for part, pattern in in_urls(value)
    )


def forms(value: str) -> set[str]:
    """The value as it may turn up: as it is, without the space around it, in an URL, in JSON, HTML, Python's own words,
    base64 or hexadecimal; and the long lines of a key.
    """
    found = {line for line in value.splitlines() if len(line) >= LONG_LINE}
    for text in {value, value.strip()} - {""}:
        raw = text.encode("utf-8", "surrogatepass")
        ascii_json = json.dumps(text)[1:-1]
        found |= {
            text,
            _in_json(text).decode(),
            ascii_json,
            ascii_json.replace("/", "\\/"),
            repr(text)[1:-1],
            repr(raw)[2:-1],
        }
        found |= {escape(text), escape(text, quote=False)}
        found |= _in_urls(raw) | _in_base64(raw)
        # Of a shorter one, the digits would be found in every other number.
        found |= {raw.hex(), raw.hex().upper()} if len(raw) >= SHORTEST else set()
        found |= {text.lower(), text.upper()} if len(text) >= WIDE else set()
    return found


def _in_urls(raw: bytes) -> set[str]:
    """As Python and as browsers write it, with the digits of an escape in capitals or not."""
    found = {quote(raw, safe=""), quote_plus(raw), quote(raw), quote(raw, safe="!'()*")}
    return found | {ESCAPED.sub(lambda escaped: escaped[0].lower(), text) for text in found}


def in_urls(value: str) -> list[tuple[str, re.Pattern[str]]]:
    """A pattern that finds the value in an URL however many of its characters are escaped there, and the longest part
    of it that never is; none where no character may be, or none may not.
    """
    text = value.strip()
    part = max(UNESCAPED.findall(text), key=len, default="")
    if not SHORTEST <= len(part) < len(text) <= LONGEST_IN_URLS:
        return []
    return [(part, re.compile("".join(map(_escaped_or_not, text))))]


def _escaped_or_not(letter: str) -> str:
    if UNESCAPED.match(letter):
        return re.escape(letter)
    escaped = "".join(f"%{byte:02X}" for byte in letter.encode("utf-8", "surrogatepass"))
    ways = {letter, escaped, escaped.lower(), *({"+"} if letter == " " else ())}
    return f"(?:{'|'.join(map(re.escape, sorted(ways)))})"


def _in_base64(raw: bytes) -> set[str]:
    """In both alphabets: by itself, and what of it is the same wherever it stands in something longer."""
    if len(raw) < SHORTEST:
        return set()
    whole = base64.b64encode(raw).decode()
    found = {whole, whole.rstrip("=")}
    for before in range(3 if len(raw) >= WIDE else 0):
        shifted = base64.b64encode(bytes(before) + raw).decode()
        found.add(shifted[(8 * before + 5) // 6 : 8 * (before + len(raw)) // 6])
    return found | {text.translate(FOR_URLS) for text in found}


def _in_json(value: str) -> bytes:
    return orjson.dumps(value.encode("utf-8", "replace").decode())[1:-1]


class Untested(Exception):
    """Nobody was asked, so nothing is known of whether a credential works; the message says what is missing."""


# How credentials of a type are tried out: given one and what it may use, words about what answered. Raises NodeError if
# it does not work, Untested if nobody was asked.
Check = Callable[[Credential, "Context", Mapping[str, Any]], str]
CHECKS: dict[str, Check] = {}


def checks(*types: str) -> Callable[[Check], Check]:
    """Mark the function that tries out credentials of these types. It gets what the caller asked for as well."""

    def note(check: Check) -> Check:
        CHECKS.update(dict.fromkeys(types, check))
        return check

    return note
