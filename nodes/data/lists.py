"""List nodes: sort, limit, dedupe, group, split and join lists."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from hashlib import blake2b
from typing import Any, NamedTuple

import orjson
from marshmallow import ValidationError, fields, validate, validates_schema

from errors import LimitExceeded, NodeError
from fields import Schema
from nodes.base import Context, Node
from nodes.fields import NamedValues, Text, anything, choice, flag, kind_of, labels_of, line, setting, text_of, whole
from nodes.limits import (
    MAX_INTEGER,
    MAX_ITEMS,
    MAX_TEXT,
    MIN_INTEGER,
    Budget,
    check_items,
    check_text,
    is_number,
    list_of_config,
    refusal,
    size_of,
    too_deep,
)

# Paths into data, such as `customer.address.city` or `lines.0.price`, in configs.

MAX_PATHS, MAX_PATH = 50, 500
MISSING: Any = type("Missing", (), {"__repr__": lambda self: "MISSING"})()


class Path(NamedTuple):
    """A path as written, and its parts."""

    whole: str
    parts: tuple[str, ...]

    @property
    def last(self) -> str:
        """Return the last part."""
        return self.parts[-1] if self.parts else ""


def path(written: str) -> Path:
    """Return the path of this text; the empty path is the value itself."""
    return Path(written, tuple(written.split(".")) if written else ())


def read(value: Any, path: Path) -> Any:
    """Return the value at the path, or MISSING.

    A number is an index of a list, from 0. A key with dots (`Inv. no.`) is found by its whole name.
    """
    if isinstance(value, dict) and path.whole in value and path.parts:
        return value[path.whole]
    for part in path.parts:
        if isinstance(value, dict):
            value = value.get(part, MISSING)
        elif isinstance(value, list) and part.isdecimal() and len(part) < 10 and int(part) < len(value):
            value = value[int(part)]
        else:
            return MISSING
    return value


def replace(value: Any, path: Path, new: Any) -> Any:
    """Return the value with the existing path replaced, sharing everything else."""
    if isinstance(value, dict) and path.whole in value and path.parts:
        return {**value, path.whole: new}
    return _replace(value, path.parts, new)


def _replace(value: Any, parts: tuple[str, ...], new: Any) -> Any:
    if not parts:
        return new
    if isinstance(value, dict):
        return {**value, parts[0]: _replace(value[parts[0]], parts[1:], new)}
    place = int(parts[0])
    return [*value[:place], _replace(value[place], parts[1:], new), *value[place + 1 :]]


def names_of(paths: Iterable[Path]) -> list[str]:
    """Return a name for each path: its last part, or the whole path if two would be equal."""
    paths = list(paths)
    lasts = [path.last for path in paths]
    return [path.last if lasts.count(path.last) == 1 else path.whole for path in paths]


class PathField(fields.Field[Path]):
    """One path."""

    default_error_messages = {"invalid": "Must be a path such as customer.name."}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Path:
        if not isinstance(value, str) or not 1 <= len(value) <= MAX_PATH:
            raise self.make_error("invalid")
        return path(value)


class PathsField(fields.Field[list[Path]]):
    """Paths: a list of texts, or one text with commas."""

    default_error_messages = {"invalid": "Must be a path such as customer.name, or a list of such."}

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> list[Path]:
        if isinstance(value, str):
            value = [part.strip() for part in value.split(",") if part.strip()]
        if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
            raise self.make_error("invalid")
        if len(value) > MAX_PATHS or any(not 1 <= len(part) <= MAX_PATH for part in value):
            raise ValidationError(f"Must be at most {MAX_PATHS} paths of 1 to {MAX_PATH} characters.")
        if twice := sorted({part for part in value if value.count(part) > 1}):
            raise ValidationError(f"Must differ from each other; remove the second {twice[0]}.")
        return [path(part) for part in value]


def one_path(help: str, **options: Any) -> Any:
    """Return a literal field for one path."""
    return setting(PathField, help, literal=True, metadata={"type": "string"}, **options)


def many_paths(help: str, kind: type[PathsField] = PathsField, **options: Any) -> Any:
    """Return a literal field for paths; none by default."""
    metadata = {"type": ["array", "string"], "items": {"type": "string"}}
    return setting(kind, help, literal=True, load_default=[], metadata=metadata, **options)


# Comparison of JSON values of any kind: order and equality.

# The kinds in order. Null and missing are not values, and come last in both directions.
NUMBER, TEXT, BOOLEAN, LIST, OBJECT, NULL, ABSENT = range(7)
DIGITS = re.compile(r"([0-9]+)")


class Comparison:
    """Creates keys that sort JSON values: numbers, texts, booleans, lists, objects, null, missing.

    Texts are compared by their characters, ignoring case unless `case_sensitive`; with `natural`, digits in them count
    as numbers, so that `file2` comes before `file10`. Lists are compared by their items, objects by keys and values.
    """

    def __init__(self, case_sensitive: bool = True, natural: bool = False) -> None:
        self.case_sensitive, self.natural = case_sensitive, natural

    def key(self, value: Any) -> tuple[Any, ...]:
        """Return the sort key of a value; comparisons of keys never raise TypeError."""
        if isinstance(value, str):
            return TEXT, self.text(value)
        if isinstance(value, bool):
            return BOOLEAN, value
        if isinstance(value, int | float):
            return (NUMBER, value) if value == value else (NULL,)  # NaN has no order
        if isinstance(value, list):
            return LIST, [self.key(item) for item in value]
        if isinstance(value, dict):
            return OBJECT, [(name, self.key(value[name])) for name in sorted(value)]
        return (ABSENT,) if value is MISSING else (NULL,)

    def text(self, value: str) -> Any:
        text = value if self.case_sensitive else value.casefold()
        if not self.natural:
            return text
        # Text and digits alternate, so equal kinds compare. Digits stay text: converting many is slow.
        parts: list[Any] = DIGITS.split(text)
        for at in range(1, len(parts), 2):
            digits = parts[at].lstrip("0")
            parts[at] = len(digits), digits
        return parts

    def sorted(self, places: list[int], values: list[Any], descending: bool) -> list[int]:
        """Return the places sorted by their values, stable, with null and missing ones at the end."""
        try:
            keys = [self.key(value) for value in values]
            if descending:
                # Reversed, the last ones would be first; so they get the lowest keys.
                keys = [(-key[0],) if key[0] >= NULL else key for key in keys]
            return sorted(places, key=keys.__getitem__, reverse=descending)
        except RecursionError:
            raise too_deep("an item") from None


def identity(values: list[Any]) -> bytes:
    """Return a short hashable value, equal for equal values: 1 and 1.0 are equal; 1, true and the text 1 are not.

    It is a digest, because Python's hashes of numbers are predictable: many colliding ones would block the process.
    """
    try:
        bare = [value if isinstance(value, str) else _normalize(value) for value in values]
        try:
            written = orjson.dumps(bare, option=orjson.OPT_SORT_KEYS)
        except TypeError:  # integers of more than 64 bits, half surrogate pairs
            written = json.dumps(bare, sort_keys=True).encode()
    except RecursionError:
        raise too_deep("an item") from None
    return blake2b(written, digest_size=20).digest()


def _normalize(value: Any) -> Any:
    if isinstance(value, float) and value.is_integer() and MIN_INTEGER <= value <= MAX_INTEGER:
        return int(value)
    if isinstance(value, list):
        return [_normalize(item) for item in value]
    if isinstance(value, dict):
        return {name: _normalize(item) for name, item in value.items()}
    return value


MAX_AGGREGATES = 50


def items_setting() -> Any:
    """Return the field for the list."""
    return anything("The list: {{ input.orders }}. Default: the input", title="Items")


class SortPaths(PathsField):
    """Paths, each optionally with a `-` for descending order; a `-` alone is the item itself."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        found = super()._deserialize(value, attr, data, **kwargs)
        return [(path(key.whole.removeprefix("-")), key.whole.startswith("-")) for key in found]


