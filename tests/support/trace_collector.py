"""A receiver of OpenTelemetry traces for tests."""

from types import SimpleNamespace

from pytest_httpserver import HTTPServer
from servers import until
from sites import echoing
from werkzeug import Response


class Collector:
    """A receiver of OTLP over HTTP, and another service on the same port, which returns its requests."""

    def __init__(self):
        self.spans, self.bodies = [], []
        self.server = HTTPServer("127.0.0.1", 0)
        self.server.expect_request("/v1/traces", method="POST").respond_with_handler(self._take)
        self.echo = None

    def __enter__(self):
        self.server.start()
        self.echo = echoing(self.server)
        return self

    def __exit__(self, *error):
        self.server.stop()

    def _take(self, request):
        from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

        body = request.get_data()
        self.bodies.append(body)
        sent = ExportTraceServiceRequest.FromString(body)
        for of_resource in sent.resource_spans:
            resource = values(of_resource.resource.attributes)
            self.spans += [read(span, resource) for scope in of_resource.scope_spans for span in scope.spans]
        return Response(b"", content_type="application/x-protobuf")

    def of_run(self, run_id, count):
        """Wait for this many spans of a run. Return that of the run, and the others by the id of their node."""

        def found():
            mine = [span for span in list(self.spans) if span.attributes["headrace.run.id"] == run_id]
            return mine if len(mine) >= count else None

        mine = until(found, f"{count} spans of {run_id}")
        assert len(mine) == count, mine
        (run,) = [span for span in mine if "headrace.node.id" not in span.attributes]
        return run, {span.attributes["headrace.node.id"]: span for span in mine if span is not run}


def values(attributes):
    """Return OTLP's attributes as a dict."""
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


def read(span, resource):
    return SimpleNamespace(
        name=span.name, trace=span.trace_id.hex(), id=span.span_id.hex(), parent=span.parent_span_id.hex(),
        attributes=values(span.attributes), status=span.status.code, message=span.status.message, kind=span.kind,
        start=span.start_time_unix_nano, end=span.end_time_unix_nano, resource=resource,
    )  # fmt: skip
