"""The node that keeps objects in a store that speaks S3, by the library `minio`, connected under the egress rule.

All that the library reads into memory has a bound here; objects go to and from files piece by piece.
"""

from __future__ import annotations

import functools
import mimetypes
import os
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from io import BytesIO
from itertools import islice
from typing import IO, Any
from urllib.parse import urlsplit

from marshmallow import Schema

from errors import NodeError
from net.egress_guard import guarded
from nodes.base import Context, Node, check_installed
from nodes.credentials.keyring import Credential, checks
from nodes.fields import anything, choice, credential, number, text, whole
from nodes.files.files import MOST_READ, check_secrets, described, path_of, value_of, written_as
from nodes.http.response import is_permanent
from schema_fields.row_json import iso

MOST_ANSWER = 8 * 2**20  # bytes of what the store says about objects
PART = 10 * 2**20  # bytes of a file that are in memory when it is sent in parts
PIECE = 64 * 1024
# What goes wrong with a request that is right.
PASSING = {"RequestTimeout", "SlowDown", "InternalError", "ServiceUnavailable", "OperationAborted"}
# What the library does over an answer that is none of S3's.
SLIPS = (ET.ParseError, AttributeError, KeyError, TypeError, ValueError)


class S3(Node):
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
            "What to do with the object",
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
        file = anything("A file of the workspace: the source for put, or the target for get", title="File")
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
        job = Job(config, input, ctx, config["bucket"], config.get("key", ""))
        _check(job, urlsplit(found.data["endpoint"]).hostname or "")
        with opened(found, ctx, end) as store:
            return do(store, job)


@dataclass(frozen=True, slots=True)
class Job:
    """One execution: what to do, with what, on which object."""

    config: Mapping[str, Any]
    input: Any
    ctx: Context
    bucket: str
    key: str

    @property
    def data(self) -> bytes:
        """What to put where no file is named."""
        return written_as(self.config.get("data", self.input), self.config["encoding"])


def _check(job: Job, host: str) -> None:
    """NodeError for a key that there cannot be, and for a secret that this host may not be told."""
    operation = job.config["operation"]
    if operation != "list" and not job.key:
        raise NodeError(f"key is required to {operation}", permanent=True)
    if {".", ".."} & set(job.key.split("/")):
        raise NodeError("key must not have the parts . and .., which are not sent as they are", permanent=True)
    if job.ctx.keyring is not None:
        sent = [job.bucket, job.key, job.config.get("prefix", ""), job.config.get("content_type", "")]
        put = [job.data.decode("utf-8", "replace")] if operation == "put" and "file" not in job.config else []
        job.ctx.keyring.check_host(host, [*sent, *put])


def _get(store: Any, job: Job) -> dict[str, Any]:
    response = store.get_object(job.bucket, job.key)
    try:
        about = {"key": job.key, "etag": response.headers.get("etag", "").strip('"')}
        content_type = response.headers.get("content-type", "application/octet-stream")
        if "file" in job.config:
            path = path_of(job.config["file"])
            check_secrets(job.ctx, [path])
            with job.ctx.need_files().writing(path) as file:
                for piece in response.stream(PIECE, decode_content=False):
                    file.write(piece)
            return {**described(path, file.size), "content_type": content_type, **about}
        raw = bounded(response, MOST_READ, f"{job.key!r} has more than {MOST_READ} bytes; get it into a file")
        value = value_of(raw, job.key, job.config["encoding"])
        return {**about, "size": len(raw), "content_type": content_type, "data": value}
    finally:
        response.close()


def _put(store: Any, job: Job) -> dict[str, Any]:
    with _source(job) as (source, size):
        made = store.put_object(
            job.bucket, job.key, source, size, _content_type(job), part_size=PART, num_parallel_uploads=1
        )
    return {"bucket": job.bucket, "key": job.key, "size": size, "etag": made.etag}


@contextmanager
def _source(job: Job) -> Iterator[tuple[IO[bytes], int]]:
    """What to put, to be read, and its size."""
    if "file" in job.config:
        with job.ctx.need_files().reading(path_of(job.config["file"])) as file:
            yield file, os.fstat(file.fileno()).st_size
    else:
        data = job.data
        yield BytesIO(data), len(data)


def _content_type(job: Job) -> str:
    if given := job.config.get("content_type"):
        return str(given)
    known = mimetypes.guess_type(job.key)[0]
    if known is None and "file" in job.config:
        known = mimetypes.guess_type(path_of(job.config["file"]))[0]
    return known or "application/octet-stream"


def _delete(store: Any, job: Job) -> dict[str, Any]:
    store.remove_object(job.bucket, job.key)
    return {"bucket": job.bucket, "key": job.key, "deleted": True}