class Sort(Node):
    """Sorts a list by values of its items, or by the items: numbers, texts, booleans, lists, objects.

    Null and missing values come last in either direction. Equal items keep their order.
    """

    type = "sort"
    category = "data"
    icon = "sort-ascending"
    also = ("order by",)
    examples = (
        {
            "config": {"by": ["country", "-total"]},
            "input": [
                {"country": "PT", "total": 5},
                {"country": "FR", "total": 7},
                {"country": "FR", "total": 90},
                {"total": 1},
            ],
            "output": [
                {"country": "FR", "total": 90},
                {"country": "FR", "total": 7},
                {"country": "PT", "total": 5},
                {"total": 1},
            ],
        },
        {
            "config": {"items": "{{ input.files }}", "by": "-", "natural": True},
            "input": {"files": ["scan2.pdf", "scan10.pdf", "scan1.pdf"]},
            "output": ["scan10.pdf", "scan2.pdf", "scan1.pdf"],
        },
    )

    class Config(Schema):
        items = items_setting()
        by = many_paths(
            "The values to sort by: country, -total; a minus sorts descending. Default: the items themselves",
            SortPaths,
            title="Sort by",
        )
        case_sensitive = flag("Sort capital letters before all small letters", False, title="Case-sensitive")
        natural = flag(
            "Compare digits in text as numbers, so that file2 comes before file10", False, title="Natural order"
        )

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        items = list_of_config(config, input)
        order = Comparison(config["case_sensitive"], config["natural"])
        places = list(range(len(items)))
        # In reverse: each further sort keeps the order of equal items.
        for key, descending in reversed(config["by"] or [(path(""), False)]):
            places = order.sorted(places, [read(item, key) for item in items], descending)
        return [items[place] for place in places]


