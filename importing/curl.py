"""A cURL command line, as browsers copy it and documentation shows it, as an `http` node."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from errors import BadInput, TooLarge
from expressions import escape
from importing.body_fields import fields_of, guarded_fields, guarded_text
from importing.curl_address import Address, address_of
from importing.curl_body import (
    DATA,
    FORMS,
    Body,
    File,
    body_of_data,
    body_of_form,
    body_of_upload,
    data_of,
    encoded,
)
from importing.curl_headers import Headers, credential_of, headers_of, sent_by_node
from importing.curl_options import SILENT, USED, Option, options_of
from importing.notes import Notes
from importing.secret_detection import Suggestion, Suggestions
from importing.shell import words_of
from nodes.http.client import METHODS

MAX_BYTES = 200_000
SECONDS = 0.1, 300.0  # that a node may take
_HEADER_OPTIONS = ("header", "user-agent", "referer", "cookie", "range", "json", "oauth2-bearer")
_OTHER_PROOFS = ("digest", "ntlm", "ntlm-wb", "negotiate", "aws-sigv4")


@dataclass(frozen=True)
class Imported:
    """A node as a definition has it, the credentials to make for it, and what else there is to know."""

    node: dict[str, Any]
    credentials: list[Suggestion]
    notes: list[str]


class Options:
    """The options of a command, in their order."""

    def __init__(self, options: Iterable[Option]) -> None:
        self.pairs = list(options)

    def all(self, *names: str) -> list[tuple[str, str]]:
        """Name and value of each of these."""
        return [(name, value or "") for name, value in self.pairs if name in names]

    def last(self, name: str) -> str | None:
        """The value that counts where there are several."""
        values = self.all(name)
        return values[-1][1] if values else None

    def has(self, name: str) -> bool:
        """Whether this flag is set and not taken back."""
        found = [given for given, _ in self.pairs if given in (name, f"no-{name}")]
        return bool(found) and found[-1] == name


def node_of(command: str) -> Imported:
    """The node that sends what this command sends. BadInput, TooLarge; no message repeats what could be a secret."""
    notes = Notes()
    options = Options(options_of(_arguments(command, notes)))
    _note_what_is_lost(options, notes)
    address = address_of([url for _, url in options.all("url")], not options.has("globoff"), notes)
    headers = headers_of(options.all(*_HEADER_OPTIONS), notes)
    secrets = Suggestions(address.host_name or "api", tuple(filter(None, (address.host_name,))))
    credential = credential_of(headers, _user(options, notes), address, secrets, notes)
    method = _method(options)
    body, address = _body_and_address(options, headers, address, secrets, notes)
    config = {
        "method": method,
        **_url_and_query(address, options, secrets, notes),
        **_some("headers", _headers(headers, body, notes)),
        **body.config,
        **_some("credential", credential),
        **_some("timeout", _timeout(options, notes)),
        "follow_redirects": options.has("location") or options.has("location-trusted"),
    }
    node = {"id": "request", "type": "http", "name": _name(method, address), "config": config}
    return Imported(node, list(secrets.found.values()), list(notes))


def _some(key: str, value: Any) -> dict[str, Any]:
    """The key, if there is a value for it."""
    return {key: value} if value else {}


def _arguments(command: str, notes: Notes) -> list[str]:
    """What curl is given."""
    if len(command.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise TooLarge(f"A command may have {MAX_BYTES:,} bytes")
    if re.search(r"[\ud800-\udfff]", command):
        raise BadInput("The command has characters that are no text")
    line = words_of(command.replace("\0", " "))
    words = line.words[1:] if line.words[:1] == ["$"] else line.words  # a prompt that was copied along
    if not words or not re.fullmatch(r"(?:.*[/\\])?curl(?:\.exe)?", words[0], re.IGNORECASE | re.DOTALL):
        raise BadInput("The command must begin with curl")
    if line.has_more:
        notes.add(
            "Only the first command is imported; the shell ends it at ; & | < > ( ) or a line break outside quotes"
        )
    if line.has_variables:
        notes.add("The command has variables of a shell ($…), which are taken as text: put their values in their place")
    return words[1:]


def _note_what_is_lost(options: Options, notes: Notes) -> None:
    if options.has("next"):
        raise BadInput("The command has several requests (--next): import one at a time")
    if options.has("insecure"):
        notes.add("Certificates are checked all the same: -k cannot be imported")
    for name, _ in options.pairs:
        positive = name.removeprefix("no-")
        if name not in USED and name not in SILENT and positive not in SILENT and positive not in USED:
            notes.add(f"The option --{name} is not taken over")


def _user(options: Options, notes: Notes) -> str | None:
    """What -u says, where it is meant as user and password for basic authentication."""
    other = [name for name in _OTHER_PROOFS if options.all(name)]
    if other and options.all("user"):
        notes.add(f"-u is left out: the node cannot prove who it is by --{other[0]}")
        return None
    return options.last("user")


def _method(options: Options) -> str:
    with_body = [options.all(*DATA), options.all(*FORMS), options.all("upload-file"), options.has("head")]
    if options.has("get"):
        with_body = with_body[1:]
    if sum(map(bool, with_body)) > 1:
        raise BadInput("A command can have only one of -d, -F, -T and -I")
    implied = "GET"
    if options.has("head"):
        implied = "HEAD"
    elif options.all("upload-file"):
        implied = "PUT"
    elif options.all(*FORMS) or (options.all(*DATA) and not options.has("get")):
        implied = "POST"
    method = (options.last("request") or implied).upper()
    if method not in METHODS:
        raise BadInput(f"The method is none that the node has: {', '.join(METHODS)}")
    return method


def _body_and_address(
    options: Options, headers: Headers, address: Address, secrets: Suggestions, notes: Notes
) -> tuple[Body, Address]:
    """The body, and the address to which -G appends the data and -T a file's name."""
    header = headers.pop("content-type", None)
    content_type = None if header is None else header.value
    if options.all(*FORMS):
        return body_of_form(options.all(*FORMS), notes), address
    upload = options.last("upload-file")
    if upload is not None:
        name = File(upload).name if address.base.endswith("/") else ""
        return body_of_upload(upload, content_type, notes), address._replace(base=address.base + name)
    given = options.all(*DATA)
    if not given:
        return Body({}, content_type), address
    data = data_of(given, notes)
    if not options.has("get"):
        if header is not None and not content_type:
            notes.add("curl is told to send no Content-Type, but the node sends one")
        return body_of_data(data, content_type or None, secrets, notes), address
    if isinstance(data, File):
        notes.add("What the file would add to the query is left out")
        return Body({}, content_type), address
    return Body({}, content_type), address._replace(query="&".join(filter(None, (address.query, data))))


