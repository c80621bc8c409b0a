"""Credentials whose account is connected, without a server that could refresh them."""

from packs.oauth import grants
from registry import registry


def connected_account(client, name="account"):
    """Return the id of a new credential of the client's workspace; without the pack, of a token."""
    if "oauth" not in registry.packs:
        return client.post("/api/credentials", {"name": name, "type": "http_bearer", "data": {"token": "t"}}).json["id"]
    urls = {"authorization_url": "https://login.example.com/a", "token_url": "https://login.example.com/t"}
    data = {**urls, "client_id": "c", "client_secret": "s"}
    made = client.post("/api/credentials", {"name": name, "type": "oauth2", "data": data}).json
    grants.put(made["id"], made["workspace_id"], details="{}")
    return made["id"]
