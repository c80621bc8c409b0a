"""Shell: splits a command line into words by the rules of a POSIX shell with bash's `$'…'`, or of cmd.exe.

Nothing is expanded: variables stay as written, and `has_variables` is set.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from errors import BadInput


class ShellCommand(NamedTuple):
    """The words of the first command; whether it has shell variables, and whether more follows it."""

    words: list[str]
    has_variables: bool = False
    has_more: bool = False


def split_words(command: str) -> ShellCommand:
    """Split a command line into words. Raises: BadInput if a quote is not closed."""
    command = command.strip()
    return _cmd(command) if _is_for_cmd(command) else _bash(command)


def _is_for_cmd(command: str) -> bool:
    """Return True if carets, which bash does not use, are before the first quote or at the end of a line."""
    quote = re.search(r"[\"']", command)
    before = command if quote is None else command[: quote.start()]
    if quote is not None and (quote[0] == "'" or before.endswith("$")):
        return False
    return before.endswith("^") or re.search(r"\^[ \t]*\r?\n", command) is not None


class _Words:
    """Words assembled from pieces."""

    def __init__(self) -> None:
        self.words: list[str] = []
        self.pieces: list[str] = []
        self.begun = False

    def add(self, piece: str) -> None:
        """Add a piece to the current word, starting it if necessary, even if the piece is empty."""
        self.pieces.append(piece)
        self.begun = True

    def end(self) -> None:
        """End the current word, if there is one."""
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


def _bash(command: str) -> ShellCommand:
    found = _Words()
    has_variables, at = False, 0
    while at < len(command):
        if command[at] == "#" and not found.begun:
            at = len(command) if (end := command.find("\n", at)) < 0 else end
            continue
        match = _BASH.match(command, at)
        assert match is not None  # the last alternative matches anything
        kind, at = match.lastgroup, match.end()
        if kind == "open":
            raise BadInput("The command has a quote that is not closed")
        if kind == "end":
            if match["end"] in "<>" and "".join(found.pieces).isdigit():
                found.pieces, found.begun = [], False  # the 2 of `2>` is not a word
            return ShellCommand(found.all(), has_variables, bool(command[match.start() :].strip("\r\n;&")))
        if kind == "blank":
            found.end()
        elif kind != "glue":
            has_variables |= kind in ("plain", "text") and bool(_VARIABLE.search(_ESCAPED.sub("", match[0])))
            found.add(_unquote(match))
    return ShellCommand(found.all(), has_variables)


def _unquote(match: re.Match[str]) -> str:
    part = match[str(match.lastgroup)]
    if match.lastgroup == "ansi":
        return _ANSI.sub(_ansi_char, part)
    if match.lastgroup == "text":
        return _IN_QUOTES.sub(lambda found: "" if found[1].endswith("\n") else found[1], part)
    return part


def _ansi_char(match: re.Match[str]) -> str:
    """Return the character of an escape in `$'…'`; an unknown escape stays."""
    if match["control"]:
        return chr(ord(match["control"].upper()) & 0x1F)
    if match["char"]:
        return _ANSI_CHARS.get(match["char"], match["char"] if match["char"] in "\\'\"?" else match[0])
    code = int(match["octal"], 8) & 0xFF if match["octal"] else int(match["hex"] or match["u4"] or match["u8"], 16)
    if code > 0x10FFFF or 0xD800 <= code <= 0xDFFF:
        raise BadInput("The command has an escape sequence of a character that does not exist")
    return chr(code)


# cmd.exe, and the rules by which Windows programs split their command line

_LINE_BREAK = re.compile(r"[ \t]*\r?\n")
_CHAR = re.compile(r"\r?\n|.?", re.DOTALL)


def _cmd(command: str) -> ShellCommand:
    text, rest = _remove_carets(command)
    return ShellCommand(_split_by_quotes(text), has_more=bool(rest.strip("\r\n&")))


def _remove_carets(command: str) -> tuple[str, str]:
    """Return the command as cmd.exe reads it, and the rest after the command.

    Carets are literal within quotes. Browsers escape the quotes themselves, so cmd.exe sees none; older browsers did
    so inconsistently, but still meant every caret as an escape.
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
            # The next character is literal, including a second line break.
            match = _CHAR.match(command, at)
            assert match is not None  # it matches anything, including the empty string
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
    """Split by quotes: 2n backslashes before one are n, an odd one escapes it; two quotes within quotes are one."""
    found = _Words()
    at, in_quotes = 0, False
    while at < len(text):
        match = _CRT.match(text, at)
        assert match is not None  # the last alternative matches anything
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
