"""YAML as plain data and back, by the core schema of YAML 1.2: `no` and `on` are text, and so is `12:30`.

libyaml tells of one event after another, and the data is made of those here. So there is no tag that could make
anything else, and an alias, which costs two characters and may stand for millions, is paid for before it is followed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import date, datetime, timedelta, timezone
from typing import Any, NamedTuple

from errors import NodeError
from expressions.values import iso
from nodes.bounds import GREATEST, MAX_DEPTH, MAX_TEXT, LimitedText, Room, check_data, refusal, too_deep, unfit_scalar
from nodes.logic import kind_of

# Scalars, lists and objects: each costs some microseconds and some hundred bytes.
MAX_PARTS = 1_000_000
WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
# What readers of YAML 1.1 take for true and false.
OLD_WORDS = {"y", "n", "yes", "no", "on", "off"}
INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
ENDLESS = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
TIME = re.compile(
    r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})"
    r"(?:(?:[Tt]|[ \t]+)([0-9]{1,2}):([0-9]{2}):([0-9]{2})(?:\.([0-9]{1,9}))?"
    r"[ \t]*(?:(Z)|([-+][0-9]{1,2})(?::?([0-9]{2}))?)?)?"
)
# Sexagesimal numbers and numbers with _ in them, which YAML 1.1 has besides.
OLD_NUMBER = re.compile(r"[-+]?[0-9][0-9_:.]*")
OTHER_BREAKS = re.compile("[\r\x85\u2028\u2029]")
# A few tags are no more than another way to write a text.
TEXT_TAGS = (None, "!", "tag:yaml.org,2002:str")
MERGE: Any = object()


# Reading


def parse(text: str, several: bool) -> Any:
    """The document's data; with `several`, the list of all documents."""
    import yaml

    reader = _Reader()
    try:
        for event in yaml.parse(text.removeprefix("\ufeff"), Loader=yaml.CSafeLoader):
            reader.tell(event)
    except yaml.YAMLError as error:
        raise refusal(f"data is not YAML: {_problem(error)}") from None
    except UnicodeEncodeError:
        raise refusal("data is not YAML: it has half a surrogate pair") from None
    if several:
        return reader.documents
    if len(reader.documents) > 1:
        raise refusal(f"data has {len(reader.documents)} documents; set documents to true to have the list of them")
    return reader.documents[0] if reader.documents else None


def _problem(error: Any) -> str:
    mark = getattr(error, "problem_mark", None)
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    what = getattr(error, "problem", None) or getattr(error, "reason", None) or "it cannot be read"
    context = getattr(error, "context", None)
    return where + (f"{context}: {what}" if context else what)


class _Anchored(NamedTuple):
    """What an alias stands for: a value, its size as it is written out, and how many levels it has."""

    value: Any
    size: int
    height: int


class _Open:
    """A list or an object that is being read. `key` is the key whose value comes next, `merged` what `<<` named."""

    def __init__(self, value: Any, anchor: str | None, left: int) -> None:
        self.value, self.anchor, self.left = value, anchor, left
        self.key: Any = None
        self.merged: list[dict[str, Any]] = []
        self.height = 1