class Limit(Node):
    """Keeps the first or the last items of a list."""

    type = "limit"
    category = "data"
    icon = "cut"
    also = ("first", "top", "slice", "take")
    quick = True
    examples = (
        {"config": {"count": 2}, "input": ["a", "b", "c"], "output": ["a", "b"]},
        {"config": {"count": 2, "offset": 1, "from_end": True}, "input": ["a", "b", "c", "d"], "output": ["b", "c"]},
    )

    class Config(Schema):
        items = items_setting()
        count = whole("The number of items to keep", 0, MAX_ITEMS, load_default=1, title="Count")
        offset = whole("The number of items to skip first", 0, MAX_ITEMS, load_default=0, title="Offset")
        from_end = flag("Count from the end; kept items stay in their order", False, title="From the end")

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        items = list_of_config(config, input)
        first, most = config["offset"], config["count"]
        if not config["from_end"]:
            return items[first : first + most]
        end = max(0, len(items) - first)
        return items[max(0, end - most) : end]


class Dedupe(Node):
    """Removes duplicate items from a list, compared as a whole or by some of their values.

    Items without those values are all kept.
    """

    type = "dedupe"
    category = "data"
    title = "Remove duplicates"
    icon = "copy-off"
    also = ("unique", "distinct")
    examples = (
        {"config": {}, "input": [1, 2, 1.0, "1", {"a": 1}, {"a": 1}], "output": [1, 2, "1", {"a": 1}]},
        {
            "config": {"by": "email", "keep": "last"},
            "input": [{"email": "a@b.c", "plan": "free"}, {"email": "d@e.f"}, {"email": "a@b.c", "plan": "pro"}],
            "output": [{"email": "d@e.f"}, {"email": "a@b.c", "plan": "pro"}],
        },
    )

    class Config(Schema):
        items = items_setting()
        by = many_paths("The values that identify duplicates: email. Default: the whole item", title="Compare by")
        keep = choice(
            "Which of the duplicates to keep", {"first": "First", "last": "Last"}, load_default="first", title="Keep"
        )

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        items, by = list_of_config(config, input), config["by"] or [path("")]
        kept: dict[bytes | int, int] = {}
        for place, item in enumerate(items):
            values = [read(item, key) for key in by]
            if all(value is MISSING for value in values):
                kept[place] = place
                continue
            same = identity([[] if value is MISSING else [value] for value in values])
            if config["keep"] == "last" or same not in kept:
                kept[same] = place
        return [items[place] for place in sorted(kept.values())]


