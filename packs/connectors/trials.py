"""Tests of credentials of known services: a cheap request that the connector's file names, and the result in words.

A credential belongs to a service by its type and its allowed hosts, or its provider; the app may name the service.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from constants import HTTP_CREDENTIALS
from errors import NodeError
from nodes.base import Context
from nodes.credentials.keyring import DecryptedCredential
from nodes.credentials.types import Untested, checks
from nodes.data.jmespath_query import search
from nodes.fields import text_of
from nodes.http.client import check_credential
from packs.connectors import connector_files
from packs.connectors.operation import MAX_SAID, ConnectorExchange
from packs.connectors.refusals import explain, name_secret
from packs.oauth.settings import GRANT_TYPES, SERVICE_ACCOUNT
from security.credentials import NO_CHECK

SECONDS = 10.0
EXAMPLE = "example.com"  # whose hosts are those of nobody


class Service(NamedTuple):
    """A connector, and its way to authenticate with a credential."""

    type: str
    connector: Mapping[str, Any]
    way: Mapping[str, Any]

    @property
    def test(self) -> Mapping[str, Any] | None:
        """Return the request that tests the credential, if there is one."""
        found: Mapping[str, Any] | None = self.way.get("test") or self.connector.get("test")
        return found


def find_service(
    type_: str, hosts: tuple[str, ...], name: str = "", provider: str = "", wanted: Any = None
) -> Service | None:
    """Return the service of a credential: the wanted one, or the only one that fits, or one that its name tells."""
    if isinstance(wanted, str) and wanted in connector_files.types():
        connector = connector_files.read(wanted)
        ways = (way for way in connector.get("auth", ()) if way["type"] == type_)
        return next((Service(wanted, connector, way) for way in ways), None)
    found = list(_list_services(type_, hosts, provider))
    named = [each for each in found if str(each.connector["name"]).casefold() in name.casefold()]
    return found[0] if len(found) == 1 else max(named, key=lambda each: len(each.connector["name"]), default=None)


def _list_services(type_: str, hosts: tuple[str, ...], provider: str) -> Iterator[Service]:
    for name in sorted(connector_files.types()):
        connector = connector_files.read(name)
        for way in connector.get("auth", ()):
            if way["type"] == type_ and _fits(way, hosts, provider):
                yield Service(name, connector, way)
                break


def _fits(way: Mapping[str, Any], hosts: tuple[str, ...], provider: str) -> bool:
    if way["type"] == SERVICE_ACCOUNT or "provider" in way:
        return bool(way.get("provider") == provider)
    example = way.get("host", {}).get("example", EXAMPLE)
    domain = example.partition(".")[2]
    return bool(set(hosts) & set(way.get("hosts", ()))) or (
        not example.endswith(EXAMPLE) and any(host.endswith(f".{domain}") for host in hosts)
    )


@checks(*HTTP_CREDENTIALS, "secret")
def check_account(credential: DecryptedCredential, ctx: Context, asked: Mapping[str, Any]) -> str:
    """Test a credential of a known service by its own request; others as the core does, by `url`."""
    provider = credential.data.get("provider", "")
    service = find_service(
        credential.type, credential.hosts, credential.name, provider if isinstance(provider, str) else "",
        asked.get("service"),
    )  # fmt: skip
    is_unsaved = credential.type in GRANT_TYPES and credential.grants is None
    if service is None or service.test is None or asked.get("url") or is_unsaved:
        if credential.type == "secret":
            raise Untested(NO_CHECK)
        return check_credential(credential, ctx, asked)
    return ask(service, credential.name, ctx)


def ask(service: Service, name: str, ctx: Context) -> str:
    """Send the request of the test. Return that the service accepts the account. Raises: NodeError in plain words."""
    told = service.test or {}
    operations = service.connector["operations"]
    operation = next((each for each in operations if each["id"] == told.get("operation")), {"id": "test", **told})
    inputs = {**service.connector.get("inputs", {}), **operation.get("inputs", {})}
    given = {key: told["default"] for key, told in inputs.items() if "default" in told}
    config = {**given, "credential": name, "timeout": SECONDS, "max_items": 1}
    exchange = ConnectorExchange(service.type, service.connector, operation, config, ctx)
    what = name_secret(service.way)
    accepted = f"{service.connector['name']} accepted the {what}"
    try:
        answer = exchange.result()
    except NodeError as error:
        if exchange.status in told.get("accept", ()):
            return accepted
        raise explain(error, exchange) from None
    who = " ".join(text_of(search(told["who"], answer) or "").split())[:MAX_SAID] if "who" in told else ""
    return f"{accepted} of {who}" if who else accepted
