"""What an OpenAPI document says about who may ask: which credential a node needs, and where a key goes else."""

from __future__ import annotations

import re
from itertools import islice
from typing import Any, NamedTuple
from urllib.parse import urljoin

from importing.documents import Document, is_name, items
from importing.notes import shown
from importing.secret_detection import Suggestions, hosts_of
from nodes.fields import TOKEN

_ELSEWHERE = "got elsewhere, as the API's documentation says"


class Proof(NamedTuple):
    """What goes into a node: the credential's name and type, or expressions for the query and the cookies."""

    credential: str | None = None
    type: str | None = None
    query: tuple[tuple[str, str], ...] = ()
    cookies: tuple[str, ...] = ()


class Security:
    """The security schemes of a document. The credential of the first one that is needed is named after it."""

    def __init__(self, document: Document, secrets: Suggestions, server: str | None) -> None:
        self.document, self.secrets, self.server = document, secrets, server
        self.schemes = document.at(document.root, "components").get("securitySchemes")
        self.names: dict[str, str] = {}
        self.scopes: dict[str, dict[str, None]] = {}

    def proof(self, operation: dict[str, Any]) -> Proof:
        """What the operation needs: of its alternatives the first that a node can do; nothing where one is nothing."""
        holder = operation if "security" in operation else self.document.root
        alternatives = [dict(islice(one.items(), 20)) for one in items(holder, "security", 20) if isinstance(one, dict)]
        if not alternatives or {} in alternatives:
            return Proof()
        pairs = [(one, [name for name in one if self._can(name)]) for one in alternatives]
        usable = [(one, names) for one, names in pairs if names]
        if not usable:
            self._note_lost(next(iter(alternatives[0])))
            return Proof()
        one, names = min(usable, key=lambda pair: (len(pair[0]) - len(pair[1]), len(pair[1])))
        for name in one:
            if name != names[0]:
                self._note_lost(name)
        return self._of(names[0], one[names[0]])

    def _note_lost(self, name: str) -> None:
        self.document.notes.add(
            f"The security scheme {shown(name)} is left out: a node cannot do it, or not beside another"
        )

    def _scheme(self, name: str) -> dict[str, Any]:
        return self.document.at(self.schemes, name)

    def _can(self, name: str) -> bool:
        scheme = self._scheme(name) if is_name(name) else {}
        type_ = scheme.get("type")
        if type_ == "apiKey":
            place, key = scheme.get("in"), scheme.get("name")
            return is_name(key) and (place == "query" or (place in ("header", "cookie") and bool(TOKEN.match(key))))
        return type_ in ("oauth2", "openIdConnect") or (type_ == "http" and _way(scheme) in ("basic", "bearer"))

    def _of(self, name: str, scopes: Any) -> Proof:
        scheme = self._scheme(name)
        type_, source = scheme["type"], f"the API's {shown(name)}"
        if type_ == "http" and _way(scheme) == "basic":
            return self._credential(name, "http_basic", {}, {"username": source, "password": source})
        if type_ == "http":
            return self._credential(name, "http_bearer", {}, {"token": source})
        if type_ == "apiKey":
            return self._of_key(name, scheme["in"], scheme["name"], source)
        flow = self.document.at(self.document.at(scheme, "flows"), "clientCredentials")
        if type_ == "oauth2" and flow:
            return self._of_client(name, flow, scopes, source)
        self.document.notes.add(f"{shown(name)} needs a token that is {_ELSEWHERE}: it is expected as a bearer token")
        return self._credential(name, "http_bearer", {}, {"token": _ELSEWHERE})

    def _credential(
        self, name: str, type_: str, data: dict[str, str], sources: dict[str, str], hosts: tuple[str, ...] = ()
    ) -> Proof:
        """One credential a scheme; those after the first have the scheme in their name."""
        slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:60]
        known = self.names.setdefault(name, f"{self.secrets.base}-{slug}" if self.names else self.secrets.base)
        return Proof(self.secrets.add(known, type_, data, sources, hosts), type_)

    def _of_key(self, name: str, place: str, key: str, source: str) -> Proof:
        if place == "header":
            return self._credential(name, "http_header", {"name": key}, {"value": source})
        expression = self.secrets.stand_in(name, source)
        self.document.notes.add(f"The key {shown(key)} goes into the {place}, where it stands as {expression}")
        if place == "query":
            return Proof(type="secret", query=((key, expression),))
        return Proof(type="secret", cookies=(f"{key}={expression}",))

    def _of_client(self, name: str, flow: dict[str, Any], scopes: Any, source: str) -> Proof:
        """A client of OAuth2. Its one credential asks for whatever any operation needs."""
        asked = self.scopes.setdefault(name, {})
        asked.update(
            dict.fromkeys(scope for scope in scopes if isinstance(scope, str)) if isinstance(scopes, list) else {}
        )
        data, sources = {}, {"client_id": source, "client_secret": source}
        hosts: tuple[str, ...] = ()
        url = _joined(self.server, flow.get("tokenUrl"))
        if hosts_of(url):
            data["token_url"], hosts = url, hosts_of(url)
        else:
            sources["token_url"] = _ELSEWHERE
        if asked:
            data["scope"] = " ".join(asked)[:1_000]
        return self._credential(name, "oauth2_client_credentials", data, sources, hosts)


def _way(scheme: dict[str, Any]) -> str:
    way = scheme.get("scheme")
    return str(way).lower() if is_name(way) else ""


def _joined(server: str | None, url: Any) -> str:
    """The address, which may be beside the server's; empty where it is none."""
    if not isinstance(url, str) or len(url) > 1_000:
        return ""
    try:
        return urljoin(f"{server}/" if server else "", url)
    except ValueError:
        return ""
