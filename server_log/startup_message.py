"""Startup message: the server's address and the first login, printed when the server is ready.

It is printed last, after gunicorn's messages, by the worker that becomes ready last; earlier it would be overlooked. If
no worker becomes ready, the master process reports at its end whether the port is the reason, and the first owner's
generated password, which is stored nowhere else.
"""

from __future__ import annotations

import atexit
import os
import socket
import sys

from config import Config

from .setup import write

Login = tuple[str, str]  # address and generated password
HIDDEN_CLIENTS = (
    "HEADRACE_PUBLIC_URL is https, but HEADRACE_TRUSTED_PROXIES is 0, so all clients count as one address in limits "
    "and logs; set it to the number of proxies in front"
)


def warn_local_links(config: Config) -> str:
    """Return a warning if links work only on this machine; else empty text."""
    if not config.has_local_links:
        return ""
    return (
        f"Warning: links for approvals and invitations lead to {config.base_url}, which only this machine can open,\n"
        f"because HOST is {config.host} and HEADRACE_PUBLIC_URL is not set. Set HEADRACE_PUBLIC_URL to the address at\n"
        "which people reach the server.\n\n"
    )


def warn_hidden_clients(config: Config) -> str:
    """Return a warning if all clients appear to have the address of a proxy; else empty text."""
    return f"Warning: {HIDDEN_CLIENTS}.\n\n" if config.hides_clients else ""


def format_first_login(login: Login) -> str:
    """Return the line with the generated password."""
    return f"First login:        {login[0]}  /  {login[1]}\n"


class StartupMessage:
    """Created in the process that forks the workers; `login` is None if no password was generated.

    A pipe counts the workers: it holds a byte for each, and the worker that reads the last byte is the last one.
    """

    def __init__(self, config: Config, workers: int, login: Login | None) -> None:
        self.config, self.login = config, login
        self._made_by = os.getpid()
        self._counter, filled = os.pipe()
        os.write(filled, bytes(workers - 1) + b"\1")
        os.close(filled)
        atexit.register(self._report_failure)

    def count_ready_worker(self) -> None:
        """Count a ready worker. Replacements of workers are not counted: the pipe is empty then."""
        if os.read(self._counter, 1) == b"\1":
            login = format_first_login(self.login) if self.login else ""
            warnings = warn_local_links(self.config), warn_hidden_clients(self.config)
            self._tell(*warnings, f"Headrace is ready:  {self.config.base_url}\n", login)

    def _report_failure(self) -> None:
        # Called in forked processes too.
        if os.getpid() != self._made_by or not os.read(self._counter, 1):
            return
        if why := find_problem(self.config):
            self._tell(f"{why}\n")
        if self.login:
            login = format_first_login(self.login)
            self._tell(f"Headrace ended before it was ready, but created its first owner.\n{login}")

    def _tell(self, *parts: str) -> None:
        if self.config.log_format == "json":
            write("headrace", *[" ".join(part.split()) for part in parts if part])
        else:
            _print("\n" + "".join(parts))


def find_problem(config: Config) -> str | None:
    """Return the reason why the configured address cannot be listened on, or None."""
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((config.host, config.port))
        except OSError as error:
            other = config.port + 1 if 1024 < config.port < 65535 else 8000
            told = f"Headrace cannot listen on port {config.port} of {config.host}: {error.strerror}."
            return f"{told}\nChange the settings HOST and PORT, for example: PORT={other} make run"
    return None


def _print(text: str) -> None:
    """Write the text in one piece: several processes write to the same terminal."""
    sys.stderr.flush()
    os.write(sys.stderr.fileno(), text.encode())
