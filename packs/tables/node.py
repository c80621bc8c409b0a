"""Table node: rows of the workspace's tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from constants import OPERATORS
from errors import HeadraceError, NodeError, TooLarge
from fields import Schema
from nodes.base import Context, Node, Tables, Where
from nodes.fields import anything, choice, flag, labels_of, number, text, whole

MAX_LIMIT = 1_000
NOTHING: Where = ((), False)


class TableOperation:
    """One operation of the node on a table. `key` is the idempotency key of its write."""

    def __init__(self, tables: Tables, config: Mapping[str, Any], input: Any, key: str) -> None:
        self.tables, self.config, self.input, self.key = tables, config, input, key
        self.name, self.make = str(config["table"]), bool(config["create"])

    def values(self) -> Any:
        """Return the rows to write. Raises: NodeError if they are not objects."""
        given = self.config.get("values", self.input)
        rows = given if isinstance(given, list) else [given]
        if not all(isinstance(row, Mapping) for row in rows):
            raise NodeError("values: must be an object, or a list of objects, of values by column", permanent=True)
        return given

    def where(self) -> Where:
        return read_where(self.config.get("where"), self.config["match"] == "any")

    def insert(self) -> Any:
        return self._rows(lambda rows: self.tables.insert(self.name, rows, self.key, self.make))

    def upsert(self) -> Any:
        by = self._need("column")
        return self._rows(lambda rows: self.tables.upsert(self.name, rows, by, self.key, self.make))

    def _rows(self, write: Callable[[Sequence[Mapping[str, Any]]], list[dict[str, Any]]]) -> Any:
        """Write rows, and return them: one for an object, a list for a list."""
        given = self.values()
        if isinstance(given, list):
            return write(given)
        found = write([given])
        return found[0] if found else None

    def update(self) -> Any:
        values = self.values()
        if isinstance(values, list):
            raise NodeError("values: must be one object, which all rows that match get", permanent=True)
        return {"updated": self.tables.update(self.name, self.where(), values, self.key)}

    def delete(self) -> Any:
        return {"deleted": self.tables.delete(self.name, self.where(), self.key)}

    def get_one(self) -> Any:
        found = self.tables.select(self.name, self.where(), self.config.get("sort", ""), 1)
        return found[0] if found else None

    def list_rows(self) -> Any:
        return self.tables.select(self.name, self.where(), self.config.get("sort", ""), self.config["limit"])

    def count_rows(self) -> Any:
        return {"count": self.tables.count(self.name, self.where())}

    def increment(self) -> Any:
        by = self.config["by"]
        return self.tables.increment(self.name, self.where(), self._need("column"), by, self.key)

    def _need(self, name: str) -> str:
        if not (found := self.config.get(name)):
            raise NodeError(f"{name} is required for the operation {self.config['operation']}", permanent=True)
        return str(found)


# Label and function of each operation.
OPERATIONS: dict[str, tuple[str, Callable[[TableOperation], Any]]] = {
    "insert": ("Insert rows", TableOperation.insert),
    "upsert": ("Insert or update", TableOperation.upsert),
    "update": ("Update rows", TableOperation.update),
    "delete": ("Delete rows", TableOperation.delete),
    "get": ("Get one row", TableOperation.get_one),
    "list": ("List rows", TableOperation.list_rows),
    "count": ("Count rows", TableOperation.count_rows),
    "increment": ("Increment a number", TableOperation.increment),
}


class TableNode(Node):
    """Reads and writes rows of the workspace's tables, which all of its flows share."""

    type = "table"
    category = "storage"
    icon = "table"
    title = "Table"
    also = ("data table", "database", "rows", "spreadsheet", "upsert", "insert", "records")
    pure = False
    examples = (
        {
            "config": {
                "operation": "upsert",
                "table": "customers",
                "column": "email",
                "values": {"email": "{{ input.email }}", "orders": 1},
            },
            "input": {"email": "ada@example.com"},
            "output": {
                "id": "row_01ARZ3NDEKTSV4RRFFQ69G5FAV",
                "email": "ada@example.com",
                "orders": 1,
                "created_at": "2026-01-05T07:20:00.000Z",
                "updated_at": "2026-01-05T07:20:00.000Z",
            },
        },
        {
            "config": {
                "operation": "list",
                "table": "customers",
                "where": {"orders": {"gte": 10}},
                "sort": "-orders",
                "limit": 2,
            },
            "input": None,
            "output": [
                {
                    "id": "row_01ARZ3NDEKTSV4RRFFQ69G5FAV",
                    "email": "ada@example.com",
                    "orders": 12,
                    "created_at": "2026-01-05T07:20:00.000Z",
                    "updated_at": "2026-02-01T08:00:00.000Z",
                }
            ],
        },
    )

    class Config(Schema):
        operation = choice("The operation on the rows", labels_of(OPERATIONS), required=True, title="Operation")
        table = text(
            "The name of the table, as on the page Tables", most=100, required=True, title="Table", names="table"
        )
        values = anything(
            "For insert, upsert and update: an object of values by column, or a list of such objects. Default: the "
            "input",
            title="Values",
            fields_of={"setting": "table", "when": {"operation": ["insert", "upsert", "update"]}},
        )
        where = anything(
            'Which rows: an object of values by column, {"status": "open", "total": {"gte": 100}}. The operators: '
            + ", ".join(OPERATORS),
            title="Where",
        )
        match = choice(
            "Choose the rows that satisfy all conditions, or any of them",
            {"all": "All conditions", "any": "Any condition"},
            load_default="all",
            title="Match",
        )
        column = text(
            "For upsert: the column by which a present row is found. For increment: the column to add to",
            most=100,
            title="Column",
            names="column",
        )
        by = number("For increment: the number to add", -1e15, 1e15, literal=False, load_default=1, title="Add")
        sort = text(
            "For get and list: the column to sort by; with a minus before it, the largest first. Default: oldest first",
            most=100,
            title="Sort by",
            names="column",
        )
        limit = whole("For list: at most so many rows", 1, MAX_LIMIT, literal=False, load_default=100, title="Limit")
        create = flag(
            "For insert and upsert: create the table and the columns that it lacks",
            False,
            title="Create table and columns",
        )

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        if ctx.store is None:
            raise NodeError("tables are not available here", permanent=True)
        call = TableOperation(ctx.store.tables, config, input, ctx.idempotency_key)
        try:
            return OPERATIONS[config["operation"]][1](call)
        except HeadraceError as error:
            raise NodeError(error.message, True, kind="limit" if isinstance(error, TooLarge) else None) from None


def read_where(given: Any, is_any: bool = False) -> Where:
    """Return the conditions of an object such as `{"status": "open", "total": {"gte": 5}}`. Raises: NodeError.

    An object as a value has operators as its keys.
    """
    if given is None:
        return NOTHING
    if not isinstance(given, Mapping):
        raise NodeError('where: must be an object of values by column, such as {"status": "open"}', permanent=True)
    found: list[tuple[str, str, Any]] = []
    for column, wanted in given.items():
        if not isinstance(wanted, Mapping):
            found.append((column, "eq", wanted))
            continue
        unknown = [name for name in wanted if name not in OPERATORS]
        if unknown or not wanted:
            known = ", ".join(OPERATORS)
            raise NodeError(f"where.{column}: {str(unknown[:1])[1:-1] or 'an operator'} must be one of {known}", True)
        found += [(column, operator, value) for operator, value in wanted.items()]
    return found, is_any
