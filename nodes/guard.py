"""The egress rule for libraries that open their connections themselves.

Where a library takes a socket, `dial` gives it one. Where it takes none, `guarded` has the interpreter's own audit
events (PEP 578) tell of every connection that the thread is about to make, and refuses those that the rule does.
"""

from __future__ import annotations

import ipaddress
import socket
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from errors import NodeError
from nodes.egress import Rule


class _Guard:
    """A rule in force: `allowed` are addresses of hosts that the rule permits by name and that were asked for."""

    def __init__(self, rule: Rule) -> None:
        self.rule = rule
        self.allowed: set[str] = set()
        self.resolving = False
        self.refused = ""

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

    def connecting(self, address: Any) -> None:
        host = address[0] if isinstance(address, tuple) else None
        try:
            found = ipaddress.ip_address(str(host).partition("%")[0])
        except ValueError:
            found = None
        self.refused = ""  # of several addresses of a host, the last one counts
        if host is None or found is None or not (str(host) in self.allowed or self.rule.permits("", found)):
            self.refused = str(host or "a socket of this machine")
            # An error of the system, after which every library tidies up.
            raise PermissionError(f"{self.refused} may not be reached")


_guard: ContextVar[_Guard | None] = ContextVar("guard", default=None)
_watching = threading.Event()
_lock = threading.Lock()


def refusal(host: str) -> NodeError:
    """The error for an address that may not be reached."""
    return NodeError(f"{host} may not be reached; HEADRACE_EGRESS_ALLOW can permit it", permanent=True)


@contextmanager
def guarded(rule: Rule) -> Iterator[None]:
    """Whatever this thread connects to meanwhile, by Python's sockets, has to be permitted; else NodeError.

    A library may turn the refusal into an error of its own, or into none: that it was refused is raised all the same.
    """
    _watch()
    guard = _Guard(rule)
    token = _guard.set(guard)
    try:
        yield
    except Exception as error:
        if guard.refused and not isinstance(error, NodeError):
            raise refusal(guard.refused) from None
        raise
    finally:
        _guard.reset(token)
    if guard.refused:
        raise refusal(guard.refused)


def _watch() -> None:
    """Have audit events told to us, from the first use on: a hook cannot be taken away again."""
    with _lock:
        if not _watching.is_set():
            sys.addaudithook(_heard)
            _watching.set()


def _heard(event: str, args: tuple[Any, ...]) -> None:
    if event == "socket.connect" or event == "socket.sendto":
        guard = _guard.get()
        if guard is not None and args[0].family != getattr(socket, "AF_UNIX", None):
            guard.connecting(args[1])
        elif guard is not None:
            guard.connecting(None)
    elif event == "socket.getaddrinfo":
        guard = _guard.get()
        if guard is not None and args[0] is not None:
            guard.asked(args[0] if isinstance(args[0], str) else args[0].decode("ascii", "replace"))


def dial(rule: Rule, host: str, port: int, seconds: float) -> socket.socket:
    """A connection to the host, within so many seconds, at an address that the rule permits.

    Raises NodeError, which is passing unless the address may not be reached.
    """
    end = time.monotonic() + seconds
    try:
        addresses = rule.addresses(host, port)
    except (OSError, UnicodeError, OverflowError) as error:
        raise NodeError(f"{host} cannot be resolved: {error}") from None
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
