"""Body and headers of a webhook request as a run's input: `{method, path, query, headers, body}`, without secrets.

Uploaded files have a key of their own, so no object from outside can pass as a file of the workspace.
"""

from __future__ import annotations

import base64
import codecs
from collections.abc import Iterable, Sequence
from contextlib import suppress
from io import BytesIO
from typing import Any
from urllib.parse import parse_qsl

from flask import Request
from werkzeug.formparser import FormDataParser

from api.http.json_io import parse_json
from errors import BadInput

# Never recorded, whichever authentication the webhook has.
SECRET_HEADERS = ("authorization", "cookie", "proxy-authorization")
MAX_FIELDS = 10_000
# The charsets in common use: Python has other codecs that are slow or not charsets at all.
CHARSETS = {
    *("utf-8", "ascii", "utf-16", "utf-16-le", "utf-16-be", "koi8-r", "koi8-u", "shift_jis", "euc_jp", "iso2022_jp"),
    *("gb2312", "gbk", "gb18030", "big5", "euc_kr"),
    *(f"iso8859-{number}" for number in (*range(1, 12), *range(13, 17))),
    *(f"cp{number}" for number in range(1250, 1259)),
}
TEXTS = ("application/xml", "application/yaml", "application/x-yaml", "application/javascript", "application/graphql")


def build_input(request: Request, path: str, raw: bytes, secret_header: str | None) -> dict[str, Any]:
    """Return the run's input. Repeated query parameters become a list; header names are in lower case.

    `secret_header` carries the webhook's own secret and is left out.

    Raises: BadInput if the body does not match its content type.
    """
    headers = [
        (key.removeprefix("HTTP_").replace("_", "-"), value)
        for key, value in request.environ.items()
        if key.startswith("HTTP_") or key in ("CONTENT_TYPE", "CONTENT_LENGTH")
    ]
    return {
        "method": request.method,
        "path": path,
        "query": parse_query(request.query_string.decode()) if request.query_string else {},
        "headers": filter_headers(headers, secret_header),
        "body": parse_body(request, raw),
    }


def parse_query(text: str) -> dict[str, Any]:
    """Return the parameters of a query string, as werkzeug does: bytes that are not UTF-8 stay percent-encoded."""
    return _group(parse_qsl(text, keep_blank_values=True, errors="werkzeug.url_quote"))


def filter_headers(pairs: Sequence[tuple[str, str]], secret_header: str | None) -> dict[str, str]:
    """Return the headers of a run's input from pairs of name and value with unique names."""
    found = {}
    for name, value in pairs:
        name = name.lower()
        if name not in SECRET_HEADERS and name != secret_header and value:
            found[name] = value
            if not value.isascii():
                # WSGI decodes it as Latin-1, but most senders of non-ASCII text use UTF-8.
                with suppress(UnicodeError):
                    found[name] = value.encode("latin-1").decode()
    return found


def parse_body(request: Request, raw: bytes) -> Any:
    """Return the body as data: JSON or a form by its content type, else text, else base64; None if it is empty."""
    if not raw:
        return None
    kind = request.mimetype
    if kind == "application/json" or kind.endswith("+json"):
        return parse_json(raw, "the body")
    if kind == "application/x-www-form-urlencoded":
        try:
            return _group(parse_qsl(raw.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=MAX_FIELDS))
        except ValueError:
            raise BadInput(f"the body has more than {MAX_FIELDS} form fields; send fewer") from None
    if kind == "multipart/form-data":
        parser = FormDataParser(stream_factory=lambda *_, **__: BytesIO(), silent=False, max_form_parts=MAX_FIELDS)
        try:
            _, form, files = parser.parse(BytesIO(raw), "multipart/form-data", len(raw), request.mimetype_params)
        except ValueError as error:
            raise BadInput(f"the body is not a valid multipart form: {error}") from None
        sent: list[tuple[str, Any]] = list(form.items(multi=True))
        for name, file in files.items(multi=True):
            sent.append((name, {"filename": file.filename, **_encode_bytes(file.mimetype, file.stream.read())}))
        return _group(sent)
    charset = request.mimetype_params.get("charset")
    if charset or not kind or kind.startswith("text/") or kind.endswith("+xml") or kind in TEXTS:
        # The charset may be unknown, or the bytes not valid in it.
        with suppress(LookupError, UnicodeError, ValueError):
            name = codecs.lookup(charset or "utf-8").name
            if name in CHARSETS:
                return raw.decode(name)
    return _encode_bytes(kind, raw)


def _encode_bytes(kind: str, raw: bytes) -> dict[str, Any]:
    return {"content_type": kind or None, "size": len(raw), "base64": base64.b64encode(raw).decode()}


def _group(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Return names with their value, or with the list of values of a repeated name."""
    found: dict[str, list[Any]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}
