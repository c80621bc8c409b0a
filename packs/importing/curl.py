"""Import of a cURL command, as copied from a browser or documentation, as an `http` node."""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote_plus

from constants import FORM, HTTP_METHODS
from errors import BadInput, TooLarge
from expressions import escape
from nodes.fields import CONTROL, TOKEN
from nodes.http.body import guess_content_type
from packs.importing.advice import (
    Notes,
    Suggestion,
    Suggestions,
    is_host,
    is_secret_field,
    is_secret_header,
    quote_name,
)
from packs.importing.curl_command import SILENT, USED, Option, parse_options, split_words
from packs.importing.openapi import is_deep

MAX_BYTES = 200_000
MIN_TIMEOUT, MAX_TIMEOUT = 0.1, 300.0  # seconds, of a node
_HEADER_OPTIONS = ("header", "user-agent", "referer", "cookie", "range", "json", "oauth2-bearer")
_OTHER_AUTH = ("digest", "ntlm", "ntlm-wb", "negotiate", "aws-sigv4")


@dataclass(frozen=True)
class ImportedNode:
    """A node for a definition, the credentials to create for it, and notes for the user."""

    node: dict[str, Any]
    credentials: list[Suggestion]
    notes: list[str]


class CurlOptions:
    """The options of a command, in order."""

    def __init__(self, options: Iterable[Option]) -> None:
        self.pairs = list(options)

    def all(self, *names: str) -> list[tuple[str, str]]:
        """Return name and value of each of these options."""
        return [(name, value or "") for name, value in self.pairs if name in names]

    def last(self, name: str) -> str | None:
        """Return the effective value of a repeated option."""
        values = self.all(name)
        return values[-1][1] if values else None

    def has(self, name: str) -> bool:
        """Return True if the flag is set and not negated later."""
        found = [given for given, _ in self.pairs if given in (name, f"no-{name}")]
        return bool(found) and found[-1] == name


def make_node(command: str) -> ImportedNode:
    """Return a node that sends the same request as the command.

    Raises: BadInput if the command cannot be imported, TooLarge. Messages never repeat a possible secret.
    """
    notes = Notes()
    options = CurlOptions(parse_options(_arguments(command, notes)))
    _note_ignored_options(options, notes)
    address = parse_address([url for _, url in options.all("url")], not options.has("globoff"), notes)
    headers = collect_headers(options.all(*_HEADER_OPTIONS), notes)
    secrets = Suggestions(address.host_name or "api", tuple(filter(None, (address.host_name,))))
    credential = suggest_credential(headers, _user(options, notes), address, secrets, notes)
    method = _method(options)
    body, address = _body_and_address(options, headers, address, secrets, notes)
    content_type = {} if body.content_type is None else {"Content-Type": escape(body.content_type)}
    config = {
        "method": method,
        **_url_and_query(address, options, secrets, notes),
        **_if_set("headers", select_sent(headers, notes) | content_type),
        **body.config,
        **_if_set("credential", credential),
        **_if_set("timeout", _timeout(options, notes)),
        "follow_redirects": options.has("location") or options.has("location-trusted"),
    }
    # Without the path, because some services use a secret path.
    node = {"id": "request", "type": "http", "name": f"{method} {address.host_name}".rstrip(), "config": config}
    return ImportedNode(node, list(secrets.found.values()), list(notes))


def _if_set(key: str, value: Any) -> dict[str, Any]:
    """Return the key with its value, or an empty dict if the value is empty."""
    return {key: value} if value else {}


