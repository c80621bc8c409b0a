"""Egress guard: the egress rule for libraries that open their connections themselves.

If a library accepts a socket, `dial` provides one. Otherwise `guard_connections` watches every connection of the thread
by the interpreter's audit events (PEP 578) and refuses connections that the rule forbids. It can also end connections
at a deadline, and keep a library whose settings are written by users away from this machine.
"""

from __future__ import annotations

import functools
import ipaddress
import os
import socket
import sys
import sysconfig
import threading
import time
import weakref
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from errors import NodeError

from .egress import Rule, describe_lookup_error

# Events that a thread kept away from this machine must not cause: unwatched code starts, or files change.
PROGRAMS = {
    *("subprocess.Popen", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system", "pty.spawn"),
    *("_thread.start_new_thread", "_thread.start_joinable_thread", "ctypes.dlopen", "os.kill", "webbrowser.open"),
    *("syslog.openlog", "syslog.syslog"),
}
CHANGES = {
    *("os.remove", "os.rename", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod", "os.chown"),
    "sqlite3.connect",
}
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
# The folders of Python's own files and of its packages.
PYTHON = ("stdlib", "platstdlib", "purelib", "platlib")


class _Guard:
    """A rule in force. `allowed` has the addresses of hosts that the rule permits by name and that were looked up.

    With an `end`, on the clock of `time.monotonic`, connections end then. With `folders`, the thread is kept away from
    this machine, except for files in these.
    """

    def __init__(self, rule: Rule, end: float | None, folders: Sequence[Path] | None) -> None:
        self.rule, self.end = rule, end
        self.allowed: set[str] = set()
        self.resolving = False
        self.refused: NodeError | None = None
        self.violation: NodeError | None = None
        self.folders = None if folders is None else tuple(f"{os.path.realpath(path)}/" for path in folders)
        self._sockets: list[weakref.ref[socket.socket]] = []

    def allow_host(self, host: str) -> None:
        if self.resolving or not self.rule.names(host):
            return
        self.resolving = True
        try:
            self.allowed |= {str(info[4][0]) for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
        except OSError:
            return  # the library will get the same error
        finally:
            self.resolving = False

    def check_connection(self, sock: socket.socket, address: Any) -> None:
        if self.end is not None and time.monotonic() >= self.end:
            raise TimeoutError
        if sock.family == getattr(socket, "AF_UNIX", None):
            address = None
        host = address[0] if isinstance(address, tuple) else None
        try:
            found = ipaddress.ip_address(str(host).partition("%")[0])
        except ValueError:
            found = None
        self.refused = self.violation  # if a host has several addresses, the last one counts
        if host is None or found is None or not (str(host) in self.allowed or self.rule.permits("", found)):
            name = str(host or "a socket of this machine")
            self.refused = make_refusal(name)
            # An OSError, after which every library cleans up.
            raise PermissionError(f"{name} may not be reached")

    def add_socket(self, sock: Any) -> None:
        if self.end is not None and isinstance(sock, socket.socket):
            self._sockets.append(weakref.ref(sock))

    def end_connections(self, seconds: float, over: threading.Event) -> None:
        """End all connections after this time: calls that wait for them fail."""
        while not over.wait(seconds):
            for sock in filter(None, [ref() for ref in self._sockets]):
                with suppress(OSError):
                    # The plain socket's method: TLS's would change the object under the thread that uses it.
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)
            seconds = 1.0  # again, for a connection that was just being made

    def check_open(self, path: Any, flags: int) -> None:
        if self.folders is None or isinstance(path, int):
            return
        if flags & WRITING or not f"{os.path.realpath(os.fsdecode(path))}/".startswith(self.folders):
            raise PermissionError("no files of this machine may be opened")

    def refuse_program(self, event: str) -> None:
        if self.folders is not None:
            error = NodeError(f"it may not use this machine itself ({event})", True, kind="egress")
            self.refused = self.violation = error
            raise PermissionError(error.message)

    def refuse_change(self) -> None:
        if self.folders is not None:
            raise PermissionError("no files of this machine may be changed")


_guard: ContextVar[_Guard | None] = ContextVar("guard", default=None)
_lock = threading.Lock()


def make_refusal(host: str) -> NodeError:
    """Return the error for an address that may not be reached."""
    return NodeError(f"{host} may not be reached; HEADRACE_EGRESS_ALLOW can permit it", permanent=True, kind="egress")


@contextmanager
def guard_connections(
    rule: Rule, seconds: float | None = None, folders: Sequence[Path] | None = None
) -> Iterator[None]:
    """Check every connection that this thread makes by Python's sockets against the rule. Raises: NodeError if refused.

    After `seconds` its connections end. With `folders`, the thread may read files in these and in Python's own folders,
    and write none; it may start no program and no thread, which would escape the checks (Python reports threads from
    3.12 on). A library may hide the refusal or replace it by another error: the NodeError is raised all the same.
    """
    with _lock:
        _install_hook()
    readable = None if folders is None else [*folders, *(Path(sysconfig.get_path(name)) for name in PYTHON)]
    guard = _Guard(rule, None if seconds is None else time.monotonic() + seconds, readable)
    with nullcontext() if seconds is None else _end_after(guard, seconds):
        token = _guard.set(guard)
        try:
            yield
        except Exception as error:
            if guard.refused is not None and not isinstance(error, NodeError):
                raise guard.refused from None
            raise
        finally:
            _guard.reset(token)
    if guard.refused is not None:
        raise guard.refused


@contextmanager
def _end_after(guard: _Guard, seconds: float) -> Iterator[None]:
    """End the connections after this time by another thread, since this one may be waiting for one of them."""
    over = threading.Event()
    thread = threading.Thread(target=guard.end_connections, args=(seconds, over), name="guard", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@functools.cache
def _install_hook() -> None:
    """Install the audit hook at first use: a hook cannot be removed. Call it with the lock."""
    sys.addaudithook(_handle_event)


def _handle_event(event: str, args: tuple[Any, ...]) -> None:
    react = _REACTIONS.get(event)
    if react is not None and (guard := _guard.get()) is not None:
        react(guard, event, args)


def _handle_lookup(guard: _Guard, event: str, args: tuple[Any, ...]) -> None:
    if args[0] is not None:
        guard.allow_host(args[0] if isinstance(args[0], str) else args[0].decode("ascii", "replace"))


_Reaction = Callable[[_Guard, str, tuple[Any, ...]], None]
_REACTIONS: dict[str, _Reaction] = {
    "socket.__new__": lambda guard, event, args: guard.add_socket(args[0]),
    "socket.connect": lambda guard, event, args: guard.check_connection(args[0], args[1]),
    "socket.sendto": lambda guard, event, args: guard.check_connection(args[0], args[1]),
    "socket.sendmsg": lambda guard, event, args: None if args[1] is None else guard.check_connection(args[0], args[1]),
    "socket.getaddrinfo": _handle_lookup,
    "open": lambda guard, event, args: guard.check_open(args[0], args[2]),
    **dict.fromkeys(PROGRAMS, lambda guard, event, args: guard.refuse_program(event)),
    **dict.fromkeys(CHANGES, lambda guard, event, args: guard.refuse_change()),
}


def dial(rule: Rule, host: str, port: int, seconds: float) -> socket.socket:
    """Return a connection to the host within this time, at an address that the rule permits.

    Raises: NodeError; it is permanent if the address may not be reached.
    """
    end = time.monotonic() + seconds
    try:
        addresses = rule.addresses(host, port)
    except (OSError, UnicodeError, OverflowError) as error:
        raise NodeError(describe_lookup_error(host, error)) from None
    last: OSError = TimeoutError()
    for address in addresses:
        left = end - time.monotonic()
        if left <= 0:
            break
        try:
            return socket.create_connection((address, port), left)
        except OSError as error:
            last = error
    text = f"no connection within {seconds:.3g} s" if isinstance(last, TimeoutError) else (last.strerror or str(last))
    raise NodeError(f"{host}:{port}: {text}")


# Deadline for libraries of coroutines: a node runs them in an event loop of its own, in its own thread.


def run_in_time(work: Coroutine[Any, Any, Any], end: float, otherwise: str) -> Any:
    """Return the coroutine's result. Raises: NodeError with this text if it is not done at `end` (`time.monotonic`)."""
    import asyncio

    async def bounded() -> Any:
        async with asyncio.timeout(end - time.monotonic()):
            return await work

    try:
        return asyncio.run(bounded())
    except TimeoutError:
        raise NodeError(otherwise) from None
