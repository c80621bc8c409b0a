"""Configuration: every setting with its variable, default, meaning and bounds, in one table.

Only this module reads the environment. The table is the fields of `Config`. Parsing, the page /docs/settings and
deploy/.env.example (`python -m config`) all come from it. Only `errors` and `constants` are imported here.
"""

from __future__ import annotations

import ipaddress
import os
import re
import ssl
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from dotenv import dotenv_values

from constants import LEVELS
from errors import ConfigError

# Kinds of values of settings: the parser of each, and the text about its allowed values in the documentation.

UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3}
SQLITE, POSTGRES = "sqlite:///", ("postgresql://", "postgres://")


class ValueKind(NamedTuple):
    """A type of value: `parse` converts text or raises ValueError; `allowed` describes the allowed values.

    A `secret` can be in a file, and is never shown. `has_empty`: a variable that is set and empty has a value of its
    own, other than the default.
    """

    allowed: str
    parse: Callable[[str], Any]
    secret: bool = False
    has_empty: bool = False


def matching(allowed: str, pattern: str, secret: bool = False) -> ValueKind:
    """Return the kind of texts that match this pattern as a whole."""
    compiled = re.compile(pattern)

    def parse(text: str) -> str:
        if not compiled.fullmatch(text):
            raise ValueError
        return text

    return ValueKind(allowed, parse, secret)


def number(low: int, high: int) -> ValueKind:
    """Return the kind of whole numbers from `low` to `high`."""

    def parse(text: str) -> int:
        if not re.fullmatch(r"[0-9]{1,15}", text) or not low <= int(text) <= high:
            raise ValueError
        return int(text)

    return ValueKind(f"a whole number from {low} to {high}", parse)


def _parse_size(text: str) -> int:
    match = re.fullmatch(r"([0-9]{1,15})([KMG]?)", text.upper())
    if not match:
        raise ValueError
    return int(match[1]) * UNITS[match[2]]


def size(high: str, low: int = 1) -> ValueKind:
    """Return the kind of numbers of bytes, with or without a unit."""

    def parse(text: str) -> int:
        if not low <= _parse_size(text) <= _parse_size(high):
            raise ValueError
        return _parse_size(text)

    return ValueKind(f"bytes, or a number with K, M or G (multiples of 1024), from {low} to {high}", parse)


def or_empty(kind: ValueKind) -> ValueKind:
    """Return the kind of a value that may be missing: None."""
    return ValueKind(f"empty, or {kind.allowed}", lambda text: kind.parse(text) if text else None, kind.secret)


def one_of(*choices: str) -> ValueKind:
    """Return the kind of these words."""
    return matching(" or ".join(f"`{choice}`" for choice in choices), "|".join(choices))


# Each part is checked, since the driver would take the rest of a wrong password for a host, and name it in an error.
ESCAPE = "%(?!00)[0-9A-Fa-f]{2}"
POSTGRES_HOST = rf"(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9_.-]|{ESCAPE})*)(?::[0-9]{{1,5}})?"
POSTGRES_USER = rf"(?:[^\s@/?#:%]|{ESCAPE})+(?::(?:[^\s@/?#:%]|{ESCAPE})*)?@"
POSTGRES_URL = re.compile(
    rf"postgres(?:ql)?://(?:{POSTGRES_USER})?{POSTGRES_HOST}(?:,{POSTGRES_HOST})*/(?:[^\s@/?#%]|{ESCAPE})+"
    rf"(?:\?(?:[^\s@#%]|{ESCAPE})*)?"
)


def _parse_database_url(text: str) -> str:
    if POSTGRES_URL.fullmatch(text):
        return text
    path = unquote(text.removeprefix(SQLITE))
    if text and (not text.startswith(SQLITE) or not path or path.startswith(":") or re.search(r"[?\0]", path)):
        raise ValueError
    return text


def _parse_broker(text: str) -> str:
    parts = urlsplit(text)
    if text and (parts.scheme not in ("amqp", "amqps", "redis", "rediss") or not parts.hostname or parts.port == 0):
        raise ValueError
    return text


