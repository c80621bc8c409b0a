"""Fixtures of the tests of connectors."""

import pytest
from connector_stub import HOST, Stub, aim, aim_back

from packs.connectors import connector_files
from packs.connectors.node import make


@pytest.fixture
def call_service(httpserver, make_ctx):
    """`call_service(type, operation, config, *answers)` returns the output, and the requests."""

    def execute(type_, operation, config, *answers, files=None, credential=("http_bearer", {"token": "tok-1"})):
        stub = Stub(httpserver, answers)
        file = aim(connector_files.read(type_), stub.port)
        if credential[0] not in {way["type"] for way in file["auth"]}:
            file["auth"].append({"type": credential[0]})
        node = make(type_, file)
        ctx, _ = make_ctx(credentials={"mine": (*credential, [HOST])})
        for path, content in (files or {}).items():
            ctx.files.write(path, content)
        config = node.schema({"operation": operation}).load({"operation": operation, "credential": "mine", **config})
        execute.files = ctx.files
        return aim_back(node.run(config, None, ctx), stub.port), stub.seen

    return execute
