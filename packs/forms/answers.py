"""Answers of an HTML form: what a browser sent for each field as values, or as what to do about it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, TypeAlias

from nodes.core.waits import EMAIL, MAX_LENGTHS, TIME, list_inputs

Item: TypeAlias = Mapping[str, Any]
Texts: TypeAlias = dict[str, list[str]]  # the sent texts, by the name of the field

MAX_PREFILLED = 200  # values of a field in an address
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
IS_EMAIL, IS_TIME = re.compile(EMAIL), re.compile(TIME)
NUMBER = re.compile(r"[+-]?(\d{1,15}(\.\d{0,15})?|\.\d{1,15})\Z")


class InvalidAnswer(Exception):
    """A problem of an answer: a sentence with the correction."""


def make_start_texts(items: Sequence[Item], query: Mapping[str, Sequence[str]]) -> Texts:
    """Return the texts of a form that was just opened: its defaults, and values from the address.

    A value that the field would not accept is left out.
    """
    found = {}
    for item in list_inputs(items):
        if item["kind"] == "file":
            continue
        found[item["name"]] = _write_default(item.get("default"))
        given = list(query.get(item["name"], ()))[:MAX_PREFILLED] if item.get("prefill") else []
        if given and _is_valid({**item, "required": False}, given):
            found[item["name"]] = given
    return found


def take_texts(items: Sequence[Item], sent: Mapping[str, Sequence[str]]) -> Texts:
    """Return the sent texts of the form's fields. A hidden field that the address may not fill in keeps its default."""
    found = {}
    for item in list_inputs(items):
        if item["kind"] == "hidden" and not item.get("prefill"):
            found[item["name"]] = _write_default(item.get("default"))
        elif item["kind"] != "file":
            found[item["name"]] = list(sent.get(item["name"], ()))[: len(item.get("options", ())) or 1]
    return found


def read_answers(items: Sequence[Item], texts: Texts) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the answers by the name of the field, without files, and the problems by name."""
    answers, problems = {}, {}
    for item in list_inputs(items):
        if item["kind"] == "file":
            continue
        try:
            answers[item["name"]] = read_answer(item, texts.get(item["name"], []))
        except InvalidAnswer as problem:
            problems[item["name"]] = str(problem)
    return answers, problems


def read_answer(item: Item, texts: Sequence[str]) -> Any:
    """Return the answer to one field: None if it was left empty. Raises: InvalidAnswer."""
    kind = item["kind"]
    if kind == "checkbox":
        is_checked = texts[:1] == ["true"]
        if item.get("required") and not is_checked:
            raise InvalidAnswer(f"Check “{get_label(item)}” to go on.")
        return is_checked
    if kind == "choices":
        return _read_choices(item, texts)
    text = CONTROL.sub("", (texts[0] if texts else "").replace("\r\n", "\n").replace("\r", "\n")).strip()
    if not text:
        if item.get("required"):
            verb = "Choose an answer for" if kind == "choice" else "Fill in"
            raise InvalidAnswer(f"{verb} “{get_label(item)}”.")
        return None
    return READERS[kind](item, text)


def get_label(item: Item) -> str:
    """Return the label of a field."""
    return str(item.get("title") or item["name"])


def _is_valid(item: Item, texts: Sequence[str]) -> bool:
    try:
        read_answer(item, texts)
    except InvalidAnswer:
        return False
    return True


def _write_default(value: Any) -> list[str]:
    """Return the texts of a default, as a browser would send them."""
    if value is None or value is False:
        return []
    if isinstance(value, list):
        return [str(one) for one in value]
    if isinstance(value, float) and value.is_integer():
        return [str(int(value))]
    return ["true" if value is True else str(value)]


def _read_choices(item: Item, texts: Sequence[str]) -> list[str]:
    chosen = [option for option in item["options"] if option in texts]
    fewest, most = int(item.get("min", 0)), int(item.get("max", len(item["options"])))
    if not chosen and item.get("required"):
        raise InvalidAnswer(f"Choose at least one answer for “{get_label(item)}”.")
    if chosen and len(chosen) < fewest:
        raise InvalidAnswer(f"Choose at least {fewest} answers for “{get_label(item)}”.")
    if len(chosen) > most:
        raise InvalidAnswer(f"Choose at most {most} {'answer' if most == 1 else 'answers'} for “{get_label(item)}”.")
    return chosen


def _read_text(item: Item, text: str) -> str:
    least, most = int(item.get("min", 0)), int(item.get("max", MAX_LENGTHS[item["kind"]]))
    if len(text) > most:
        raise InvalidAnswer(f"Shorten “{get_label(item)}” to {most:,} characters; it has {len(text):,}.")
    if len(text) < least:
        raise InvalidAnswer(f"Write at least {least:,} characters for “{get_label(item)}”.")
    return text


def _read_email(item: Item, text: str) -> str:
    if len(text) > MAX_LENGTHS["email"] or not IS_EMAIL.match(text):
        raise InvalidAnswer(f"Enter an e-mail address such as name@example.com for “{get_label(item)}”.")
    return text


def _read_number(item: Item, text: str) -> float:
    if not NUMBER.match(text):
        example = "12" if item.get("integer") else "12 or 12.5"
        raise InvalidAnswer(f"Enter a number such as {example} for “{get_label(item)}”.")
    number = float(text)
    if item.get("integer") and not number.is_integer():
        raise InvalidAnswer(f"Enter a whole number for “{get_label(item)}”.")
    least, most = item.get("min", -math.inf), item.get("max", math.inf)
    if number < least:
        raise InvalidAnswer(f"Enter {least:g} or more for “{get_label(item)}”.")
    if number > most:
        raise InvalidAnswer(f"Enter {most:g} or less for “{get_label(item)}”.")
    return int(number) if number.is_integer() else number


def _read_date(item: Item, text: str) -> str:
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError:
        raise InvalidAnswer(f"Enter a date such as 2026-01-31 for “{get_label(item)}”.") from None


def _read_time(item: Item, text: str) -> str:
    if not IS_TIME.match(text[:5]):
        raise InvalidAnswer(f"Enter a time such as 14:30 for “{get_label(item)}”.")
    return text[:5]


def _read_moment(item: Item, text: str) -> str:
    try:
        return datetime.fromisoformat(text[:16]).strftime("%Y-%m-%dT%H:%M")
    except ValueError:
        raise InvalidAnswer(f"Enter a date and a time such as 2026-01-31T14:30 for “{get_label(item)}”.") from None


def _read_choice(item: Item, text: str) -> str:
    if text not in item["options"]:
        raise InvalidAnswer(f"Choose one of the answers for “{get_label(item)}”.")
    return text


READERS: dict[str, Callable[[Item, str], Any]] = {
    "text": _read_text,
    "long_text": _read_text,
    "hidden": _read_text,
    "email": _read_email,
    "number": _read_number,
    "date": _read_date,
    "time": _read_time,
    "datetime": _read_moment,
    "choice": _read_choice,
}
