"""What all families of tools share: how a tool is made, and how much of a result a model is shown."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agent.definition import ToolSpec
from agent.tools import Later, Tool
from errors import HeadraceError, NodeError
from json_schema import issues_of
from nodes.base import Agents, Context
from nodes.limits import GREATEST, LEAST, size_of

MOST_SHOWN = 20_000  # characters of a result, about: some 5,000 tokens
MOST_ERROR, MOST_ISSUE = 4_000, 500
MOST_NAME, MOST_DESCRIPTION = 64, 2_000  # characters
MOST_ARGUMENTS = 200_000  # characters of JSON
MOST_DEPTH = 50
CALL_SECONDS = 60.0
KEY_ROOM = 60  # characters that each key of an object may have at least, its value with it
UNCUT = 10**9  # room for what is known to fit
NOTE_ROOM = 36  # of those, what it takes to say how much was cut


@dataclass(frozen=True, slots=True)
class Bench:
    """What the tools of one run of an agent are made with. `input` is the agent's; `credentials` names one for a type
    of tools. `listings` are what others have listed for it (`Toolbox.listings`), and what they list is noted there.
    `aliases` has other names by which a definition may speak of the tools of a spec.
    """

    ctx: Context
    agents: Agents
    agent_id: str
    session: str
    credentials: Mapping[str, str]
    input: Any = None
    listings: dict[str, Any] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)

    def credential_name(self, spec: ToolSpec) -> str | None:
        """The credential that the spec names, else the one that whoever runs the agent gave for its type."""
        return spec.options.get("credential") or self.credentials.get(spec.type)

    def need_credential(self, spec: ToolSpec, what: str) -> str:
        """The same; NodeError where there is none."""
        name = self.credential_name(spec)
        if not name:
            raise NodeError(
                f"the tool {spec.type} needs a credential: {what}; name it in the tool's credential, or give one with "
                f'the run, as credentials: {{"{spec.type}": "its name"}}',
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
        most: int = MOST_SHOWN,
    ) -> Tool:
        """A tool of ours, whose arguments have these properties and no others. Of a result, `most` characters are
        shown.
        """
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
        most: int = MOST_SHOWN,
        **options: Any,
    ) -> Tool:
        """A tool with the schema that somebody else wrote for its arguments."""
        if "resume" in options:
            options["resume"] = functools.partial(self._told, most, options["resume"])
        return Tool(name, description, parameters, functools.partial(self._call, most, call), **options)

    def _call(self, most: int, call: Callable[[dict[str, Any], str], Any], arguments: dict[str, Any], key: str) -> Any:
        self.ctx.seconds_left(CALL_SECONDS)
        return self._told(most, call, arguments, key)

    def _told(self, most: int, make: Callable[..., Any], *args: Any) -> Any:
        """What a model is told of what `make` gives; NodeError."""
        try:
            result = make(*args)
        except HeadraceError as error:
            raise NodeError(_cut_text(error.message, MOST_ERROR, self.ctx.clean), permanent=True) from None
        return result if isinstance(result, Later) else shortened(result, most, self.ctx.clean)


def _cut_text(text: str, room: int, clean: Callable[[str], str] = str) -> str:
    return _Cutter(clean).text(text, room)


def checked(tool: Tool, arguments: Any, clean: Callable[[str], str] = str) -> list[str]:
    """What is wrong with these arguments for the tool, for the model to mend; `clean` takes secrets out of it."""
    if not isinstance(arguments, dict):
        return ["the arguments must be a JSON object"]
    try:
        size_of(arguments, "the object of the arguments", MOST_ARGUMENTS)
        found = issues_of(tool.parameters, arguments, clean)
        return [_cut_text(f"{issue['path'] or 'arguments'}: {issue['message']}", MOST_ISSUE) for issue in found]
    except NodeError as error:
        return [_cut_text(clean(error.message), MOST_ERROR)]


# How much of a result is shown


def shortened(value: Any, max_chars: int = MOST_SHOWN, clean: Callable[[str], str] = str) -> Any:
    """The value as JSON of about so many characters: what is too long in it is cut, and says how much that was.

    `clean` takes pieces of secrets out of what is cut, for half a secret is not found any more later on.
    """
    return _Cutter(clean).cut(value, max_chars, 0)


class _Cutter:
    def __init__(self, clean: Callable[[str], str]) -> None:
        self.clean = clean

    def cut(self, value: Any, room: int, depth: int) -> Any:
        if isinstance(value, str):
            return self.text(value, room)
        if isinstance(value, Mapping | list | tuple) and depth >= MOST_DEPTH:
            return "(nested too deeply to be shown)"
        if isinstance(value, Mapping | list | tuple) and _size(value, room) <= room:
            room = UNCUT
        if isinstance(value, Mapping):
            return self.object(value, room, depth)
        if isinstance(value, list | tuple):
            return self.list(value, room, depth)
        return self.scalar(value)

    def scalar(self, value: Any) -> Any:
        """A value that JSON has no kind for is text, as a number is that its readers would not take."""
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int):
            return int(value) if LEAST <= value <= GREATEST else str(value)[:100]
        if isinstance(value, float):
            return value if math.isfinite(value) else str(value)
        return self.text(str(value), 1_000)

    def text(self, text: str, room: int) -> str:
        if len(text) > room - 2:
            kept = max(0, room - 2 - NOTE_ROOM)
            text = f"{self.clean(text[:kept])}… ({len(text) - kept:,} more characters were cut)"
        # Half a surrogate pair is text to Python, but no Unicode.
        return text.encode("utf-8", "replace").decode()

    def list(self, items: Sequence[Any], room: int, depth: int) -> list[Any]:
        """The first items, whole as far as they fit; the first one is shown in any case, cut if need be."""
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
        """All that fits of every member: the small ones whole, the others as large as they may be beside these."""
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
    """About how many characters of JSON the value has; something above `most` where it has more."""
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