def _list(store: Any, job: Job) -> dict[str, Any]:
    limit = job.config["limit"]
    found = list(islice(store.list_objects(job.bucket, job.config.get("prefix") or None, recursive=True), limit + 1))
    return {"objects": [_entry(one) for one in found[:limit]], "truncated": len(found) > limit}


def _entry(found: Any) -> dict[str, Any]:
    at: datetime | None = found.last_modified
    return {
        "key": found.object_name,
        "size": found.size,
        "etag": (found.etag or "").strip('"'),
        "modified_at": None if at is None else iso(int(at.timestamp() * 1_000)),
    }


@contextmanager
def opened(found: Credential, ctx: Context, end: float) -> Iterator[Any]:
    """The store, for as long as there is time. What goes wrong meanwhile is a NodeError."""
    from minio import Minio
    from minio.error import MinioException
    from urllib3.exceptions import HTTPError

    url = urlsplit(found.data["endpoint"])
    host = url.hostname or ""
    found.check_host(host)
    services = ctx.need_services()
    pool = _pool()(ssl_context=services.tls("s3"))
    try:
        with guarded(services.egress, end - time.monotonic()):
            yield Minio(
                url.netloc,
                found.data["access_key"],
                found.data["secret_key"],
                secure=url.scheme == "https",
                region=found.data.get("region"),
                http_client=pool,
            )
    except (MinioException, HTTPError, OSError, *SLIPS) as error:
        if time.monotonic() >= end:
            raise NodeError(f"{host} has not answered in time") from None
        raise failure(error, host) from None
    finally:
        pool.clear()


@functools.cache
def _pool() -> Any:
    """The class of what makes requests for the library; made at first use, for urllib3 is loaded then."""
    import urllib3

    class Pool(urllib3.PoolManager):
        """Follows nothing, tries nothing twice, and reads no more than has its place in memory."""

        def urlopen(self, method: str, url: str, redirect: bool = True, **options: Any) -> Any:  # type: ignore[override]
            whole = options.pop("preload_content", True)
            options |= {"preload_content": False, "retries": False}
            response = super().urlopen(method, url, redirect=False, **options)
            if not whole and response.status in (200, 206):
                return response
            try:
                body = bounded(response, MOST_ANSWER, f"the store's answer has more than {MOST_ANSWER} bytes")
            finally:
                response.release_conn()
            return urllib3.HTTPResponse(
                body, response.headers, response.status, preload_content=False, request_method=method
            )

    return Pool


def bounded(response: Any, most: int, otherwise: str) -> bytes:
    """The body, as it was sent; NodeError with this text where it is larger."""
    body = bytearray()
    for piece in response.stream(PIECE, decode_content=False):
        body += piece
        if len(body) > most:
            response.close()
            raise NodeError(otherwise, permanent=True)
    return bytes(body)


def failure(error: Exception, host: str) -> NodeError:
    """The error of a run for the library's."""
    from minio.error import InvalidResponseError, S3Error, ServerError
    from urllib3.exceptions import HTTPError

    if isinstance(error, S3Error):
        what = "/".join(filter(None, (error.bucket_name, error.object_name)))
        about = f" ({what[:300]})" if what else ""
        permanent = error.code not in PASSING and is_permanent(error.response.status)
        return NodeError(f"{host}: {error.code}: {str(error.message)[:500]}{about}", permanent)
    if isinstance(error, InvalidResponseError | ServerError):
        status = getattr(error, "_code", getattr(error, "status_code", 0))
        return NodeError(f"{host} answered {status}, and not as S3 does", is_permanent(status))
    if isinstance(error, HTTPError | OSError):
        # Without the library's own words, and the number, before what the system said.
        reason = str(error).rpartition(">: ")[2] or type(error).__name__
        if "[Errno " in reason:
            reason = reason.rpartition("[Errno ")[2].partition("] ")[2]
        return NodeError(f"{host}: {reason[:500]}", permanent="CERTIFICATE_VERIFY_FAILED" in reason)
    return NodeError(f"{host}: {str(error)[:500]}", permanent=True)


@checks("s3")
def check(found: Credential, ctx: Context, asked: Mapping[str, Any]) -> str:
    """Ask for the buckets. A key that may not see them is known all the same."""
    from minio.error import S3Error

    check_installed(S3)
    with opened(found, ctx, time.monotonic() + ctx.seconds_left(15)) as store:
        try:
            count = len(store.list_buckets())
        except S3Error as error:
            if error.code != "AccessDenied":
                raise
            return "the store knows the key, which may not list buckets"
    return f"the store knows the key; it has {count} bucket{'' if count == 1 else 's'}"
