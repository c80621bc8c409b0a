"""SSH node: runs commands on other machines.

The machine must present the host key of the credential. Uses nothing of this machine: no agent, config or keys.
"""

from __future__ import annotations

import logging
import re
import shlex
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from typing import Any

from marshmallow import ValidationError, fields, validate, validates_schema

from errors import LimitExceeded, NodeError
from fields import Schema
from net.library_sockets import dial, run_in_time
from nodes.base import Context, Node, check_installed
from nodes.credentials import base
from nodes.credentials.keyring import DecryptedCredential
from nodes.credentials.types import checks
from nodes.fields import anything, credential, flag, number, setting, text, text_of

MAX_OUTPUT, MAX_INPUT, MAX_ARGS, MAX_COMMAND = 2**20, 10 * 2**20, 1_000, 100_000
MAX_SHOWN = 500
PIECE = 32 * 1024
HOST_KEY = re.compile(r"((?:ssh|ecdsa|sk)-[\w@.-]{1,100})[ \t]+(AAAA[\w+/]+=*)")
CLOSE_SECONDS = 2.0  # for killing the command and closing, after the deadline


def check_host_key(value: str) -> None:
    """Reject text without a public key in OpenSSH's format."""
    if not HOST_KEY.search(value):
        raise ValidationError("Must be a public key, as ssh-keyscan prints it: ssh-ed25519 AAAA…")


class SshCredential(base.CredentialType):
    """Login to a machine by password or key; the machine's host key must be known."""

    title = "SSH"
    host = base.text("The machine: server.example.com", base.check_host, required=True, title="Host")
    port = base.port(22)
    username = base.text("The user name", required=True, title="User name")
    password = base.secret("The password", title="Password")
    private_key = base.secret(
        "The private key in OpenSSH or PEM format", most=base.MAX_KEY, lines=True, title="Private key"
    )
    private_key.metadata["x-multiline"] = True
    passphrase = base.secret("The passphrase of the private key", title="Passphrase")
    host_key = setting(
        fields.String,
        "The machine's public key, as `ssh-keyscan server.example.com` prints it: ssh-ed25519 AAAA…",
        required=True,
        validate=[validate.Length(1, base.MAX_VALUE), check_host_key],
        title="Host key",
    )

    @validates_schema
    def can_log_in(self, data: Mapping[str, Any], **kwargs: Any) -> None:
        """Require a password or a key."""
        if not data.get("password") and not data.get("private_key"):
            raise ValidationError("Either a password or a private key is required.", "password")


class SshNode(Node):
    """Runs a command on another machine by SSH and returns its output and exit status."""

    type = "ssh"
    category = "integration"
    title = "SSH"
    icon = "terminal-2"
    also = ("remote command", "execute command", "shell", "bash")
    pure = False
    extra = "ssh"
    requires = ("asyncssh",)
    examples = (
        {
            "config": {"credential": "web1", "command": "du -s --", "args": ["{{ input.folder }}"]},
            "input": {"folder": "/srv/Zoë's files"},
            "output": {"exit_status": 0, "stdout": "52\t/srv/Zoë's files\n", "stderr": "", "truncated": False},
        },
    )

    class Config(Schema):
        credential = credential("The credential of the machine", "ssh", required=True, title="Credential")
        command = text(
            "The shell command. Put values from outside into the arguments, which are quoted",
            most=20_000,
            required=True,
            lines="",
            title="Command",
        )
        args = anything("A list of values to append to the command, each quoted for the shell", title="Arguments")
        stdin = anything(
            "The standard input of the command: text as it is, other values as JSON. Default: empty",
            lines="",
            title="Standard input",
        )
        timeout = number(
            "Seconds until the command is stopped", 0.1, 3_600, load_default=60.0, title="Timeout (seconds)"
        )
        fail_on_status = flag("Fail if the exit status is not 0", True, title="Fail on exit status")

    def run(self, config: dict[str, Any], input: Any, ctx: Context) -> Any:
        check_installed(type(self))
        end = time.monotonic() + ctx.seconds_left(config["timeout"])
        found = ctx.credential(config["credential"], "ssh")
        args = config.get("args", [])
        if not isinstance(args, list) or len(args) > MAX_ARGS:
            raise LimitExceeded(f"args must be a list of at most {MAX_ARGS:,} values")
        command = " ".join([config["command"], *(shlex.quote(text_of(value)) for value in args)])
        if "\0" in command:
            raise NodeError("the command must not contain NUL", permanent=True)
        if len(command) > MAX_COMMAND:
            raise LimitExceeded(f"the command has more than {MAX_COMMAND:,} characters; pass data by stdin")
        value = config.get("stdin")
        stdin = b"" if value is None else text_of(value).encode("utf-8", "replace")
        if len(stdin) > MAX_INPUT:
            raise LimitExceeded(f"stdin must have at most {MAX_INPUT:,} bytes")
        ctx.check_secrets(found.data["host"], [command, stdin.decode()])
        answer = run_in_time(_run(found, ctx, command, stdin, end), end, "the command timed out")
        if config["fail_on_status"] and answer["exit_status"] != 0:
            if "signal" in answer:
                how = f"the command was killed by the signal {answer['signal']}"
            else:
                how = f"the command exited with status {answer['exit_status']}"
            said = (answer["stderr"] or answer["stdout"]).strip()
            raise NodeError(f"{how}: {said[-MAX_SHOWN:]}" if said else how)
        if answer["truncated"]:
            ctx.log("warning", f"the output of the command was truncated after {MAX_OUTPUT} bytes")
        return answer


