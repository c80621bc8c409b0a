"""Security schemes of an OpenAPI document: the credential of each operation, and keys in its query or cookies."""

from __future__ import annotations

import re
from typing import Any, NamedTuple
from urllib.parse import urljoin

from importing.json_document import is_name
from importing.notes import quote_name
from importing.openapi import OpenApi
from importing.secret_detection import Suggestions, get_hosts

SUPPORTED = ("http_basic", "http_bearer", "http_header", "http_query", "cookie", "oauth2_client_credentials")
_ELSEWHERE = "see the API's documentation"


class Authentication(NamedTuple):
    """Authentication of a node: the credential's name and type, or expressions for query and cookies."""

    credential: str | None = None
    type: str | None = None
    query: tuple[tuple[str, str], ...] = ()
    cookies: tuple[str, ...] = ()


class Security:
    """The security schemes of a document. The credential of the first scheme in use is named after the document."""

    def __init__(self, document: OpenApi, secrets: Suggestions, server: str | None) -> None:
        self.document, self.secrets, self.server = document, secrets, server
        self.schemes = document.schemes()
        self.names: dict[str, str] = {}
        self.scopes: dict[str, dict[str, None]] = {}

    def choose(self, operation: dict[str, Any]) -> Authentication:
        """Return the first supported alternative of the operation; empty if authentication is optional."""
        alternatives = self.document.requirements(operation if "security" in operation else self.document.root)
        if not alternatives or {} in alternatives:
            return Authentication()
        pairs = [(one, [name for name in one if self._type(name) in SUPPORTED]) for one in alternatives]
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

    def _type(self, name: str) -> str | None:
        return self.document.credential_type(self.document.at(self.schemes, name)) if is_name(name) else None

    def _authenticate(self, name: str, scopes: Any) -> Authentication:
        scheme = self.document.at(self.schemes, name)
        type_, key, source = self._type(name), str(scheme.get("name")), f"the API's {quote_name(name)}"
        if type_ == "http_basic":
            return self._credential(name, type_, {}, {"username": source, "password": source})
        if type_ == "http_header":
            return self._credential(name, type_, {"name": key}, {"value": source})
        if type_ in ("http_query", "cookie"):
            return self._of_key(name, type_, key, source)
        if type_ == "oauth2_client_credentials":
            return self._of_client(name, self.document.client_flow(scheme), scopes, source)
        if scheme["type"] != "http":
            source = _ELSEWHERE
            self.document.notes.add(f"{quote_name(name)} needs an access token, which is expected as a bearer token")
        return self._credential(name, "http_bearer", {}, {"token": source})

    def _credential(
        self, name: str, type_: str, data: dict[str, str], sources: dict[str, str], hosts: tuple[str, ...] = ()
    ) -> Authentication:
        """Suggest one credential for each scheme; all but the first have the scheme in their name."""
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60]
        known = self.names.setdefault(name, f"{self.secrets.base}-{slug}" if self.names else self.secrets.base)
        return Authentication(self.secrets.add(known, type_, data, sources, hosts), type_)

    def _of_key(self, name: str, type_: str, key: str, source: str) -> Authentication:
        expression, place = self.secrets.add_secret(name, source), type_.removeprefix("http_")
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


def _join_url(server: str | None, url: Any) -> str:
    """Return the URL, resolved against the server's; empty if it is invalid."""
    if not isinstance(url, str) or len(url) > 1_000:
        return ""
    try:
        return urljoin(f"{server}/" if server else "", url)
    except ValueError:
        return ""
