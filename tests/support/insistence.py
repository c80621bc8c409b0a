"""A client that asks again until it is answered, as those who call a server do that may be killed at any moment."""

import http.client
import json

from servers import PATIENCE

TRIES = 500


def insist(servers, method, path, body, done, headers=None, number=0, tries=TRIES):
    """Ask these servers in turn, from the `number`th on, until one answers with a status in `done`; 503 comes again.

    `body(attempt)` is what is sent; gives the status, the JSON, and how often it was sent. With one try only, the
    status and the JSON are None where it was in vain.
    """
    for attempt in range(tries):
        server = answering(servers, number + attempt)
        try:
            status, answer = server.request(method, path, body(attempt), headers)
        except (OSError, http.client.HTTPException, json.JSONDecodeError):
            continue
        if status in done:
            return status, answer, attempt + 1
        assert status == 503, f"{method} {path}: {status} {answer}"
    assert tries == 1, f"{method} {path}: no answer in {tries} tries"
    return None, None, tries


def answering(servers, number):
    """One of those that answer; where none does, the first that does again."""
    found = [server for server in servers if server.answering.is_set()]
    if found:
        return found[number % len(found)]
    assert servers[0].answering.wait(PATIENCE), "no server came back"
    return servers[0]