def _headers(headers: Headers, body: Body, notes: Notes) -> dict[str, str]:
    sent = sent_by_node(headers, notes)
    return sent if body.content_type is None else {**sent, "Content-Type": escape(body.content_type)}


def _url_and_query(address: Address, options: Options, secrets: Suggestions, notes: Notes) -> dict[str, Any]:
    """The query as an object, or in the URL where the node would write another one."""
    added = []
    for _, value in options.all("url-query"):
        piece = value[1:] if value.startswith("+") else encoded(value)
        if isinstance(piece, File):
            notes.add("What the file would add to the query is left out")
        else:
            added.append(piece)
    query = "&".join(filter(None, (address.query, *added)))
    fields = fields_of(query)
    if fields is not None:
        return {"url": escape(address.base), "query": guarded_fields(fields, secrets, in_query=True)}
    return {"url": escape(address.base) + (f"?{guarded_text(query, secrets, in_query=True)}" if query else "")}


def _timeout(options: Options, notes: Notes) -> float | None:
    text = options.last("max-time")
    if text is None:
        return None
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not seconds >= 0:
        raise BadInput("The value of --max-time is no number of seconds")
    least, most = SECONDS
    kept = min(max(seconds or most, least), most)
    if kept != seconds:
        notes.add(f"The timeout is {kept:g} seconds: a node may take from {least:g} to {most:g}")
    return kept


def _name(method: str, address: Address) -> str:
    """What the node is called. The path stays out, since that of some services is a secret."""
    return f"{method} {address.host_name}".rstrip()
