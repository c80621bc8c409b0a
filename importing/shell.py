"""A command line as the words that a program gets, by the rules of a POSIX shell with bash's `$'…'`, or of cmd.exe.

Nothing is expanded: a variable stays as it is written, and `has_variables` says that there are some.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from errors import BadInput


class Line(NamedTuple):
    """The words of the first command; whether it has variables of a shell, and whether more comes after it."""

    words: list[str]
    has_variables: bool = False
    has_more: bool = False


def words_of(command: str) -> Line:
    """The words of a command line. BadInput for a quote that is not closed."""
    command = command.strip()
    return _cmd(command) if _is_for_cmd(command) else _bash(command)


def _is_for_cmd(command: str) -> bool:
    """Whether carets, of which bash knows nothing, stand before the first quote or at the end of a line."""
    quote = re.search(r"[\"']", command)
    before = command if quote is None else command[: quote.start()]
    if quote is not None and (quote[0] == "'" or before.endswith("$")):
        return False
    return before.endswith("^") or re.search(r"\^[ \t]*\r?\n", command) is not None


class _Words:
    """Words that come in pieces."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.pieces: list[str] = []
        self.begun = False

    def add(self, piece: str) -> None:
        """More of the present word, which there is then even if it is empty."""
        self.pieces.append(piece)
        self.begun = True

    def end(self) -> None:
        """The end of the present word, if there is one."""
        if self.begun:
            self.words.append("".join(self.pieces))
        self.pieces, self.begun = [], False

    def all(self) -> list[str]:
        self.end()
        return self.words


# bash

_BASH = re.compile(
    r"""
      (?P<glue>\\\r?\n)
    | (?P<blank>[ \t]+|\\[ \t]+\r?\n)
    | (?P<end>[\r\n;&|<>()])
    | '(?P<raw>[^']*)'
    | \$'(?P<ansi>(?:[^'\\]|\\.)*)'
    | \$?"(?P<text>(?:[^"\\]|\\.)*)"
    | \\(?P<char>.)
    | (?P<open>['"])
    | (?P<plain>\$\([^()]*\)|\$\{[^{}]*\}|`[^`]*`|[^\s'"\\;&|<>()$`]+|.)
    """,
    re.VERBOSE | re.DOTALL,
)
_VARIABLE = re.compile(r"\$[A-Za-z_{(]|`")
_ESCAPED = re.compile(r"\\.", re.DOTALL)
_IN_QUOTES = re.compile(r"\\(\r?\n|[\\\"$`])")
_ANSI = re.compile(
    r"\\(?:x(?P<hex>[0-9A-Fa-f]{1,2})|u(?P<u4>[0-9A-Fa-f]{1,4})|U(?P<u8>[0-9A-Fa-f]{1,8})|(?P<octal>[0-7]{1,3})"
    r"|c(?P<control>.)|(?P<char>.))",
    re.DOTALL,
)
_ANSI_CHARS = {"a": "\a", "b": "\b", "e": "\x1b", "E": "\x1b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def _bash(command: str) -> Line:
    found = _Words()
    has_variables, at = False, 0
    while at < len(command):
        if command[at] == "#" and not found.begun:
            at = len(command) if (end := command.find("\n", at)) < 0 else end
            continue
        match = _BASH.match(command, at)
        assert match is not None  # its last alternative takes anything
        kind, at = match.lastgroup, match.end()
        if kind == "open":
            raise BadInput("The command has a quote that is not closed")
        if kind == "end":
            if match["end"] in "<>" and "".join(found.pieces).isdigit():
                found.pieces, found.begun = [], False  # the 2 of `2>` is no word
            return Line(found.all(), has_variables, bool(command[match.start() :].strip("\r\n;&")))
        if kind == "blank":
            found.end()
        elif kind != "glue":
            has_variables |= kind in ("plain", "text") and bool(_VARIABLE.search(_ESCAPED.sub("", match[0])))
            found.add(_unquoted(match))
    return Line(found.all(), has_variables)


def _unquoted(match: re.Match[str]) -> str:
    part = match[str(match.lastgroup)]
    if match.lastgroup == "ansi":
        return _ANSI.sub(_ansi_char, part)
    if match.lastgroup == "text":
        return _IN_QUOTES.sub(lambda found: "" if found[1].endswith("\n") else found[1], part)
    return part


def _ansi_char(match: re.Match[str]) -> str:
    """What an escape in `$'…'` stands for; one that is unknown stays."""
    if match["control"]:
        return chr(ord(match["control"].upper()) & 0x1F)
    if match["char"]:
        return _ANSI_CHARS.get(match["char"], match["char"] if match["char"] in "\\'\"?" else match[0])
    code = int(match["octal"], 8) & 0xFF if match["octal"] else int(match["hex"] or match["u4"] or match["u8"], 16)
    if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        raise BadInput("The command has an escape of a character that does not exist")
    return chr(code)


# cmd.exe, and then the rules by which programs on Windows split what it hands them

_LINE_BREAK = re.compile(r"[ \t]*\r?\n")
_CHAR = re.compile(r"\r?\n|.?", re.DOTALL)


def _cmd(command: str) -> Line:
    text, rest = _without_carets(command)
    return Line(_split_by_quotes(text), has_more=bool(rest.strip("\r\n&")))


def _without_carets(command: str) -> tuple[str, str]:
    """The command after cmd.exe has read it, and what comes after the command.

    In quotes a caret is nothing special. Browsers escape the quotes themselves, so that there are none to cmd.exe;
    older ones did not do so everywhere, and still meant each caret as an escape.
    """
    everywhere = '^"' in command
    kept: list[str] = []
    at, in_quotes = 0, False
    while at < len(command):
        char = command[at]
        at += 1
        if char == "^" and (everywhere or not in_quotes):
            if (broken := _LINE_BREAK.match(command, at)) is not None:
                at = broken.end()
            # What comes now is taken as it is, a second line break too.
            match = _CHAR.match(command, at)
            assert match is not None  # it takes anything, and nothing
            kept.append(match[0].replace("\r\n", "\n"))
            at = match.end()
            continue
        if char == '"':
            in_quotes = not in_quotes
        elif char in "\r\n" or (char in "&|<>" and not in_quotes):
            return "".join(kept), command[at - 1 :]
        kept.append(char)
    return "".join(kept), ""


_CRT = re.compile(r'(?P<slashes>\\*)"|(?P<blank>[ \t]+)|[^\s"\\]+|\\+|.', re.DOTALL)


def _split_by_quotes(text: str) -> list[str]:
    """Quotes group; backslashes count only before one, by twos, and an odd one makes it text; two in quotes are one."""
    found = _Words()
    at, in_quotes = 0, False
    while at < len(text):
        match = _CRT.match(text, at)
        assert match is not None  # its last alternative takes anything
        at = match.end()
        if match["slashes"] is not None:
            count = len(match["slashes"])
            doubled = in_quotes and count % 2 == 0 and text[at : at + 1] == '"'
            is_text = doubled or count % 2 == 1
            found.add("\\" * (count // 2) + ('"' if is_text else ""))
            in_quotes ^= not is_text
            at += doubled
        elif match["blank"] and not in_quotes:
            found.end()
        else:
            found.add(match[0])
    if in_quotes:
        raise BadInput("The command has a quote that is not closed")
    return found.all()
