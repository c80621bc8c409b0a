import pytest

from net.egress import Client, Rule


@pytest.fixture(scope="session")
def client():
    """A client that may reach 127.0.0.1, under that address, and nothing else of this machine."""
    client = Client(Rule(["127.0.0.1"]), max_bytes=50_000)
    yield client
    client.close()
