import pytest

from net.egress import HttpClient, Rule


@pytest.fixture(scope="session")
def client():
    """A client that may reach only 127.0.0.1 of this machine, by that address."""
    client = HttpClient(Rule(["127.0.0.1"]), max_bytes=50_000)
    yield client
    client.close()
