"""Fixtures for tests of what is reached by the network: host names, and an authority for certificates."""

import socket

import pytest
from certificates import Authority


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    """An authority of its own that makes certificates; `authority.file` is for `HEADRACE_CA_FILE`."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def names(monkeypatch):
    """`names["host"] = [addresses]` is what the host resolves to; `names.asked` counts."""

    class Names(dict):
        asked = 0

    names, real = Names(), socket.getaddrinfo

    def resolve(host, port, *args, **kwargs):
        if host not in names:
            return real(host, port, *args, **kwargs)
        names.asked += 1
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (text, port)) for text in names[host]]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return names
