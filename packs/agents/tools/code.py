"""Code tool: Python in the sandbox of the node `code`."""

from __future__ import annotations

from typing import Any

from errors import NodeError
from packs.agents.definition import ToolSpec
from packs.agents.runtime.tools import Tool
from packs.agents.tools.base import ToolContext, text

SECONDS, MEMORY_MB, MAX_CODE = 20.0, 128, 50_000


def tools(spec: ToolSpec, tool_ctx: ToolContext) -> list[Tool]:
    """Return the tool `run_code`."""
    properties = {
        "code": text("The Python source.", MAX_CODE),
        "input": {"description": "The value of the name input in the code. Default: the input of this task."},
    }
    description = (
        "Run Python in a sandbox without files, network or packages (json, math, re, datetime and a few others are "
        "available). result is the value of the last expression, which must be JSON; printed is the printed text. No "
        f"state is kept between calls. Limits: {SECONDS:g} seconds and {MEMORY_MB} MB."
    )

    def call(arguments: dict[str, Any], key: str) -> Any:
        ctx = tool_ctx.ctx
        if ctx.services is None:
            raise NodeError("the sandbox is not available here", permanent=True)
        printed: list[str] = []
        given, left = {"input": arguments.get("input", tool_ctx.input)}, ctx.seconds_left(SECONDS)
        result = ctx.services.sandbox().run(arguments["code"], given, left, MEMORY_MB, printed.append)
        return {"result": result, "printed": "\n".join(printed)}

    return [tool_ctx.tool("run_code", description, properties, call, required=["code"], repeatable=True)]
