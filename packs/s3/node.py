"""S3 node: objects in an S3-compatible store, by the library `minio`, under the egress rule.

Limits everything that the library reads into memory; files are streamed.
"""

from __future__ import annotations

import functools
import mimetypes
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BytesIO
from itertools import islice
from typing import IO, Any, NamedTuple
from urllib.parse import urlsplit

from errors import ErrorKind, LimitExceeded, NodeError, TimedOut
from fields import Schema, iso
from net.library_sockets import guard_connections
from nodes.base import Context, Node, check_installed
from nodes.credentials import base
from nodes.credentials.keyring import DecryptedCredential
from nodes.credentials.types import checks
from nodes.fields import anything, choice, credential, number, text, whole
from nodes.files.files import MAX_READ, describe_file, get_path, parse_content, to_bytes
from nodes.files.node import check_secrets
from nodes.http.body import is_permanent

MAX_RESPONSE = 8 * 2**20  # bytes of metadata responses
PART = 10 * 2**20  # bytes of a file in memory during a multipart upload
PIECE = 64 * 1024
# Error codes that are transient.
TRANSIENT = {"RequestTimeout", "SlowDown", "InternalError", "ServiceUnavailable", "OperationAborted"}
# The codes of S3 for a key that is unknown or does not fit its secret.
NOT_LOGGED_IN = {"InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken"}
# Errors of the library on a response that is not S3's.
PROTOCOL_ERRORS = (SyntaxError, AttributeError, KeyError, TypeError, ValueError)


class S3Credential(base.CredentialType):
    """An S3-compatible object store: AWS, MinIO, Garage, Ceph, R2, B2."""

    title = "S3"
    endpoint = base.text(
        "The URL of the store", base.check_url, load_default="https://s3.amazonaws.com", title="Endpoint"
    )
    region = base.text("The region: eu-central-1", title="Region")
    access_key = base.text("The id of the access key", required=True, title="Access key ID")
    secret_key = base.secret("The secret of the access key", required=True, title="Secret access key")

    @classmethod
    def hosts(cls, data: Mapping[str, Any]) -> tuple[str, ...]:
        (host,) = base.host_of(data["endpoint"])
        return host, f"*.{host}"


class S3Node(Node):
    """Uploads, downloads, deletes and lists objects in an S3-compatible store: AWS, MinIO, Garage, Ceph, R2, B2."""

    type = "s3"
    category = "storage"
    title = "S3"
    icon = "bucket"
    also = ("aws", "minio", "bucket", "object storage", "upload", "download")
    pure = False
    extra = "s3"
    requires = ("minio",)
    examples = (
        {
            "config": {
                "credential": "store",
                "operation": "put",
                "bucket": "reports",
                "key": "2026/{{ input.name }}.json",
                "data": "{{ input.report }}",
            },
            "input": {"name": "may", "report": {"total": 5}},
            "output": {"bucket": "reports", "key": "2026/may.json", "size": 11, "etag": "0b9c6bd4…"},
        },
        {
            "config": {
                "credential": "store",
                "operation": "get",
                "bucket": "photos",
                "key": "cat.png",
                "file": "downloads/cat.png",
            },
            "output": {
                "path": "downloads/cat.png",
                "name": "cat.png",
                "size": 52000,
                "content_type": "image/png",
                "key": "cat.png",
                "etag": "5d41402a…",
            },
        },
        {
            "config": {"credential": "store", "operation": "list", "bucket": "reports", "prefix": "2026/"},
            "output": {
                "objects": [
                    {"key": "2026/may.json", "size": 11, "etag": "0b9c6bd4…", "modified_at": "2026-05-31T07:20:00.000Z"}
                ],
                "truncated": False,
            },
        },
    )

    class Config(Schema):
        credential = credential("The credential of the store", "s3", required=True, title="Credential")
        operation = choice(
            "The operation on the object",
            {"get": "Download", "put": "Upload", "delete": "Delete", "list": "List"},
            required=True,
            title="Operation",
        )
        bucket = text("The name of the bucket", most=255, required=True, title="Bucket")
        key = text("The key of the object: reports/may.csv. For list, use the prefix", most=1_024, title="Key")
        data = anything(
            "For put: the data to store: text as it is, other values as JSON. Default: the file, else the input",
            lines="",
            title="Data",
        )
        file = anything(
            "A file of the workspace: the source for put, or the target for get", title="File", names="file"
        )
        encoding = choice(
            "How to read and write the data: as text, as JSON, or as bytes in base64",
            {"text": "Text", "json": "JSON", "base64": "Bytes (base64)"},
            load_default="text",
            title="Encoding",
        )
        content_type = text(
            "For put: the media type of the object. Default: detected from the key", most=200, title="Content type"
        )
        prefix = text("For list: the prefix of the keys", most=1_024, title="Prefix")
        limit = whole(
            "Maximum number of objects to list; truncated tells if there are more",
            1,
            10_000,
            load_default=1_000,
            title="Max objects",
        )
        timeout = number("Seconds until the request fails", 0.1, 3_600, load_default=60.0, title="Timeout (seconds)")

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        check_installed(type(self))
        end = time.monotonic() + ctx.seconds_left(config["timeout"])
        found = ctx.credential(config["credential"], "s3")
        do = {"get": _get, "put": _put, "delete": _delete, "list": _list}[config["operation"]]
        job = S3Execution(config, input, ctx, config["bucket"], config.get("key", ""))
        operation = config["operation"]
        if operation != "list" and not job.key:
            raise NodeError(f"key is required for the operation {operation}", permanent=True)
        if {".", ".."} & set(job.key.split("/")):
            raise NodeError(
                "key must not have . or .. between slashes; they would be changed on the way", permanent=True
            )
        sent = [job.bucket, job.key, config.get("prefix", ""), config.get("content_type", "")]
        put = [job.data.decode("utf-8", "replace")] if operation == "put" and "file" not in config else []
        ctx.check_secrets(urlsplit(found.data["endpoint"]).hostname or "", [*sent, *put])
        with connect(found, ctx, end) as store:
            return do(store, job)