def _arguments(command: str, notes: Notes) -> list[str]:
    """Return the arguments of curl."""
    if len(command.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise TooLarge(f"The command is too large: at most {MAX_BYTES:,} bytes can be imported")
    if re.search(r"[\ud800-\udfff]", command):
        raise BadInput("The command contains characters that are not valid text")
    line = split_words(command.replace("\0", " "))
    words = line.words[1:] if line.words[:1] == ["$"] else line.words  # drop a copied prompt
    if not words or not re.fullmatch(r"(?:.*[/\\])?curl(?:\.exe)?", words[0], re.IGNORECASE | re.DOTALL):
        raise BadInput("The command must start with curl")
    if line.has_more:
        notes.add("Only the first command is imported; it ends at ; & | < > ( ) or a line break outside quotes")
    if line.has_variables:
        notes.add("The command has shell variables ($…), which are imported as text: replace them by their values")
    return words[1:]


def _note_ignored_options(options: CurlOptions, notes: Notes) -> None:
    if options.has("next"):
        raise BadInput("The command sends several requests (--next): import one at a time")
    if options.has("insecure"):
        notes.add("Certificates are always verified: -k is not imported")
    for name, _ in options.pairs:
        positive = name.removeprefix("no-")
        if name not in USED and name not in SILENT and positive not in SILENT and positive not in USED:
            notes.add(f"The option --{name} is not imported")


def _user(options: CurlOptions, notes: Notes) -> str | None:
    """Return the value of -u if it is user and password for basic authentication."""
    other = [name for name in _OTHER_AUTH if options.all(name)]
    if other and options.all("user"):
        notes.add(f"-u is not imported: the node does not support authentication by --{other[0]}")
        return None
    return options.last("user")


def _method(options: CurlOptions) -> str:
    with_body = [options.all(*DATA), options.all(*FORMS), options.all("upload-file"), options.has("head")]
    if options.has("get"):
        with_body = with_body[1:]
    if sum(map(bool, with_body)) > 1:
        raise BadInput("The command must have only one of -d, -F, -T and -I")
    implied = "GET"
    if options.has("head"):
        implied = "HEAD"
    elif options.all("upload-file"):
        implied = "PUT"
    elif options.all(*FORMS) or (options.all(*DATA) and not options.has("get")):
        implied = "POST"
    method = (options.last("request") or implied).upper()
    if method not in HTTP_METHODS:
        raise BadInput(f"The method of the command must be one of: {', '.join(HTTP_METHODS)}")
    return method


def _body_and_address(
    options: CurlOptions, headers: Headers, address: CurlAddress, secrets: Suggestions, notes: Notes
) -> tuple[CurlBody, CurlAddress]:
    """Return the body, and the address extended by the data of -G or the file name of -T."""
    header = headers.pop("content-type", None)
    content_type = None if header is None else header.value
    if options.all(*FORMS):
        return make_form_body(options.all(*FORMS), notes), address
    upload = options.last("upload-file")
    if upload is not None:
        name = CurlFile(upload).name if address.base.endswith("/") else ""
        return make_file_body(CurlFile(upload), content_type, notes), address._replace(base=address.base + name)
    given = options.all(*DATA)
    if not given:
        return CurlBody({}, content_type), address
    data = join_data(given, notes)
    if not options.has("get"):
        if header is not None and not content_type:
            notes.add("The command tells curl to send no Content-Type, but the node sends one")
        return make_data_body(data, content_type or None, secrets, notes), address
    if isinstance(data, CurlFile):
        notes.add("A file for the query is not imported")
        return CurlBody({}, content_type), address
    return CurlBody({}, content_type), address._replace(query="&".join(filter(None, (address.query, data))))


def _url_and_query(address: CurlAddress, options: CurlOptions, secrets: Suggestions, notes: Notes) -> dict[str, Any]:
    """Return the URL and the query, as an object unless the node would encode it differently."""
    added = []
    for _, value in options.all("url-query"):
        piece = value[1:] if value.startswith("+") else encode_content(value)
        if isinstance(piece, CurlFile):
            notes.add("A file for the query is not imported")
        else:
            added.append(piece)
    query = "&".join(filter(None, (address.query, *added)))
    fields = parse_fields(query)
    if fields is not None:
        return {"url": escape(address.base), "query": guard_fields(fields, secrets, in_query=True)}
    return {"url": escape(address.base) + (f"?{guard_text(query, secrets, in_query=True)}" if query else "")}


def _timeout(options: CurlOptions, notes: Notes) -> float | None:
    text = options.last("max-time")
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not seconds >= 0:
        raise BadInput("The value of --max-time must be a number of seconds")
    kept = min(max(seconds or MAX_TIMEOUT, MIN_TIMEOUT), MAX_TIMEOUT)
    if kept != seconds:
        notes.add(f"The timeout is changed to {kept:g} seconds: it must be from {MIN_TIMEOUT:g} to {MAX_TIMEOUT:g}")
    return kept


# Address

MAX_URL = 8_000
_PARTS = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<host>[^/?#]*)(?P<path>[^?#]*)(?:\?(?P<query>[^#]*))?")
_RANGE = re.compile(r"\[(?:[0-9]+-[0-9]+|[A-Za-z]-[A-Za-z])(?::[0-9]+)?\]")
_ALTERNATIVES = re.compile(r"\{[^{},]*,[^{}]*\}")
_PLACEHOLDER = re.compile(r"\{[^{},]+\}|(?<=/):[A-Za-z_]+(?=/|\Z)")


class CurlAddress(NamedTuple):
    """The parts of a URL: `base` is everything before the query, `user` the user and password before the `@`."""

    base: str
    host: str
    query: str
    user: str | None

    @property
    def host_name(self) -> str:
        """Return the host without port, in lower case; empty if it is not a host, such as a placeholder."""
        name = re.sub(r":[0-9]{1,5}\Z", "", self.host.lower())
        return name if is_host(name) else ""


def parse_address(urls: Sequence[str], globs: bool, notes: Notes) -> CurlAddress:
    """Parse the URL. `globs`: `[1-3]` and `{a,b}` are patterns for several requests, unless escaped by a backslash.

    Raises: BadInput if there is not exactly one URL, or the node cannot call it.
    """
    if not urls:
        raise BadInput("The command has no URL")
    if len(urls) > 1:
        raise BadInput("The command has several URLs (or unquoted words): import one request at a time")
    url = urls[0]
    if globs:
        bare = re.sub(r"\\[\[\]{}]", "", url)
        if _RANGE.search(bare) or _ALTERNATIVES.search(bare):
            raise BadInput("The URL is a pattern, such as [1-3] or {a,b}, for several requests: import one at a time")
        url = re.sub(r"\\([\[\]{}])", r"\1", url)
    if _PLACEHOLDER.search(url.partition("?")[0].partition("://")[2] or url):
        notes.add("The URL has a placeholder, which is imported as text: replace it by a value or an expression")
    match = _PARTS.match(url if "://" in url.partition("?")[0] else f"http://{url}")
    if match is None or not match["host"]:
        raise BadInput("The URL has no host")
    scheme = match["scheme"].lower()
    if scheme not in ("http", "https"):
        raise BadInput(f"The URL starts with {scheme[:20]}://; only http:// and https:// can be imported")
    user, _, host = match["host"].rpartition("@")
    base = f"{scheme}://{host}{match['path']}".replace(" ", "%20")
    if len(url) > MAX_URL:
        raise BadInput(f"The URL is longer than {MAX_URL:,} characters")
    if re.search(r"[\x00-\x1f\x7f]", url):
        raise BadInput("The URL contains control characters")
    return CurlAddress(base, host, match["query"] or "", user or None)


# Headers

MAX_VALUE, MAX_HEADERS = 8_000, 100
# Controlled by the HTTP client: it rejects them, or could not read the response.
_CLIENT_HEADERS = {"connection", "content-length", "transfer-encoding", "upgrade", "accept-encoding", "expect", "te"}
# Sent by browsers about themselves; older ones also copy pseudo-headers of HTTP/2.
_BROWSER_HEADERS = re.compile(
    r"sec-(?:ch-|fetch-|gpc\Z).*|dnt\Z|priority\Z|upgrade-insecure-requests\Z|(?:authority|method|path|scheme)\Z"
)
_FROM_OPTIONS = {"user-agent": "User-Agent", "referer": "Referer", "range": "Range", "cookie": "Cookie"}


class CurlHeader(NamedTuple):
    """A header from the option `source`. A `value` of None tells curl not to send its default."""

    name: str
    value: str | None
    source: str
    is_expression: bool = False


Headers = dict[str, CurlHeader]


def collect_headers(given: Iterable[tuple[str, str]], notes: Notes) -> Headers:
    """Return the headers of the options by lower-case name. Raises: BadInput if a header is invalid."""
    by_options: Headers = {}
    by_hand: Headers = {}
    for option, value in given:
        if option == "header":
            _add_line(by_hand, value, notes)
        elif option == "json":
            for name in ("Content-Type", "Accept"):
                by_options[name.lower()] = CurlHeader(name, "application/json", "--json")
        elif option == "oauth2-bearer":
            by_options["authorization"] = CurlHeader("Authorization", f"Bearer {value}", "--oauth2-bearer")
        elif option == "cookie" and "=" not in value:
            notes.add("The cookie file of -b is not imported")
        else:
            _add_option(by_options, option, value)
    found = by_options | by_hand
    if len(found) > MAX_HEADERS:
        raise BadInput(f"The command has more than {MAX_HEADERS} headers")
    for header in found.values():
        # An invalid name is not shown: it might be a secret value.
        if not TOKEN.match(header.name):
            raise BadInput("The command has a header with an invalid name")
        if CONTROL.search(header.value or ""):
            raise BadInput(f"The header {quote_name(header.name)} contains control characters")
        if len(header.value or "") > MAX_VALUE and not is_secret_header(header.name):
            raise BadInput(f"The header {quote_name(header.name)} is longer than {MAX_VALUE:,} characters")
    return found


def _add_option(found: Headers, option: str, value: str) -> None:
    name = _FROM_OPTIONS[option]
    value = {"referer": value.removesuffix(";auto"), "range": f"bytes={value}"}.get(option, value)
    before = found.get(name.lower())
    if before is not None and option == "cookie":
        value = f"{before.value}; {value}"
    found[name.lower()] = CurlHeader(name, value, f"--{option}")


def _add_line(found: Headers, line: str, notes: Notes) -> None:
    """Add `Name: value`; `Name;` has an empty value, `Name:` suppresses curl's default header."""
    if line.startswith("@"):
        notes.add("The header file of -H is not imported")
        return
    name, colon, value = line.removeprefix(":").partition(":")
    if not colon and not line.rstrip().endswith(";"):
        notes.add("A header without a colon is not imported; curl ignores it, too")
        return
    name, value = (name if colon else name.rstrip().removesuffix(";")).strip(), value.strip()
    before = found.get(name.lower())
    if before is not None and before.value and value:
        value = f"{before.value}{'; ' if name.lower() == 'cookie' else ', '}{value}"
    found[name.lower()] = CurlHeader(name, None if colon and not value else value, "-H")


def select_sent(headers: Headers, notes: Notes) -> dict[str, str]:
    """Return the headers for the config, without headers that only the HTTP client or a browser sends."""
    kept: dict[str, str] = {}
    for name, header in headers.items():
        if name in _CLIENT_HEADERS or header.value is None:
            continue
        if _BROWSER_HEADERS.match(name):
            notes.add("Headers that browsers add about themselves (sec-fetch-…, sec-ch-…) are not imported")
        elif name.endswith("idempotency-key"):
            notes.add(f"The header {quote_name(header.name)} is not imported: the node sends its own key for each run")
        else:
            kept[header.name] = header.value if header.is_expression else escape(header.value)
    return kept


# Credentials


def suggest_credential(
    headers: Headers, user: str | None, address: CurlAddress, secrets: Suggestions, notes: Notes
) -> str | None:
    """Move secrets from the headers to suggested credentials; return the name of the node's credential, or None.

    A node has one credential: further secrets become expressions, and cookies beside another credential are left out.
    """
    name = None
    authorization = headers.pop("authorization", None)
    if authorization is not None and authorization.value is not None:
        name = _of_authorization(secrets, authorization)
    elif user is not None or address.user is not None:
        source, text = ("the URL, before the @", address.user or "") if user is None else ("-u", user)
        name = _basic(secrets, source, ":" in text)
    keys = [key for key, header in headers.items() if header.value and is_secret_header(key)]
    # Keys first, then cookies, then CSRF tokens, which do not authenticate.
    for key in sorted(keys, key=lambda key: 2 if "csrf" in key or "xsrf" in key else int(key == "cookie")):
        header = headers.pop(key)
        if name is None:
            name = _of_header(secrets, header)
        elif key == "cookie":
            notes.add("The cookies are not imported: they are likely a second secret, and a node has one credential")
        else:
            expression = secrets.add_secret(header.name, _header_source(header))
            headers[key] = header._replace(value=expression, is_expression=True)
    return name


def _header_source(header: CurlHeader) -> str:
    return f"-H {header.name}" if header.source == "-H" else header.source


def _of_authorization(secrets: Suggestions, header: CurlHeader) -> str:
    scheme, _, rest = (header.value or "").partition(" ")
    if scheme.lower() == "bearer" and rest:
        return secrets.add(secrets.base, "http_bearer", {}, {"token": f"{_header_source(header)}, after Bearer"})
    if scheme.lower() == "basic" and _is_basic(rest):
        return _basic(secrets, f"{_header_source(header)}, after Basic, decoded from base64", has_colon=True)
    return _of_header(secrets, header)


def _is_basic(text: str) -> bool:
    try:
        return b":" in base64.b64decode(text.strip(), validate=True)
    except ValueError:
        return False


def _basic(secrets: Suggestions, source: str, has_colon: bool) -> str:
    sources = {"username": source, "password": "not in the command; curl asks for it"}
    if has_colon:
        sources = {"username": f"{source}: before the colon", "password": f"{source}: after the colon"}
    return secrets.add(secrets.base, "http_basic", {}, sources)


def _of_header(secrets: Suggestions, header: CurlHeader) -> str:
    return secrets.add(secrets.base, "http_header", {"name": header.name}, {"value": _header_source(header)})


# Body

JSON = "application/json"
DATA = ("data", "data-ascii", "data-raw", "data-binary", "data-urlencode", "json")
FORMS = ("form", "form-string")

Given = Sequence[tuple[str, str]]


class CurlBody(NamedTuple):
    """The config's `body` and `body_type`, and the Content-Type header; None: the node's default for the type."""

    config: dict[str, Any]
    content_type: str | None = None


class CurlFile(NamedTuple):
    """A file on the machine of the user."""

    path: str

    @property
    def name(self) -> str:
        """Return its name in the workspace's files."""
        return re.split(r"[/\\]", self.path)[-1]


# -d, --json and similar options


def join_data(given: Given, notes: Notes) -> str | CurlFile:
    """Return all data, joined as curl does. A file that is only a part of it is noted and left out."""
    pieces = [(name, _piece(name, value)) for name, value in given]
    if len(pieces) == 1:
        return pieces[0][1]
    joined = ""
    for name, piece in pieces:
        if isinstance(piece, CurlFile):
            notes.add(f"The file {quote_name(piece.name)} is not imported: it is only a part of the body")
            continue
        joined += ("&" if joined and name != "json" else "") + piece
    return joined


def _piece(name: str, value: str) -> str | CurlFile:
    if name == "data-urlencode":
        return encode_content(value)
    if value.startswith("@") and name != "data-raw":
        return CurlFile(value[1:])
    return value


def encode_content(value: str) -> str | CurlFile:
    """Encode `content`, `=content` or `name=content`; return the CurlFile of `@file` or `name@file`."""
    at = value.find("=") if "=" in value else value.find("@")
    if at < 0:
        return quote_plus(value)
    name, content = value[:at], value[at + 1 :]
    if value[at] == "@":
        return CurlFile(content)
    return (f"{name}=" if name else "") + quote_plus(content)


def make_data_body(data: str | CurlFile, content_type: str | None, secrets: Suggestions, notes: Notes) -> CurlBody:
    """Return the config for this data, sent as `content_type`; None: as a form, curl's default."""
    if isinstance(data, CurlFile):
        return make_file_body(data, content_type or FORM, notes)
    media = (content_type or FORM).partition(";")[0].strip().lower()
    if media == JSON or media.endswith("+json"):
        return _json_body(data, content_type or JSON, secrets)
    if media != FORM:
        return CurlBody({"body": escape(data), "body_type": "text"}, content_type)
    if content_type is None and data.lstrip()[:1] in ("{", "["):
        found = _json_body(data, FORM, secrets)
        if found.config["body_type"] == "json":
            notes.add(f"The body is JSON, but curl sends it as {FORM}, and so does the node; is a header missing?")
            return found
    fields = parse_fields(data)
    if fields is None:
        return CurlBody({"body": guard_text(data, secrets), "body_type": "text"}, content_type or FORM)
    config = {"body": guard_fields(fields, secrets), "body_type": "form"}
    return CurlBody(config, None if content_type in (None, FORM) else content_type)


def _json_body(data: str, content_type: str, secrets: Suggestions) -> CurlBody:
    """Return JSON as data; as text if the node would send it differently or not at all, like null."""
    try:
        value = parse_json(data)
        if value is None:
            raise NotReproducible
    except NotReproducible:
        return CurlBody({"body": escape(data), "body_type": "text"}, content_type)
    config = {"body": guard_json(value, secrets), "body_type": "json"}
    return CurlBody(config, None if content_type == JSON else content_type)


def make_file_body(file: CurlFile, content_type: str | None, notes: Notes) -> CurlBody:
    """Return a body that is a file of the workspace; without standard input, which is noted."""
    if file.name in ("", "-", "."):
        notes.add("The body comes from standard input or an empty file name, and is not imported")
        return CurlBody({})
    notes.add(f"The body is the file {quote_name(file.name)}: upload it to the workspace's files")
    return CurlBody({"body": escape(file.name), "body_type": "file"}, content_type)


# -F

_LABEL = re.compile(r"[ \t]*([A-Za-z]+)=")
_QUOTED = r'[ \t]*(?:"((?:[^"\\]|\\.)*)"[^%(end)s]*|([^%(end)s]*))'
_WORD, _WORD_OF_MANY = (re.compile(_QUOTED % {"end": end}, re.DOTALL) for end in (";", ";,"))


def make_form_body(given: Given, notes: Notes) -> CurlBody:
    """Return a multipart body: texts, and files by their names in the workspace's files."""
    texts: dict[str, Any] = {}
    files: dict[str, Any] = {}
    for option, value in given:
        name, equals, content = value.partition("=")
        if not equals:
            raise BadInput("A form field (-F) must have the form name=value")
        if option == "form-string":
            _put(texts, name, escape(content))
        elif content.startswith("@"):
            for file in _files(name, content, notes):
                _put(files, name, file)
        elif content.startswith("<"):
            notes.add(f"The form field {quote_name(name)} is the content of a file, and is not imported")
        elif content[:1] in ("(", ")"):
            raise BadInput("A nested form (-F with parentheses) cannot be imported")
        else:
            ((word, more),) = _words(content, _WORD)
            if "type" in more:
                notes.add(f"The form field {quote_name(name)} is sent as plain text, without its type")
            _put(texts, name, escape(word))
    return CurlBody({"body": texts, **({"files": files} if files else {}), "body_type": "multipart"})


def _put(fields: dict[str, Any], name: str, value: Any) -> None:
    """Add a value under the name; several values become a list."""
    if name not in fields:
        fields[name] = value
    elif isinstance(fields[name], list):
        fields[name].append(value)
    else:
        fields[name] = [fields[name], value]


def _files(name: str, content: str, notes: Notes) -> Iterator[Any]:
    """Yield the file or files of a field, as in the node's `files`."""
    found, field = _words(content[1:], _WORD_OF_MANY), quote_name(name)
    if len(found) > 1:
        notes.add(f"The form field {field} has several files in one part; the node sends one part for each")
    for path, more in found:
        file = CurlFile(path)
        if file.name in ("", "-"):
            notes.add(f"The form field {field} is standard input or has no file, and is not imported")
            continue
        notes.add(f"The form field {field} is the file {quote_name(file.name)}: upload it to the workspace's files")
        settings = {"content_type": escape(more["type"])} if more.get("type") else {}
        if more.get("filename"):
            # curl derives the type from the file's original name.
            settings = {"name": escape(more["filename"]), "content_type": guess_content_type(file.name), **settings}
        yield {"path": escape(file.name), **settings} if settings else escape(file.name)


def _words(text: str, pattern: re.Pattern[str]) -> list[tuple[str, dict[str, str]]]:
    """Split `"a;b";type=text/plain` into words with their settings; several words if the pattern ends at commas."""
    found: list[tuple[str, dict[str, str]]] = []
    at, begins = 0, True
    while at <= len(text):
        label = None if begins else _LABEL.match(text, at)
        match = pattern.match(text, at if label is None else label.end())
        assert match is not None  # it also matches the empty string
        value = match[2].rstrip(" \t") if match[1] is None else re.sub(r'\\(["\\])', r"\1", match[1])
        if begins:
            found.append((value, {}))
        else:
            settings = found[-1][1]
            name = "" if label is None else label[1].lower()
            if name in ("type", "filename", "encoder", "headers"):
                settings[name] = value
            elif "type" in settings and name:  # a parameter of the type
                settings["type"] += f";{name}={value}"
        begins = text[match.end() : match.end() + 1] == ","
        at = match.end() + 1
    return found


# Fields, `a=1&b=2`, and JSON: as config that the node sends back unchanged, without expressions and secrets

MAX_DEPTH = 50
Fields = dict[str, str | list[str]]


def parse_fields(text: str) -> Fields | None:
    """Return the fields by name, with a list for a repeated one; None if the node would send something else."""
    if not text or not all("=" in part for part in text.split("&")):
        return None
    try:
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=True, errors="strict")
    except ValueError:
        return None
    grouped: dict[str, list[str]] = {}
    for name, value in pairs:
        grouped.setdefault(name, []).append(value)
    if [(name, value) for name, values in grouped.items() for value in values] != pairs:
        return None
    return {name: values[0] if len(values) == 1 else values for name, values in grouped.items()}


def guard_fields(fields: Fields, secrets: Suggestions, in_query: bool = False) -> dict[str, Any]:
    """Return the fields as config: text is escaped, and likely secrets become references to a credential."""
    guarded: dict[str, Any] = {}
    for name, value in fields.items():
        if is_secret_field(name, in_query):
            guarded[name] = secrets.add_secret(name, _field_source(name, in_query))
        else:
            guarded[name] = [escape(item) for item in value] if isinstance(value, list) else escape(value)
    return guarded


def guard_text(text: str, secrets: Suggestions, in_query: bool = False) -> str:
    """Do the same for a text that cannot be written as fields."""
    parts = []
    for part in text.split("&"):
        name, equals, _ = part.partition("=")
        if equals and is_secret_field(name, in_query):
            parts.append(escape(f"{name}=") + secrets.add_secret(name, _field_source(name, in_query)))
        else:
            parts.append(escape(part))
    return "&".join(parts)


def _field_source(name: str, in_query: bool) -> str:
    return f"the {'query' if in_query else 'body'}, {quote_name(name)}"


class NotReproducible(ValueError):
    """JSON that would change when it is read and written."""


def parse_json(text: str) -> Any:
    """Parse a JSON text. Raises: NotReproducible if it is not JSON, or a node would not send the same data again."""
    try:
        value = json.loads(text, parse_int=_integer)
        written = json.dumps(value, ensure_ascii=False, allow_nan=False)
        written.encode()  # fails on half a surrogate pair
        # Repeated keys, and numbers with more digits than a float has, are lost.
        is_same = _load_exactly(written) == _load_exactly(text)
    except (ValueError, ArithmeticError, RecursionError):
        raise NotReproducible from None
    if not is_same or is_deep(value, MAX_DEPTH):
        raise NotReproducible
    return value


def _load_exactly(text: str) -> Any:
    """Parse a JSON text without loss: objects as pairs, numbers as decimals."""
    return json.loads(text, object_pairs_hook=tuple, parse_float=Decimal)


def _integer(text: str) -> int:
    number = int(text)
    if not -(2**63) <= number < 2**63:
        raise NotReproducible
    return number


def guard_json(value: Any, secrets: Suggestions) -> Any:
    """Return the data as config: text is escaped, and likely secrets become references to a credential."""
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, list):
        return [guard_json(item, secrets) for item in value]
    if not isinstance(value, dict):
        return value
    guarded = {}
    for name, item in value.items():
        if isinstance(item, str) and item and is_secret_field(name):
            guarded[name] = secrets.add_secret(name, _field_source(name, in_query=False))
        else:
            guarded[name] = guard_json(item, secrets)
    return guarded
