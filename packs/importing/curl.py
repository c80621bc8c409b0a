"""Import of a cURL command, as copied from a browser or documentation, as an `http` node."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from constants import HTTP_METHODS
from errors import BadInput, TooLarge
from expressions import escape
from packs.importing.body_fields import guard_fields, guard_text, parse_fields
from packs.importing.curl_address import CurlAddress, parse_address
from packs.importing.curl_body import (
    DATA,
    FORMS,
    CurlBody,
    CurlFile,
    encode_content,
    join_data,
    make_data_body,
    make_file_body,
    make_form_body,
)
from packs.importing.curl_headers import Headers, collect_headers, select_sent, suggest_credential
from packs.importing.curl_options import SILENT, USED, Option, parse_options
from packs.importing.notes import Notes
from packs.importing.secret_detection import Suggestion, Suggestions
from packs.importing.shell import split_words

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
    config = {
        "method": method,
        **_url_and_query(address, options, secrets, notes),
        **_if_set("headers", _headers(headers, body, notes)),
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


def _headers(headers: Headers, body: CurlBody, notes: Notes) -> dict[str, str]:
    sent = select_sent(headers, notes)
    return sent if body.content_type is None else {**sent, "Content-Type": escape(body.content_type)}


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