async def _run(found: DecryptedCredential, ctx: Context, command: str, stdin: bytes, end: float) -> dict[str, Any]:
    import asyncio

    async with _connect(found, ctx, end) as connection, _process(connection, command) as process:
        out, err, _ = await asyncio.gather(_read(process.stdout), _read(process.stderr), _write(process, stdin))
        await process.wait_closed()
        if process.exit_signal is None and process.exit_status is None:
            raise NodeError("the connection was lost before the command ended")
        signal = {"signal": process.exit_signal[0]} if process.exit_signal else {}
        return {
            "exit_status": process.exit_status if not signal else None,
            **signal,
            "stdout": out[:MAX_OUTPUT].decode("utf-8", "replace"),
            "stderr": err[:MAX_OUTPUT].decode("utf-8", "replace"),
            "truncated": max(len(out), len(err)) > MAX_OUTPUT,
        }


async def _read(stream: Any) -> bytes:
    """Return the output, up to a little more than MAX_OUTPUT; reads the rest, so that the command can continue."""
    kept = bytearray()
    while piece := await stream.read(PIECE):
        if len(kept) <= MAX_OUTPUT:
            kept += piece
    return bytes(kept)


async def _write(process: Any, stdin: bytes) -> None:
    with suppress(BrokenPipeError, ConnectionError):  # the command may exit without reading everything
        for start in range(0, len(stdin), PIECE):
            process.stdin.write(stdin[start : start + PIECE])
            await process.stdin.drain()
        process.stdin.write_eof()


@asynccontextmanager
async def _process(connection: Any, command: str) -> AsyncIterator[Any]:
    """Run the command; kill it if it has not exited by itself."""
    process = await connection.create_process(command, encoding=None, request_pty=False)
    try:
        yield process
    except BaseException:
        with suppress(OSError):  # the channel is closed already
            process.kill()
        raise
    finally:
        process.close()


@asynccontextmanager
async def _connect(found: DecryptedCredential, ctx: Context, end: float) -> AsyncIterator[Any]:
    import asyncio

    import asyncssh

    logging.getLogger("asyncssh").setLevel(logging.WARNING)
    host, port = found.data["host"], found.data["port"]
    found.check_host(host)
    seen = HostKeys(parse_host_keys(found.data["host_key"]))
    options = _options(found, seen)
    sock = dial(ctx.need_services().egress, host, port, end - time.monotonic())
    try:
        connection = await asyncssh.connect(host, port, sock=sock, **options)
    except (asyncssh.Error, OSError, ValueError) as error:
        sock.close()
        raise to_node_error(error, found, seen) from None
    try:
        yield connection
    except asyncssh.Error as error:
        raise to_node_error(error, found, seen) from None
    finally:
        connection.close()
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_SECONDS):
                await asyncio.shield(connection.wait_closed())
        connection.abort()


