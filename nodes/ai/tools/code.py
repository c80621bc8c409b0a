"""The tool with which an agent computes: Python in the sandbox of the node `code`."""

from __future__ import annotations

from typing import Any

from agent.definition import ToolSpec
from agent.tools import Tool
from errors import NodeError
from nodes.ai.tools.base import Bench

SECONDS, MEMORY_MB, MOST_CODE = 20.0, 128, 50_000


def tools(spec: ToolSpec, bench: Bench) -> list[Tool]:
    """The tool `run_code`."""
    properties = {
        "code": {"type": "string", "minLength": 1, "maxLength": MOST_CODE, "description": "The Python source."},
        "input": {"description": "What the name input is in the code; without it, the input of this task."},
    }
    description = (
        "Run Python in a sandbox without files, network or packages (json, math, re, datetime and a few others are "
        "there). result is the value of the last expression, which must be JSON; printed is what it printed. Nothing "
        f"stays from one call to the next. At most {SECONDS:g} seconds and {MEMORY_MB} MB."
    )

    def call(arguments: dict[str, Any], key: str) -> Any:
        ctx = bench.ctx
        if ctx.services is None:
            raise NodeError("there is no sandbox here to run code in", permanent=True)
        printed: list[str] = []
        given = {"input": arguments.get("input", bench.input)}
        result = ctx.services.sandbox().run(
            arguments["code"], given, ctx.seconds_left(SECONDS), MEMORY_MB, printed.append
        )
        return {"result": result, "printed": "\n".join(printed)}

    return [bench.tool("run_code", description, properties, call, required=["code"], repeatable=True)]