# Aggregates take the existing values of a field in a group, in order.


def _sum(values: list[Any]) -> Any:
    for value in values:
        if not is_number(value):
            raise refusal(f"the values must be numbers, but one is {kind_of(value)}; for a CSV file, set types to true")
    if all(isinstance(value, int) for value in values):
        total = sum(values)
        if not -(2**63) <= total < 2**64:
            raise LimitExceeded("the sum has more than 64 bits")
        return total
    try:
        return math.fsum(values)
    except OverflowError:
        raise refusal("the sum is too large a number") from None


def _unique(values: list[Any]) -> Any:
    found: dict[bytes, Any] = {}
    for value in values:
        found.setdefault(identity([value]), value)
    return list(found.values())


# Label and function of each aggregate.
OPERATIONS: dict[str, tuple[str, Callable[[list[Any]], Any]]] = {
    "count": ("Count", len),
    "sum": ("Sum", _sum),
    "avg": ("Average", lambda values: _sum(values) / len(values) if values else None),
    "min": ("Minimum", lambda values: min(values, key=Comparison().key, default=None)),
    "max": ("Maximum", lambda values: max(values, key=Comparison().key, default=None)),
    "first": ("First", lambda values: values[0] if values else None),
    "last": ("Last", lambda values: values[-1] if values else None),
    "list": ("List", list),
    "unique": ("Unique values", _unique),
}
NEED_FIELD = ("sum", "avg", "min", "max")


class Aggregate(Schema):
    """One value computed from all items of a group."""

    op = choice("The aggregate function", labels_of(OPERATIONS), required=True, title="Function")
    field = setting(
        PathField(metadata={"type": "string"}), "The value to aggregate: price. Default: the item itself", title="Field"
    )

    @validates_schema
    def has_a_field(self, data: Mapping[str, Any], **kwargs: Any) -> None:
        """Require a field for operations that make no sense for the item itself."""
        if data.get("op") in NEED_FIELD and "field" not in data:
            raise ValidationError(f"Is required for {data['op']}.", "field")