BUCKET_URL = re.compile(r"s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9](?:/[A-Za-z0-9_-][A-Za-z0-9_.-]{0,99}){0,8}")


def _parse_bucket(text: str) -> str:
    text = text.rstrip("/")
    if text and not BUCKET_URL.fullmatch(text):
        raise ValueError
    return text


def _parse_packs(text: str) -> tuple[str, ...] | None:
    names = [part.strip() for part in text.split(",") if part.strip()]
    if not all(re.fullmatch(r"[a-z][a-z0-9_]{0,63}", name) for name in names):
        raise ValueError
    return None if names == ["all"] else tuple(names)


def _parse_egress(text: str) -> tuple[str, ...]:
    parsed = []
    for part in filter(None, (part.strip().lower() for part in text.split(","))):
        if re.fullmatch(r"[0-9.]+|.*[/:].*", part):
            parsed.append(str(ipaddress.ip_network(part)))
        elif re.fullmatch(r"[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9])?", part):
            parsed.append(part)
        else:
            raise ValueError
    return tuple(parsed)


def _parse_authorities(text: str) -> Path:
    path = Path(text).expanduser().absolute()
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except OSError:
        raise ValueError from None
    return path


def _parse_address(text: str) -> str:
    if text:
        parts = urlsplit(text)
        plain = parts.username is None and not parts.query and not parts.fragment and text.isprintable()
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.port == 0 or not plain or " " in text:
            raise ValueError
    return text


def address(example: str) -> ValueKind:
    """Return the kind of a setting that is an address of HTTP, or empty. Its description shows `example`."""
    return ValueKind(f"empty or an address such as {example}", _parse_address)


@dataclass(frozen=True, slots=True)
class MailServer:
    """The server that Headrace's own mail goes through. `security` is tls, starttls or none; `sender` is an address."""

    host: str
    port: int
    security: str
    sender: str
    username: str = ""
    password: str = field(default="", repr=False)


MAIL_PORTS = {"tls": 465, "starttls": 587, "none": 25}


def _parse_mail_server(text: str) -> MailServer:
    parts = urlsplit(text)
    options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=True))
    sender, starttls = options.pop("from", ""), FLAG.parse(options.pop("starttls", "true"))
    security = "tls" if parts.scheme == "smtps" else "starttls" if starttls else "none"
    username, password = (unquote(given or "") for given in (parts.username, parts.password))
    is_whole = bool(username) == bool(password) and not parts.path.strip("/") and not parts.fragment and not options
    name, _, domain = sender.partition("@")
    is_address = bool(name and domain) and sender.isprintable() and not set(sender) & set(' <>,"') and "@" not in domain
    if parts.scheme not in ("smtp", "smtps") or not parts.hostname or parts.port == 0 or not (is_whole and is_address):
        raise ValueError
    return MailServer(parts.hostname, parts.port or MAIL_PORTS[security], security, sender, username, password)


PASSWORD = ValueKind("any text", str, secret=True)
KEY = matching("empty or a key of printable ASCII characters without spaces", "[!-~]*", secret=True)
FLAG = ValueKind("`true` or `false`", lambda text: ("false", "true").index(text) == 1)
SWITCH = ValueKind("`1` or `0`, or `true` or `false`", lambda text: ("0", "false", "1", "true").index(text) > 1)
MODEL = matching(
    "empty, `test`, or `openai:`, `anthropic:` or `ollama:` with the name of a model",
    r"(test|(openai|anthropic|ollama):[!-~]{1,200})?",
)
HOST = matching("a host name or address", r"[A-Za-z0-9_.:-]+")
FOLDER = ValueKind("a path", lambda text: Path(text).expanduser().absolute())
DATABASE = ValueKind(
    "`sqlite:///path/to/file` or `postgresql://user:password@host/database`, with special characters of the user name "
    "or password written as in any URL (`@` is `%40`)",
    _parse_database_url,
    secret=True,
)
BROKER = ValueKind(
    "empty, or an address such as amqp://user:password@host or redis://host/0", _parse_broker, secret=True
)
BUCKET = ValueKind("empty, or an S3 bucket with or without a prefix, such as s3://bucket/headrace", _parse_bucket)
AUTHORITIES = ValueKind("the path of a file with certificates in PEM format", _parse_authorities)
MAIL_SERVER = ValueKind(
    "an address such as smtp://user:password@mail.example.org:587?from=flows@example.org; `smtps://` encrypts from the "
    "start, `smtp://` by STARTTLS, unless `&starttls=false` follows",
    _parse_mail_server,
    secret=True,
)
PACKS = ValueKind("`all`, or names of packs separated by commas, or empty: none", _parse_packs, has_empty=True)
EGRESS = ValueKind("host names, addresses and CIDR networks without host bits, separated by commas", _parse_egress)


