"""Options of curl: their names, whether they take a value, and which of them are irrelevant to the request."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from errors import BadInput

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
            yield _long(word[2:], left)
        else:
            yield from _short(word[1:], left)


def _long(word: str, left: list[str]) -> Option:
    name, equals, value = word.partition("=")
    if not _NAME.match(name):
        raise BadInput("The command has an option that curl does not have")
    if name in VALUED:
        return name, value if equals else _value(f"--{name}", left)
    positive = name.removeprefix("no-")
    if name not in _KNOWN and positive in _KNOWN:
        return f"no-{positive}", None
    if name not in _KNOWN and left and not left[-1].startswith("-") and "://" not in left[-1]:
        left.pop()
    return name, None


def _short(letters: str, left: list[str]) -> Iterator[Option]:
    """Split `-sSL`, `-XPOST`, `-d x`: the rest of the word is the value of the first letter that takes one."""
    for place, letter in enumerate(letters):
        name = SHORT.get(letter)
        if name is None:
            raise BadInput("The command has an option that curl does not have")
        if name in VALUED:
            yield name, letters[place + 1 :] or _value(f"-{letter}", left)
            return
        yield name, None


def _value(option: str, left: list[str]) -> str:
    if not left:
        raise BadInput(f"The option {option} has no value")
    return left.pop()
