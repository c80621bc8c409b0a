"""Command of curl: split into words as a shell splits it, and into options.

Nothing is expanded: variables stay as written, and `has_variables` is set.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from errors import BadInput

# Words, by the rules of a POSIX shell with bash's `$'…'`, or of cmd.exe


class ShellCommand(NamedTuple):
    """The words of the first command; whether it has shell variables, and whether more follows it."""

    words: list[str]
    has_variables: bool = False
    has_more: bool = False


def split_words(command: str) -> ShellCommand:
    """Split a command line into words. Raises: BadInput if a quote is not closed."""
    command = command.strip()
    if not _is_for_cmd(command):
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
    text, rest = _remove_carets(command)
    return ShellCommand(_split_by_quotes(text), has_more=bool(rest.strip("\r\n&")))


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


# Options: their names, whether they take a value, and which of them are irrelevant to the request

SHORT = {
    "0": "http1.0", "1": "tlsv1", "2": "sslv2", "3": "sslv3", "4": "ipv4", "6": "ipv6", "a": "append",
    "A": "user-agent", "b": "cookie", "B": "use-ascii", "c": "cookie-jar", "C": "continue-at", "d": "data",
    "D": "dump-header", "e": "referer", "E": "cert", "f": "fail", "F": "form", "g": "globoff", "G": "get",
    "h": "help", "H": "header", "i": "include", "I": "head", "j": "junk-session-cookies", "J": "remote-header-name",
    "k": "insecure", "K": "config", "l": "list-only", "L": "location", "m": "max-time", "M": "manual", "n": "netrc",
    "N": "no-buffer", "o": "output", "O": "remote-name", "p": "proxytunnel", "P": "ftp-port", "q": "disable",
    "Q": "quote", "r": "range", "R": "remote-time", "s": "silent", "S": "show-error", "t": "telnet-option",
    "T": "upload-file", "u": "user", "U": "proxy-user", "v": "verbose", "V": "version", "w": "write-out",
    "x": "proxy", "X": "request", "y": "speed-time", "Y": "speed-limit", "z": "time-cond", "Z": "parallel",
    "#": "progress-bar", ":": "next",
}  # fmt: skip

# Imported options.
_USED_WITH_VALUE = """
    request header data data-ascii data-raw data-binary data-urlencode json form form-string user cookie user-agent
    referer max-time upload-file url url-query range oauth2-bearer
"""
_USED = "get head location location-trusted insecure globoff next"
# Options about output, retries or the connection, which do not change the request.
_SILENT_WITH_VALUE = """
    connect-timeout cookie-jar create-file-mode dump-header etag-save expect100-timeout happy-eyeballs-timeout-ms
    hsts keepalive-cnt keepalive-time libcurl limit-rate max-redirs output output-dir parallel-max proto proto-default
    proto-redir rate retry retry-delay retry-max-time speed-limit speed-time stderr tls-max trace trace-ascii
    trace-config write-out alt-svc max-filesize
"""
_SILENT = """
    alpn anyauth basic buffer clobber compressed create-dirs disable fail fail-early fail-with-body http0.9 http1.0
    http1.1 http2 http2-prior-knowledge http3 http3-only include ipv4 ipv6 junk-session-cookies keepalive no-buffer npn
    parallel parallel-immediate path-as-is progress-bar progress-meter raw remote-header-name remote-name
    remote-name-all remote-time remove-on-error retry-all-errors retry-connrefused show-error show-headers silent
    sessionid skip-existing ssl ssl-no-revoke ssl-reqd ssl-revoke-best-effort styled-output tcp-fastopen tcp-nodelay
    tlsv1 tlsv1.0 tlsv1.1 tlsv1.2 tlsv1.3 tr-encoding trace-ids trace-time verbose xattr post301 post302 post303
