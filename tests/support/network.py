"""Fixtures for tests of the network: host names and a certificate authority."""

import socket

import pytest
from certificates import Authority


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    """Return a certificate authority; `authority.file` is for `HEADRACE_CA_FILE`."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def names(monkeypatch):
    """Return a dict of host names: `names["host"] = [addresses]`. `names.asked` counts the lookups."""

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
