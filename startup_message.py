"""What a start says when the server answers: where it is, and how to log in the first time.

It comes last, after what gunicorn says of its workers, or nobody would see it. So the worker that is ready last says
it. Where none ever is, the process that was to serve tells when it ends whether the port is why, and the password of
the first owner if it has made one, since nothing else knows it.
"""

from __future__ import annotations

import atexit
import os
import socket
import sys

from config import Config

Login = tuple[str, str]  # address and generated password


def local_links(config: Config) -> str:
    """Return the warning that links lead others nowhere, empty if they do not."""
    if not config.has_local_links:
        return ""
    return (
        f"Warning: links for approvals and invitations lead to {config.base_url}, which only this machine can open,\n"
        f"because HOST is {config.host} and HEADRACE_PUBLIC_URL is not set. Set HEADRACE_PUBLIC_URL to the address at\n"
        "which people reach the server.\n\n"
    )


def first_login(login: Login) -> str:
    """The line that shows the generated password."""
    return f"First login:        {login[0]}  /  {login[1]}\n"


class Welcome:
    """Made in the process that forks the workers; `login` is None where no password was generated.

    A pipe counts: it holds a byte for each worker of the start, and who takes the last one out is the last.
    """

    def __init__(self, config: Config, workers: int, login: Login | None) -> None:
        self.config, self.login = config, login
        self._made_by = os.getpid()
        self._counter, filled = os.pipe()
        os.write(filled, bytes(workers - 1) + b"\1")
        os.close(filled)
        atexit.register(self._ended)

    def worker_is_ready(self) -> None:
        """One more worker answers. Those that replace others count for nothing: the pipe is empty then."""
        if os.read(self._counter, 1) == b"\1":
            login = first_login(self.login) if self.login else ""
            _tell(f"\n{local_links(self.config)}Headrace is ready:  {self.config.base_url}\n{login}")

    def _ended(self) -> None:
        # Forked processes come here too.
        if os.getpid() != self._made_by or not os.read(self._counter, 1):
            return
        if why := why_not_there(self.config):
            _tell(f"\n{why}\n")
        if self.login:
            _tell(f"\nHeadrace ended before it was ready, but made its first owner.\n{first_login(self.login)}")


def why_not_there(config: Config) -> str | None:
    """Why nothing can listen where the config says, None where it can."""
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    with socket.socket(family) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((config.host, config.port))
        except OSError as error:
            other = config.port + 1 if 1024 < config.port < 65535 else 8000
            told = f"Headrace cannot listen on port {config.port} of {config.host}: {error.strerror}."
            return f"{told}\nThe settings HOST and PORT say where it does, for instance: PORT={other} make run"
    return None


def _tell(text: str) -> None:
    """In one piece: several processes write to the same screen."""
    sys.stderr.flush()
    os.write(sys.stderr.fileno(), text.encode())