"""
_NOTED_WITH_VALUE = """
    abstract-unix-socket aws-sigv4 cacert capath cert cert-type ciphers config connect-to continue-at crlfile curves
    delegation dns-interface dns-ipv4-addr dns-ipv6-addr dns-servers doh-url ech egd-file engine etag-compare
    ftp-account ftp-alternative-to-user ftp-method ftp-port ftp-ssl-ccc-mode haproxy-clientip help hostpubmd5
    hostpubsha256 interface ip-tos ipfs-gateway key key-type krb local-port login-options mail-auth mail-from mail-rcpt
    netrc-file noproxy pass pinnedpubkey preproxy proxy proxy-cacert proxy-capath proxy-cert proxy-cert-type
    proxy-ciphers proxy-crlfile proxy-header proxy-key proxy-key-type proxy-pass proxy-pinnedpubkey proxy-service-name
    proxy-tls13-ciphers proxy-tlsauthtype proxy-tlspassword proxy-tlsuser proxy-user proxy1.0 pubkey quote random-file
    request-target resolve sasl-authzid service-name sigalgs socks4 socks4a socks5 socks5-gssapi-service
    socks5-hostname ssl-sessions telnet-option tftp-blksize time-cond tls13-ciphers tlsauthtype tlspassword tlsuser
    unix-socket upload-flags variable vlan-priority
"""
_NOTED = """
    append ca-native cert-status compressed-ssh crlf digest disable-eprt disable-epsv disallow-username-in-url
    doh-cert-status doh-insecure dump-ca-embed false-start form-escape ftp-create-dirs ftp-pasv ftp-pret
    ftp-skip-pasv-ip ftp-ssl-ccc ftp-ssl-control haproxy-protocol ignore-content-length list-only mail-rcpt-allowfails
    manual metalink mptcp negotiate netrc netrc-optional ntlm ntlm-wb proxy-anyauth proxy-basic proxy-ca-native
    proxy-digest proxy-http2 proxy-insecure proxy-negotiate proxy-ntlm proxy-ssl-allow-beast
    proxy-ssl-auto-client-cert proxy-tlsv1 proxytunnel sasl-ir socks5-basic socks5-gssapi socks5-gssapi-nec
    ssl-allow-beast ssl-auto-client-cert sslv2 sslv3 suppress-connect-headers tftp-no-options tls-earlydata use-ascii
    version
"""
USED = frozenset((_USED_WITH_VALUE + _USED).split())
SILENT = frozenset((_SILENT_WITH_VALUE + _SILENT).split())
VALUED = frozenset((_USED_WITH_VALUE + _SILENT_WITH_VALUE + _NOTED_WITH_VALUE).split())
_KNOWN = USED | SILENT | VALUED | set(_NOTED.split())
_NAME = re.compile(r"[a-z0-9][a-z0-9.-]{0,40}\Z")

Option = tuple[str, str | None]


def parse_options(words: Sequence[str]) -> Iterator[Option]:
    """Yield `(long name, value or None)` for each option, and `("url", word)` for other words.

    The word after an unknown option counts as its value unless it looks like a URL or an option.

    Raises: BadInput if a value is missing.
    """
    left = list(reversed(words))
    only_urls = False
    while left:
        word = left.pop()
        if only_urls or not word.startswith("-") or word == "-":
            yield "url", word
        elif word == "--":
            only_urls = True
        elif word.startswith("--"):
            yield _read_long(word[2:], left)
        else:
            yield from _read_short(word[1:], left)


def _read_long(word: str, left: list[str]) -> Option:
    name, equals, value = word.partition("=")
    if not _NAME.match(name):
        raise BadInput("The command has an option that curl does not have")
    if name in VALUED:
        return name, value if equals else _take_value(f"--{name}", left)
    positive = name.removeprefix("no-")
    if name not in _KNOWN and positive in _KNOWN:
        return f"no-{positive}", None
    if name not in _KNOWN and left and not left[-1].startswith("-") and "://" not in left[-1]:
        left.pop()
    return name, None


def _read_short(letters: str, left: list[str]) -> Iterator[Option]:
    """Split `-sSL`, `-XPOST`, `-d x`: the rest of the word is the value of the first letter that takes one."""
    for place, letter in enumerate(letters):
        name = SHORT.get(letter)
        if name is None:
            raise BadInput("The command has an option that curl does not have")
        if name in VALUED:
            yield name, letters[place + 1 :] or _take_value(f"-{letter}", left)
            return
        yield name, None


def _take_value(option: str, left: list[str]) -> str:
    if not left:
        raise BadInput(f"The option {option} has no value")
    return left.pop()
