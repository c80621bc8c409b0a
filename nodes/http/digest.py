"""Challenges of digest authentication (RFC 7616) in responses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

MAX_HEADER = 8_000
# A parameter in WWW-Authenticate, after the scheme if it is the first one of a challenge: Digest realm="shop", qop=auth
PARAMETER = re.compile(r'(?:([\w-]{1,40})[ \t]+)?([\w-]{1,40})[ \t]*=[ \t]*("(?:[^"\\]|\\.)*"|[^\s,"]*)')
ALGORITHMS = {"MD5", "MD5-SESS", "SHA-256", "SHA-256-SESS", "SHA-512", "SHA-512-SESS"}


class Challenge(NamedTuple):
    """A challenge: its scheme in lower case, and its parameters as written, with quotation marks."""

    scheme: str
    parameters: dict[str, str]

    def get(self, name: str) -> str:
        """Return a parameter without quotation marks; empty if there is none."""
        return self.parameters.get(name, "").strip('"')


def parse(header: str) -> Iterator[Challenge]:
    """Yield the challenges of one or several joined headers WWW-Authenticate."""
    challenge = None
    for scheme, name, value in PARAMETER.findall(header[:MAX_HEADER]):
        if scheme:
            if challenge is not None:
                yield challenge
            challenge = Challenge(scheme.lower(), {})
        if challenge is not None:
            challenge.parameters[name.lower()] = value
    if challenge is not None:
        yield challenge


def choose(header: str) -> str | None:
    """Return the first challenge that can be answered, which the server prefers; None if there is none."""
    for challenge in parse(header):
        algorithm = challenge.get("algorithm").upper() or "MD5"
        qops = {word.strip().lower() for word in challenge.get("qop").split(",")} - {""}
        if challenge.scheme == "digest" and algorithm in ALGORITHMS and (not qops or "auth" in qops):
            return "Digest " + ", ".join(f"{name}={value}" for name, value in challenge.parameters.items())
    return None