class S3Execution(NamedTuple):
    """One execution: its config and input, and its object."""

    config: Mapping[str, Any]
    input: Any
    ctx: Context
    bucket: str
    key: str

    @property
    def data(self) -> bytes:
        """Return the data to upload if no file is given."""
        return to_bytes(self.config.get("data", self.input), self.config["encoding"])


def _get(store: Any, job: S3Execution) -> dict[str, Any]:
    response = store.get_object(job.bucket, job.key)
    try:
        about = {"key": job.key, "etag": response.headers.get("etag", "").strip('"')}
        content_type = response.headers.get("content-type", "application/octet-stream")
        if "file" in job.config:
            path = get_path(job.config["file"])
            check_secrets(job.ctx, [path])
            with job.ctx.need_files().writing(path) as file:
                for piece in response.stream(PIECE, decode_content=False):
                    file.write(piece)
            return {**describe_file(path, file.size), "content_type": content_type, **about}
        raw = read_body(response, MAX_READ, f"{job.key!r} has more than {MAX_READ:,} bytes; download it to a file")
        value = parse_content(raw, job.key, job.config["encoding"])
        return {**about, "size": len(raw), "content_type": content_type, "data": value}
    finally:
        response.close()


def _put(store: Any, job: S3Execution) -> dict[str, Any]:
    content_type = job.config.get("content_type") or mimetypes.guess_type(job.key)[0]
    if content_type is None and "file" in job.config:
        content_type = mimetypes.guess_type(get_path(job.config["file"]))[0]
    with _open_source(job) as (source, size):
        kind = content_type or "application/octet-stream"
        made = store.put_object(job.bucket, job.key, source, size, kind, part_size=PART, num_parallel_uploads=1)
    return {"bucket": job.bucket, "key": job.key, "size": size, "etag": made.etag}


@contextmanager
def _open_source(job: S3Execution) -> Iterator[tuple[IO[bytes], int]]:
    """Yield the data to upload as a stream, and its size."""
    if "file" in job.config:
        with job.ctx.need_files().reading(get_path(job.config["file"])) as file:
            yield file, os.fstat(file.fileno()).st_size
    else:
        data = job.data
        yield BytesIO(data), len(data)


def _delete(store: Any, job: S3Execution) -> dict[str, Any]:
    store.remove_object(job.bucket, job.key)
    return {"bucket": job.bucket, "key": job.key, "deleted": True}


def _list(store: Any, job: S3Execution) -> dict[str, Any]:
    limit = job.config["limit"]
    found = list(islice(store.list_objects(job.bucket, job.config.get("prefix") or None, recursive=True), limit + 1))
    objects = [
        {
            "key": one.object_name,
            "size": one.size,
            "etag": (one.etag or "").strip('"'),
            "modified_at": None if one.last_modified is None else iso(int(one.last_modified.timestamp() * 1_000)),
        }
        for one in found[:limit]
    ]
    return {"objects": objects, "truncated": len(found) > limit}


