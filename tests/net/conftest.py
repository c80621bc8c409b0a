import pytest

from net.egress import Client, Rule


@pytest.fixture(scope="session")
def client():
    """A client that may reach only 127.0.0.1 of this machine, by that address."""
    client = Client(Rule(["127.0.0.1"]), max_bytes=50_000)
    yield client
    client.close()
