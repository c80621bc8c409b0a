"""Join node: joins two lists of objects like a database, or the texts of a list to one text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from marshmallow import ValidationError, validates_schema

from errors import LimitExceeded
from fields import Schema
from nodes.base import Context, Node
from nodes.data.lists import MISSING, Path, identity, many_paths, one_path, read, separator_setting
from nodes.fields import anything, choice, flag, kind_of, line, text_of
from nodes.limits import MAX_ITEMS, MAX_TEXT, Budget, list_of_config, refusal, size_of

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
        by_position = flag("Whether to join objects at the same position", False, title="Join by position")
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
            "Whether 1 and the text 1 are equal, as between a database and a CSV file", False, title="Compare as text"
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
