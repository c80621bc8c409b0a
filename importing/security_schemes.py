"""Security schemes of an OpenAPI document: the credential of each operation, and keys in its query or cookies."""

from __future__ import annotations

import re
from itertools import islice
from typing import Any, NamedTuple
from urllib.parse import urljoin

from importing.json_document import Document, is_name, read_list
from importing.notes import quote_name
from importing.secret_detection import Suggestions, get_hosts
from nodes.fields import TOKEN

_ELSEWHERE = "see the API's documentation"


class Authentication(NamedTuple):
    """Authentication of a node: the credential's name and type, or expressions for query and cookies."""

    credential: str | None = None
    type: str | None = None
    query: tuple[tuple[str, str], ...] = ()
    cookies: tuple[str, ...] = ()


class Security:
    """The security schemes of a document. The credential of the first scheme in use is named after the document."""

    def __init__(self, document: Document, secrets: Suggestions, server: str | None) -> None:
        self.document, self.secrets, self.server = document, secrets, server
        self.schemes = document.at(document.root, "components").get("securitySchemes")
        self.names: dict[str, str] = {}
        self.scopes: dict[str, dict[str, None]] = {}

    def choose(self, operation: dict[str, Any]) -> Authentication:
        """Return the first supported alternative of the operation; empty if authentication is optional."""
        holder = operation if "security" in operation else self.document.root
        listed = read_list(holder, "security", 20)
        alternatives = [dict(islice(one.items(), 20)) for one in listed if isinstance(one, dict)]
        if not alternatives or {} in alternatives:
            return Authentication()
        pairs = [(one, [name for name in one if self._is_supported(name)]) for one in alternatives]
        usable = [(one, names) for one, names in pairs if names]
        if not usable:
            self._note_ignored(next(iter(alternatives[0])))
            return Authentication()
        one, names = min(usable, key=lambda pair: (len(pair[0]) - len(pair[1]), len(pair[1])))
        for name in one:
            if name != names[0]:
                self._note_ignored(name)
        return self._authenticate(names[0], one[names[0]])

    def _note_ignored(self, name: str) -> None:
        self.document.notes.add(
            f"The security scheme {quote_name(name)} is not imported: a node cannot use it, or only one"
        )

    def _scheme(self, name: str) -> dict[str, Any]:
        return self.document.at(self.schemes, name)

    def _is_supported(self, name: str) -> bool:
        scheme = self._scheme(name) if is_name(name) else {}
        type_ = scheme.get("type")
        if type_ == "apiKey":
            place, key = scheme.get("in"), scheme.get("name")
            return is_name(key) and (place == "query" or (place in ("header", "cookie") and bool(TOKEN.match(key))))
        return type_ in ("oauth2", "openIdConnect") or (type_ == "http" and _get_scheme(scheme) in ("basic", "bearer"))

    def _authenticate(self, name: str, scopes: Any) -> Authentication:
        scheme = self._scheme(name)
        type_, source = scheme["type"], f"the API's {quote_name(name)}"
        if type_ == "http" and _get_scheme(scheme) == "basic":
            return self._credential(name, "http_basic", {}, {"username": source, "password": source})
        if type_ == "http":
            return self._credential(name, "http_bearer", {}, {"token": source})
        if type_ == "apiKey":
            return self._of_key(name, scheme["in"], scheme["name"], source)
        flow = self.document.at(self.document.at(scheme, "flows"), "clientCredentials")
        if type_ == "oauth2" and flow:
            return self._of_client(name, flow, scopes, source)
        self.document.notes.add(f"{quote_name(name)} needs an access token, which is expected as a bearer token")
        return self._credential(name, "http_bearer", {}, {"token": _ELSEWHERE})

    def _credential(
        self, name: str, type_: str, data: dict[str, str], sources: dict[str, str], hosts: tuple[str, ...] = ()
    ) -> Authentication:
        """Suggest one credential for each scheme; all but the first have the scheme in their name."""
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60]
        known = self.names.setdefault(name, f"{self.secrets.base}-{slug}" if self.names else self.secrets.base)
        return Authentication(self.secrets.add(known, type_, data, sources, hosts), type_)

    def _of_key(self, name: str, place: str, key: str, source: str) -> Authentication:
        if place == "header":
            return self._credential(name, "http_header", {"name": key}, {"value": source})
        expression = self.secrets.add_secret(name, source)
        self.document.notes.add(f"The key {quote_name(key)} is sent in the {place}, read by {expression}")
        if place == "query":
            return Authentication(type="secret", query=((key, expression),))
        return Authentication(type="secret", cookies=(f"{key}={expression}",))

    def _of_client(self, name: str, flow: dict[str, Any], scopes: Any, source: str) -> Authentication:
        """Suggest an OAuth2 client. Its one credential requests the scopes of all operations."""
        asked = self.scopes.setdefault(name, {})
        asked.update(
            dict.fromkeys(scope for scope in scopes if isinstance(scope, str)) if isinstance(scopes, list) else {}
        )
        data, sources = {}, {"client_id": source, "client_secret": source}
        hosts: tuple[str, ...] = ()
        url = _join_url(self.server, flow.get("tokenUrl"))
        if get_hosts(url):
            data["token_url"], hosts = url, get_hosts(url)
        else:
            sources["token_url"] = _ELSEWHERE
        if asked:
            data["scope"] = " ".join(asked)[:1_000]
        return self._credential(name, "oauth2_client_credentials", data, sources, hosts)


def _get_scheme(scheme: dict[str, Any]) -> str:
    way = scheme.get("scheme")
    return str(way).lower() if is_name(way) else ""


def _join_url(server: str | None, url: Any) -> str:
    """Return the URL, resolved against the server's; empty if it is invalid."""
    if not isinstance(url, str) or len(url) > 1_000:
        return ""
    try:
        return urljoin(f"{server}/" if server else "", url)
    except ValueError:
        return ""
