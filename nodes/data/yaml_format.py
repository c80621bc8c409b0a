"""YAML as plain data and back, by the core schema of YAML 1.2: `no` and `on` are text, and so is `12:30`.

PyYAML's safe loader and dumper, with the scalars of that schema. Data is built from their events, one after another:
nodes in between would take twice the time and fifty times the memory. An alias, which costs two characters and may
stand for millions, is paid for before it is followed.
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

from expressions.values import iso
from errors import LimitExceeded, MalformedData
from nodes.fields import kind_of
from nodes.limits import GREATEST, MAX_DEPTH, MAX_TEXT, LimitedText, Room, check_data, refusal, size_of, unfit_scalar

# Scalars, lists and objects: each costs some microseconds and some hundred bytes.
MAX_PARTS = 1_000_000
# None, and two other ways to write a text.
TEXT_TAGS = (None, "!", "tag:yaml.org,2002:str")
TIME = re.compile(
    r"^([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})"
    r"(?:(?:[Tt]|[ \t]+)([0-9]{1,2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?"
    r"[ \t]*(?:(Z)|([-+][0-9]{1,2})(?::?([0-9]{2}))?)?)?\Z"
)
# The core schema, and times: a tag, what a plain scalar with it looks like, and its first characters.
SCALARS = (
    ("null", re.compile(r"^(?:~|null|Null|NULL|)\Z"), ["", *"~nN"]),
    ("bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)\Z"), "tTfF"),
    ("int", re.compile(r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)\Z"), "-+0123456789"),
    ("float", re.compile(r"^[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z"), "-+.0123456789"),
    ("endless", re.compile(r"^(?:[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z"), "-+."),
    ("timestamp", TIME, "0123456789"),
    ("merge", re.compile(r"^<<\Z"), "<"),
)
# What readers of YAML 1.1 take for a boolean or a number, beside what PyYAML takes for one.
OLD_SCALARS = (
    ("bool", re.compile(r"^(?:y|n|yes|no|on|off)\Z", re.IGNORECASE), "yYnNoO"),
    ("int", re.compile(r"^[-+]?[0-9][0-9_:.]*\Z"), "-+0123456789"),
)
OTHER_BREAKS = re.compile("[\r\x85\u2028\u2029]")
OPEN: Any = object()  # what an anchor stands for as long as its value has not ended
MERGE: Any = object()


# Reading


def parse(text: str, several: bool) -> Any:
    """Return the document's data; with `several`, the list of all documents. Times become ISO 8601 text in UTC.

    Raises: NodeError with line and column if the text is not YAML, or not bounded JSON data.
    """
    try:
        documents = list(_Loader(text.removeprefix("\ufeff")).documents())
    except yaml.YAMLError as error:
        raise MalformedData(f"data is not YAML: {_problem(error)}") from None
    except UnicodeEncodeError:
        raise MalformedData("data is not YAML: it has half a surrogate pair") from None
    if several:
        return documents
    if len(documents) > 1:
        raise MalformedData(f"data has {len(documents)} documents; set documents to true to have the list of them")
    return documents[0] if documents else None


def _problem(error: Any) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    what = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be read"
    context = getattr(error, "context", None)
    return where + (f"{context}: {what}" if context else what)


def _bad(event: Any, problem: str) -> ConstructorError:
    return ConstructorError(None, None, problem, event.start_mark)


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """PyYAML's parser, by libyaml where there is one. Plain scalars mean what SCALARS says."""

    yaml_implicit_resolvers: dict[str, Any] = {}

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.parts, self.room = 0, Room("the data")
        self.anchored: dict[str, Any] = {}

    def documents(self) -> Iterator[Any]:
        """Yield the data of each document."""
        self.get_event()
        while not self.check_event(yaml.StreamEndEvent):
            self.anchored.clear()
            self.get_event()
            document = self.value(0)
            size_of(document, "the data")
            yield document
            self.get_event()

    def part(self) -> Any:
        """Return the event with which the next value or key begins."""
        event = self.get_event()
        self.parts += 1
        if self.parts > MAX_PARTS:
            raise _bad(event, f"the data has more than {MAX_PARTS:,} parts")
        if not isinstance(event, yaml.AliasEvent):
            if event.tag not in TEXT_TAGS or (event.tag and not isinstance(event, yaml.ScalarEvent)):
                raise _bad(event, f"the tag {event.tag[:100]} is not read; only data without tags is")
            self.anchored[event.anchor] = OPEN
        return event

    def value(self, depth: int) -> Any:
        """Return the next value, which is inside so many lists and objects."""
        event = self.part()
        if isinstance(event, yaml.AliasEvent):
            return self.aliased(event)
        if isinstance(event, yaml.ScalarEvent):
            value = self.scalar(event)
        elif depth >= MAX_DEPTH:
            raise _bad(event, f"the data is nested more than {MAX_DEPTH} deep")
        elif isinstance(event, yaml.MappingStartEvent):
            value = self.object(depth + 1)
        else:
            value = []
            while not self.check_event(yaml.SequenceEndEvent):
                value.append(self.value(depth + 1))
            self.get_event()
        self.anchored[event.anchor] = value
        return value

    def object(self, depth: int) -> dict[str, Any]:
        own: dict[Any, Any] = {}
        merged: dict[str, Any] = {}
        while not self.check_event(yaml.MappingEndEvent):
            event = self.part()
            key = self.key(event)
            if key in own:
                raise _bad(event, f"the key {key[:100]!r} is there twice")
            value = self.value(depth)
            if key is not MERGE:
                own[key] = value
                continue
            for source in value if isinstance(value, list) else [value]:
                if not isinstance(source, dict):
                    raise _bad(event, "<< takes an object, or a list of objects")
                for name, part in source.items():
                    merged.setdefault(name, part)
        self.get_event()
        return {**merged, **own}

    def key(self, event: Any) -> Any:
        """Return a key as it is written, so that 1.0 stays 1.0; MERGE for `<<`."""
        if isinstance(event, yaml.ScalarEvent):
            self.anchored[event.anchor] = event.value
            return MERGE if self.tag(event) == "merge" else event.value
        key = self.aliased(event) if isinstance(event, yaml.AliasEvent) else None
        if not isinstance(key, str):
            raise _bad(event, "a key must be text, not a list or an object")
        return key

    def aliased(self, event: Any) -> Any:
        """Return what an alias stands for, once there is room for it."""
        value = self.anchored.get(event.anchor, OPEN)
        if value is OPEN:
            problem = "contains itself" if event.anchor in self.anchored else "stands for nothing"
            raise _bad(event, f"the alias {event.anchor[:100]} {problem}")
        self.room.take_value(value)
        return value

    def tag(self, event: Any) -> str:
        return self.resolve(yaml.ScalarNode, event.value, (event.tag is None and event.implicit[0], False))

    def scalar(self, event: Any) -> Any:
        """Return what a scalar means; dates and times become ISO 8601 text."""
        text, number = event.value, math.inf
        match self.tag(event):
            case "null":
                return None
            case "bool":
                return text[0] in "tT"
            case "timestamp":
                return _time(text)
            case "int":
                # Many digits take long, and fit into no 64 bits.
                number = GREATEST + 1 if len(text) > 100 else int(text, 0 if text[:2] in ("0o", "0x") else 10)
            case "float":
                number = float(text)
            case "endless":
                pass
            case _:
                return text
        if problem := unfit_scalar(number):
            raise _bad(event, problem)
        return number