class _Reader:
    """Makes data of libyaml's events, without recursion."""

    def __init__(self) -> None:
        self.documents: list[Any] = []
        self.open: list[_Open] = []
        self.anchors: dict[str, _Anchored | None] = {}
        self.room = Room("the data")
        self.parts = self.line = 0
        self.events: dict[str, Callable[[Any], None]] = {
            "ScalarEvent": self.scalar,
            "AliasEvent": self.alias,
            "SequenceStartEvent": lambda event: self.begin(event, []),
            "MappingStartEvent": lambda event: self.begin(event, {}),
            "SequenceEndEvent": self.end,
            "MappingEndEvent": self.end,
            "DocumentStartEvent": lambda event: self.anchors.clear(),
        }

    def tell(self, event: Any) -> None:
        """Take an event; NodeError says in which line something is that cannot be."""
        handle = self.events.get(type(event).__name__)
        if handle is None:
            return
        self.line = event.start_mark.line + 1
        self.parts += 1
        if self.parts > MAX_PARTS:
            raise self.bad(f"the data has more than {MAX_PARTS:,} parts")
        handle(event)

    def bad(self, message: str) -> NodeError:
        return refusal(f"line {self.line}: {message}")

    def scalar(self, event: Any) -> None:
        if event.tag not in TEXT_TAGS:
            raise self.tagged(event)
        self.room.take(len(event.value) + 3)
        is_plain = event.tag is None and event.implicit[0]
        found: Any = event.value
        if self.wants_key():
            # Keys are text: as they are written, so that 1.0 stays 1.0.
            self.key(MERGE if is_plain and found == "<<" else found)
        else:
            found = self.plain(found) if is_plain else found
            self.value(found, 0)
        if event.anchor is not None:
            self.anchors[event.anchor] = _Anchored(found, len(event.value) + 3, 0)

    def plain(self, text: str) -> Any:
        try:
            return resolved(text)
        except ValueError as error:
            raise self.bad(str(error)) from None

    def tagged(self, event: Any) -> NodeError:
        return self.bad(f"the tag {event.tag[:100]} is not read; only data without tags is")

    def alias(self, event: Any) -> None:
        found = self.anchors.get(event.anchor)
        if found is None:
            known = event.anchor in self.anchors
            raise self.bad(f"the alias {event.anchor[:100]} " + ("contains itself" if known else "stands for nothing"))
        self.room.take(found.size)
        if len(self.open) + found.height > MAX_DEPTH:
            raise too_deep("the data")
        if not self.wants_key():
            self.value(found.value, found.height)
        elif isinstance(found.value, str):
            self.key(found.value)
        else:
            raise self.bad("a key must be text")

    def begin(self, event: Any, value: Any) -> None:
        if event.tag is not None:
            raise self.tagged(event)
        if self.wants_key():
            raise self.bad("a key must be text, not a list or an object")
        if len(self.open) >= MAX_DEPTH:
            raise too_deep("the data")
        if event.anchor is not None:
            self.anchors[event.anchor] = None  # until its end, for it must not contain itself
        self.open.append(_Open(value, event.anchor, self.room.left))
        self.room.take(2)

    def end(self, event: Any) -> None:
        done = self.open.pop()
        value = done.value
        if done.merged:
            value = {name: part for source in reversed(done.merged) for name, part in source.items()} | value
        if done.anchor is not None:
            self.anchors[done.anchor] = _Anchored(value, done.left - self.room.left, done.height)
        self.value(value, done.height)

    def wants_key(self) -> bool:
        return bool(self.open) and isinstance(self.open[-1].value, dict) and self.open[-1].key is None

    def key(self, key: Any) -> None:
        """Take the key whose value comes next."""
        at = self.open[-1]
        if key in at.value:
            raise self.bad(f"the key {key[:100]!r} is there twice")
        at.key = key

    def value(self, value: Any, height: int) -> None:
        """Put a value where it belongs: into the document, the list, or the object."""
        if not self.open:
            self.documents.append(value)
            return
        at = self.open[-1]
        at.height = max(at.height, height + 1)
        if isinstance(at.value, list):
            at.value.append(value)
        elif at.key is MERGE:
            self.merge(at, value)
        else:
            at.value[at.key], at.key = value, None

    def merge(self, at: _Open, value: Any) -> None:
        """`<<: *defaults`, or a list of such: what the object has of others, unless it has it itself."""
        sources = value if isinstance(value, list) else [value]
        if not all(isinstance(source, dict) for source in sources):
            raise self.bad("<< takes an object, or a list of objects")
        at.merged += sources
        at.key = None