KEY_FILE = "secret.key"  # in the data folder, unless HEADRACE_SECRET_KEY is set
WILDCARDS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # values of HOST for "every address", and an address to connect to


class Setting(NamedTuple):
    """One row of the table. `default` is text, as in the environment."""

    env: str
    default: str
    kind: ValueKind
    help: str

    def value(self, environ: Mapping[str, str]) -> Any:
        """Return the parsed value from `environ`; empty means not set. Raises: ConfigError with the allowed values."""
        text = self._read_secret(environ) if self.kind.secret else environ.get(self.env, "").strip()
        is_empty = self.kind.has_empty and self.env in environ and not text
        try:
            return self.kind.parse("" if is_empty else text or self.default)
        except ValueError:
            given = "has a wrong value" if self.kind.secret else f"is {text!r}"
            raise ConfigError(f"{self.env} {given}; it must be {self.kind.allowed}") from None

    def _read_secret(self, environ: Mapping[str, str]) -> str:
        """Return the value of NAME, or the content of the file in NAME_FILE."""
        text, path = environ.get(self.env, ""), environ.get(f"{self.env}_FILE", "").strip()
        if text and path:
            raise ConfigError(f"{self.env} and {self.env}_FILE are both set; set one of them")
        if not path:
            return text
        try:
            return Path(path).read_text(encoding="utf-8").rstrip("\r\n")
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
            raise ConfigError(f"{self.env}_FILE is {path!r}, which cannot be read: {reason}") from None


def setting(line: str, kind: ValueKind, help: str) -> Any:
    """Return a field of `Config` with its row of the table; `line` is NAME=default. Secrets stay out of its repr."""
    env, _, default = line.partition("=")
    row = Setting(env, default, kind, help)
    return field(default_factory=lambda: kind.parse(default), repr=not kind.secret, metadata={"setting": row})