class HostKeys:
    """The host keys accepted from a machine, and the fingerprint of another one that it presented."""

    def __init__(self, keys: list[Any]) -> None:
        self.keys = keys
        self.other = ""

    def accepts(self, key: Any) -> bool:
        """Return True if the key is accepted."""
        if key in self.keys:
            return True
        self.other = f"{key.algorithm.decode()} {key.get_fingerprint()}"
        return False


def parse_host_keys(written: str) -> list[Any]:
    """Return the public keys in the text, which may be the output of ssh-keyscan."""
    import asyncssh

    try:
        return [asyncssh.import_public_key(f"{kind} {key}") for kind, key in HOST_KEY.findall(written)]
    except asyncssh.KeyImportError as error:
        raise NodeError(f"the credential's host_key is not a public key: {error}", True, kind="credential") from None


def _options(found: DecryptedCredential, seen: HostKeys) -> dict[str, Any]:
    """Return asyncssh's options, which prevent it from using defaults of this machine."""
    import asyncssh
    from asyncssh.public_key import get_default_public_key_algs

    class SshClient(asyncssh.SSHClient):
        def validate_host_public_key(self, host: str, addr: str, port: int, key: Any) -> bool:
            return seen.accepts(key)

    # After the known ones, further algorithms, so that a machine with another key presents it, for the error to show.
    algorithms = [*(name for key in seen.keys for name in key.sig_algorithms), *get_default_public_key_algs()]
    return {
        "client_factory": SshClient,
        "config": None,
        # None would accept any key, an empty list would read the user's known_hosts; `SshClient` decides.
        "known_hosts": (seen.keys, [], []),
        "server_host_key_algs": [name.decode() for name in dict.fromkeys(algorithms)],
        "username": found.data["username"],
        "password": found.data.get("password"),
        "client_keys": _client_keys(found),
        "agent_path": None,
        "x509_trusted_certs": None,
        "x509_trusted_cert_paths": [],
        "gss_kex": False,
        "gss_auth": False,
        "host_based_auth": False,
        "compression_algs": None,
    }


def _client_keys(found: DecryptedCredential) -> list[Any] | None:
    import asyncssh

    written = found.data.get("private_key")
    if not written:
        return None
    try:
        return [asyncssh.import_private_key(written, found.data.get("passphrase"))]
    except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError, ValueError) as error:
        text = str(error)
        if "bcrypt" in text:
            text = "its encryption requires the package bcrypt: .venv/bin/python -m pip install bcrypt"
        raise NodeError(f"the private key of {found.name!r} cannot be read: {text}", True, kind="credential") from None


def to_node_error(error: Exception, found: DecryptedCredential, seen: HostKeys) -> NodeError:
    """Convert an error of asyncssh."""
    import asyncssh

    host = found.data["host"]
    if seen.other:
        return NodeError(
            f"{host} presented a different key than the credential's host_key: {seen.other}", True, kind="credential"
        )
    if isinstance(error, asyncssh.PermissionDenied):
        return NodeError(f"{host} rejected the login of {found.data['username']!r}: {error}", True, kind="credential")
    permanent = isinstance(error, asyncssh.KeyExchangeFailed | asyncssh.ProtocolNotSupported | ValueError)
    return NodeError(f"{host}: {' '.join(str(error).split()) or type(error).__name__}", permanent, kind="remote")


@checks("ssh")
def check(found: DecryptedCredential, ctx: Context, asked: Mapping[str, Any]) -> str:
    """Log in without running a command."""
    check_installed(SshNode)
    end = time.monotonic() + ctx.seconds_left(15)

    async def log_in() -> str:
        async with _connect(found, ctx, end) as connection:
            return str(connection.get_extra_info("server_version"))

    version = run_in_time(log_in(), end, f"{found.data['host']} did not answer in time")
    return f"logged in to {found.data['host']} as {found.data['username']} ({version[:100]})"
