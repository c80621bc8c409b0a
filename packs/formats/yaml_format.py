"""YAML format: parses and writes YAML by the core schema of version 1.2: `no`, `on` and `12:30` are text.

Uses PyYAML's safe loader and dumper, with the scalars of that schema. Data is built from their events one by one:
PyYAML's nodes would take twice the time and fifty times the memory. An alias takes two characters and may expand to
millions, so its size is spent before it is resolved.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta, timezone
from typing import Any

import yaml
from yaml.constructor import ConstructorError

from errors import LimitExceeded, MalformedData
from expressions.values import iso
from nodes.fields import kind_of
from nodes.limits import MAX_DEPTH, MAX_TEXT, Budget, LimitedText, check_data, find_scalar_issue, refusal, size_of

# Scalars, lists and objects: each takes some microseconds and some hundred bytes.
MAX_PARTS = 1_000_000
# No tag, and the two tags of text.
TEXT_TAGS = (None, "!", "tag:yaml.org,2002:str")
TIME = re.compile(
    r"^([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})"
    r"(?:(?:[Tt]|[ \t]+)([0-9]{1,2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?"
    r"[ \t]*(?:(Z)|([-+][0-9]{1,2})(?::?([0-9]{2}))?)?)?\Z"
)
# The core schema, and times: a tag, the pattern of its plain scalars, and their first characters.
SCALARS = (
    ("null", re.compile(r"^(?:~|null|Null|NULL|)\Z"), ["", *"~nN"]),
    ("bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)\Z"), "tTfF"),
    ("int", re.compile(r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)\Z"), "-+0123456789"),
    ("float", re.compile(r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z"), "-+.0123456789"),
    ("endless", re.compile(r"^(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z"), "-+."),
    ("timestamp", TIME, "0123456789"),
    ("merge", re.compile(r"^<<\Z"), "<"),
)
# Booleans and numbers of other YAML 1.1 parsers, in addition to those of PyYAML.
OLD_SCALARS = (
    ("bool", re.compile(r"^(?:y|n|yes|no|on|off)\Z", re.IGNORECASE), "yYnNoO"),
    ("int", re.compile(r"^[-+]?[0-9][0-9_:.]*\Z"), "-+0123456789"),
)
OTHER_BREAKS = re.compile("[\r\x85\u2028\u2029]")
OPEN: Any = object()  # the value of an anchor until its end is parsed
MERGE: Any = object()  # the key <<


# Reading


def parse(text: str, several: bool) -> Any:
    """Return the document's data; with `several`, the list of all documents. Times become ISO 8601 text in UTC.

    Raises: NodeError with line and column if the text is not YAML, or not bounded JSON data.
    """
    try:
        documents = list(_Loader(text.removeprefix("\ufeff")).read_documents())
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        what = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be read"
        context = getattr(error, "context", None)
        raise MalformedData(f"data is not YAML: {where}{f'{context}: ' if context else ''}{what}") from None
    except UnicodeEncodeError:
        raise MalformedData("data is not YAML: it has half a surrogate pair") from None
    if several:
        return documents
    if len(documents) > 1:
        raise MalformedData(f"data has {len(documents)} documents; set documents to true to get them all")
    return documents[0] if documents else None


def _error_at(event: Any, problem: str) -> ConstructorError:
    return ConstructorError(None, None, problem, event.start_mark)


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """PyYAML's parser, in C if libyaml is installed, with the plain scalars in SCALARS."""

    yaml_implicit_resolvers: dict[str, Any] = {}

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.parts, self.budget = 0, Budget("the data")
        self.anchored: dict[str, Any] = {}

    def read_documents(self) -> Iterator[Any]:
        """Yield the data of each document."""
        self.get_event()
        while not self.check_event(yaml.StreamEndEvent):
            self.anchored.clear()
            self.get_event()
            document = self.read_value(0)
            size_of(document, "the data")
            yield document
            self.get_event()

    def next_part(self) -> Any:
        """Return the event that starts the next value or key."""
        event = self.get_event()
        self.parts += 1
        if self.parts > MAX_PARTS:
            raise _error_at(event, f"the data has more than {MAX_PARTS:,} parts")
        if not isinstance(event, yaml.AliasEvent):
            if event.tag not in TEXT_TAGS or (event.tag and not isinstance(event, yaml.ScalarEvent)):
                raise _error_at(event, f"the tag {event.tag[:100]} is not supported; remove it")
            self.anchored[event.anchor] = OPEN
        return event

    def read_value(self, depth: int) -> Any:
        """Return the next value, at this level of nesting."""
        event = self.next_part()
        if isinstance(event, yaml.AliasEvent):
            return self.resolve_alias(event)
        if isinstance(event, yaml.ScalarEvent):
            value = self.parse_scalar(event)
        elif depth >= MAX_DEPTH:
            raise _error_at(event, f"the data is nested more than {MAX_DEPTH} levels deep")
        elif isinstance(event, yaml.MappingStartEvent):
            value = self.read_object(depth + 1)
        else:
            value = []
            while not self.check_event(yaml.SequenceEndEvent):
                value.append(self.read_value(depth + 1))
            self.get_event()
        self.anchored[event.anchor] = value
        return value

    def read_object(self, depth: int) -> dict[str, Any]:
        own: dict[Any, Any] = {}
        merged: dict[str, Any] = {}
        while not self.check_event(yaml.MappingEndEvent):
            event = self.next_part()
            key = self.read_key(event)
            if key in own:
                raise _error_at(event, f"the key {key[:100]!r} occurs twice; remove one")
            value = self.read_value(depth)
            if key is not MERGE:
                own[key] = value
                continue
            for source in value if isinstance(value, list) else [value]:
                if not isinstance(source, dict):
                    raise _error_at(event, "the value of << must be an object or a list of objects")
                for name, part in source.items():
                    merged.setdefault(name, part)
        self.get_event()
        return {**merged, **own}

    def read_key(self, event: Any) -> Any:
        """Return a key as it is written, so that 1.0 stays 1.0, or MERGE."""
        if isinstance(event, yaml.ScalarEvent):
            self.anchored[event.anchor] = event.value
            return MERGE if self.resolve_tag(event) == "merge" else event.value
        key = self.resolve_alias(event) if isinstance(event, yaml.AliasEvent) else None
        if not isinstance(key, str):
            raise _error_at(event, "a key must be text, not a list or an object")
        return key

    def resolve_alias(self, event: Any) -> Any:
        """Return the value of an alias. Raises: NodeError if there is no room for it."""
        value = self.anchored.get(event.anchor, OPEN)
        if value is OPEN:
            problem = "contains itself" if event.anchor in self.anchored else "has no anchor"
            raise _error_at(event, f"the alias {event.anchor[:100]} {problem}")
        self.budget.spend_value(value)
        return value

    def resolve_tag(self, event: Any) -> str:
        return self.resolve(yaml.ScalarNode, event.value, (event.tag is None and event.implicit[0], False))

    def parse_scalar(self, event: Any) -> Any:
        """Return the value of a scalar; dates and times become ISO 8601 text."""
        text, number = event.value, math.inf
        match self.resolve_tag(event):
            case "null":
                return None
            case "bool":
                return text[0] in "tT"
            case "timestamp":
                return _time(text)
            case "int":
                # Many digits take long to convert, and exceed 64 bits anyway.
                number = 2**64 if len(text) > 100 else int(text, 0 if text[:2] in ("0o", "0x") else 10)
            case "float":
                number = float(text)
            case "endless":
                pass
            case _:
                return text
        if problem := find_scalar_issue(number):
            raise _error_at(event, problem)
        return number


