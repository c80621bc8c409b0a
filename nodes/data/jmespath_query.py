"""JMESPath queries with a limit on their work.

The library has none: `[@,@]|[@,@]|…` doubles its result with every pair, and a query of a thousand characters over a
long list runs for minutes. So each visited part of the query costs one unit, and a copied value costs its size.
"""

from __future__ import annotations

import base64
import functools
from contextlib import suppress
from typing import Any

import orjson

from errors import LimitExceeded, NodeError
from nodes.fields import kind_of, text_of
from nodes.limits import has_too_many_parts

MAX_QUERY = 2_000
MAX_WORK = 5_000_000
COPYING = {"literal", "multi_select_list", "multi_select_dict"}  # parts of a query whose result costs its size


class WorkBudgetExceeded(Exception):
    """The query exceeded its work budget."""


@functools.lru_cache(maxsize=256)
def compile_query(query: str) -> Any:
    """Return the parsed query. Raises: NodeError with the error and its position."""
    import jmespath
    from jmespath.exceptions import JMESPathError, ParseError

    try:
        return jmespath.compile(query).parsed
    except ParseError as error:
        where = "its end" if error.lex_position >= len(query) else f"column {error.lex_position + 1}"
        raise NodeError(f"Is not JMESPath: error at {where}", permanent=True) from None
    except JMESPathError as error:
        raise NodeError(f"Is not JMESPath: {str(error).splitlines()[0]}", permanent=True) from None
    except RecursionError:
        raise LimitExceeded("Is not JMESPath: it is nested too deeply") from None


def search(query: str, data: Any) -> Any:
    """Return the result of the query on `data`. Raises: NodeError if it fails or exceeds its budget."""
    from jmespath.exceptions import JMESPathError

    parsed = compile_query(query)
    interpreter = _interpreter()()
    try:
        result = interpreter.visit(parsed, data)
        interpreter.pay_for(result)
    except WorkBudgetExceeded:
        raise NodeError("the query does too much work, or its result is too large", permanent=True) from None
    except JMESPathError as error:
        raise NodeError(f"the query failed: {error}", permanent=True) from None
    except (RecursionError, TypeError, ValueError, OverflowError) as error:
        raise NodeError(f"the query failed: {type(error).__name__}: {error}", permanent=True) from None
    return result


@functools.cache
def _interpreter() -> Any:
    """Return the class of limited interpreters, created at the first query because its base is slow to import."""
    from jmespath.visitor import TreeInterpreter

    class BoundedInterpreter(TreeInterpreter):
        """An interpreter with a work budget."""

        def __init__(self) -> None:
            super().__init__()
            self.left = MAX_WORK

        def pay(self, units: int) -> None:
            self.left -= units
            if self.left < 0:
                raise WorkBudgetExceeded

        def pay_for(self, value: Any) -> None:
            """Spend the size of a value as written, counting repeated parts each time."""
            todo = [value]
            while todo:
                part = todo.pop()
                self.pay(1)
                if isinstance(part, str):
                    self.pay(len(part) // 16)
                elif isinstance(part, list | dict):
                    todo.extend(part.values() if isinstance(part, dict) else part)

        def visit(self, node: Any, *args: Any, **kwargs: Any) -> Any:
            self.pay(1)
            result = super().visit(node, *args, **kwargs)
            if node["type"] in COPYING:
                self.pay_for(result)
            return result

        def visit_function_expression(self, node: Any, value: Any) -> Any:
            args = [self.visit(child, value) for child in node["children"]]
            if node["value"] == "join" and len(args) == 2 and isinstance(args[1], list):
                glue, parts = args
                self.pay(sum(len(part) + len(glue) for part in parts if isinstance(part, str)) // 16)
            return self._functions.call_function(node["value"], args)  # type: ignore[attr-defined]

    return BoundedInterpreter


# Messages of brokers and databases that send bytes: their values, and the keys by which they are recognized.


def read_payload(payload: bytes) -> Any:
    """Return a message as JSON if it is valid, else as text, else as `{"base64": …}`."""
    with suppress(orjson.JSONDecodeError):  # most messages are not JSON
        if not has_too_many_parts(payload):
            return orjson.loads(payload)
    try:
        return payload.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(payload).decode()}


def make_key(path: str | None, value: Any) -> str:
    """Return the key of a message by this JMESPath; empty if it has none."""
    found = None if path is None else search(path, value)
    return "" if found is None or found == "" else f"{kind_of(found)} {text_of(found)}"
