"""The egress rule for libraries that open their connections themselves.

Where a library takes a socket, `dial` gives it one. Where it takes none, `guarded` has the interpreter's own audit
events (PEP 578) tell of every connection that the thread is about to make, and refuses those that the rule does. It can
also end the connections at a time, and keep a library whose settings people write away from this machine.
"""

from __future__ import annotations

import ipaddress
import os
import socket
import sys
import sysconfig
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from errors import NodeError

from .egress import Rule, unresolved

# What a thread that is kept away from this machine may not do: begin what would not be watched, and touch files.
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
# Where Python's own files are, and those of its packages.
PYTHON = ("stdlib", "platstdlib", "purelib", "platlib")


class _Guard:
    """A rule in force: `allowed` are addresses of hosts that the rule permits by name and that were asked for.

    With an `end`, on the clock of `time.monotonic`, it ends the connections then. With `folders`, the thread is kept
    away from this machine, but for files in these.
    """

    def __init__(self, rule: Rule, end: float | None, folders: Sequence[Path] | None) -> None:
        self.rule, self.end = rule, end
        self.allowed: set[str] = set()
        self.resolving = False
        self.refused: NodeError | None = None
        self.misdeed: NodeError | None = None
        self.folders = None if folders is None else tuple(f"{os.path.realpath(path)}/" for path in folders)
        self._sockets: list[weakref.ref[socket.socket]] = []

    def asked(self, host: str) -> None:
        if self.resolving or not self.rule.names(host):
            return
        self.resolving = True
        try:
            self.allowed |= {str(info[4][0]) for info in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
        except OSError:
            return  # the library is about to meet the same error
        finally:
            self.resolving = False

    def connecting(self, sock: socket.socket, address: Any) -> None:
        if self.end is not None and time.monotonic() >= self.end:
            raise TimeoutError
        if sock.family == getattr(socket, "AF_UNIX", None):
            address = None
        host = address[0] if isinstance(address, tuple) else None
        try:
            found = ipaddress.ip_address(str(host).partition("%")[0])
        except ValueError:
            found = None
        self.refused = self.misdeed  # of several addresses of a host, the last one counts
        if host is None or found is None or not (str(host) in self.allowed or self.rule.permits("", found)):
            name = str(host or "a socket of this machine")
            self.refused = refusal(name)
            # An error of the system, after which every library tidies up.
            raise PermissionError(f"{name} may not be reached")

    def made(self, sock: Any) -> None:
        if self.end is not None and isinstance(sock, socket.socket):
            self._sockets.append(weakref.ref(sock))

    def cut(self, seconds: float, over: threading.Event) -> None:
        """End all its connections after so long: whatever waits for one of them goes on, and fails."""
        while not over.wait(seconds):
            self._cut()
            seconds = 1.0  # for one that was being made at that moment

    def _cut(self) -> None:
        for sock in [ref() for ref in self._sockets]:
            if sock is not None:
                with suppress(OSError):
                    # Not what TLS makes of it, which would change the object under the thread that uses it.
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)

    def opening(self, path: Any, flags: int) -> None:
        if self.folders is None or isinstance(path, int):
            return
        if flags & WRITING or not f"{os.path.realpath(os.fsdecode(path))}/".startswith(self.folders):
            raise PermissionError("no files of this machine may be opened")

    def running(self, event: str) -> None:
        if self.folders is not None:
            self.refused = self.misdeed = NodeError(f"it may not use this machine itself ({event})", permanent=True)
            raise PermissionError(self.misdeed.message)

    def changing(self) -> None:
        if self.folders is not None:
            raise PermissionError("no files of this machine may be changed")


_guard: ContextVar[_Guard | None] = ContextVar("guard", default=None)
_watching = threading.Event()
_lock = threading.Lock()


def refusal(host: str) -> NodeError:
    """The error for an address that may not be reached."""
    return NodeError(f"{host} may not be reached; HEADRACE_EGRESS_ALLOW can permit it", permanent=True)


@contextmanager
def guarded(rule: Rule, seconds: float | None = None, folders: Sequence[Path] | None = None) -> Iterator[None]:
    """Whatever this thread connects to meanwhile, by Python's sockets, has to be permitted; else NodeError.

    After so many `seconds` its connections end. With `folders`, it may read files in these and Python's own, and write
    none; it may start no program and no thread, where none of this would hold (Python tells of threads from 3.12 on).
    A library may turn the refusal into an error of its own, or into none: that it was refused is raised all the same.
    """
    _watch()
    readable = None if folders is None else [*folders, *(Path(sysconfig.get_path(name)) for name in PYTHON)]
    guard = _Guard(rule, None if seconds is None else time.monotonic() + seconds, readable)
    with _ended(guard, seconds):
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
def _ended(guard: _Guard, seconds: float | None) -> Iterator[None]:
    """Its connections end after so many seconds, by another thread: this one may be waiting for one of them."""
    if seconds is None:
        yield
        return
    over = threading.Event()
    thread = threading.Thread(target=guard.cut, args=(seconds, over), name="guard", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _watch() -> None:
    """Have audit events told to us, from the first use on: a hook cannot be taken away again."""
    with _lock:
        if not _watching.is_set():
            sys.addaudithook(_heard)
            _watching.set()


def _heard(event: str, args: tuple[Any, ...]) -> None:
    react = _REACTIONS.get(event)
    if react is not None and (guard := _guard.get()) is not None:
        react(guard, event, args)


def _asked(guard: _Guard, event: str, args: tuple[Any, ...]) -> None:
    if args[0] is not None:
        guard.asked(args[0] if isinstance(args[0], str) else args[0].decode("ascii", "replace"))


_Reaction = Callable[[_Guard, str, tuple[Any, ...]], None]
_REACTIONS: dict[str, _Reaction] = {
    "socket.__new__": lambda guard, event, args: guard.made(args[0]),
    "socket.connect": lambda guard, event, args: guard.connecting(args[0], args[1]),
    "socket.sendto": lambda guard, event, args: guard.connecting(args[0], args[1]),
    "socket.sendmsg": lambda guard, event, args: None if args[1] is None else guard.connecting(args[0], args[1]),
    "socket.getaddrinfo": _asked,
    "open": lambda guard, event, args: guard.opening(args[0], args[2]),
    **dict.fromkeys(PROGRAMS, lambda guard, event, args: guard.running(event)),
    **dict.fromkeys(CHANGES, lambda guard, event, args: guard.changing()),
}


def dial(rule: Rule, host: str, port: int, seconds: float) -> socket.socket:
    """A connection to the host, within so many seconds, at an address that the rule permits.

    Raises NodeError, which is passing unless the address may not be reached.
    """
    end = time.monotonic() + seconds
    try:
        addresses = rule.addresses(host, port)
    except (OSError, UnicodeError, OverflowError) as error:
        raise NodeError(unresolved(host, error)) from None
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