@dataclass(frozen=True, slots=True)
class Config:
    """The settings of one server. `Config()` has the defaults; a process uses `Config.from_env()`."""

    host: str = setting("HOST=127.0.0.1", HOST, "Address to listen on.")
    port: int = setting("PORT=8000", number(1, 65535), "Port to listen on.")
    public_url: str = setting(
        "HEADRACE_PUBLIC_URL=",
        matching(
            "empty or an address such as https://flows.example.org, without a slash at its end",
            r"(https?://[^\s/?#]+(/[^\s?#]*[^\s/?#])?)?",
        ),
        "Address at which people reach the server, used in links. Services send people back to it, with "
        "`/api/oauth/callback`, when they connect an account. Empty: `HOST` and `PORT`, or the machine's own address "
        "if `HOST` is a wildcard such as `0.0.0.0`.",
    )
    workers: int = setting("WEB_CONCURRENCY=2", number(1, 256), "Worker processes.")
    threads: int = setting("HEADRACE_THREADS=16", number(1, 1024), "Threads per worker that answer requests.")
    run_threads: int = setting(
        "HEADRACE_RUN_THREADS=16",
        number(1, 1024),
        "Threads per worker that execute runs in the background. Runs with agents or language models use at most three "
        "quarters of them, so that other runs are not blocked.",
    )
    database_url: str = setting(
        "DATABASE_URL=",
        DATABASE,
        "The database. Empty: the SQLite file `headrace.sqlite3` in the data folder. PostgreSQL, for servers on "
        "several machines, also needs `HEADRACE_SECRET_KEY` and `HEADRACE_PUBLIC_URL`, with the same values on each.",
    )
    role: str = setting(
        "HEADRACE_ROLE=all",
        one_of("all", "web", "worker"),
        "The tasks of processes. `all`: everything. `web`: they answer requests, and execute only quick runs and those "
        "whose caller waits. `worker`: they execute runs, and answer no requests.",
    )
    broker_url: str = setting(
        "CELERY_BROKER_URL=",
        BROKER,
        "RabbitMQ or Redis, through which workers learn of new runs at once. Needs PostgreSQL and the extra `celery`. "
        "Empty: workers ask the database.",
    )
    data_dir: Path = setting(
        "HEADRACE_DATA_DIR=./data", FOLDER, "Folder of all data: database, key, large values, files."
    )
    files_dir: Path | None = setting(
        "HEADRACE_FILES_DIR=",
        or_empty(FOLDER),
        "Folder of the workspaces' files with PostgreSQL, the same on every machine, such as a network mount. Empty: "
        "workspaces have no files. With SQLite, files are in the data folder, and this must be empty.",
    )
    values_url: str = setting(
        "HEADRACE_VALUES_URL=",
        BUCKET,
        "Place of large values with PostgreSQL: a bucket of an S3-compatible store. Needs the extra `s3`, "
        "`AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`. Empty: rows of the database. See docs/scale.md.",
    )
    values_endpoint: str = setting(
        "AWS_ENDPOINT_URL_S3=",
        address("https://minio.example.org"),
        "Address of the store of `HEADRACE_VALUES_URL`; it may be in your own network. Empty: AWS.",
    )
    values_region: str = setting(
        "AWS_REGION=",
        matching("empty or a name such as eu-central-1", "[A-Za-z0-9-]{0,64}"),
        "Region of the bucket in `HEADRACE_VALUES_URL`. Empty: the store is asked for it.",
    )
    values_key_id: str = setting("AWS_ACCESS_KEY_ID=", KEY, "Id of the access key for `HEADRACE_VALUES_URL`.")
    values_key: str = setting("AWS_SECRET_ACCESS_KEY=", KEY, "Secret access key for `HEADRACE_VALUES_URL`.")
    secret_key: str = setting(
        "HEADRACE_SECRET_KEY=",
        matching("empty or at least 16 characters", r"(?s:.{16,})?", secret=True),
        "Key that encrypts stored credentials. Empty: created at the first start in the data folder.",
    )
    admin_email: str = setting(
        "HEADRACE_ADMIN_EMAIL=admin@localhost",
        matching("an e-mail address", r"[^@\s]+@[^@\s]+"),
        "E-mail address of the owner that the first start creates.",
    )
    admin_password: str = setting(
        "HEADRACE_ADMIN_PASSWORD=", PASSWORD, "The first owner's password. Empty: a random one is printed once."
    )
    workspaces: str = setting(
        "HEADRACE_WORKSPACES=admins",
        one_of("admins", "everybody"),
        "Who may create workspaces: only `admins`, or `everybody` with an account. A founder owns the workspace and "
        "has an editor's rights in it: code, requests, the server's language models.",
    )
    max_workspaces: int = setting(
        "HEADRACE_MAX_WORKSPACES=20", number(1, 1_000_000), "Maximum number of workspaces that one person may create."
    )
    mail_server: MailServer | None = setting(
        "HEADRACE_SMTP_URL=",
        or_empty(MAIL_SERVER),
        "Mail server for the server's own mail: invitations. Write special characters in the user name or password as "
        "in any URL (`@` is `%40`). Empty: no mail is sent, and the inviter gets the link and passes it on.",
    )
    egress_allow: tuple[str, ...] = setting(
        "HEADRACE_EGRESS_ALLOW=", EGRESS, "Loopback, private and reserved targets that nodes may reach."
    )
    ca_file: Path | None = setting(
        "HEADRACE_CA_FILE=",
        or_empty(AUTHORITIES),
        "Certificates of additional authorities that nodes trust, such as your own.",
    )
    durability: str = setting(
        "HEADRACE_DURABILITY=full",
        one_of("full", "normal"),
        "`full`: accepted runs survive a power failure. `normal`: fewer disk syncs; the last moments may be lost.",
    )
    trusted_proxies: int = setting(
        "HEADRACE_TRUSTED_PROXIES=0",
        number(0, 10),
        "Number of proxies in front whose `X-Forwarded-*` headers are trusted.",
    )
    session_days: int = setting("HEADRACE_SESSION_DAYS=30", number(1, 3650), "Days until a session expires.")
    session_idle_days: int = setting(
        "HEADRACE_SESSION_IDLE_DAYS=7",
        number(0, 3650),
        "Days until an unused session expires. 0: only `HEADRACE_SESSION_DAYS` applies.",
    )
    max_body_bytes: int = setting("HEADRACE_MAX_BODY_BYTES=5M", size("1G"), "Maximum size of a request body.")
    max_nodes: int = setting("HEADRACE_MAX_NODES=20000", number(1, 1_000_000), "Maximum number of nodes of a flow.")
    max_definition_bytes: int = setting(
        "HEADRACE_MAX_DEFINITION_BYTES=4M", size("1G"), "Maximum size of a flow's definition."
    )
    max_value_bytes: int = setting(
        "HEADRACE_MAX_VALUE_BYTES=16M", size("1G"), "Maximum size of the input or output of a step."
    )
    inline_value_bytes: int = setting(
        "HEADRACE_INLINE_VALUE_BYTES=64K",
        size("1G"),
        "Larger values are stored in files; with PostgreSQL in rows of their own, or in `HEADRACE_VALUES_URL`.",
    )
    max_steps: int = setting(
        "HEADRACE_MAX_STEPS=100000",
        number(1, 100_000_000),
        "Maximum number of steps of a run; each item of a `foreach` is one.",
    )
    max_items: int = setting(
        "HEADRACE_MAX_ITEMS=10000", number(1, 10_000_000), "Maximum number of items of a `foreach`."
    )
    max_pending: int = setting(
        "HEADRACE_MAX_PENDING=1000",
        number(1, 10_000_000),
        "Maximum number of waiting runs; further ones are refused with status 503.",
    )
    run_timeout: int = setting(
        "HEADRACE_RUN_TIMEOUT=3600", number(1, 31_536_000), "Maximum seconds for which a run works without a wait."
    )
    webhook_wait: int = setting(
        "HEADRACE_WEBHOOK_WAIT=30",
        number(1, 300),
        "Seconds that a caller of a webhook waits for a run's answer; after that it receives the run's id.",
    )
    write_wait: int = setting(
        "HEADRACE_WRITE_WAIT=30",
        number(1, 300),
        "Seconds that a request waits for its turn to write. After that it is refused with status 503.",
    )
    http_max_bytes: int = setting(
        "HEADRACE_HTTP_MAX_BYTES=10M", size("1G"), "Maximum size of a response that a node reads over HTTP."
    )
    file_max_bytes: int = setting(
        "HEADRACE_FILE_MAX_BYTES=100M", size("10G"), "Maximum size of a file in the workspace's files."
    )
    files_quota: int = setting(
        "HEADRACE_FILES_QUOTA=10G",
        size("100000G", low=0),
        "Bytes that the files of a workspace may take together, those sent with forms too. 0: no limit.",
    )
    packs: tuple[str, ...] | None = setting(
        "HEADRACE_PACKS=all",
        PACKS,
        "Packs of abilities that the server loads: see docs/packs.md. `all`, or their names, separated by commas. Set "
        "and empty: none, only the core.",
    )
    nodes_dir: Path | None = setting(
        "HEADRACE_NODES_DIR=",
        or_empty(FOLDER),
        "Folder of node types of your own, one Python file each, read at the start. Empty: none.",
    )
    connectors_dir: Path | None = setting(
        "HEADRACE_CONNECTORS_DIR=",
        or_empty(FOLDER),
        "Folder of connectors of your own, one JSON file each, read at the start. Empty: none.",
    )
    web_dir: Path | None = setting(
        "HEADRACE_WEB_DIR=", or_empty(FOLDER), "Folder of the built browser app. Empty: `web/dist` beside the server."
    )
    llm_model: str = setting(
        "HEADRACE_LLM_MODEL=",
        MODEL,
        "Default language model of agents: `openai:gpt-5`, `anthropic:claude-opus-5`, `ollama:llama3`; `test` returns "
        "meaningless answers, for trials. Empty: a model of the workspace's credential, or of the key below.",
    )
    openai_api_key: str = setting(
        "OPENAI_API_KEY=", KEY, "Key for OpenAI's models, or for the server at `OPENAI_BASE_URL`."
    )
    openai_base_url: str = setting(
        "OPENAI_BASE_URL=",
        address("https://llm.example.org/v1"),
        "Address of a server compatible with OpenAI's API; it may be in your own network. Empty: OpenAI's.",
    )
    anthropic_api_key: str = setting(
        "ANTHROPIC_API_KEY=", KEY, "Key for Anthropic's models, or for the server at `ANTHROPIC_BASE_URL`."
    )
    anthropic_base_url: str = setting(
        "ANTHROPIC_BASE_URL=",
        address("https://anthropic.example.org"),
        "Address of a server compatible with Anthropic's API; it may be in your own network. Empty: Anthropic's.",
    )
    ollama_base_url: str = setting(
        "OLLAMA_BASE_URL=http://localhost:11434/v1",
        address("http://ollama.example.org:11434/v1"),
        "Address of Ollama, for models named `ollama:…`.",
    )
    llm_timeout: int = setting(
        "HEADRACE_LLM_TIMEOUT=120",
        number(1, 3600),
        "Timeout of a language model's answer in seconds; with streaming, of its next piece.",
    )
    llm_stream: bool = setting(
        "HEADRACE_LLM_STREAM=true",
        FLAG,
        "Stream answers of language models, to detect sooner that a model has stopped.",
    )
    memory_entries: int = setting(
        "HEADRACE_MEMORY_ENTRIES=1000",
        number(1, 100_000),
        "Maximum number of entries in an agent's memory per workspace; beyond it, the oldest updates are deleted.",
    )
    grace: int = setting(
        "HEADRACE_GRACE=10", number(0, 3600), "Grace period in seconds for runs to finish when the server stops."
    )
    lease: int = setting(
        "HEADRACE_LEASE_SECONDS=15",
        number(1, 3600),
        "Seconds without a heartbeat after which another process takes over the runs of a process.",
    )
    paused: bool = setting(
        "HEADRACE_PAUSED=false",
        FLAG,
        "`true`: start paused. Schedules, polls, waits and pending runs do not continue, nothing is deleted by age, "
        "and new runs and calls of webhooks are refused with status 503.",
    )
    retention_days: int = setting(
        "HEADRACE_RETENTION_DAYS=30",
        number(0, 36_500),
        "Days to keep an ended run with its steps and log. 0: forever.",
    )
    retention_runs: int = setting(
        "HEADRACE_RETENTION_RUNS=0",
        number(0, 1_000_000_000),
        "Number of runs to keep, the newest of the whole server; older ended runs are deleted. 0: no limit.",
    )
    retention_bytes: int = setting(
        "HEADRACE_RETENTION_BYTES=10G",
        size("100000G", low=0),
        "Total size of the database and the large values beyond which the oldest ended runs are deleted. 0: no limit.",
    )
    min_free_bytes: int | None = setting(
        "HEADRACE_MIN_FREE_BYTES=",
        or_empty(size("100000G", low=0)),
        "Free space on the data disk below which new runs are refused (status 503); runs in progress continue. "
        "Empty: 512 MB, or 5 % of the disk if that is less. 0: runs are accepted until the disk is full.",
    )
    log_format: str = setting(
        "HEADRACE_LOG_FORMAT=text",
        one_of("text", "json"),
        "Format of the server's log: `text`, or `json` with one object a line on standard error.",
    )
    log_level: str = setting(
        "HEADRACE_LOG_LEVEL=info",
        one_of(*LEVELS),
        "Lowest level of messages in the server's log.",
    )
    access_log: bool = setting(
        "HEADRACE_ACCESS_LOG=0",
        SWITCH,
        "`1`: log each request, without its query. On standard output, with `HEADRACE_LOG_FORMAT=json` on standard "
        "error.",
    )
    otlp_url: str = setting(
        "HEADRACE_OTLP_URL=",
        address("http://collector:4318"),
        "Address of a collector for OpenTelemetry traces by OTLP over HTTP. Needs the "
        "extra `tracing`; the `OTEL_…` variables of OpenTelemetry apply too. Empty: no traces.",
    )
    audit_days: int = setting("HEADRACE_AUDIT_DAYS=365", number(0, 36_500), "Days to keep the audit log. 0: forever.")

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Config:
        """Read the settings from `environ`, by default the environment over the file `.env` in the working directory.

        Raises: ConfigError if a value is invalid, or another setting is needed with it.
        """
        source = _read_environment() if environ is None else environ
        made = cls(**{item.name: item.metadata["setting"].value(source) for item in fields(cls)})
        made._check_database()
        keys = {"AWS_ACCESS_KEY_ID": made.values_key_id, "AWS_SECRET_ACCESS_KEY": made.values_key}
        missing = [name for name, value in keys.items() if not value]
        if made.values_url and missing:
            raise ConfigError(
                f"HEADRACE_VALUES_URL is set, and the store needs an access key. Set also {' and '.join(missing)} (or "
                f"a file in {' and '.join(f'{name}_FILE' for name in missing)})"
            )
        return made

    def _check_database(self) -> None:
        if not self.is_postgres:
            only_postgres = {"HEADRACE_FILES_DIR": self.files_dir, "HEADRACE_VALUES_URL": self.values_url}
            for name, value in only_postgres.items():
                if value:
                    raise ConfigError(
                        f"{name} is set, and DATABASE_URL does not name PostgreSQL: remove it, because with SQLite "
                        "files and large values are in HEADRACE_DATA_DIR"
                    )
            return
        needed = {
            "HEADRACE_SECRET_KEY (or HEADRACE_SECRET_KEY_FILE), the key that encrypts credentials": self.secret_key,
            "HEADRACE_PUBLIC_URL, the address at which people reach the server": self.public_url,
        }
        if missing := [name for name, value in needed.items() if not value]:
            raise ConfigError(
                f"With PostgreSQL in DATABASE_URL, a server may have several machines, and needs settings that are the "
                f"same on each of them. Set also: {'; '.join(missing)}"
            )

    @property
    def base_url(self) -> str:
        """Return the server's address in links, without a trailing slash.

        Without HEADRACE_PUBLIC_URL it is HOST and PORT, or the machine's own address if HOST is a wildcard, which
        browsers cannot open.
        """
        host = WILDCARDS.get(_shorten(self.host), self.host)
        return self.public_url or f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def has_local_links(self) -> bool:
        """Return True if other machines reach the server, but its links work only on this machine."""
        return not self.public_url and _shorten(self.host) in WILDCARDS

    @property
    def hides_clients(self) -> bool:
        """Return True if a proxy must be in front, as its HTTPS shows, and clients' addresses are not taken from it."""
        return self.public_url.startswith("https://") and not self.trusted_proxies

    @property
    def database(self) -> Path | str:
        """Return the path of the SQLite file, or the URL of the PostgreSQL database."""
        return self.database_url if self.is_postgres else self.database_path

    @property
    def database_name(self) -> str:
        """Return the database for messages, without its password and options."""
        if not self.is_postgres:
            return str(self.database_path)
        return re.sub("//([^/@:]*):[^/@]*@", r"//\1@", self.database_url.partition("?")[0])

    @property
    def is_postgres(self) -> bool:
        """Return True if the database is PostgreSQL."""
        return self.database_url.startswith(POSTGRES)

    @property
    def database_path(self) -> Path:
        """Return the absolute path of the SQLite file."""
        if not self.database_url or self.is_postgres:  # then there is none, only the data folder
            return self.data_dir / "headrace.sqlite3"
        return Path(unquote(self.database_url.removeprefix(SQLITE))).absolute()


