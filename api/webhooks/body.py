"""A webhook's request as a run's input: `{method, path, query, headers, body}`, without what proves who sent it.

Uploaded files have a key of their own, so no object from outside can pass for a file of the workspace.
"""

from __future__ import annotations

import base64
import codecs
from collections.abc import Iterable, Sequence
from io import BytesIO
from typing import Any
from urllib.parse import parse_qsl

from flask import Request
from werkzeug.formparser import FormDataParser

from api.http.json_io import parse
from errors import BadInput

# Never recorded, whatever the webhook's own auth is.
SECRET_HEADERS = ("authorization", "cookie", "proxy-authorization")
MOST_FIELDS = 10_000
# Python has codecs that are slow on purpose or no charsets; these are those in use.
CHARSETS = {
    *("utf-8", "ascii", "utf-16", "utf-16-le", "utf-16-be", "koi8-r", "koi8-u", "shift_jis", "euc_jp", "iso2022_jp"),
    *("gb2312", "gbk", "gb18030", "big5", "euc_kr"),
    *(f"iso8859-{number}" for number in (*range(1, 12), *range(13, 17))),
    *(f"cp{number}" for number in range(1250, 1259)),
}
TEXTS = ("application/xml", "application/yaml", "application/x-yaml", "application/javascript", "application/graphql")


def input_of(request: Request, path: str, raw: bytes, carrier: str | None) -> dict[str, Any]:
    """What the run gets: several values of a query parameter are a list, header names are in lower case.

    `carrier` is the header that holds the webhook's own secret. BadInput for a body that is not what it says.
    """
    query = query_of(request.query_string.decode()) if request.query_string else {}
    headers = _headers(request.environ, carrier)
    return {"method": request.method, "path": path, "query": query, "headers": headers, "body": body_of(request, raw)}


def query_of(text: str) -> dict[str, Any]:
    """Return the parameters of a query string, as werkzeug reads them: bytes that are not UTF-8 stay escaped."""
    return _grouped(parse_qsl(text, keep_blank_values=True, errors="werkzeug.url_quote"))


def headers_of(pairs: Sequence[tuple[str, str]], carrier: str | None) -> dict[str, str]:
    """The same headers as `input_of` has, of pairs of name and value in which no name comes twice."""
    found = {}
    for name, value in pairs:
        name = name.lower()
        if name not in SECRET_HEADERS and name != carrier and value:
            found[name] = value if value.isascii() else _as_meant(value)
    return found


def _headers(environ: dict[str, Any], carrier: str | None) -> dict[str, str]:
    found = {}
    for key, value in environ.items():
        if key.startswith("HTTP_"):
            name = key[5:].replace("_", "-").lower()
        elif key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            name = key.replace("_", "-").lower()
        else:
            continue
        if name not in SECRET_HEADERS and name != carrier and value:
            found[name] = value if value.isascii() else _as_meant(value)
    return found


def _as_meant(value: str) -> str:
    """A header as text: WSGI hands its bytes over as Latin-1, while most who send more than ASCII send UTF-8."""
    try:
        return value.encode("latin-1").decode()
    except UnicodeError:
        return value


def body_of(request: Request, raw: bytes) -> Any:
    """The body as data: JSON or a form by its content type, else text, else base64 of the bytes; null for none."""
    if not raw:
        return None
    kind = request.mimetype
    if kind == "application/json" or kind.endswith("+json"):
        return parse(raw, "the body")
    if kind == "application/x-www-form-urlencoded":
        return _form(raw)
    if kind == "multipart/form-data":
        return _multipart(raw, request.mimetype_params)
    charset = request.mimetype_params.get("charset")
    if charset or not kind or kind.startswith("text/") or kind.endswith("+xml") or kind in TEXTS:
        text = _text(raw, charset or "utf-8")
        if text is not None:
            return text
    return _bytes(kind, raw)


def _text(raw: bytes, charset: str) -> str | None:
    """The text, None where the bytes are none in this charset, or nobody knows it."""
    try:
        name = codecs.lookup(charset).name
        return raw.decode(name) if name in CHARSETS else None
    except (LookupError, UnicodeError, ValueError):
        return None


def _bytes(kind: str, raw: bytes) -> dict[str, Any]:
    return {"content_type": kind or None, "size": len(raw), "base64": base64.b64encode(raw).decode()}


def _form(raw: bytes) -> dict[str, Any]:
    try:
        text = raw.decode("utf-8", "replace")
        return _grouped(parse_qsl(text, keep_blank_values=True, max_num_fields=MOST_FIELDS))
    except ValueError:
        raise BadInput(f"the body has more than {MOST_FIELDS} fields") from None


def _multipart(raw: bytes, options: dict[str, str]) -> dict[str, Any]:
    parser = FormDataParser(stream_factory=lambda *_, **__: BytesIO(), silent=False, max_form_parts=MOST_FIELDS)
    try:
        _, form, files = parser.parse(BytesIO(raw), "multipart/form-data", len(raw), options)
    except ValueError as error:
        raise BadInput(f"the body is no multipart form: {error}") from None
    sent: list[tuple[str, Any]] = list(form.items(multi=True))
    for name, file in files.items(multi=True):
        sent.append((name, {"filename": file.filename, **_bytes(file.mimetype, file.stream.read())}))
    return _grouped(sent)


def _grouped(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Name to value, or to the list of values where there are several."""
    found: dict[str, list[Any]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}