def resolved(text: str) -> Any:
    """What a plain scalar means; ValueError where that is no JSON. Dates become ISO 8601 text, times in UTC."""
    if text in WORDS:
        return WORDS[text]
    if text[0] not in "+-.0123456789":
        return text
    if ENDLESS.fullmatch(text):
        raise ValueError("a number that is not finite")
    if INTEGER.fullmatch(text):
        number: Any = _integer(text)
    elif FLOAT.fullmatch(text):
        number = float(text)
    else:
        return _time(text)
    if problem := unfit_scalar(number):
        raise ValueError(problem)
    return number


def _integer(text: str) -> int:
    base = {"0o": 8, "0x": 16}.get(text[:2], 10)
    # Many digits take long, and fit into no 64 bits, unless they are zeros, which nobody writes.
    return int(text if base == 10 else text[2:], base) if len(text) < 100 else GREATEST + 1


def _time(text: str) -> str:
    """ISO 8601 of what is a date or a time, else the text."""
    found = TIME.fullmatch(text)
    if not found:
        return text
    year, month, day, hour, minute, second, part, _, hours, minutes = found.groups()
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
    """The document of the value; with `several`, one for each item of a list."""
    import yaml

    check_data(value, "data")
    if several and not isinstance(value, list):
        raise refusal(f"data must be the list of the documents, but is {kind_of(value)}")
    made = LimitedText()
    dumper = yaml.CSafeDumper(made, allow_unicode=True, width=MAX_TEXT)
    writer = _Writer(dumper.emit)
    try:
        dumper.emit(yaml.StreamStartEvent())
        for document in value if several else [value]:
            dumper.emit(yaml.DocumentStartEvent(explicit=several))
            writer.value(document)
            dumper.emit(yaml.DocumentEndEvent(explicit=False))
        dumper.emit(yaml.StreamEndEvent())
    except UnicodeEncodeError:
        raise refusal("data has half a surrogate pair, which no text can have") from None
    finally:
        dumper.dispose()
    text = made.getvalue()
    return text.removesuffix("...\n")


class _Writer:
    """Tells libyaml of the data, one event after another."""

    def __init__(self, emit: Callable[[Any], None]) -> None:
        import yaml

        self.emit, self.yaml = emit, yaml
        self.parts = 0

    def value(self, value: Any) -> None:
        """Tell of a value and what is in it."""
        self.parts += 1
        if self.parts > MAX_PARTS:
            raise refusal(f"data has more than {MAX_PARTS:,} parts")
        if isinstance(value, list):
            self.emit(self.yaml.SequenceStartEvent(None, None, True, flow_style=not value))
            for item in value:
                self.value(item)
            self.emit(self.yaml.SequenceEndEvent())
        elif isinstance(value, dict):
            self.emit(self.yaml.MappingStartEvent(None, None, True, flow_style=not value))
            for key, item in value.items():
                self.text(key)
                self.value(item)
            self.emit(self.yaml.MappingEndEvent())
        elif isinstance(value, str):
            self.text(value)
        else:
            self.emit(self.yaml.ScalarEvent(None, None, (True, False), _written(value)))

    def text(self, text: str) -> None:
        """Tell of a text; in quotes where it would be read as anything else."""
        style = "|" if "\n" in text else None
        if OTHER_BREAKS.search(text):
            style = '"'  # as they are, readers would take them for the end of a line
        self.emit(self.yaml.ScalarEvent(None, None, (_stays_text(text), True), text, style=style))


def _written(value: Any) -> str:
    if isinstance(value, float):
        shown = repr(value)
        # With a point, for readers of YAML 1.1.
        return shown.replace("e", ".0e") if "e" in shown and "." not in shown else shown
    return json.dumps(value)


def _stays_text(text: str) -> bool:
    """Whether readers of YAML 1.2, and of 1.1 too, take it for a text without quotes."""
    if text in WORDS or text.lower() in OLD_WORDS or text in ("<<", "=") or OLD_NUMBER.fullmatch(text):
        return False
    return not any(pattern.fullmatch(text) for pattern in (INTEGER, FLOAT, ENDLESS, TIME))
