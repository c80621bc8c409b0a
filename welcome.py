"""What a start says when the server answers: where it is, and how to log in the first time.

It comes last, after what gunicorn says of its workers, or nobody would see it. So the worker that is ready last says
it; and where none ever is, for instance because another server has the port, the process that made the first owner
tells the password when it ends, since nothing else knows it.
"""

from __future__ import annotations

import atexit
import os
import sys

from config import Config

Login = tuple[str, str]  # address and generated password
EVERYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def address(config: Config) -> str:
    """Where a browser on this machine, or whoever the public address is for, finds the server."""
    host = EVERYWHERE.get(config.host, config.host)
    return config.public_url or f"http://{f'[{host}]' if ':' in host else host}:{config.port}"


def first_login(login: Login) -> str:
    """The line that shows the generated password."""
    return f"First login:        {login[0]}  /  {login[1]}\n"


class Welcome:
    """Made in the process that forks the workers; `login` is None where no password was generated.

    A pipe counts: it holds a byte for each worker of the start, and who takes the last one out is the last.
    """

    def __init__(self, config: Config, workers: int, login: Login | None) -> None:
        self.address, self.login = address(config), login
        self._made_by = os.getpid()
        self._counter, filled = os.pipe()
        os.write(filled, bytes(workers - 1) + b"\1")
        os.close(filled)
        atexit.register(self._ended)

    def worker_is_ready(self) -> None:
        """One more worker answers. Those that replace others count for nothing: the pipe is empty then."""
        if os.read(self._counter, 1) == b"\1":
            _tell(f"\nHeadrace is ready:  {self.address}\n{first_login(self.login) if self.login else ''}")

    def _ended(self) -> None:
        # Forked processes come here too.
        if os.getpid() == self._made_by and self.login and os.read(self._counter, 1):
            _tell(f"\nHeadrace ended before it was ready, but made its first owner.\n{first_login(self.login)}")


def _tell(text: str) -> None:
    """In one piece: several processes write to the same screen."""
    sys.stderr.flush()
    os.write(sys.stderr.fileno(), text.encode())
