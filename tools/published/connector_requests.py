"""The requests that the operations of connectors send, to compare them with what the services publish."""

from urllib.parse import parse_qsl, urlsplit

from net.egress import Rule
from nodes.base import Context, Services
from nodes.credentials.keyring import DecryptedCredential, Keyring
from nodes.http.body import append_query
from nodes.http.pagination import PageLocation
from packs.connectors import connector_files
from packs.connectors.node import make
from packs.connectors.operation import ConnectorExchange

SAMPLES = {
    "string": "x", "text": "x", "date": "2026-01-05", "datetime": "2026-01-05T09:00:00Z", "integer": 1, "number": 1,
    "boolean": True, "list": ["x"],
}  # fmt: skip


def operations_of(*types):
    """Return `(type, id)` of all operations of these connectors."""
    return [(type_, each["id"]) for type_ in types for each in connector_files.read(type_)["operations"]]


def requests_of(type_, id_, all_choices=False):
    """Yield `(method, URL, query, body)`: those of the example, and one with all inputs if no handler makes it.

    With `all_choices`, there is one with all inputs for each value that any of the inputs may be chosen from.
    """
    connector = connector_files.read(type_)
    operation = next(each for each in connector["operations"] if each["id"] == id_)
    example = operation["example"]
    for told in example.get("requests") or [example]:
        request = told["request"]
        yield request["method"], request["url"], request.get("query", {}), request.get("body")
    if "handler" not in operation:
        most = max((len(told.get("choices", ())) for told in operation.get("inputs", {}).values()), default=0)
        for turn in range(max(most, 1) if all_choices else 1):
            yield full_request(type_, connector, operation, turn)


def responses_of(type_, id_):
    """Yield `(method, URL, response)` of the example of an operation."""
    example = next(each for each in connector_files.read(type_)["operations"] if each["id"] == id_)["example"]
    for told in example.get("requests") or [example]:
        if isinstance(told.get("response"), (dict, list)):
            yield told["request"]["method"], told["request"]["url"], told["response"]


def full_request(type_, connector, operation, turn):
    connector = {**connector, "auth": [{"type": "http_bearer"}]}
    node = make(type_, connector)
    inputs = {**connector.get("inputs", {}), **operation.get("inputs", {})}
    config = {name: sample(told, turn) for name, told in inputs.items() if sample(told, turn) is not None}
    example = {name: value for name, value in operation["example"]["config"].items() if not turn or name not in config}
    given = {**config, **example, "operation": operation["id"], "credential": "mine"}
    exchange = ConnectorExchange(type_, connector, operation, node.schema(given).load(given), context())
    place = with_page(exchange._place(), connector, operation)
    return exchange.method, place.url.partition("?")[0], dict(parse_qsl(urlsplit(place.url).query)), place.body


def context():
    """Return a context with a credential, and without an HTTP client: nothing is sent."""
    keyring = Keyring(lambda name: DecryptedCredential(name, "http_bearer", {"token": "tok-3c9f1e"}, ("127.0.0.1",)))
    services = Services(lambda: None, lambda: None, Rule([]))
    return Context("node", inputs={}, scope={}, idempotency_key="run:node:0", services=services, keyring=keyring)


def with_page(place, connector, operation):
    """Return the place with the parameters of a page that is not the first one."""
    told = operation.get("pagination", connector.get("pagination")) if operation.get("list") else None
    given = {told["size_param"]: told["size"]} if told and "size_param" in told else {}
    if told and "param" in told:
        given[told["param"]] = {"page": 2, "offset": 50}.get(told["type"], "x")
    if not told or told.get("place") != "body":
        return PageLocation(append_query(place.url, given), place.body)
    if "graphql" in operation:
        return PageLocation(place.url, {**place.body, "variables": {**place.body["variables"], **given}})
    return PageLocation(place.url, {**(place.body or {}), **given})


def sample(told, turn):
    """Return a value for this input, another choice each turn; None if none is obvious."""
    if "choices" in told:
        choice = list(told["choices"])[turn % len(told["choices"])]
        return [choice] if told.get("type") == "list" else choice
    return SAMPLES.get(told.get("type", "string"))
