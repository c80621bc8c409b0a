"""Checks of credentials: functions that test whether a service accepts them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nodes.base import Context
from nodes.credentials.keyring import DecryptedCredential


class Untested(Exception):
    """The credential was not tested, because no request was made; the message names the missing value."""


# Tests a credential of a type, and returns a message about the response. Raises NodeError if the test fails, Untested
# if no request was made.
Check = Callable[[DecryptedCredential, Context, Mapping[str, Any]], str]
CHECKS: dict[str, Check] = {}


def checks(*types: str) -> Callable[[Check], Check]:
    """Register a function that tests credentials of these types. It also receives the caller's parameters."""

    def note(check: Check) -> Check:
        CHECKS.update(dict.fromkeys(types, check))
        return check

    return note