class Group(Node):
    """Groups the items of a list by equal values, or computes sums, averages and other aggregates of each group.

    Groups are in the order of their first items. A missing value counts as null; aggregates ignore it.
    """

    type = "group"
    category = "data"
    icon = "stack-2"
    also = ("aggregate", "summarize", "sum", "count", "average", "pivot", "group by")
    examples = (
        {
            "config": {"by": "city"},
            "input": [{"city": "Rome", "id": 1}, {"city": "Oslo", "id": 2}, {"city": "Rome", "id": 3}],
            "output": [
                {"key": "Rome", "items": [{"city": "Rome", "id": 1}, {"city": "Rome", "id": 3}]},
                {"key": "Oslo", "items": [{"city": "Oslo", "id": 2}]},
            ],
        },
        {
            "config": {
                "items": "{{ input.orders }}",
                "by": ["customer.city"],
                "aggregate": {"orders": {"op": "count"}, "total": {"op": "sum", "field": "total"}},
            },
            "input": {
                "orders": [
                    {"customer": {"city": "Rome"}, "total": 5},
                    {"customer": {"city": "Oslo"}, "total": 7},
                    {"customer": {"city": "Rome"}, "total": 1.5},
                ]
            },
            "output": [{"city": "Rome", "orders": 2, "total": 6.5}, {"city": "Oslo", "orders": 1, "total": 7}],
        },
        {
            "config": {
                "aggregate": {"highest": {"op": "max", "field": "price"}, "tags": {"op": "unique", "field": "tag"}}
            },
            "input": [{"price": 3, "tag": "new"}, {"price": 8}, {"tag": "new"}],
            "output": [{"highest": 8, "tags": ["new"]}],
        },
    )

    class Config(Schema):
        items = items_setting()
        by = many_paths(
            "The values that items of a group share: customer.city. Default: all items are one group", title="Group by"
        )
        aggregate = setting(
            NamedValues(
                keys=fields.String(validate=validate.Length(1, 200)),
                values=fields.Nested(Aggregate),
                validate=validate.Length(1, MAX_AGGREGATES),
            ),
            "The values to compute for each group instead of its list of items: "
            f'{{"total": {{"op": "sum", "field": "price"}}}}; op is one of {", ".join(OPERATIONS)}',
            literal=True,
            lines="json",
            title="Aggregates",
        )

        @validates_schema
        def has_a_purpose(self, data: Mapping[str, Any], **kwargs: Any) -> None:
            """Require at least one of both, with distinct names."""
            if not data.get("by") and not data.get("aggregate"):
                raise ValidationError("Set by or aggregate.", "by")
            if twice := set(names_of(data.get("by", ()))) & set(data.get("aggregate", ())):
                raise ValidationError(f"The name {sorted(twice)[0]!r} is already used by a value of by.", "aggregate")

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        # The shared values and the items of each group, by the identity of the values.
        groups: dict[bytes, tuple[list[Any], list[Any]]] = {} if config["by"] else {identity([]): ([], [])}
        for item in list_of_config(config, input):
            values = [None if (value := read(item, key)) is MISSING else value for key in config["by"]]
            groups.setdefault(identity(values), (values, []))[1].append(item)
        budget, names, aggregate = Budget("the result"), names_of(config["by"]), config.get("aggregate")
        made = []
        for values, items in groups.values():
            keys = dict(zip(names, values, strict=True))
            budget.spend_value(keys)
            if aggregate is None:
                made.append({"key": values[0] if len(values) == 1 else keys, "items": items})
            else:
                made.append({**keys, **_aggregate(items, aggregate, budget)})
        return made


def _aggregate(items: list[Any], aggregate: Mapping[str, Mapping[str, Any]], budget: Budget) -> dict[str, Any]:
    made = {}
    for name, spec in aggregate.items():
        key = spec.get("field", path(""))
        values = [value for item in items if (value := read(item, key)) is not MISSING and value is not None]
        try:
            made[name] = OPERATIONS[spec["op"]][1](values)
        except NodeError as error:
            raise error.at(f"aggregate.{name}") from None
        budget.spend_value({name: made[name]})
    return made


class Separator(Text):
    r"""Separator text. `\n` and `\t` may be written as escapes, because forms cannot enter them."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **kwargs: Any) -> Any:
        text: str = super()._deserialize(value, attr, data, **kwargs)
        return text.replace("\\r", "\r").replace("\\n", "\n").replace("\\t", "\t")


def separator_setting(help: str, **options: Any) -> Any:
    """Return a literal field for the separator of a text's parts."""
    return setting(Separator, help, literal=True, validate=validate.Length(max=100), **options)


