"""An S3 store for tests: moto's, behind a real HTTP server, which checks the keys and may answer with an error."""

import threading
from contextlib import contextmanager
from types import SimpleNamespace
from urllib.request import Request, urlopen

from werkzeug import Response
from werkzeug.serving import make_server

KEY_ID, KEY = "AKIAZOE", "Geheim/Key+1"
BUCKET = "values"


class Requests:
    """A WSGI application that records each request, and passes it on to the store unless `answer` is set."""

    def __init__(self, app):
        self.app, self.seen, self.answer = app, [], None

    def __call__(self, environ, start_response):
        self.seen.append(SimpleNamespace(method=environ["REQUEST_METHOD"], path=environ["RAW_URI"]))
        known = f"Credential={KEY_ID}/" in environ.get("HTTP_AUTHORIZATION", "")
        answer = self.answer or (None if known else refuse("InvalidAccessKeyId"))
        return (answer or self.app)(environ, start_response)


def refuse(code, status=403):
    """Return an error of S3."""
    body = f"<Error><Code>{code}</Code><Message>No.</Message></Error>"
    return Response(body, status=status, content_type="application/xml")


@contextmanager
def serving():
    """Give a store with an empty bucket BUCKET: its `port`, `requests`, and `list()` of the objects' keys.

    `change(key, content)` replaces an object, `clear()` deletes all.
    """
    from moto.s3.models import s3_backends
    from moto.server import DomainDispatcherApplication, create_backend_app

    requests = Requests(DomainDispatcherApplication(create_backend_app))
    server = make_server("127.0.0.1", 0, requests, threaded=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{server.port}"
    scope = f"{KEY_ID}/20260101/us-east-1/s3/aws4_request"
    headers = {"Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"}
    urlopen(Request(f"{url}/{BUCKET}", method="PUT", headers=headers), timeout=60).close()
    requests.seen.clear()
    backend = next(backend for account in s3_backends.values() for backend in account.values())
    try:
        yield SimpleNamespace(
            port=server.port,
            requests=requests,
            list=lambda: sorted(backend.buckets[BUCKET].keys),
            change=lambda key, content: backend.put_object(BUCKET, key, content),
            clear=lambda: [backend.delete_object(BUCKET, key) for key in list(backend.buckets[BUCKET].keys)],
        )
    finally:
        server.shutdown()
        thread.join(60)
        server.server_close()
        for account in s3_backends.values():
            for each in account.values():
                each.reset()
