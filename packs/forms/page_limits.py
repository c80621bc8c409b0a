"""Limits on the pages of forms that are sent, for each form and for each network address."""

from __future__ import annotations

import math

from api.http.request_origin import get_client
from api.http.server import get_server
from errors import TooMany, Unavailable
from security.login_throttle import get_network

PAGES_PER_MINUTE = 40  # sent pages of one form from one network address
SHARED_PAGES = 400  # the same, if the address may be that of many clients


def limit_network(form: str) -> None:
    """Count a sent page of this form from the client's network address. Raises: TooMany, Unavailable."""
    client = get_client()
    limit_pages(f"{form} {get_network(client.address)}", SHARED_PAGES if client.is_shared else PAGES_PER_MINUTE)


def limit_pages(form: str, per_minute: int) -> None:
    """Count a page against this limit. Raises: TooMany; Unavailable if it cannot be counted."""
    try:
        wait = get_server().rates.take(f"form {form}", per_minute)
    except OSError as error:
        raise Unavailable("The rate limit of this form cannot be checked at the moment", retry_after=5) from error
    if wait:
        raise TooMany("Too many pages were sent; try again in a minute", retry_after=math.ceil(wait))