class Split(Node):
    """Splits a list into chunks, a text into parts, or each item of a list into one item for each value of a field.

    Items with an empty or missing field are dropped.
    """

    type = "split"
    category = "data"
    icon = "scissors"
    also = ("split out", "loop over items", "batches", "chunk", "iterate", "for each")
    examples = (
        {"config": {"size": 2}, "input": [1, 2, 3, 4, 5], "output": [[1, 2], [3, 4], [5]]},
        {
            "config": {"field": "tags", "separator": ",", "trim": True},
            "input": {"tags": "red, green,,blue "},
            "output": ["red", "green", "blue"],
        },
        {
            "config": {"field": "lines", "keep": True},
            "input": [{"order": 7, "lines": [{"sku": "A"}, {"sku": "B"}]}, {"order": 8, "lines": []}],
            "output": [{"order": 7, "lines": {"sku": "A"}}, {"order": 7, "lines": {"sku": "B"}}],
        },
    )

    class Config(Schema):
        items = anything("The list, object or text to split. Default: the input", title="Items")
        field = one_path(
            "The path of the list to split in the object, or in each item of the list: lines", title="Field"
        )
        size = whole("The number of items in each chunk of a list", 1, MAX_ITEMS, title="Chunk size")
        separator = separator_setting("The text between the parts of a text; \\n is a line break", title="Separator")
        trim = flag("Remove blanks around the parts of a text, and empty parts", False, title="Trim parts")
        keep = flag("Keep the other fields with each split value", False, title="Keep other fields")

        @validates_schema
        def has_one_way(self, data: Mapping[str, Any], **kwargs: Any) -> None:
            """Require exactly one way: chunks, parts of a text, or values of a field."""
            ways = [key for key in ("size", "separator") if key in data]
            if len(ways) == 2 or not (ways or "field" in data):
                raise ValidationError("Set only one of size (for a list), separator (for a text) and field.", "size")
            if data.get("separator") == "":
                raise ValidationError("Must not be empty.", "separator")

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        value = config.get("items", input)
        if "size" not in config and "separator" not in config:
            return _unwind(value if isinstance(value, list) else [value], config["field"], config["keep"])
        if "field" in config:
            value = read(value, config["field"])
            if value is MISSING:
                raise refusal(f"field: {config['field'].whole} does not exist, so it cannot be split")
        if "separator" in config:
            if not isinstance(value, str):
                raise refusal(f"separator requires text, but the value is {kind_of(value)}; set size to split a list")
            between = config["separator"]
            if check_text(value, "the text").count(between) >= MAX_ITEMS:
                raise LimitExceeded(f"the text has more than {MAX_ITEMS:,} parts")
            parts = value.split(between)
            return [bare for part in parts if (bare := part.strip())] if config["trim"] else parts
        if not isinstance(value, list):
            raise refusal(f"size requires a list, but the value is {kind_of(value)}; set separator to split text")
        return [value[start : start + config["size"]] for start in range(0, len(value), config["size"])]


def _unwind(items: list[Any], field: Path, keep: bool) -> list[Any]:
    """Return a copy of each item for each value in its list, alone or in place of the list."""
    budget, made = Budget("the result"), []
    for item in items:
        value = read(item, field)
        if value is MISSING or value is None:
            continue
        values = value if isinstance(value, list) else [value]
        if keep and len(values) > 1:
            budget.spend(size_of(replace(item, field, None), "an item") * len(values))
        made += [replace(item, field, one) for one in values] if keep else values
        check_items(made, "the result")
    return made


# Join node: joins two lists of objects like a database, or the texts of a list to one text.

HOW = {
    "inner": "Matches only (inner)",
    "left": "All of the left list (left)",
    "full": "All of both lists (full)",
    "anti": "Left objects without a match (anti)",
}