def _shorten(host: str) -> str:
    """Return the address in its shortest form, such as `::` for `0:0:0:0:0:0:0:0`; a name unchanged."""
    with suppress(ValueError):
        return str(ipaddress.ip_address("0.0.0.0" if host == "0" else host))
    return host


def _read_environment() -> dict[str, str]:
    # Not interpolated: a `$` in a password has no special meaning.
    from_file = dotenv_values(".env", interpolate=False)
    return {name: text for name, text in from_file.items() if text is not None} | dict(os.environ)


# Variables for the start scripts, builds and tests, not for the server.
OTHERS = {
    *("HEADRACE_WEB", "HEADRACE_EXTRAS", "HEADRACE_MEM_LIMIT", "HEADRACE_CPUS"),
    *("HEADRACE_BACKLOG", "HEADRACE_EXPECT_BROWSER", "HEADRACE_FAULTS_SEED", "HEADRACE_ORDER_SEEDS"),
    *("HEADRACE_SOAK_SECONDS", "HEADRACE_TEST_DATABASE"),
}
PREFIX = "HEADRACE_"
MIN_SIMILARITY = 0.85  # similarity from which a name without the prefix counts as a misspelt setting of ours


def find_unknown_settings(environ: Mapping[str, str] | None = None) -> list[str]:
    """Return a sentence for each variable that looks like a setting and is not one, with the nearest name.

    The default is the environment and the file `.env`. Values are never included.
    """
    source = _read_environment() if environ is None else environ
    known = {row.env for row in table()} | {f"{row.env}_FILE" for row in table() if row.kind.secret}
    ours = sorted(name for name in known if name.startswith(PREFIX))
    found = []
    for name in sorted(source.keys() - known - OTHERS):
        near = _find_nearest(name, ours)
        if near or name.startswith(PREFIX):
            hint = f"did you mean {near}?" if near else "/docs/settings of the server lists all settings"
            found.append(f"{name} is not a setting, and has no effect; {hint}")
    return found