@contextmanager
def connect(found: DecryptedCredential, ctx: Context, end: float) -> Iterator[Any]:
    """Yield a client of the store. Raises: NodeError if anything fails, or the time is up."""
    from minio import Minio
    from minio.error import MinioException
    from urllib3.exceptions import HTTPError

    url = urlsplit(found.data["endpoint"])
    host = url.hostname or ""
    found.check_host(host)
    services = ctx.need_services()
    pool = make_pool_class()(ssl_context=services.tls("s3"))
    try:
        with guard_connections(services.egress, end - time.monotonic()):
            yield Minio(
                url.netloc,
                found.data["access_key"],
                found.data["secret_key"],
                secure=url.scheme == "https",
                region=found.data.get("region"),
                http_client=pool,
            )
    except (MinioException, HTTPError, OSError, *PROTOCOL_ERRORS) as error:
        if time.monotonic() >= end:
            raise TimedOut(f"{host} did not answer in time") from None
        raise to_node_error(error, host) from None
    finally:
        pool.clear()


@functools.cache
def make_pool_class() -> Any:
    """Return the class of the library's connection pool; made at first use, because it loads urllib3."""
    import urllib3

    class BoundedPool(urllib3.PoolManager):
        """Without redirects and retries, and with a limit on response bodies in memory."""

        def urlopen(self, method: str, url: str, redirect: bool = True, **options: Any) -> Any:  # type: ignore[override]
            whole = options.pop("preload_content", True)
            options |= {"preload_content": False, "retries": False}
            response = super().urlopen(method, url, redirect=False, **options)
            if not whole and response.status in (200, 206):
                return response
            try:
                body = read_body(response, MAX_RESPONSE, f"the store's response has more than {MAX_RESPONSE:,} bytes")
            finally:
                response.release_conn()
            return urllib3.HTTPResponse(
                body, response.headers, response.status, preload_content=False, request_method=method
            )

    return BoundedPool


def read_body(response: Any, most: int, otherwise: str) -> bytes:
    """Return the response body. Raises: NodeError with the text `otherwise` if it is larger."""
    body = bytearray()
    for piece in response.stream(PIECE, decode_content=False):
        body += piece
        if len(body) > most:
            response.close()
            raise LimitExceeded(otherwise)
    return bytes(body)


def to_node_error(error: Exception, host: str) -> NodeError:
    """Convert an error of the library."""
    from minio.error import InvalidResponseError, S3Error, ServerError
    from urllib3.exceptions import HTTPError

    if isinstance(error, S3Error):
        what = "/".join(filter(None, (error.bucket_name, error.object_name)))
        about = f" ({what[:300]})" if what else ""
        permanent = error.code not in TRANSIENT and is_permanent(error.response.status)
        kind: ErrorKind = "credential" if error.code in NOT_LOGGED_IN else "refused" if permanent else "remote"
        return NodeError(f"{host}: {error.code}: {str(error.message)[:500]}{about}", permanent, kind=kind)
    if isinstance(error, InvalidResponseError | ServerError):
        status = getattr(error, "_code", getattr(error, "status_code", 0))
        return NodeError(f"{host} answered {status}, but not like an S3 store", is_permanent(status), kind="remote")
    if isinstance(error, HTTPError | OSError):
        # Without the library's prefix and the error number.
        reason = str(error).rpartition(">: ")[2] or type(error).__name__
        if "[Errno " in reason:
            reason = reason.rpartition("[Errno ")[2].partition("] ")[2]
        return NodeError(f"{host}: {reason[:500]}", "CERTIFICATE_VERIFY_FAILED" in reason, kind="remote")
    return NodeError(f"{host}: {str(error)[:500]}", permanent=True)


@checks("s3")
def check(found: DecryptedCredential, ctx: Context, asked: Mapping[str, Any]) -> str:
    """List the buckets. A key without permission to list them is valid, too."""
    from minio.error import S3Error

    check_installed(S3Node)
    with connect(found, ctx, time.monotonic() + ctx.seconds_left(15)) as store:
        try:
            count = len(store.list_buckets())
        except S3Error as error:
            if error.code != "AccessDenied":
                raise
            return "the store accepts the key, which may not list buckets"
    return f"the store accepts the key; it has {count} bucket{'' if count == 1 else 's'}"