class Join(Node):
    """Joins two lists of objects by shared values, as a database does, or joins the texts of one list to one text.

    Null and missing values match nothing.
    """

    type = "join"
    category = "data"
    icon = "table-plus"
    also = ("merge", "lookup", "vlookup", "combine", "compare datasets")
    examples = (
        {
            "config": {
                "left": "{{ input.orders }}",
                "right": "{{ input.customers }}",
                "left_by": "customer_id",
                "right_by": "id",
                "how": "left",
            },
            "input": {
                "orders": [{"id": 1, "customer_id": 7}, {"id": 2, "customer_id": 9}],
                "customers": [{"id": 7, "name": "Ada"}],
            },
            "output": [
                {"id": 1, "customer_id": 7, "right_id": 7, "name": "Ada"},
                {"id": 2, "customer_id": 9, "right_id": None, "name": None},
            ],
        },
        {
            "config": {
                "left": "{{ input.orders }}",
                "right": "{{ input.customers }}",
                "by": "email",
                "nest": "customer",
            },
            "input": {"orders": [{"email": "a@b.c", "total": 5}], "customers": [{"email": "a@b.c", "name": "Ada"}]},
            "output": [{"email": "a@b.c", "total": 5, "customer": {"email": "a@b.c", "name": "Ada"}}],
        },
        {
            "config": {"separator": ", ", "field": "name"},
            "input": [{"name": "Ada"}, {"name": "Grace"}],
            "output": "Ada, Grace",
        },
    )

    class Config(Schema):
        left = anything("The first list of objects. Default: the input", title="Left list")
        right = anything("The second list of objects: {{ steps.customers.body }}", title="Right list")
        by = many_paths("The values that matching objects of both lists share: email, address.country", title="Join by")
        left_by = many_paths("The values of the left list, if their names differ: customer_id", title="Left values")
        right_by = many_paths("The values of the right list, if their names differ: id", title="Right values")
        by_position = flag("Join objects at the same position", False, title="Join by position")
        how = choice("Which objects to keep", HOW, load_default="inner", title="Join type")
        prefix = line(
            "The prefix of keys of the right list that the left has too",
            most=100,
            load_default="right_",
            title="Prefix",
        )
        nest = line(
            "A name under which to put the object of the right list as a whole instead of merging it: customer",
            most=200,
            title="Nest under",
        )
        as_text = flag(
            "Treat 1 and the text 1 as equal, as between a database and a CSV file", False, title="Compare as text"
        )
        items = anything(
            "A list of texts or numbers to join to one text instead of joining two lists", title="Items to join as text"
        )
        separator = separator_setting(
            "The text between joined items; \\n is a line break", load_default=", ", title="Separator"
        )
        field = one_path("The value of each object to join as text: name", title="Field")

        @validates_schema
        def has_keys(self, data: Mapping[str, Any], **kwargs: Any) -> None:
            """Require keys to join two lists by. The second may be an expression, and not in `data` yet."""
            if "right" not in data and "right" not in (kwargs.get("partial") or ()):
                return
            ways = [bool(data.get("by")), bool(data.get("left_by") or data.get("right_by")), data.get("by_position")]
            if sum(map(bool, ways)) != 1:
                raise ValidationError("Set by, or left_by and right_by, or by_position.", "by")
            if len(data.get("left_by", ())) != len(data.get("right_by", ())):
                raise ValidationError("Must have as many paths as left_by.", "right_by")

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        if "right" not in config:
            items = list_of_config(config, input)
            if "field" in config:
                items = [None if (value := read(item, config["field"])) is MISSING else value for item in items]
            parts = []
            for place, item in enumerate(items):
                if isinstance(item, list | dict):
                    raise refusal(f"item {place} is {kind_of(item)}; only texts and numbers can be joined to a text")
                if item is not None:
                    parts.append(text_of(item))
            between: str = config["separator"]
            if sum(map(len, parts)) + len(between) * max(0, len(parts) - 1) > MAX_TEXT:
                raise LimitExceeded(f"the text would exceed the limit of {MAX_TEXT:,} characters")
            return between.join(parts)
        left, right = list_of_config(config, input, "left"), list_of_config(config, None, "right")
        return list(_Joined(config, left, right).rows())


class _Side(NamedTuple):
    """One of the two lists: its rows as returned, the key of each (None: matches nothing), and their sizes. `blank`
    replaces a missing row.
    """

    rows: list[dict[str, Any]]
    keys: list[Any]
    sizes: list[int]
    blank: dict[str, None]
    blank_size: int


def _make_side(rows: list[dict[str, Any]], keys: list[Any], names: list[str]) -> _Side:
    sizes = [size_of(row, "an item") for row in rows]
    return _Side(rows, keys, sizes, dict.fromkeys(names), sum(len(name) + 8 for name in names))