def _time(text: str) -> str:
    """Return a date, or a time in UTC, in ISO 8601; the text itself if the day does not exist."""
    year, month, day, hour, minute, second, part, _, hours, minutes = TIME.match(text).groups()  # type: ignore[union-attr]
    try:
        if hour is None:
            return date(int(year), int(month), int(day)).isoformat()
        away = timedelta(hours=abs(int(hours or 0)), minutes=int(minutes or 0))
        zone = timezone(-away if hours and hours[0] == "-" else away)
        micros = int((part or "0").ljust(6, "0")[:6])
        return iso(datetime(int(year), int(month), int(day), int(hour), int(minute), int(second), micros, zone))
    except (ValueError, OverflowError):
        return text


# Writing


def write(value: Any, several: bool) -> str:
    """Return the document of the value; with `several`, one for each item of a list."""
    check_data(value, "data")
    if several and not isinstance(value, list):
        raise refusal(f"data must be a list of documents, but is {kind_of(value)}; set documents to false")
    made = LimitedText()
    dumper = _Dumper(made, allow_unicode=True, width=MAX_TEXT)
    try:
        dumper.emit(yaml.StreamStartEvent())
        for document in value if several else [value]:
            dumper.emit(yaml.DocumentStartEvent(explicit=several))
            dumper.write_value(document)
            dumper.emit(yaml.DocumentEndEvent(explicit=False))
        dumper.emit(yaml.StreamEndEvent())
    except UnicodeEncodeError:
        raise refusal("data has half a surrogate pair, which is not valid text") from None
    finally:
        dumper.dispose()
    return made.getvalue().removesuffix("...\n")


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """PyYAML's emitter. Quotes text that a parser of YAML 1.2 or 1.1 would not parse as text."""

    parts = 0

    def write_value(self, value: Any) -> None:
        """Write a value with all its parts."""
        self.parts += 1
        if self.parts > MAX_PARTS:
            raise LimitExceeded(f"data has more than {MAX_PARTS:,} parts")
        if isinstance(value, list):
            self.emit(yaml.SequenceStartEvent(None, None, True, flow_style=not value))
            for item in value:
                self.write_value(item)
            self.emit(yaml.SequenceEndEvent())
        elif isinstance(value, dict):
            self.emit(yaml.MappingStartEvent(None, None, True, flow_style=not value))
            for key, item in value.items():
                self.write_text(key)
                self.write_value(item)
            self.emit(yaml.MappingEndEvent())
        elif isinstance(value, str):
            self.write_text(value)
        else:
            written = json.dumps(value)
            if "e" in written and "." not in written and isinstance(value, float):
                written = written.replace("e", ".0e")  # for parsers of YAML 1.1
            self.emit(yaml.ScalarEvent(None, None, (True, False), written))

    def write_text(self, text: str) -> None:
        stays_text = self.resolve(yaml.ScalarNode, text, (True, False)) == self.DEFAULT_SCALAR_TAG
        # Parsers treat other line breaks, unless they are escaped, as the end of a line.
        style = '"' if OTHER_BREAKS.search(text) else "|" if "\n" in text else None
        self.emit(yaml.ScalarEvent(None, None, (stays_text, True), text, style=style))


for name, pattern, first in SCALARS:
    _Loader.add_implicit_resolver(name, pattern, first)
for name, pattern, first in (*SCALARS, *OLD_SCALARS):
    _Dumper.add_implicit_resolver(name, pattern, first)
