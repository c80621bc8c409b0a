"""Annotations of a definition: notes and groups on the canvas, and their validation. No plan contains them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from .node_graph import ID, MAX_ID, MAX_NAME, Issues, report_unknown_keys
from .schema import GROUP, MAX_COORDINATE, MAX_GROUPS, MAX_NOTES, NOTE, get_bounds, get_enum

NOTE_KEYS, GROUP_KEYS = tuple(NOTE["properties"]), tuple(GROUP["properties"])


def check_annotations(definition: dict[str, Any], nodes: Collection[str], issues: Issues) -> None:
    """Report issues of the notes and groups of a definition with these node ids."""
    for path, note in _items(definition, "notes", MAX_NOTES, issues):
        _check_note(path, note, issues)
    taken: dict[str, str] = {}
    for path, group in _items(definition, "groups", MAX_GROUPS, issues):
        report_unknown_keys(group, GROUP_KEYS, path, issues)
        _check_text(path, group, "name", MAX_NAME, issues)
        _check_color(path, group, GROUP, issues)
        if not isinstance(group.get("folded", False), bool):
            issues.add(f"{path}.folded", "must be true or false")
        _check_members(path, group, nodes, taken, issues)


def _items(definition: dict[str, Any], key: str, most: int, issues: Issues) -> list[tuple[str, dict[str, Any]]]:
    """Return the objects of a list with their paths, and report a wrong list and wrong ids."""
    raw = definition.get(key)
    if raw is None:
        return []
    if not isinstance(raw, list):
        issues.add(key, "must be a list")
        return []
    if len(raw) > most:
        issues.add(key, f"has {len(raw)} entries; the limit is {most}")
        return []
    seen: set[str] = set()
    found = []
    for index, item in enumerate(raw):
        path = f"{key}[{index}]"
        if not isinstance(item, dict):
            issues.add(path, 'must be an object with the key "id"')
            continue
        id_ = item.get("id")
        if not isinstance(id_, str) or not ID.match(id_) or len(id_) > MAX_ID:
            issues.add(f"{path}.id", "is required: letters, digits and _, not starting with a digit")
        elif id_ in seen:
            issues.add(f"{path}.id", f"the id {id_!r} is used twice in {key}; ids must be unique")
        else:
            seen.add(id_)
        found.append((path, item))
    return found


def _check_note(path: str, note: dict[str, Any], issues: Issues) -> None:
    report_unknown_keys(note, NOTE_KEYS, path, issues)
    _check_text(path, note, "text", NOTE["properties"]["text"]["maxLength"], issues)
    _check_color(path, note, NOTE, issues)
    for key in ("width", "height"):
        low, high = get_bounds(NOTE, key)
        if not _is_number(note.get(key, low), low, high):
            issues.add(f"{path}.{key}", f"must be a number from {low:g} to {high:g}")
    position = note.get("position")
    if position is not None and not (
        isinstance(position, dict)
        and position.keys() <= {"x", "y"}
        and all(_is_number(value, -MAX_COORDINATE, MAX_COORDINATE) for value in position.values())
    ):
        issues.add(f"{path}.position", f'must be {{"x": number, "y": number}}, at most {MAX_COORDINATE:,} from 0')


def _check_text(path: str, raw: dict[str, Any], key: str, most: int, issues: Issues) -> None:
    value = raw.get(key, "")
    if not isinstance(value, str) or len(value) > most:
        issues.add(f"{path}.{key}", f"must be text of at most {most:,} characters")


def _check_color(path: str, raw: dict[str, Any], schema: dict[str, Any], issues: Issues) -> None:
    allowed = get_enum(schema, "color")
    if raw.get("color", allowed[0]) not in allowed:
        issues.add(f"{path}.color", f"must be one of: {', '.join(allowed)}")


def _check_members(
    path: str, group: dict[str, Any], nodes: Collection[str], taken: dict[str, str], issues: Issues
) -> None:
    """Report members that do not exist or are in a group already; `taken` has the path of the group of each node."""
    members = group.get("nodes")
    if not isinstance(members, list) or not members:
        issues.add(f"{path}.nodes", "must be a list of at least one node id")
        return
    for index, id_ in enumerate(members):
        if issues.is_full:
            break
        if not isinstance(id_, str) or id_ not in nodes:
            issues.add(f"{path}.nodes[{index}]", f"there is no node {str(id_)[:MAX_ID]!r}")
        elif id_ in taken:
            issues.add(f"{path}.nodes[{index}]", f"{id_!r} is in {taken[id_]} already; a node is in one group", id_)
        else:
            taken[id_] = path


def _is_number(value: Any, low: float, high: float) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high