def _time(text: str) -> str:
    """Return ISO 8601 of a date, or of a time in UTC; the text itself if there is no such day."""
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
        raise refusal(f"data must be the list of the documents, but is {kind_of(value)}")
    made = LimitedText()
    dumper = _Dumper(made, allow_unicode=True, width=MAX_TEXT)
    try:
        dumper.emit(yaml.StreamStartEvent())
        for document in value if several else [value]:
            dumper.emit(yaml.DocumentStartEvent(explicit=several))
            dumper.value(document)
            dumper.emit(yaml.DocumentEndEvent(explicit=False))
        dumper.emit(yaml.StreamEndEvent())
    except UnicodeEncodeError:
        raise refusal("data has half a surrogate pair, which no text can have") from None
    finally:
        dumper.dispose()
    return made.getvalue().removesuffix("...\n")


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    """PyYAML's emitter. Texts that readers of YAML 1.2 or 1.1 would take for anything else are in quotes."""

    parts = 0

    def value(self, value: Any) -> None:
        """Write a value and what is in it."""
        self.parts += 1
        if self.parts > MAX_PARTS:
            raise LimitExceeded(f"data has more than {MAX_PARTS:,} parts")
        if isinstance(value, list):
            self.emit(yaml.SequenceStartEvent(None, None, True, flow_style=not value))
            for item in value:
                self.value(item)
            self.emit(yaml.SequenceEndEvent())
        elif isinstance(value, dict):
            self.emit(yaml.MappingStartEvent(None, None, True, flow_style=not value))
            for key, item in value.items():
                self.text(key)
                self.value(item)
            self.emit(yaml.MappingEndEvent())
        elif isinstance(value, str):
            self.text(value)
        else:
            written = json.dumps(value)
            if "e" in written and "." not in written and isinstance(value, float):
                written = written.replace("e", ".0e")  # for readers of YAML 1.1
            self.emit(yaml.ScalarEvent(None, None, (True, False), written))

    def text(self, text: str) -> None:
        stays_text = self.resolve(yaml.ScalarNode, text, (True, False)) == self.DEFAULT_SCALAR_TAG
        # Readers would take other breaks, as they are, for the end of a line.
        style = '"' if OTHER_BREAKS.search(text) else "|" if "\n" in text else None
        self.emit(yaml.ScalarEvent(None, None, (stays_text, True), text, style=style))


for name, pattern, first in SCALARS:
    _Loader.add_implicit_resolver(name, pattern, first)
for name, pattern, first in (*SCALARS, *OLD_SCALARS):
    _Dumper.add_implicit_resolver(name, pattern, first)
