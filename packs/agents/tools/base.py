"""Base of all families of tools: creating a tool, and truncating its results for a model."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from errors import HeadraceError, NodeError
from nodes.base import Context
from nodes.limits import MAX_INTEGER, MIN_INTEGER, size_of
from packs.agents.definition import ToolSpec
from packs.agents.runtime.types import PendingResult, Tool
from parsers.json_schema import issues_of

if TYPE_CHECKING:
    from packs.agents.services import AgentServices

MAX_SHOWN = 20_000  # characters of a result, about 5,000 tokens
MAX_ERROR, MAX_ISSUE = 4_000, 500
MAX_NAME, MAX_DESCRIPTION = 64, 2_000  # characters
MAX_ARGUMENTS = 200_000  # characters of JSON
MAX_DEPTH = 50
CALL_SECONDS = 60.0
KEY_ROOM = 60  # minimum of characters for each key of an object with its value
UNCUT = 10**9  # room for values known to fit
NOTE_ROOM = 36  # characters reserved for a note about the truncation


@dataclass(frozen=True, slots=True)
class ToolContext:
    """Everything needed to create the tools of one run of an agent. `input` is the agent's input, for code.

    `credentials` has a credential for each type of tool whose spec names none. `listings` (JSON) has the lists of tools
    from servers and of callable flows; new lists are added to it. At a resumption, it recreates the same tools,
    whatever has changed, without new requests. `aliases` maps other names to tools, as a definition may use them.
    """

    ctx: Context
    agents: AgentServices
    agent_id: str
    session: str
    credentials: Mapping[str, str]
    input: Any = None
    listings: dict[str, Any] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)

    def credential_name(self, spec: ToolSpec) -> str | None:
        """Return the spec's credential, or the default for its type."""
        return spec.options.get("credential") or self.credentials.get(spec.type)

    def need_credential(self, spec: ToolSpec, what: str) -> str:
        """Do the same. Raises: NodeError if there is none."""
        name = self.credential_name(spec)
        if not name:
            raise NodeError(
                f"the tool {spec.type} needs a credential {what}: set it in the tool's credential, or pass one to the "
                f'run, as credentials: {{"{spec.type}": "its name"}}',
                permanent=True,
            )
        return name

    def tool(
        self,
        name: str,
        description: str,
        properties: Mapping[str, Any],
        call: Callable[[dict[str, Any], str], Any],
        *,
        required: Sequence[str] = (),
        repeatable: bool | Callable[[dict[str, Any]], bool] = False,
        most: int = MAX_SHOWN,
    ) -> Tool:
        """Create a tool whose arguments have exactly these properties. Results are truncated to `most` characters."""
        parameters = {
            "type": "object",
            "properties": dict(properties),
            "required": list(required),
            "additionalProperties": False,
        }
        return self.foreign_tool(name, description, parameters, call, most=most, repeatable=repeatable)

    def foreign_tool(
        self,
        name: str,
        description: str,
        parameters: Mapping[str, Any],
        call: Callable[[dict[str, Any], str], Any],
        *,
        most: int = MAX_SHOWN,
        **options: Any,
    ) -> Tool:
        """Create a tool with an argument schema from outside."""
        if "resume" in options:
            options["resume"] = functools.partial(self._truncate_result, most, options["resume"])

        def call_in_time(arguments: dict[str, Any], key: str) -> Any:
            self.ctx.seconds_left(CALL_SECONDS)
            return self._truncate_result(most, call, arguments, key)

        return Tool(name, description, parameters, call_in_time, **options)

    def _truncate_result(self, most: int, make: Callable[..., Any], *args: Any) -> Any:
        """Return the truncated result of `make`. Raises: NodeError."""
        try:
            result = make(*args)
        except HeadraceError as error:
            raise NodeError(_cut_text(error.message, MAX_ERROR, self.ctx.clean), permanent=True) from None
        return result if isinstance(result, PendingResult) else shorten(result, most, self.ctx.clean)


def text(help: str, most: int, least: int = 1) -> dict[str, Any]:
    """Return the JSON Schema of an argument: a text of `least` to `most` characters."""
    return {"type": "string", **({"minLength": least} if least else {}), "maxLength": most, "description": help}


def _cut_text(text: str, room: int, clean: Callable[[str], str] = str) -> str:
    return _Cutter(clean).text(text, room)


