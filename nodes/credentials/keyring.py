"""Keyring: the credentials that a run may use, and redaction of their values in its record.

A secret stays within the node that asked for it: outputs, logs and errors are redacted of every value that the run has
used before anything else sees them. So a run resumed from its record has all it needs.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from errors import ExpressionError, NodeError, VaultError
from nodes.credentials.redaction import (
    FRAGMENT,
    HIDDEN,
    MIN_LENGTH,
    NO_NEEDLES,
    Needles,
    forms,
    in_json,
    in_urls,
    is_in,
    keep_minimal,
    redact_beginnings,
    whole_values,
)
from registry import registry

MAX_DEPTH = 250
MAX_ONCE = 50  # values that ended steps have used once and that are still redacted
MAX_IN_STEPS = 2_000  # values that the steps in progress may have used once


@dataclass(frozen=True, slots=True)
class DecryptedCredential:
    """A decrypted credential. `hosts` are the hosts it may be sent to: names, or `*.example.com` for subdomains.

    `grants` keeps its tokens if they change while it is used, for the pack that renews them; else None.
    `details` has other values of the account from the service, without secrets, such as Salesforce's `instance_url`.
    """

    name: str
    type: str
    data: Mapping[str, Any] = field(repr=False)
    hosts: tuple[str, ...] = ()
    grants: Any = field(default=None, repr=False, compare=False)
    details: Mapping[str, str] = field(default_factory=dict, compare=False)

    @property
    def label(self) -> str:
        """Return its name for messages. An unsaved credential has none."""
        return f"the credential {self.name!r}" if self.name else "this credential"

    def may_go_to(self, host: str) -> bool:
        """Return True if the values may be sent to this host."""
        host = host.lower().rstrip(".")
        return any(host == known or (known.startswith("*.") and host.endswith(known[1:])) for known in self.hosts)

    def check_host(self, host: str) -> None:
        """Raise NodeError unless the values may be sent to this host."""
        if not self.may_go_to(host):
            bound = ", ".join(self.hosts) or "no host; add the host to the credential's allowed hosts"
            raise NodeError(f"{self.label} may not be sent to {host}: it is bound to {bound}", True, kind="credential")


_HIDING = threading.RLock()  # one for all keyrings: it is seldom needed, and runs are made often

Find = Callable[[str], DecryptedCredential | None]


class Keyring(Mapping[str, Any]):
    """The credentials of one run: `find` opens one by its name or id. As a mapping, it is `secrets` in expressions.

    Remembers the values it returned, and can redact them anywhere. Iteration yields no names.
    """

    def __init__(self, find: Find = lambda name: None) -> None:
        self._find = find
        self._values: set[str] = set()
        self._forms: dict[str, bytes] = {}  # form to its JSON encoding, longest first
        self._short: set[str] = set()
        self._in_urls: list[tuple[str, re.Pattern[str]]] = []
        self._needles = NO_NEEDLES  # any JSON text to redact contains one of these
        self._shown: dict[str, DecryptedCredential] = {}
        self._in_steps: dict[str, list[str]] = {}  # values used once, by the place of a step in progress
        self._of_ended: list[str] = []
        self._new: list[str] = []  # values used once that have no forms yet

    # Access

    def use(self, name: str, *types: str) -> DecryptedCredential:
        """Return the credential of this name and one of these types. Raises: NodeError if there is none."""
        found = self._open(name)
        if found is None:
            raise NodeError(f"there is no credential {name!r} in this workspace", permanent=True, kind="credential")
        if types and found.type not in types:
            raise NodeError(
                f"{found.label} is of type {found.type}; it must be {or_list(types)}", True, kind="credential"
            )
        return found

    def _open(self, name: str) -> DecryptedCredential | None:
        try:
            found = self._find(name)
        except VaultError as error:
            raise NodeError(f"the credential {name!r} cannot be read: {error}", True, kind="credential") from None
        if found is not None:
            self.hide(*registry.credential_types[found.type].secrets(found.data))
        return found

    def __getitem__(self, name: str) -> Any:
        try:
            found = self._open(name)
        except NodeError as error:
            raise ExpressionError(error.message) from None
        if found is None:
            raise ExpressionError(f"there is no credential {name[:100]!r} in this workspace")
        self._shown[found.name] = found
        return registry.credential_types[found.type].shown(found.data)

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0

    def check_host(self, host: str, sent: Iterable[str]) -> None:
        """Raise NodeError if a text contains a secret read by an expression that may not be sent to this host."""
        unbound = [found for found in tuple(self._shown.values()) if not found.may_go_to(host)]
        if not unbound:
            return
        text = "\n".join(sent)
        for found in unbound:
            if any(is_in(value, text) for value in registry.credential_types[found.type].secrets(found.data)):
                found.check_host(host)

    # Redaction

    def hide(self, *values: str) -> None:
        """Redact these values from now on, including their forms in URLs, JSON and base64."""
        new = {value for value in values if value} - self._values
        if new:
            with _HIDING:
                needles = list(self._needles.all)
                # A new dict: another thread of the run may be going through the old one.
                all_forms = dict(self._forms)
                for found in map(forms, new):
                    short = {form for form in found if len(form) < MIN_LENGTH}
                    self._short |= short
                    all_forms.update((form, in_json(form)) for form in found - short)
                    needles += keep_minimal(
                        [*map(in_json, found - short), *(needle for form in short for needle in whole_values(form))]
                    )
                self._in_urls += [found for value in new for found in in_urls(value)]
                needles += [part.encode() for part, _ in self._in_urls]
                self._forms = dict(sorted(all_forms.items(), key=lambda form: len(form[0]), reverse=True))
                self._needles = Needles(needles)
                # Last: another thread of the run that finds its value here relies on the rest.
                self._values = self._values | new

    def hide_once(self, place: str, *values: str) -> None:
        """Redact values that a step used for one request, such as signatures, at least until the step has ended.

        `place` is that of the step: a node may make thousands of requests and return the results of all of them.
        Raises: NodeError if the steps in progress used more values than are redacted.
        """
        with _HIDING:
            if sum(map(len, self._in_steps.values())) + len(values) > MAX_IN_STEPS:
                raise NodeError(
                    f"the node sent more than {MAX_IN_STEPS:,} signed requests, so their signatures could not be "
                    "redacted; let it request fewer pages, or fewer items at a time",
                    permanent=True,
                    kind="limit",
                )
            self._in_steps.setdefault(place, []).extend(values)
            self._new += values

    def end_step(self, node_id: str, index: int | None = None) -> None:
        """Forget all but the latest values that ended steps used once: the output of this step has been redacted."""
        if not self._in_steps:
            return
        place = node_id if index is None else f"{node_id}:{index}"
        with _HIDING:
            self._of_ended += self._in_steps.pop(place, ())
            if len(self._of_ended) <= MAX_ONCE:
                return
            self._hide_new()
            outdated, self._of_ended = self._of_ended[: -MAX_ONCE // 2], self._of_ended[-MAX_ONCE // 2 :]
            in_use = {value for values in self._in_steps.values() for value in values}
            kept = Keyring()
            kept.hide(*(self._values - (set(outdated) - in_use)))
            # Each attribute is replaced as a whole: another thread may redact meanwhile.
            self._forms, self._short, self._in_urls, self._needles = (
                kept._forms, kept._short, kept._in_urls, kept._needles
            )  # fmt: skip
            self._values = kept._values

    def _hide_new(self) -> None:
        """Make the forms of values used once: all together before something is redacted, since each time costs."""
        if self._new:
            with _HIDING:
                self.hide(*self._new)
                # Last: another thread of the run that finds no new values relies on their forms.
                self._new = []

    def clean(self, encoded: bytes) -> bytes:
        """Return the JSON text with all values redacted; the same object if there is nothing to redact."""
        self._hide_new()
        if not self._values or not self._needles.are_in(encoded):
            return encoded
        found = [form for form, written in self._forms.items() if written in encoded]
        cleaned = orjson.dumps(self._redact_value(orjson.loads(encoded), found, 0))
        return encoded if cleaned == encoded else cleaned

    def clean_data(self, data: Any) -> Any:
        """Return the data as JSON with all values redacted; other types become text as in the log."""
        self._hide_new()
        return data if not self._needles.all else orjson.loads(self.clean(orjson.dumps(data, default=str)))

    def clean_text(self, text: str) -> str:
        """Redact a message, including longer fragments of a value, because messages may be truncated."""
        self._hide_new()
        text = self._redact(text, self._forms)
        for form in self._forms:
            if len(form) > FRAGMENT and form[:FRAGMENT] in text:
                text = redact_beginnings(text, form)
            if len(form) > FRAGMENT and form[-FRAGMENT:] in text:
                text = redact_beginnings(text[::-1], form[::-1])[::-1]
        return text

    def _redact(self, text: str, found: Iterable[str]) -> str:
        if text in self._short:
            return HIDDEN
        for form in found:
            text = text.replace(form, HIDDEN)
        for part, pattern in self._in_urls:
            if part in text:
                text = pattern.sub(HIDDEN, text)
        return text

    def _redact_value(self, value: Any, found: list[str], depth: int) -> Any:
        """Return the value with these forms and the short values redacted."""
        if isinstance(value, str):
            return self._redact(value, found)
        if isinstance(value, dict | list) and depth >= MAX_DEPTH:
            return HIDDEN
        if isinstance(value, dict):
            return {self._redact(key, found): self._redact_value(item, found, depth + 1) for key, item in value.items()}
        if isinstance(value, list):
            return [self._redact_value(item, found, depth + 1) for item in value]
        if isinstance(value, int | float) and not isinstance(value, bool):
            text = str(value).removesuffix(".0")
            return value if self._redact(text, found) == text else HIDDEN
        return value


def or_list(words: Iterable[str]) -> str:
    """Join words: `a`, `a or b`, `a, b or c`."""
    *first, last = words
    return f"{', '.join(first)} or {last}" if first else last