def _find_nearest(name: str, ours: list[str]) -> str | None:
    """Return the setting with the closest name, or None if none is similar."""
    if not name.startswith(PREFIX):
        return next(iter(get_close_matches(name.upper(), ours, 1, MIN_SIMILARITY)), None)
    if longer := [one for one in ours if one.startswith(f"{name}_")]:
        return longer[0]
    # The common prefix must not count as similarity.
    rests = [one.removeprefix(PREFIX) for one in ours]
    return next((PREFIX + rest for rest in get_close_matches(name.removeprefix(PREFIX), rests, 1)), None)


def read_setting(env: str) -> Any:
    """Return the value of one setting, even if others are invalid. Raises: ConfigError if it is invalid itself."""
    (row,) = (row for row in table() if row.env == env)
    return row.value(_read_environment())


def table() -> list[Setting]:
    """Return every setting in the order of the documents."""
    return [item.metadata["setting"] for item in fields(Config)]


def settings_table() -> str:
    """Return the table of all settings on the page docs/settings.md, as Markdown."""
    rows = [
        f"| `{row.env}`{' (secret)' * row.kind.secret} | {f'`{row.default}`' if row.default else 'empty'} "
        f"| {row.help} | {row.kind.allowed} |\n"
        for row in table()
    ]
    return "| variable | default | meaning | allowed |\n|---|---|---|---|\n" + "".join(rows)


def env_example() -> str:
    """Return the text of deploy/.env.example: every setting, commented out, with its default."""
    head = "# Copy to `.env`, and remove the # from lines that you change. Generated from config.py by `make docs`.\n"
    return head + "".join(f"\n# {row.help}\n#{row.env}={row.default}\n" for row in table())


if __name__ == "__main__":
    sys.stdout.write(env_example())