def find_issues(
    tool: Tool, arguments: Any, clean: Callable[[str], str] = str, workspace_id: str | None = None
) -> list[str]:
    """Return the issues of these arguments, redacted by `clean`, for the model of this workspace to correct."""
    if not isinstance(arguments, dict):
        return ["the arguments must be a JSON object"]
    try:
        size_of(arguments, "the object of the arguments", MAX_ARGUMENTS)
        found = issues_of(tool.parameters, arguments, clean, workspace_id)
        return [_cut_text(f"{issue['path'] or 'arguments'}: {issue['message']}", MAX_ISSUE) for issue in found]
    except NodeError as error:
        return [_cut_text(clean(error.message), MAX_ERROR)]


# Truncation of results


def shorten(value: Any, max_chars: int = MAX_SHOWN, clean: Callable[[str], str] = str) -> Any:
    """Return the value as JSON of about `max_chars` characters: long parts are truncated, with a note of how much.

    `clean` redacts secrets before truncation, because half of a secret could not be found later.
    """
    return _Cutter(clean).cut(value, max_chars, 0)


class _Cutter:
    def __init__(self, clean: Callable[[str], str]) -> None:
        self.clean = clean

    def cut(self, value: Any, room: int, depth: int) -> Any:
        if isinstance(value, str):
            return self.text(value, room)
        if isinstance(value, Mapping | list | tuple) and depth >= MAX_DEPTH:
            return "(nested too deeply to be shown)"
        if isinstance(value, Mapping | list | tuple) and _size(value, room) <= room:
            room = UNCUT
        if isinstance(value, Mapping):
            return self.object(value, room, depth)
        if isinstance(value, list | tuple):
            return self.list(value, room, depth)
        return self.scalar(value)

    def scalar(self, value: Any) -> Any:
        """Return a scalar; as text if JSON, or common readers of it, do not support it."""
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int):
            return int(value) if MIN_INTEGER <= value <= MAX_INTEGER else str(value)[:100]
        if isinstance(value, float):
            return value if math.isfinite(value) else str(value)
        return self.text(str(value), 1_000)

    def text(self, text: str, room: int) -> str:
        if len(text) > room - 2:
            kept = max(0, room - 2 - NOTE_ROOM)
            text = f"{self.clean(text[:kept])}… ({len(text) - kept:,} more characters were cut)"
        # Half a surrogate pair is valid text in Python, but not Unicode.
        return text.encode("utf-8", "replace").decode()

    def list(self, items: Sequence[Any], room: int, depth: int) -> list[Any]:
        """Return the first items that fit; the first one always, truncated if necessary."""
        kept: list[Any] = []
        room -= 2
        for number, item in enumerate(items):
            size = _size(item, room) + 2
            if size > room and number:
                kept.append(f"… ({len(items) - number:,} more items were cut)")
                break
            kept.append(self.cut(item, room, depth + 1))
            room -= size
        return kept

    def object(self, members: Mapping[Any, Any], room: int, depth: int) -> dict[str, Any]:
        """Return all members as far as they fit: small ones whole, the others sharing the remaining room."""
        most = max(1, room // KEY_ROOM)
        names = list(members)[:most]
        sizes = {name: _size(members[name], room) + len(str(name)) + 4 for name in names}
        rooms: dict[Any, int] = {}
        left = room - 2
        for number, name in enumerate(sorted(names, key=sizes.__getitem__)):
            rooms[name] = min(sizes[name], max(KEY_ROOM, left // (len(names) - number)))
            left -= rooms[name]
        cut: dict[str, Any] = {}
        for name in names:
            shown = self.text(str(name), max(KEY_ROOM // 2, rooms[name] // 2))
            shown = f"{shown} {len(cut)}" if shown in cut else shown
            cut[shown] = self.cut(members[name], rooms[name] - len(shown) - 4, depth + 1)
        if len(members) > most:
            cut["…"] = f"({len(members) - most:,} more keys were cut)"
        return cut


def _size(value: Any, most: int) -> int:
    """Estimate the characters of JSON of the value; stops above `most`."""
    size, todo = 0, [value]
    while todo and size <= most:
        part = todo.pop()
        if isinstance(part, str):
            size += len(part) + 2
        elif isinstance(part, Mapping):
            size += 2 + 4 * len(part)
            if size <= most:
                size += sum(len(str(key)) for key in part)
                todo += part.values()
        elif isinstance(part, list | tuple):
            size += 2 + 2 * len(part)
            if size <= most:
                todo += part
        elif isinstance(part, int):
            size += 2 + (part.bit_length() >> 2)
        else:
            size += len(str(part))
    return size