def _make_keys(which: str, rows: list[Any], by: list[Path], config: Mapping[str, Any]) -> list[Any]:
    for place, row in enumerate(rows):
        if not isinstance(row, dict):
            raise refusal(f"{which}: item {place} is {kind_of(row)}; only objects can be joined")
    return list(range(len(rows))) if config["by_position"] else [_make_key(row, by, config["as_text"]) for row in rows]


def _make_key(row: Any, by: list[Path], as_text: bool) -> bytes | None:
    values = [read(row, path) for path in by]
    if any(value is MISSING or value is None for value in values):
        return None
    return identity([text_of(value) for value in values] if as_text else values)


def _rename(left: Iterable[str], right: list[str], shared: set[str], prefix: str) -> dict[str, str]:
    """Return the names of the second list's keys in the result, avoiding those of the first."""
    taken, new = {*left, *right}, {}
    for name in right:
        new[name] = name
        if name in left and name not in shared:
            while new[name] in taken:
                new[name] = prefix + new[name]
            taken.add(new[name])
    return new


class _Joined:
    """A hash join: indexes the second list by its keys, and iterates the first. Linear in input and output."""

    def __init__(self, config: Mapping[str, Any], left: list[Any], right: list[Any]) -> None:
        left_by, right_by = config["by"] or config["left_by"], config["by"] or config["right_by"]
        self.how, self.budget, self.count = config["how"], Budget("the result"), 0
        left_keys, right_keys = _make_keys("left", left, left_by, config), _make_keys("right", right, right_by, config)
        self.left = _make_side(left, left_keys, _list_names(left))
        self.index: dict[Any, list[int]] = {}
        for place, key in enumerate(right_keys):
            if key is not None:
                self.index.setdefault(key, []).append(place)
        self.shared: set[str] = set()
        nest = config.get("nest")
        if nest in self.left.blank:
            raise refusal(f"nest: the left list already has the key {nest}; choose another name")
        if nest is not None:
            self.right = _make_side([{nest: row} for row in right], right_keys, [nest])
            return
        self.shared = {one.whole for one, other in zip(left_by, right_by, strict=True) if one == other}
        new = _rename(self.left.blank, _list_names(right), self.shared, config["prefix"])
        renamed = [{new[name]: value for name, value in row.items()} for row in right]
        self.right = _make_side(renamed, right_keys, [new[name] for name in new if name not in self.shared])

    def rows(self) -> Iterator[dict[str, Any]]:
        """Yield the result in the order of the first list, then the rest of the second."""
        matched: set[int] = set()
        for place, key in enumerate(self.left.keys):
            found = self.index.get(key, [])
            if self.how == "anti":
                if not found:
                    yield self.left.rows[place]
                continue
            if self.how == "full":
                matched.update(found)
            for other in found:
                yield self.pair(place, other)
            if not found and self.how != "inner":
                yield self.pair(place, None)
        if self.how == "full":
            for other in range(len(self.right.rows)):
                if other not in matched:
                    yield self.pair(None, other)

    def pair(self, place: int | None, other: int | None) -> dict[str, Any]:
        """Return a row of both lists; the keys of a missing side are null."""
        left, right = self.left, self.right
        self.count += 1
        if self.count > MAX_ITEMS:
            raise LimitExceeded(f"the result would have more than {MAX_ITEMS:,} items")
        self.budget.spend(left.blank_size if place is None else left.sizes[place])
        self.budget.spend(right.blank_size if other is None else right.sizes[other])
        first = left.blank if place is None else left.rows[place]
        row = {**first, **(right.blank if other is None else right.rows[other])}
        if place is not None:
            # Equal keys may still differ, such as 1 and 1.0.
            row.update((name, first[name]) for name in self.shared if name in first)
        return row


def _list_names(rows: list[Any]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))
